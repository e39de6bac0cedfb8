//! Another lingpai that is followed, and what it refuses.

use lingpai_model::{
    Secret,
    event::{EventFilter, EventPattern},
};
use lingpai_webhook::remote::{HandedIn, Part, Remote, RemoteError};

use crate::peer::{Manner, Peer, answer, sender};

const STREAM: &[u8] = b": hello\n\nid: evt_1\nevent: message.text\ndata: {\"id\":\"evt_1\"}\n\n";

async fn remote(manner: Manner) -> (Remote, Peer) {
    // It installs the process's TLS provider.
    drop(sender());
    let peer = Peer::start(manner).await;
    let server = format!("http://{}", peer.address).parse().expect("a URL");
    (Remote::new(server, Secret::from("lpk_key")).expect("a client"), peer)
}

#[tokio::test]
async fn only_who_replies_says_that_he_does() {
    for (part, is_said) in [(Part::Watching, false), (Part::Replying, true)] {
        let (remote, mut peer) = remote(answer("200 OK", "", STREAM)).await;
        let event_types = vec![EventPattern::parse("message.*").expect("a pattern")];
        let filter = EventFilter { event_types, ..EventFilter::default() };
        let mut following = remote.follow(&filter, part, None).await.expect("it is followed");
        let told = following.next().await.expect("a stream").expect("an event");
        assert_eq!(told.id, "evt_1");
        assert!(following.next().await.expect("an end").is_none());
        let head = peer.received().remove(0).head;
        assert!(head.starts_with("get /v1/events/stream?") && head.contains("types="), "{head}");
        assert_eq!(head.contains("replying=true"), is_said, "{head}");
    }
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_stays() {
    let words = br#"{"detail":"no such key"}"#;
    for (status, may_pass) in [
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("404 Not Found", false),
        ("422 Unprocessable Entity", false),
        ("429 Too Many Requests", true),
        ("500 Internal Server Error", true),
        ("503 Service Unavailable", true),
    ] {
        let (remote, _peer) = remote(answer(status, "", words)).await;
        let refused = remote.follow(&EventFilter::default(), Part::Watching, None).await;
        let refused = refused.map(drop).expect_err("it refuses");
        assert_eq!(refused.may_pass(), may_pass, "{status}");
        assert!(matches!(&refused, RemoteError::Refused { detail, .. } if detail == "no such key"));
    }
}

#[tokio::test]
async fn a_reply_that_does_not_count_is_told_in_the_other_sides_words() {
    let (takes, mut peer) = remote(answer("204 No Content", "", b"")).await;
    assert_eq!(takes.reply("evt_1", None).await.expect("it answers"), HandedIn::Taken);
    let received = peer.received().remove(0);
    assert!(received.head.starts_with("post /v1/events/evt_1/reply "), "{}", received.head);
    assert_eq!(received.body, b"{}");
    let (refuses, _peer) = remote(answer("409 Conflict", "", br#"{"detail":"too late"}"#)).await;
    let refused = refuses.reply("evt_1", Some("<xml/>")).await.expect("it answers");
    assert_eq!(refused, HandedIn::Refused { detail: "too late".to_owned() });
}
