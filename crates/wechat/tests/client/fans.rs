//! Calls about fans: codes, profiles, logins, and the tickets of pages.

use lingpai_wechat::{
    call::{jssdk::JssdkTicketKind, user::Lang},
    client::{Client, ClientError},
    errcode::Errcode,
    id::Appid,
    secret::Secret,
};

use super::{
    calls::words,
    peer::{Peer, answer, client, json, listen},
};

/// Each of their odd characters means something in a query.
const SECRET: &str = "canary+secret/=&#%";
const ENCODED_SECRET: &str = "canary%2Bsecret%2F%3D%26%23%25";
const TOKEN: &str = "canary+token?&";
const ENCODED_TOKEN: &str = "canary%2Btoken%3F%26";
const CODE: &str = "canary+code?&";
const ENCODED_CODE: &str = "canary%2Bcode%3F%26";
const OPENID: &str = "canary_openid-6wZ";

fn component() -> Appid {
    Appid::parse("wx7c6b2f0a91d3e845").expect("an appid")
}

fn account() -> Appid {
    Appid::parse("wx1f0e2d3c4b5a6978").expect("an appid")
}

/// The errors of all eight calls, in the order of [`targets`].
async fn errors(client: &Client) -> Vec<ClientError> {
    let (appid, component) = (account(), component());
    let [secret, token, code] = [SECRET, TOKEN, CODE].map(Secret::from);
    let ticket = client.get_jssdk_ticket(&token, JssdkTicketKind::WxCard).await;
    let on_behalf = client.exchange_web_code_on_behalf(&token, &component, &appid, &code).await;
    let login = client.log_in_fan_on_behalf(&token, &component, &appid, &code).await;
    vec![
        ticket.expect_err("a fault"),
        on_behalf.expect_err("a fault"),
        login.expect_err("a fault"),
        client.exchange_web_code(&appid, &secret, &code).await.expect_err("a fault"),
        client.log_in_fan(&appid, &secret, &code).await.expect_err("a fault"),
        client.get_fan_profile(&token, OPENID, Lang::ZhTw).await.expect_err("a fault"),
        client.get_user_info(&token, OPENID, Lang::En).await.expect_err("a fault"),
        client.check_web_token(&token, OPENID).await.expect_err("a fault"),
    ]
}

/// What each of the calls asks for.
fn targets() -> [String; 8] {
    let component =
        format!("&component_appid=wx7c6b2f0a91d3e845&component_access_token={ENCODED_TOKEN}");
    let appid = "appid=wx1f0e2d3c4b5a6978";
    let grant = "&grant_type=authorization_code";
    let about = format!("access_token={ENCODED_TOKEN}&openid={OPENID}");
    [
        format!("/cgi-bin/ticket/getticket?access_token={ENCODED_TOKEN}&type=wx_card"),
        format!("/sns/oauth2/component/access_token?{appid}&code={ENCODED_CODE}{grant}{component}"),
        format!("/sns/component/jscode2session?{appid}&js_code={ENCODED_CODE}{grant}{component}"),
        format!(
            "/sns/oauth2/access_token?{appid}&secret={ENCODED_SECRET}&code={ENCODED_CODE}{grant}"
        ),
        format!(
            "/sns/jscode2session?{appid}&secret={ENCODED_SECRET}&js_code={ENCODED_CODE}{grant}"
        ),
        format!("/sns/userinfo?{about}&lang=zh_TW"),
        format!("/cgi-bin/user/info?{about}&lang=en"),
        format!("/sns/auth?{about}"),
    ]
}

#[tokio::test]
async fn each_call_sends_what_is_documented() {
    let mut peer = Peer::answering(json(r#"{"errcode":40013,"errmsg":"invalid appid"}"#)).await;
    for error in errors(&peer.client()).await {
        assert_eq!(error.errcode(), Some(Errcode::INVALID_APPID), "{error:?}");
    }
    for target in targets() {
        let sent = peer.next().await;
        assert_eq!((sent.method.as_str(), sent.target), ("GET", target));
        assert!(sent.body.is_empty());
    }
}

#[tokio::test]
async fn answers_are_read_under_any_content_type() {
    let client_of = async |body: &str| {
        Peer::answering(answer("200 OK", "content-type: text/plain\r\n", body)).await.client()
    };
    let (appid, component) = (account(), component());
    let [secret, token, code] = [SECRET, TOKEN, CODE].map(Secret::from);

    let client =
        client_of(r#"{"access_token":"t","expires_in":7200,"refresh_token":"r","openid":"o"}"#)
            .await;
    for outcome in [
        client.exchange_web_code(&appid, &secret, &code).await,
        client.exchange_web_code_on_behalf(&token, &component, &appid, &code).await,
    ] {
        let token = outcome.expect("tokens");
        assert_eq!(token.refresh_token, Some(Secret::from("r")));
        assert_eq!(token.openid.as_deref(), Some("o"));
    }

    let client = client_of(r#"{"openid":"o","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#).await;
    for outcome in [
        client.log_in_fan(&appid, &secret, &code).await,
        client.log_in_fan_on_behalf(&token, &component, &appid, &code).await,
    ] {
        let session = outcome.expect("a session");
        assert_eq!(session.session_key, Secret::from("tiihtNczf5v6AKRyjwEUhQ=="));
    }

    let client = client_of(&format!(r#"{{"openid":"{OPENID}","nickname":"n"}}"#)).await;
    for outcome in [
        client.get_fan_profile(&token, OPENID, Lang::ZhCn).await,
        client.get_user_info(&token, OPENID, Lang::ZhCn).await,
    ] {
        assert_eq!(outcome.expect("a profile").fields()["nickname"], "n");
    }

    let client = client_of(r#"{"errcode":0,"errmsg":"ok","ticket":"k","expires_in":7200}"#).await;
    client.check_web_token(&token, OPENID).await.expect("it is good");
    let ticket = client.get_jssdk_ticket(&token, JssdkTicketKind::Jsapi).await.expect("a ticket");
    assert_eq!(ticket.value, Secret::from("k"));
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_not_believed() {
    let client =
        Peer::answering(json(r#"{"openid":"o_other","nickname":"canary"}"#)).await.client();
    let token = Secret::from(TOKEN);
    for outcome in [
        client.get_fan_profile(&token, OPENID, Lang::ZhCn).await,
        client.get_user_info(&token, OPENID, Lang::ZhCn).await,
    ] {
        let error = outcome.expect_err("it is about somebody else");
        assert!(matches!(error, ClientError::Garbled { .. }), "{error:?}");
        assert!(!words(&error).contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn errors_name_no_address_no_secret_and_no_fan() {
    let echo = format!(
        r#"{{"errcode":40029,"errmsg":"{SECRET} {ENCODED_SECRET} {TOKEN} {ENCODED_TOKEN} {CODE} {ENCODED_CODE} {OPENID}"}}"#
    );
    let mut clients = vec![
        Peer::answering(answer("500 Oops", "", SECRET)).await.client(),
        Peer::answering(json(r#"{"openid":"canary o","session_key":"canary"}"#)).await.client(),
        Peer::answering(*b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await.client(),
        Peer::answering(*b"this is not http\r\n\r\n").await.client(),
        Peer::silent().await.client(),
    ];
    let (listener, url) = listen().await;
    drop(listener);
    clients.push(client(url));
    let parts = ["canary", "/sns/", "/cgi-bin/", "grant_type", "openid="];
    for client in &clients {
        for error in errors(client).await {
            let words = words(&error);
            assert!(parts.iter().all(|part| !words.contains(part)), "{words}");
        }
    }

    // Each call blackens what it sent itself: a secret of another call is nothing it knows.
    let client = Peer::answering(json(&echo)).await.client();
    for (error, target) in errors(&client).await.iter().zip(targets()) {
        let words = words(error);
        for (plain, encoded) in [
            (SECRET, ENCODED_SECRET),
            (TOKEN, ENCODED_TOKEN),
            (CODE, ENCODED_CODE),
            (OPENID, OPENID),
        ] {
            if target.contains(encoded) {
                assert!(!words.contains(plain) && !words.contains(encoded), "{target}: {words}");
            }
        }
    }
}
