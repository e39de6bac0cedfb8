//! Calls of accounts with their own secret, and about web tokens.

use std::time::Duration;

use lingpai_wechat::{
    call::account::StableTokenMode,
    client::{Client, ClientError},
    errcode::Errcode,
    id::Appid,
    secret::Secret,
};
use serde_json::json as value;

use super::{
    calls::words,
    peer::{Peer, answer, client, json, listen},
};

/// Each of its odd characters means something in a query.
const SECRET: &str = "canary+secret/=&#%";
const ENCODED: &str = "canary%2Bsecret%2F%3D%26%23%25";
const TOKEN: &str = "canary+token?&";
const ENCODED_TOKEN: &str = "canary%2Btoken%3F%26";

fn component() -> Appid {
    Appid::parse("wx7c6b2f0a91d3e845").expect("an appid")
}

fn account() -> Appid {
    Appid::parse("wx1f0e2d3c4b5a6978").expect("an appid")
}

/// The errors of all four calls.
async fn errors(client: &Client) -> [ClientError; 4] {
    let (secret, token) = (Secret::from(SECRET), Secret::from(TOKEN));
    [
        client.access_token(&account(), &secret).await.expect_err("a fault"),
        client
            .stable_token(&account(), &secret, StableTokenMode::Forced)
            .await
            .expect_err("a fault"),
        client.refresh_web_token(&account(), &secret).await.expect_err("a fault"),
        client
            .refresh_web_token_on_behalf(&token, &component(), &account(), &secret)
            .await
            .expect_err("a fault"),
    ]
}

#[tokio::test]
async fn each_call_sends_what_is_documented() {
    let mut peer = Peer::answering(json(r#"{"errcode":40013,"errmsg":"invalid appid"}"#)).await;
    for error in errors(&peer.client()).await {
        assert_eq!(error.errcode(), Some(Errcode::INVALID_APPID), "{error:?}");
    }

    let sent = peer.next().await;
    let expected = format!(
        "/cgi-bin/token?grant_type=client_credential&appid=wx1f0e2d3c4b5a6978&secret={ENCODED}"
    );
    assert_eq!((sent.method.as_str(), sent.target), ("GET", expected));
    assert!(sent.body.is_empty());

    let sent = peer.next().await;
    assert_eq!((sent.method.as_str(), sent.target.as_str()), ("POST", "/cgi-bin/stable_token"));
    assert_eq!(sent.header("content-type"), ["application/json"]);
    let expected = value!({
        "grant_type": "client_credential",
        "appid": "wx1f0e2d3c4b5a6978",
        "secret": SECRET,
        "force_refresh": true
    });
    assert_eq!(sent.json(), expected);

    let sent = peer.next().await;
    let expected = format!(
        "/sns/oauth2/refresh_token?appid=wx1f0e2d3c4b5a6978&grant_type=refresh_token\
         &refresh_token={ENCODED}"
    );
    assert_eq!((sent.method.as_str(), sent.target), ("GET", expected));

    let sent = peer.next().await;
    let expected = format!(
        "/sns/oauth2/component/refresh_token?appid=wx1f0e2d3c4b5a6978&grant_type=refresh_token\
         &component_appid=wx7c6b2f0a91d3e845&component_access_token={ENCODED_TOKEN}\
         &refresh_token={ENCODED}"
    );
    assert_eq!((sent.method.as_str(), sent.target), ("GET", expected));
}

#[tokio::test]
async fn a_living_stable_token_is_left_alone_in_normal_mode() {
    let body = r#"{"access_token":"t","expires_in":"345"}"#;
    let mut peer = Peer::answering(json(body)).await;
    let token = peer
        .client()
        .stable_token(&account(), &Secret::from(SECRET), StableTokenMode::Normal)
        .await
        .expect("a token");
    assert_eq!(token.access_token, Secret::from("t"));
    assert_eq!(token.expires_in, Duration::from_secs(345));
    assert_eq!(peer.next().await.json()["force_refresh"], false);
}

#[tokio::test]
async fn ordinary_and_web_tokens_are_read_under_any_content_type() {
    let body = r#"{"access_token":"t","expires_in":7200,"refresh_token":"r","openid":"o"}"#;
    let client =
        Peer::answering(answer("200 OK", "content-type: text/plain\r\n", body)).await.client();
    let token = client.access_token(&account(), &Secret::from(SECRET)).await.expect("a token");
    assert_eq!(token.access_token, Secret::from("t"));
    let (component_token, refresh_token) = (Secret::from(TOKEN), Secret::from(SECRET));
    for outcome in [
        client.refresh_web_token(&account(), &refresh_token).await,
        client
            .refresh_web_token_on_behalf(&component_token, &component(), &account(), &refresh_token)
            .await,
    ] {
        let token = outcome.expect("a token");
        assert_eq!(token.access_token.expect("one").value, Secret::from("t"));
        assert_eq!(token.refresh_token, Some(Secret::from("r")));
        assert_eq!(token.openid.as_deref(), Some("o"));
    }
}

#[tokio::test]
async fn errors_name_no_address_and_no_secret_in_any_spelling() {
    let echo = format!(
        r#"{{"errcode":40001,"errmsg":"bad {SECRET} in ?a={ENCODED}&b={ENCODED_TOKEN} or {TOKEN}"}}"#
    );
    let mut peers = [
        Peer::answering(json(&echo)).await,
        Peer::answering(answer("500 Oops", "", SECRET)).await,
        Peer::answering(json(r#"{"access_token":"canary+secret and more"}"#)).await,
        Peer::answering(*b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await,
        Peer::answering(*b"this is not http\r\n\r\n").await,
        Peer::silent().await,
    ];
    let (listener, url) = listen().await;
    drop(listener);
    let mut clients: Vec<Client> = peers.iter().map(Peer::client).collect();
    clients.push(client(url));
    for client in clients {
        for error in errors(&client).await {
            let words = words(&error);
            for forbidden in ["secret/", "secret%2F", "/sns/", "/cgi-bin/", "grant_type"] {
                assert!(!words.contains(forbidden), "{words}");
            }
        }
    }
    let request = peers[0].next().await;
    assert!(request.target.contains(ENCODED), "the secret was sent: {}", request.target);
    let error = &errors(&peers[0].client()).await[3];
    assert!(!words(error).contains("canary"), "{error}");
}

#[tokio::test]
async fn an_empty_token_and_an_absurd_lifetime_are_garbled() {
    for body in [
        r#"{"access_token":"","expires_in":7200}"#,
        r#"{"access_token":"t"}"#,
        r#"{"access_token":"t","expires_in":0}"#,
        r#"{"access_token":"t","expires_in":"86401"}"#,
    ] {
        for error in errors(&Peer::answering(json(body)).await.client()).await {
            assert!(matches!(error, ClientError::Garbled { .. }), "{body}: {error:?}");
            assert!(error.is_transient());
        }
    }
}
