//! Names that change what they stand for.

use lingpai_webhook::sender::{AddressClass, Outgoing, Refusal, SendError, SenderPolicy};

use crate::peer::{Manner, Peer, Script, answer, policy, post, sender_with};

/// `127.0.0.2` plays a public address here, `127.0.0.1` one that must not be reached.
fn one_address_only() -> SenderPolicy {
    policy(&["127.0.0.2"])
}

fn not_public() -> SendError {
    SendError::Refused(Refusal::NotPublic(AddressClass::Loopback))
}

/// A peer that may be reached, and beside it on the same port one that may not.
async fn two_peers() -> (Peer, Peer) {
    let manner = || answer("200 OK", "", b"");
    let peer = Peer::at("127.0.0.2:0", manner()).await;
    let victim = Peer::at(&format!("127.0.0.1:{}", peer.address.port()), manner()).await;
    (peer, victim)
}

#[tokio::test]
async fn a_name_that_is_rebound_is_refused_the_second_time() {
    let (mut peer, mut victim) = two_peers().await;
    let names = Script::of(&[("rebinding.example", &["127.0.0.2", "127.0.0.1"])]);
    let sender = sender_with(one_address_only(), names.clone());
    let url = format!("http://rebinding.example:{}/", peer.address.port());
    assert_eq!(post(&sender, &url).await.map(|incoming| incoming.status), Ok(200));
    assert_eq!(names.asked().len(), 1, "what was checked is what is connected to");
    assert_eq!(post(&sender, &url).await.err(), Some(not_public()));
    assert_eq!((peer.received().len(), victim.received().len()), (1, 0));
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_refused_wherever_it_stands() {
    for answer in ["127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2"] {
        let (mut peer, mut victim) = two_peers().await;
        let sender = sender_with(one_address_only(), Script::of(&[("two.example", &[answer])]));
        let url = format!("http://two.example:{}/", peer.address.port());
        assert_eq!(post(&sender, &url).await.err(), Some(not_public()));
        assert_eq!((peer.received().len(), victim.received().len()), (0, 0));
    }
}

#[tokio::test]
async fn a_name_of_a_public_address_is_bound_to_the_listed_ports() {
    let sender = sender_with(one_address_only(), Script::of(&[("public.example", &["1.1.1.1"])]));
    let refused = Some(SendError::Refused(Refusal::Port));
    assert_eq!(post(&sender, "http://public.example:8081/").await.err(), refused);
}

#[tokio::test]
async fn a_name_without_an_address_is_told_in_words() {
    let names = Script::of(&[("empty.example", &[""])]);
    let sender = sender_with(policy(&[]), names);
    for (host, expected) in [
        ("empty.example", "the host's name does not resolve: it has no address"),
        ("nobody.example", "the host's name does not resolve: nobody of this name"),
    ] {
        let failure = post(&sender, &format!("http://{host}/?key=canary")).await.err();
        let reason = expected.to_owned();
        assert_eq!(failure, Some(SendError::Connect { reason }));
    }
}

#[tokio::test]
async fn a_destination_is_judged_again_by_the_sender_that_sends() {
    let mut peer = Peer::start(Manner::Silence).await;
    let lenient = sender_with(policy(&["127.0.0.0/8"]), Script::of(&[]));
    let strict = sender_with(policy(&[]), Script::of(&[]));
    let destination = lenient.judge(&peer.url()).expect("it is allowed");
    assert_eq!(strict.send(Outgoing::get(destination)).await.err(), Some(not_public()));
    assert_eq!(peer.received(), []);
}
