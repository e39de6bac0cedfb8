//! Calls that are passed on.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lingpai_wechat::{
    client::{Client, ClientError, ForwardBody, ForwardRequest, ForwardResponse},
    secret::Secret,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::oneshot,
};

use super::peer::{Peer, Received, answer, client, json, listen, read_head};

/// A call with its body.
type Whole = (ForwardRequest, ForwardBody);

fn request(method: Method, path: &str, query: &str, body: ForwardBody) -> Whole {
    let (path, query) = (path.to_owned(), query.to_owned());
    (ForwardRequest { method, path, query, headers: HeaderMap::new() }, body)
}

fn get(path: &str) -> Whole {
    request(Method::GET, path, "", ForwardBody::Empty)
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn token() -> Secret<String> {
    Secret::from("canary+token")
}

async fn forward(client: &Client, (request, body): Whole) -> Result<ForwardResponse, ClientError> {
    client.forward(&request, body, &token()).await
}

/// What WeChat sees of a call.
async fn sent(request: Whole) -> Received {
    let mut peer = Peer::answering(json("{}")).await;
    forward(&peer.client(), request).await.expect("an answer");
    peer.next().await
}

/// What comes back for a raw answer.
async fn received(answer: Vec<u8>) -> ForwardResponse {
    let peer = Peer::answering(answer).await;
    forward(&peer.client(), get("/cgi-bin/media/get")).await.expect("an answer")
}

async fn whole(response: ForwardResponse) -> Vec<u8> {
    let chunks: Vec<Bytes> =
        response.body.map(|chunk| chunk.expect("the answer is whole")).collect().await;
    chunks.concat()
}

#[tokio::test]
async fn query_order_and_spelling_body_and_length_stay() {
    let body = Bytes::from_static(b"{\"b\":1, \"a\":\"\\u4e2d\"}");
    let call = request(
        Method::POST,
        "/wxa/a_b-c.d",
        "z=1&a=%2f&z=%2F+x&action",
        ForwardBody::Whole(body.clone()),
    );
    let sent = sent(call).await;
    assert_eq!(sent.method, "POST");
    assert_eq!(sent.target, "/wxa/a_b-c.d?z=1&a=%2f&z=%2F+x&action&access_token=canary%2Btoken");
    assert_eq!(sent.body, body);
    assert_eq!(sent.header("content-length"), [body.len().to_string()]);
    assert!(sent.header("transfer-encoding").is_empty());
}

#[tokio::test]
async fn a_call_without_a_query_gets_only_the_token() {
    let sent = sent(get("/cgi-bin/menu/get")).await;
    assert_eq!(sent.target, "/cgi-bin/menu/get?access_token=canary%2Btoken");
    assert!(sent.header("content-length").is_empty());
    assert!(sent.header("transfer-encoding").is_empty());
}

#[tokio::test]
async fn a_picture_of_the_pages_is_asked_for_without_a_token() {
    let mut peer = Peer::answering(answer("200 OK", "content-type: image/jpg\r\n", "jpeg")).await;
    let (mut call, body) =
        request(Method::GET, "/cgi-bin/showqrcode", "ticket=a%2Fb", ForwardBody::Empty);
    call.headers = headers(&[("authorization", "Bearer lpk_x"), ("cookie", "a=b")]);
    let pages = peer.client();
    let response = pages.forward_to_pages(&call, body).await.expect("an answer");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/showqrcode?ticket=a%2Fb");
    assert!(sent.header("authorization").is_empty() && sent.header("cookie").is_empty());
    assert_eq!(whole(response).await, b"jpeg");
}

#[tokio::test]
async fn the_headers_of_signed_calls_pass_in_both_directions() {
    let raw = "HTTP/1.1 200 OK\r\nwechatmp-appid: wx1\r\nWechatmp-Serial: 7\r\n\
               Wechatmp-TimeStamp: 1700000000\r\nWechatmp-Signature: c2ln\r\n\
               content-length: 2\r\n\r\n{}";
    let mut peer = Peer::answering(raw.as_bytes().to_vec()).await;
    let signed = [
        ("wechatmp-appid", "wx1"),
        ("wechatmp-timestamp", "1700000000"),
        ("wechatmp-signature", "c2lnbmVk"),
    ];
    let mut call =
        request(Method::POST, "/wxa/x", "", ForwardBody::Whole(Bytes::from_static(b"{}")));
    call.0.headers = headers(&signed);
    let response = forward(&peer.client(), call).await.expect("an answer");
    let sent = peer.next().await;
    for (name, value) in signed {
        assert_eq!(sent.header(name), [value]);
    }
    for (name, value) in [
        ("wechatmp-appid", "wx1"),
        ("wechatmp-serial", "7"),
        ("wechatmp-timestamp", "1700000000"),
        ("wechatmp-signature", "c2ln"),
    ] {
        assert_eq!(response.headers[name], value);
    }
}

#[tokio::test]
async fn an_empty_post_has_the_length_zero() {
    let sent = sent(request(Method::POST, "/wxa/release", "", ForwardBody::Empty)).await;
    assert_eq!(sent.header("content-length"), ["0"]);
}

#[tokio::test]
async fn headers_that_must_not_pass_are_left_out_on_the_way_in() {
    let mut call = request(Method::POST, "/x", "", ForwardBody::Whole(Bytes::from_static(b"{}")));
    call.0.headers = headers(&[
        ("connection", "keep-alive, X-Named"),
        ("connection", "x-named-too"),
        ("x-named", "1"),
        ("x-named-too", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic eDp4"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("host", "evil.example"),
        ("expect", "100-continue"),
        ("cookie", "a=b"),
        ("authorization", "Bearer lpk_x"),
        ("accept-encoding", "gzip"),
        ("content-length", "99"),
        ("range", "bytes=0-9"),
        ("if-range", "\"etag\""),
        ("forwarded", "for=1.2.3.4"),
        ("via", "1.1 x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "x"),
        ("x-real-ip", "1.2.3.4"),
        ("lingpai-anything", "x"),
        ("content-type", "application/json"),
        ("wechatmp-appid", "wx1"),
        ("user-agent", "theirs/1"),
        ("x-several", "1"),
        ("x-several", "2"),
    ]);
    let sent = sent(call).await;
    let mut names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "wechatmp-appid",
        "x-several",
        "x-several",
    ];
    assert_eq!(names, expected);
    assert_eq!(sent.header("content-length"), ["2"]);
    assert_eq!(sent.header("user-agent"), ["theirs/1"]);
    assert!(sent.header("host")[0].starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn headers_that_must_not_pass_are_left_out_on_the_way_back() {
    let raw = "HTTP/1.1 200 OK\r\nconnection: close, X-Named\r\nx-named: 1\r\nkeep-alive: 5\r\n\
               proxy-authenticate: x\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nvia: x\r\n\
               x-forwarded-for: 1.2.3.4\r\nwww-authenticate: x\r\nlingpai-hint: x\r\n\
               alt-svc: h3=\":443\"\r\nstrict-transport-security: max-age=1\r\ntrailer: x\r\n\
               Content-disposition: attachment; filename=\"a.jpg\"\r\ncontent-type: image/jpeg\r\n\
               content-encoding: identity\r\ncache-control: no-cache\r\nwechatmp-serial: 7\r\n\
               content-length: 4\r\n\r\n\x00\x01\x02\x03";
    let response = received(raw.as_bytes().to_vec()).await;
    assert_eq!(response.status, StatusCode::OK);
    let mut names: Vec<&str> = response.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-type",
        "wechatmp-serial",
    ];
    assert_eq!(names, expected);
    assert_eq!(whole(response).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_compressed_answer_is_garbled() {
    for (coding, is_plain) in [
        ("content-encoding: gzip", false),
        ("Content-Encoding: BR", false),
        ("content-encoding: identity, gzip", false),
        ("content-encoding: identity\r\ncontent-encoding: zstd", false),
        ("content-encoding: \u{e9}", false),
        ("content-encoding: Identity", true),
        ("content-encoding:", true),
    ] {
        let raw = answer("200 OK", &format!("{coding}\r\n"), "x");
        let outcome = forward(&Peer::answering(raw).await.client(), get("/x")).await;
        match outcome {
            Ok(_) => assert!(is_plain, "{coding}"),
            Err(ClientError::Garbled { call: "forward", what }) => {
                assert!(!is_plain && what.contains("compressed"), "{coding}: {what}");
            }
            Err(error) => panic!("{coding}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_compressed_in_transfer_is_garbled() {
    let raw = |coding: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    };
    assert_eq!(whole(received(raw("chunked").into_bytes()).await).await, b"x");
    let peer = Peer::answering(raw("gzip, chunked")).await;
    let outcome = forward(&peer.client(), get("/x")).await.map(|answer| answer.status);
    assert!(matches!(outcome, Err(ClientError::Garbled { .. })), "{outcome:?}");
}

#[tokio::test]
async fn status_and_body_come_back_as_they_are() {
    let refusal = r#"{"errcode":40001,"errmsg":"invalid credential"}"#;
    let response = received(json(refusal)).await;
    assert_eq!((response.status, whole(response).await), (StatusCode::OK, refusal.into()));

    let moved = answer("302 Found", "location: http://127.0.0.1:1/\r\n", "moved");
    let response = received(moved).await;
    assert_eq!(response.status, StatusCode::FOUND);
    assert_eq!(response.headers["location"], "http://127.0.0.1:1/");
    assert_eq!(whole(response).await, b"moved");

    let response = received(answer("500 Oops", "", "")).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn an_upload_streams_with_its_length() {
    let (listener, url) = listen().await;
    let (first_arrived, may_go_on) = oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let (mut request, rest) = read_head(&mut socket).await.expect("a head");
        request.body = rest;
        while request.body.len() < 5 {
            socket.read_buf(&mut request.body).await.expect("bytes");
        }
        first_arrived.send(()).expect("the upload waits");
        while request.body.len() < 10 {
            socket.read_buf(&mut request.body).await.expect("bytes");
        }
        socket.write_all(&json("{}")).await.expect("the client reads");
        request
    });
    let second = stream::once(async move {
        // Nothing more is sent before the first half has arrived over there.
        may_go_on.await.expect("the first half arrives");
        Ok(Bytes::from_static(b"world"))
    });
    let bytes = stream::iter([Ok(Bytes::from_static(b"hello"))]).chain(second).boxed();
    let body = ForwardBody::Stream { bytes, length: Some(10) };
    let call = request(Method::POST, "/cgi-bin/media/upload", "type=image", body);
    forward(&client(url), call).await.expect("an answer");

    let sent = server.await.expect("the peer is done");
    assert_eq!(sent.body, b"helloworld");
    assert_eq!(sent.header("content-length"), ["10"]);
    assert!(sent.header("transfer-encoding").is_empty());
}

#[tokio::test]
async fn an_answer_streams() {
    let (listener, url) = listen().await;
    let (first_read, may_go_on) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        read_head(&mut socket).await.expect("a head");
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
        socket.write_all(head).await.expect("the client reads");
        may_go_on.await.expect("the first half is read");
        socket.write_all(b"world").await.expect("the client reads");
    });
    let mut response = forward(&client(url), get("/x")).await.expect("an answer");
    let first = response.body.next().await.expect("a chunk").expect("bytes");
    assert_eq!(first, "hello");
    first_read.send(()).expect("the peer waits");
    assert_eq!(whole(response).await, b"world");
}

#[tokio::test]
async fn a_body_without_a_length_is_collected_up_to_a_limit() {
    let chunks = |count: usize| {
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        let bytes = stream::iter((0..count).map(move |_| Ok(chunk.clone()))).boxed();
        request(Method::POST, "/x", "", ForwardBody::Stream { bytes, length: None })
    };
    let arrived = sent(chunks(2)).await;
    assert_eq!(arrived.header("content-length"), ["2097152"]);
    assert!(arrived.header("transfer-encoding").is_empty());

    let peer = Peer::answering(json("{}")).await;
    let refused = forward(&peer.client(), chunks(3)).await;
    assert!(matches!(refused, Err(ClientError::TooLarge { .. })));
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_unreachable_and_told_without_the_address() {
    for length in [None, Some(10)] {
        let bytes = stream::iter([Err(io::Error::other("the tenant hung up"))]).boxed();
        let body = ForwardBody::Stream { bytes, length };
        let peer = Peer::answering(json("{}")).await;
        let outcome = forward(&peer.client(), request(Method::POST, "/x", "", body)).await;
        let Err(error) = outcome else { panic!("nothing was sent") };
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let outcome = forward(&Peer::silent().await.client(), get("/x")).await;
    assert!(matches!(outcome, Err(ClientError::Timeout { call: "forward" })));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_without_the_address() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nhello";
    let mut body = received(cut.to_vec()).await.body;
    assert_eq!(body.next().await.expect("a chunk").expect("bytes"), "hello");
    let error = body.next().await.expect("an error").expect_err("it broke off");
    assert_eq!(error.to_string(), "WeChat's answer broke off");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_path_that_an_address_would_change_is_refused() {
    let peer = Peer::answering(json("{}")).await;
    for path in
        ["", "x", "/a/../b", "/a/./b", "/a b", "/a?b", "/a#b", "/a\\b", "/é", "//../x", "/a\nb"]
    {
        let outcome = forward(&peer.client(), get(path)).await;
        assert!(matches!(outcome, Err(ClientError::Misconfigured { .. })), "{path}");
    }
}
