//! Our own calls.

use std::{error::Error, time::Duration};

use lingpai_wechat::{
    client::{Client, ClientConfig, ClientError},
    errcode::Errcode,
    id::Appid,
    push::reply::Reply,
    secret::Secret,
};
use serde_json::json as value;
use url::Url;

use super::peer::{Peer, answer, client, json, listen};

const TOKEN: &str = "canary-token";
const SECRET: &str = "canary-secret";
const TICKET: &str = "ticket@@@canary";

fn component() -> Appid {
    Appid::parse("wx7c6b2f0a91d3e845").expect("an appid")
}

fn account() -> Appid {
    Appid::parse("wx1f0e2d3c4b5a6978").expect("an appid")
}

async fn component_token(client: &Client) -> Result<Duration, ClientError> {
    let answer =
        client.component_token(&component(), &Secret::from(SECRET), &Secret::from(TICKET)).await?;
    assert_eq!(answer.component_access_token, Secret::from("t0ken"));
    Ok(answer.expires_in)
}

/// What a component token call makes of this answer.
async fn outcome(answer: Vec<u8>) -> Result<Duration, ClientError> {
    component_token(&Peer::answering(answer).await.client()).await
}

/// Everything that an error says, in all its forms.
pub(crate) fn words(error: &ClientError) -> String {
    let mut words = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    words
}

#[tokio::test]
async fn json_is_read_under_any_content_type() {
    let body = r#"{"component_access_token":"t0ken","expires_in":7200}"#;
    for content_type in ["application/json", "text/plain", "text/html; charset=gbk", ""] {
        let headers = match content_type {
            "" => String::new(),
            content_type => format!("content-type: {content_type}\r\n"),
        };
        let outcome = outcome(answer("200 OK", &headers, body)).await;
        assert_eq!(outcome.expect(content_type), Duration::from_secs(7200));
    }
}

#[tokio::test]
async fn an_error_under_http_200_is_a_refusal() {
    let body = r#"{"errcode":61004,"errmsg":"access clientip is not registered rid: 1-2-3"}"#;
    let error = outcome(json(body)).await.expect_err("a refusal");
    assert_eq!(error.errcode(), Some(Errcode::IP_NOT_ON_WHITE_LIST));
    let expected = "api_component_token: WeChat refused with 61004: \
                    access clientip is not registered rid: 1-2-3";
    assert_eq!(error.to_string(), expected);
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_errcode_may_be_text() {
    let error = outcome(json(r#"{"errcode":"-1","errmsg":"system error"}"#)).await;
    let error = error.expect_err("a refusal");
    assert_eq!(error.errcode(), Some(Errcode::SYSTEM_BUSY));
    assert!(error.is_transient());
}

#[tokio::test]
async fn an_empty_token_is_garbled() {
    let error = outcome(json(r#"{"component_access_token":"","expires_in":7200}"#)).await;
    assert!(matches!(error, Err(ClientError::Garbled { call: "api_component_token", .. })));
}

#[tokio::test]
async fn a_page_instead_of_json_is_garbled_and_may_pass() {
    let error = outcome(answer("502 Bad Gateway", "", "<html>nope</html>")).await;
    let error = error.expect_err("a page");
    assert!(error.to_string().contains("HTTP 502"), "{error}");
    assert!(!error.to_string().contains("nope"), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_huge_answer_is_refused_by_its_length_and_without_one() {
    let huge = " ".repeat(1024 * 1024 + 1);
    let error = outcome(json(&huge)).await;
    assert!(matches!(error, Err(ClientError::TooLarge { .. })), "{error:?}");
    let unsized_answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{huge}");
    let error = outcome(unsized_answer.into_bytes()).await;
    assert!(matches!(error, Err(ClientError::TooLarge { .. })), "{error:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_before_and_inside_the_answer() {
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{";
    for peer in [Peer::silent().await, Peer::falling_silent(begun).await] {
        let error = component_token(&peer.client()).await.expect_err("silence");
        assert!(matches!(error, ClientError::Timeout { call: "api_component_token" }), "{error:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn a_cut_answer_and_a_closed_port_are_unreachable() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{".to_vec();
    let error = outcome(cut).await.expect_err("a cut answer");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");

    let (listener, url) = listen().await;
    drop(listener);
    let error = component_token(&client(url)).await.expect_err("nobody listens");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut target = Peer::answering(json("{}")).await;
    let location = format!("location: {}stolen\r\n", target.url);
    let error = outcome(answer("302 Found", &location, "")).await.expect_err("a redirect");
    assert!(matches!(error, ClientError::Garbled { .. }), "{error:?}");
    let followed = tokio::time::timeout(Duration::from_millis(50), target.next()).await;
    assert!(followed.is_err(), "{followed:?}");
}

#[tokio::test]
async fn errors_name_no_address_and_no_secret() {
    let echo = format!(
        r#"{{"errcode":40001,"errmsg":"invalid {TOKEN} in http://api/cgi-bin?x={TOKEN} {SECRET}"}}"#
    );
    let mut peers = [
        Peer::answering(json(&echo)).await,
        Peer::answering(answer("500 Oops", "", TOKEN)).await,
        Peer::answering(json(&format!(r#"{{"pre_auth_code":"{TOKEN}"}}"#))).await,
        Peer::answering(*b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await,
        Peer::answering(*b"this is not http\r\n\r\n").await,
        Peer::answering(answer("200 OK", "content-encoding: gzip\r\n", TOKEN)).await,
        Peer::silent().await,
    ];
    let (listener, url) = listen().await;
    drop(listener);
    let mut clients: Vec<Client> = peers.iter().map(Peer::client).collect();
    clients.push(client(url));
    for client in clients {
        let error = client
            .create_preauthcode(&Secret::from(TOKEN), &component())
            .await
            .expect_err("every one of them fails");
        let words = words(&error);
        for forbidden in [TOKEN, "component_access_token", "/cgi-bin/component"] {
            assert!(!words.contains(forbidden), "{words}");
        }
    }
    let request = peers[0].next().await;
    assert!(request.target.contains(TOKEN), "the token was sent: {}", request.target);
}

#[tokio::test]
async fn each_call_sends_what_is_documented() {
    let mut peer = Peer::answering(json(r#"{"errcode":0,"errmsg":"ok"}"#)).await;
    let client = peer.client();
    let (token, secret) = (Secret::from("a+b/c=&d"), Secret::from(SECRET));
    let sent_token = "component_access_token=a%2Bb%2Fc%3D%26d";

    client.start_push_ticket(&component(), &secret).await.expect("it is on");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/component/api_start_push_ticket");
    assert_eq!(sent.method, "POST");
    assert_eq!(sent.header("content-type"), ["application/json"]);
    let expected = value!({"component_appid": "wx7c6b2f0a91d3e845", "component_secret": SECRET});
    assert_eq!(sent.json(), expected);

    component_token(&client).await.expect_err("no token in it");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/component/api_component_token");
    assert_eq!(sent.json()["component_appsecret"], SECRET);
    assert_eq!(sent.json()["component_verify_ticket"], TICKET);

    client.create_preauthcode(&token, &component()).await.expect_err("no code in it");
    let sent = peer.next().await;
    assert_eq!(sent.target, format!("/cgi-bin/component/api_create_preauthcode?{sent_token}"));

    client.query_auth(&token, &component(), &Secret::from("c@@@d")).await.expect_err("nothing");
    let sent = peer.next().await;
    assert_eq!(sent.target, format!("/cgi-bin/component/api_query_auth?{sent_token}"));
    assert_eq!(sent.json()["authorization_code"], "c@@@d");

    let refresh = Secret::from("refreshtoken@@@x");
    let refreshed = client.authorizer_token(&token, &component(), &account(), &refresh).await;
    refreshed.expect_err("nothing");
    let sent = peer.next().await;
    assert_eq!(sent.target, format!("/cgi-bin/component/api_authorizer_token?{sent_token}"));
    assert_eq!(sent.json()["authorizer_appid"], "wx1f0e2d3c4b5a6978");
    assert_eq!(sent.json()["authorizer_refresh_token"], "refreshtoken@@@x");

    client.get_authorizer_info(&token, &component(), &account()).await.expect_err("nothing");
    let sent = peer.next().await;
    assert_eq!(sent.target, format!("/cgi-bin/component/api_get_authorizer_info?{sent_token}"));
    assert_eq!(sent.json()["authorizer_appid"], "wx1f0e2d3c4b5a6978");

    client.get_authorizer_list(&token, &component(), 500, 100).await.expect_err("nothing");
    let sent = peer.next().await;
    assert_eq!(sent.target, format!("/cgi-bin/component/api_get_authorizer_list?{sent_token}"));
    let expected = value!({"component_appid": "wx7c6b2f0a91d3e845", "offset": 500, "count": 100});
    assert_eq!(sent.json(), expected);

    client.get_authorizer_list(&token, &component(), 0, 501).await.expect_err("nothing");
    assert_eq!(peer.next().await.json()["count"], 500);
}

#[tokio::test]
async fn calls_about_quotas_send_what_is_documented() {
    let mut peer = Peer::answering(json(r#"{"errcode":0,"errmsg":"ok"}"#)).await;
    let (client, token) = (peer.client(), Secret::from("a+b"));

    client.get_api_quota(&token, "/cgi-bin/menu/get").await.expect_err("no figures in it");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/openapi/quota/get?access_token=a%2Bb");
    assert_eq!(sent.json(), value!({"cgi_path": "/cgi-bin/menu/get"}));

    client.clear_quota(&token, &account()).await.expect("it is done");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/clear_quota?access_token=a%2Bb");
    assert_eq!(sent.json(), value!({"appid": "wx1f0e2d3c4b5a6978"}));
}

#[tokio::test]
async fn a_message_of_customer_service_goes_out_unescaped() {
    let mut peer = Peer::answering(json(r#"{"errcode":0,"errmsg":"ok"}"#)).await;
    let (client, token) = (peer.client(), Secret::from("a+b"));
    let reply = Reply::Text { content: "你好 🌸".to_owned() };
    let message = reply.to_customer_message("oFan").expect("a text can be sent late");
    client.send_custom_message(&token, &message).await.expect("it is sent");
    let sent = peer.next().await;
    assert_eq!(sent.target, "/cgi-bin/message/custom/send?access_token=a%2Bb");
    let body = r#"{"msgtype":"text","text":{"content":"你好 🌸"},"touser":"oFan"}"#;
    assert_eq!(sent.json(), value!(message));
    assert!(sent.body.ends_with(body.as_bytes()), "no escapes: the fan would be shown them");

    let refused = json(r#"{"errcode":45015,"errmsg":"response out of time limit"}"#);
    let client = Peer::answering(refused).await.client();
    let outcome = client.send_custom_message(&token, &message).await;
    let refusal = outcome.expect_err("WeChat refuses");
    assert_eq!(refusal.errcode(), Some(Errcode(45015)));
}

#[tokio::test]
async fn a_profile_of_another_account_is_garbled() {
    let body = |appid: &str| {
        json(&format!(
            r#"{{"authorizer_info":{{"nick_name":"n"}},
                "authorization_info":{{"authorizer_appid":"{appid}"}}}}"#
        ))
    };
    let token = Secret::from(TOKEN);
    for (appid, is_taken) in [("wx1f0e2d3c4b5a6978", true), ("wx2a3b4c5d6e7f8091", false)] {
        let client = Peer::answering(body(appid)).await.client();
        let outcome = client.get_authorizer_info(&token, &component(), &account()).await;
        assert_eq!(outcome.is_ok(), is_taken, "{outcome:?}");
    }
}

#[tokio::test]
async fn only_a_bare_origin_is_an_address_of_wechats() {
    for address in [
        "https://api.weixin.qq.com/cgi-bin",
        "https://api.weixin.qq.com/?x=1",
        "https://api.weixin.qq.com/#x",
        "https://user@api.weixin.qq.com",
        "ftp://api.weixin.qq.com",
        "data:text/plain,x",
    ] {
        let url = Url::parse(address).expect(address);
        for config in [
            ClientConfig { api_url: url.clone(), ..ClientConfig::default() },
            ClientConfig { mp_url: url, ..ClientConfig::default() },
        ] {
            let refused = Client::new(config);
            assert!(matches!(refused, Err(ClientError::Misconfigured { .. })), "{address}");
        }
    }
}
