//! What peers do that one should not trust.

use std::time::Duration;

use lingpai_webhook::sender::{MAX_ANSWER_BYTES, Outgoing, SendError, Sender};

use crate::peer::{Manner, PATIENCE, Peer, answer, impatient, post, sender};

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async fn failure(manner: Manner) -> SendError {
    failure_of(&sender(), manner).await
}

async fn failure_of(sender: &Sender, manner: Manner) -> SendError {
    let peer = Peer::start(manner).await;
    let failure = post(sender, &peer.url()).await.expect_err("it fails");
    let told = format!("{failure} {failure:?}");
    assert!(!told.contains("canary") && !told.contains("hook"), "{told}");
    failure
}

#[tokio::test]
async fn what_is_sent_arrives_as_it_is_and_nothing_beside_it() {
    let mut peer = Peer::start(answer("201 Created", "", b"taken")).await;
    let incoming = post(&sender(), &peer.url()).await.expect("an answer");
    assert_eq!((incoming.status, &*incoming.body), (201, &b"taken"[..]));
    assert!(incoming.is_success());
    let received = peer.received();
    assert_eq!(received[0].body, br#"{"text":"canary"}"#);
    let mut lines = received[0].head.trim_end().lines();
    assert_eq!(lines.next(), Some("post /hook?key=canary http/1.1"));
    let mut names: Vec<&str> = lines.filter_map(|line| Some(line.split_once(':')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "content-length", "content-type", "host", "user-agent"]);
}

#[tokio::test]
async fn a_get_goes_out_under_the_same_rules() {
    let mut peer = Peer::start(answer("200 OK", "", b"echo")).await;
    let sender = sender();
    let destination = sender.judge(&peer.url()).expect("it is allowed");
    let outgoing = Outgoing::get(destination.with_query("echostr=echo"));
    let incoming = sender.send(outgoing).await.expect("an answer");
    assert_eq!(&*incoming.body, b"echo");
    let head = &peer.received()[0].head;
    assert!(head.starts_with("get /hook?key=canary&echostr=echo http/1.1"), "{head}");
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let mut victim = Peer::start(answer("200 OK", "", b"")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", victim.url());
        let mut peer = Peer::start(answer(&format!("{status} Elsewhere"), &location, b"")).await;
        let incoming = post(&sender(), &peer.url()).await.expect("an answer");
        assert_eq!(incoming.status, status);
        assert!(!incoming.is_success());
        assert_eq!(peer.received().len(), 1);
    }
    assert_eq!(victim.received(), []);
}

#[tokio::test]
async fn an_answer_has_64_kib_at_most() {
    let longest = vec![b'a'; MAX_ANSWER_BYTES];
    let peer = Peer::start(answer("200 OK", "", &longest)).await;
    let incoming = post(&sender(), &peer.url()).await.expect("an answer");
    assert_eq!(incoming.body.len(), 64 * 1024);
    let too_long = vec![b'a'; MAX_ANSWER_BYTES + 1];
    let failure = failure(answer("202 Accepted", "", &too_long)).await;
    assert_eq!(failure, SendError::AnswerTooLarge { status: 202 });
    assert_eq!(failure.status(), Some(202));
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let chunk = b"400\r\n................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\
        ................................................................................\r\n";
    assert_eq!(chunk.len(), 5 + 0x400 + 2);
    assert_eq!(
        failure(Manner::Flood(CHUNKED, chunk)).await,
        SendError::AnswerTooLarge { status: 200 }
    );
    let until_it_hangs_up = b"HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(
        failure(Manner::Flood(until_it_hangs_up, chunk)).await,
        SendError::AnswerTooLarge { status: 200 }
    );
}

#[tokio::test]
async fn a_head_without_end_is_cut() {
    let failure = failure(Manner::Flood(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")).await;
    assert!(matches!(failure, SendError::Broken { .. }), "{failure:?}");
}

#[tokio::test]
async fn one_who_drips_bytes_is_given_up_at_the_deadline() {
    for manner in [
        Manner::Drip(CHUNKED, b"1\r\na\r\n"),
        Manner::Drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        Manner::Drip(b"", b"HTTP/1.1 103 Early\r\n\r\n"),
        Manner::Silence,
    ] {
        let failure = failure_of(&impatient(), manner).await;
        assert_eq!(failure, SendError::Timeout { after: PATIENCE });
    }
}

#[tokio::test]
async fn what_was_said_with_the_status_holds_if_the_rest_never_comes() {
    let failure = failure_of(&impatient(), Manner::Stall(CHUNKED)).await;
    assert_eq!(failure, SendError::AnswerCut { status: 200 });
    assert_eq!(failure.status(), Some(200));
}

#[tokio::test]
async fn compressed_answers_are_not_asked_for_and_not_unpacked() {
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let headers = format!("content-encoding: {encoding}\r\n");
        let mut peer = Peer::start(answer("200 OK", &headers, b"as it came")).await;
        let incoming = post(&sender(), &peer.url()).await.expect("an answer");
        assert_eq!(&*incoming.body, b"as it came");
        assert!(!peer.received()[0].head.contains("accept-encoding"));
    }
}

#[tokio::test]
async fn a_wish_to_be_left_alone_is_heard() {
    let peer = Peer::start(answer("429 Too Many Requests", "retry-after: 7\r\n", b"")).await;
    let incoming = post(&sender(), &peer.url()).await.expect("an answer");
    assert_eq!((incoming.status, incoming.retry_after), (429, Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let mut peer = Peer::start(answer("200 OK", "set-cookie: a=b; Path=/\r\n", b"")).await;
    let sender = sender();
    for _ in 0..2 {
        post(&sender, &peer.url()).await.expect("an answer");
    }
    assert!(peer.received().iter().all(|received| !received.head.contains("cookie")));
}

#[tokio::test]
async fn why_it_failed_is_told_without_the_address() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").port()
    };
    let refused = post(&sender(), &format!("http://127.0.0.1:{port}/?key=canary")).await.err();
    let SendError::Connect { reason } = refused.expect("nobody is there") else {
        panic!("there is no connection")
    };
    assert!(reason.to_lowercase().contains("connection refused"), "{reason}");
    for manner in [Manner::Answer(b"SMTP\r\n\r\n".to_vec()), Manner::Answer(Vec::new())] {
        let broken = failure(manner).await;
        assert!(matches!(broken, SendError::Broken { .. }), "{broken:?}");
    }
    let cut = failure(Manner::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na".to_vec()));
    assert_eq!(cut.await, SendError::AnswerCut { status: 200 });
}

#[tokio::test]
async fn one_who_speaks_no_tls_is_no_connection() {
    let peer = Peer::start(Manner::Hello(b"220 mail.example ESMTP\r\n")).await;
    let url = peer.url().replace("http://", "https://");
    let failed = post(&sender(), &url).await.expect_err("it fails");
    let SendError::Connect { reason } = &failed else { panic!("{failed:?}") };
    assert!(reason.contains("corrupt message"), "{reason}");
    assert!(!failed.to_string().contains("canary"));
}

#[tokio::test]
async fn nothing_that_is_printed_tells_what_is_sent() {
    let peer = Peer::start(answer("200 OK", "", b"canary")).await;
    let sender = sender();
    let destination = sender.judge(&peer.url()).expect("it is allowed");
    let canary = http::HeaderValue::from_static("canary");
    let outgoing = Outgoing::post(destination, &b"canary"[..]);
    let outgoing = outgoing.with_header(http::header::COOKIE, canary);
    let printed = format!("{outgoing:?} {sender:?}");
    let incoming = sender.send(outgoing).await.expect("an answer");
    assert!(!format!("{printed} {incoming:?}").contains("canary"));
}
