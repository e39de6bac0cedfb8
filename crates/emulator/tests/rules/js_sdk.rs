//! The JS-SDK: tickets, and the signatures that pages configure it with.

use std::time::Duration;

use lingpai_emulator::{Kill, PageSignature};
use serde_json::{Value, json};

use crate::world::{SHOP, World, text};

const URL: &str = "https://pages.example/shop?item=1&size=L";

fn ticket_path(token: &str, kind: &str) -> String {
    format!("/cgi-bin/ticket/getticket?access_token={token}&type={kind}")
}

/// The page's signature by the recipe of WeChat's documents.
fn signature(ticket: &str, url: &str) -> String {
    use sha1::Digest as _;
    let text = format!("jsapi_ticket={ticket}&noncestr=n1&timestamp=17&url={url}");
    base16ct::lower::encode_string(&sha1::Sha1::digest(text))
}

#[tokio::test]
async fn a_ticket_needs_set_4_and_stays_the_same_while_it_lives() {
    let world = World::start().await.unwrap();
    let without = world.authorize(&[1]).await.unwrap();
    let path = ticket_path(&without.access_token, "jsapi");
    assert_eq!(world.get(&path).await.unwrap()["errcode"], 61007);
    let shop = world.authorize(&[4]).await.unwrap();
    let get = async |kind: &str| world.get(&ticket_path(&shop.access_token, kind)).await.unwrap();
    assert_eq!(get("other").await["errcode"], 40097);
    let first = get("jsapi").await;
    assert_eq!((&first["errcode"], &first["expires_in"]), (&json!(0), &json!(7200)));
    let first = text(&first, "ticket").unwrap();
    assert!(first.contains("CANARY"));
    assert_eq!(text(&get("jsapi").await, "ticket").unwrap(), first);
    let card = text(&get("wx_card").await, "ticket").unwrap();
    assert_ne!(card, first);
    assert_eq!(world.wechat.jssdk_ticket(SHOP, "jsapi"), Some(first.clone()));
    assert_eq!(world.wechat.jssdk_ticket(SHOP, "wx_card"), Some(card));
    assert_eq!(world.wechat.stats("/cgi-bin/ticket/getticket", SHOP).succeeded, 3);
    world.wechat.kill(&Kill::JssdkTickets { appid: SHOP.to_owned() });
    world.wechat.change_switches(|switches| switches.ticket_life_secs = 60);
    let second = get("jsapi").await;
    assert_eq!(second["expires_in"], 60);
    assert_ne!(text(&second, "ticket").unwrap(), first);
    world.wechat.advance_clock(Duration::from_secs(60));
    assert_eq!(world.wechat.jssdk_ticket(SHOP, "jsapi"), None);
}

#[tokio::test]
async fn a_page_is_signed_for_its_address_without_the_fragment() {
    let world = World::start().await.unwrap();
    let verify = |appid: &str, url: &str, timestamp: &str, signature: &str| {
        let page = PageSignature { url, timestamp, nonce: "n1", signature };
        world.wechat.verify_page(appid, &page)
    };
    assert!(!verify(SHOP, URL, "17", &signature("", URL)), "no ticket yet");
    let shop = world.authorize(&[4]).await.unwrap();
    let ticket = world.get(&ticket_path(&shop.access_token, "jsapi")).await.unwrap();
    let signed = signature(&text(&ticket, "ticket").unwrap(), URL);
    assert!(verify(SHOP, URL, "17", &signed));
    assert!(verify(SHOP, &format!("{URL}#top"), "17", &signed));
    assert!(!verify(SHOP, URL, "18", &signed));
    assert!(!verify(SHOP, "https://pages.example/shop", "17", &signed));
    assert!(!verify("wx0", URL, "17", &signed));

    let asked = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("appId", SHOP), ("timestamp", "17"), ("nonceStr", "n1")])
        .extend_pairs([("signature", signed.as_str()), ("url", URL)])
        .finish();
    let path = format!("/open/js/verify?{asked}");
    let response = world.http.get(world.url(&path)).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer["errMsg"], "config:ok");
    let wrong = world.get(&path.replace("=17", "=18")).await.unwrap();
    assert_eq!(wrong["errMsg"], "config:invalid signature");
    let check = json!({
        "appid": SHOP, "url": URL, "timestamp": 17, "nonce": "n1", "signature": signed,
    });
    let answer = world.post("/control/api/page-checks", &check).await.unwrap();
    assert_eq!(answer["is_valid"], true);
}

#[tokio::test]
async fn a_card_is_signed_with_the_other_ticket() {
    use sha1::Digest as _;
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[4]).await.unwrap();
    world.get(&ticket_path(&shop.access_token, "wx_card")).await.unwrap();
    let ticket = world.wechat.jssdk_ticket(SHOP, "wx_card").unwrap();
    let mut parts = ["17", "n1", "pCard", ticket.as_str()];
    parts.sort_unstable();
    let signed = base16ct::lower::encode_string(&sha1::Sha1::digest(parts.concat()));
    assert!(world.wechat.verify_card(SHOP, &["pCard", "n1", "17"], &signed));
    assert!(!world.wechat.verify_card(SHOP, &["pOther", "n1", "17"], &signed));
}

#[tokio::test]
async fn pages_load_a_stand_in_for_the_script() {
    let world = World::start().await.unwrap();
    let script = world.http.get(world.url("/open/js/jweixin-1.6.0.js")).send().await.unwrap();
    assert!(script.headers()["content-type"].to_str().unwrap().starts_with("text/javascript"));
    let script = script.text().await.unwrap();
    for part in ["config:", "ready:", "error:", "verify?"] {
        assert!(script.contains(part), "{part}");
    }
}
