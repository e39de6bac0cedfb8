//! Control over HTTP.

use lingpai_emulator::EmulatorConfig;
use serde_json::{Value, json};

use crate::world::{Receiver, SHOP, World};

async fn control(world: &World, method: &str, path: &str, body: Value) -> Value {
    let method = method.parse().expect("tests name real methods");
    let url = world.url(&format!("/control/api{path}"));
    let response = world
        .http
        .request(method, url)
        .body(body.to_string())
        .send()
        .await
        .expect("control answers");
    let status = response.status();
    let text = response.text().await.expect("an answer is text");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("control answers JSON")
}

#[tokio::test]
async fn scripts_can_do_everything() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    control(&world, "PUT", "/targets", json!({ "events_url": url })).await;
    assert_eq!(control(&world, "POST", "/tickets", json!({})).await["body"], "success");
    let raw = json!({ "info_xml": "<xml/>" });
    assert_eq!(control(&world, "POST", "/pushes", raw).await["status"], 200);
    assert_eq!(receiver.plaintexts()[1], "<xml/>");

    let link = world.link(&world.component_token().await.unwrap()).await.unwrap();
    let consent = json!({ "authorize_href": link, "appid": SHOP, "sets": [1] });
    let answer = control(&world, "POST", "/consents", consent).await;
    assert!(answer["location"].as_str().unwrap().contains("auth_code="));
    let state = control(&world, "GET", "/state", json!({})).await;
    assert_eq!(state["accounts"][0]["grant"]["sets"], json!([1]));
    let outcome = control(&world, "POST", &format!("/accounts/{SHOP}/revoke"), json!({})).await;
    assert_eq!(outcome["name"], "unauthorized");

    let fault = json!({ "path": "/a", "kind": "hold", "times": 1 });
    let id = control(&world, "POST", "/faults", fault).await["id"].clone();
    assert_eq!(control(&world, "GET", "/faults", json!({})).await[0]["kind"], "hold");
    control(&world, "DELETE", &format!("/faults/{id}"), json!({})).await;
    assert_eq!(control(&world, "GET", "/faults", json!({})).await, json!([]));
    assert_eq!(control(&world, "POST", "/holds/release", json!({})).await["released"], 0);

    let before = control(&world, "GET", "/state", json!({})).await["now_ms"].as_i64().unwrap();
    let clock = control(&world, "POST", "/clock", json!({ "advance_secs": 60 })).await;
    assert!(clock["now_ms"].as_i64().unwrap() >= before + 60_000);
    let switched = json!({ "text_plain": true, "push_order": "lost" });
    let switches = control(&world, "PATCH", "/switches", switched).await;
    assert_eq!(switches["text_plain"], true);
    assert_eq!(switches["ip_refused"], false);
    control(&world, "POST", "/kills", json!({ "kind": "component_tokens" })).await;
    let state = control(&world, "GET", "/state", json!({})).await;
    assert_eq!(state["component_access_token"], Value::Null);
    let calls =
        control(&world, "GET", "/calls?path=/cgi-bin/component/api_component_token", json!({}));
    assert_eq!(calls.await.as_array().unwrap().len(), 1);
    assert!(!control(&world, "GET", "/stats", json!({})).await.as_array().unwrap().is_empty());
    assert!(control(&world, "GET", "/pushes", json!({})).await.as_array().unwrap().len() >= 3);
}

#[tokio::test]
async fn what_control_does_not_understand_is_400_with_a_reason() {
    let world = World::start().await.unwrap();
    for (path, body) in [
        ("/faults", r#"{"path":"/a","kind":"nonsense"}"#),
        ("/clock", "{}"),
        ("/accounts/wx0/revoke", ""),
        ("/messages", r#"{"appid":"wx0","xml":""}"#),
    ] {
        let url = world.url(&format!("/control/api{path}"));
        let response = world.http.post(url).body(body).send().await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
        assert!(response.text().await.unwrap().contains("error"));
    }
}

#[tokio::test]
async fn the_page_speaks_both_languages_and_its_buttons_work() {
    let world = World::start().await.unwrap();
    let page = async |query: &str| {
        let url = world.url(&format!("/control/{query}"));
        world.http.get(url).send().await.unwrap().text().await.unwrap()
    };
    assert!(page("?lang=zh").await.contains("立即推送 Ticket"));
    assert!(page("?lang=en").await.contains("Push a ticket now"));
    world.consent(&world.component_token().await.unwrap(), &[1]).await.unwrap();
    let press = async |form: &'static str| {
        let request = world.http.post(world.url("/control/?lang=zh")).body(form);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().get("location").cloned())
    };
    let (status, location) = press("act=revoke&appid=wxa0b1c2d3e4f50617").await;
    assert_eq!((status, location.unwrap().to_str().unwrap()), (303, "/control/?lang=zh"));
    assert!(world.wechat.snapshot().accounts[0].grant.is_none());
    let secret = world.wechat.account(SHOP).unwrap().appsecret.unwrap();
    let query = format!("grant_type=client_credential&appid={SHOP}&secret={secret}");
    world.get(&format!("/cgi-bin/token?{query}")).await.unwrap();
    assert!(world.wechat.account(SHOP).unwrap().ordinary_token.is_some());
    assert!(page("?lang=zh").await.contains("作废普通令牌"));
    press("act=kill_ordinary_tokens&appid=wxa0b1c2d3e4f50617").await;
    assert!(world.wechat.account(SHOP).unwrap().ordinary_token.is_none());
    let offset = world.wechat.snapshot().clock_offset_ms;
    press("act=advance_hour").await;
    assert_eq!(world.wechat.snapshot().clock_offset_ms, offset + 3_600_000);
    assert_eq!(press("act=nonsense").await.0, 400);
    let bare = world.http.get(world.url("/control")).send().await.unwrap();
    assert_eq!(bare.status(), 200);
}

#[tokio::test]
async fn an_account_can_be_added_and_authorize() {
    let world = World::start().await.unwrap();
    let account = json!({
        "appid": "wxd000000000000001",
        "user_name": "gh_d00000000001",
        "nick_name": "新店",
        "kind": "official_account",
        "permission_sets": [1],
    });
    control(&world, "POST", "/accounts", account).await;
    let link = world.link(&world.component_token().await.unwrap()).await.unwrap();
    assert!(world.wechat.consent(&link, "wxd000000000000001", &[]).await.is_ok());
}

#[tokio::test]
async fn scripts_can_grant_silently_mint_web_tokens_and_change_an_account() {
    let world = World::start().await.unwrap();
    control(&world, "POST", "/grants", json!({ "appid": SHOP, "sets": [1] })).await;
    assert_eq!(world.wechat.account(SHOP).unwrap().grant.unwrap().sets, [1]);
    let fan = json!({ "appid": SHOP, "openid": "oFan", "scope": "snsapi_base" });
    let tokens = control(&world, "POST", "/web-tokens", fan).await;
    assert!(tokens["refresh_token"].as_str().unwrap().contains("CANARY"));
    let path = format!("/accounts/{SHOP}");
    control(&world, "PATCH", &path, json!({ "appsecret": "CANARYother" })).await;
    let shop = world.wechat.account(SHOP).unwrap();
    assert_eq!(shop.appsecret.as_deref(), Some("CANARYother"));
    assert_eq!(shop.user_name, "gh_0a1b2c3d4e5f");
    for (method, path, body) in [
        ("PATCH", path.as_str(), json!({ "push_token": "CANARYtoken" })),
        ("PATCH", &path, json!({ "appid": "wx1" })),
        ("PATCH", "/accounts/wx0", json!({})),
        ("POST", "/grants", json!({ "appid": SHOP, "sets": [999] })),
        ("POST", "/web-tokens", json!({ "appid": "wx0", "openid": "o", "scope": "s" })),
        ("GET", "/issues?since=x", json!({})),
    ] {
        let url = world.url(&format!("/control/api{path}"));
        let request = world.http.request(method.parse().unwrap(), url).body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 400, "{method} {path} {body}");
    }
    assert_eq!(world.wechat.account(SHOP).unwrap().appsecret.as_deref(), Some("CANARYother"));
}

#[tokio::test]
async fn the_page_shows_a_hundred_accounts_and_counts_the_rest() {
    let config = EmulatorConfig { many_accounts: 100, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config).await.unwrap();
    let page = world.http.get(world.url("/control/?lang=en")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("Accounts not listed: 3"), "{page}");
    assert_eq!(page.matches("AppSecret").count(), 100);
}
