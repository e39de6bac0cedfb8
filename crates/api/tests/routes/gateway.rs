//! The gateway as SDKs meet it: each case of its refusals, and calls that go through.

use lingpai_model::api_key::Scope;
use poem::http::Request;
use serde_json::json;

use crate::house::{Answer, House, SHOP};

const USERS: &str = "/gateway/cgi-bin/user/get";

async fn house() -> House {
    let house = House::start().await;
    house.connect_shop().await;
    house
}

async fn call(house: &House, path: &str, token: &str) -> Answer {
    house.get(&format!("{path}?access_token={token}"), None).await
}

async fn assert_refused(answer: Answer, errcode: i64) {
    assert_eq!((answer.status, answer.errcode()), (200, errcode), "{}", answer.text);
    let errmsg = answer.json()["errmsg"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(errmsg.starts_with("lingpai: "), "{errmsg}");
    assert_eq!(answer.header("lingpai-request-id").map(str::len), Some(32));
}

async fn ask_token(house: &House, appid: &str, secret: &str) -> Answer {
    let query = format!("grant_type=client_credential&appid={appid}&secret={secret}");
    house.get(&format!("/gateway/cgi-bin/token?{query}"), None).await
}

#[tokio::test]
async fn a_token_is_had_in_every_way_that_sdks_ask_for_it() {
    let house = house().await;
    let json = json!({
        "grant_type": "client_credential", "appid": SHOP, "secret": house.key, "force_refresh": true,
    });
    let form = format!("grant_type=client_credential&appid={SHOP}&secret={}", house.key);
    for (method, path, body) in [
        ("GET", format!("/gateway/cgi-bin/token?{form}"), String::new()),
        ("POST", "/gateway/cgi-bin/token".to_owned(), form.clone()),
        ("POST", "/gateway/cgi-bin/token".to_owned(), json.to_string()),
        ("POST", "/gateway/cgi-bin/stable_token".to_owned(), json.to_string()),
        ("GET", format!("/gateway/cgi-bin/stable_token?{form}"), String::new()),
    ] {
        let request = Request::builder().method(method).uri(&path);
        let answer = house.send(request, &body).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = answer.json();
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2), "{answer}");
        assert_eq!(answer["expires_in"], 7200);
        let token = answer["access_token"].as_str().unwrap();
        assert!(token.starts_with("lpv_") && !token.contains(&house.key[4..]), "{token}");
        assert_eq!(call(&house, USERS, token).await.json()["total"], 2, "{method} {path}");
    }
}

#[tokio::test]
async fn the_second_listener_serves_the_same_at_its_root() {
    let house = house().await;
    let token = house.token(&house.key).await;
    let path = format!("/cgi-bin/user/get?access_token={token}");
    let answer = house.send_second(Request::builder().uri(&path), "").await;
    assert_eq!(answer.json()["total"], 2);
    assert_refused(house.send_second(Request::builder().uri("/v1/authorizers"), "").await, 41001)
        .await;
    let beside = Request::builder().uri(format!("/gateway{path}"));
    assert_ne!(house.send_second(beside, "").await.json()["total"], 2);
}

#[tokio::test]
async fn who_shows_no_valid_key_gets_no_token() {
    let house = house().await;
    assert_refused(ask_token(&house, SHOP, "lpk_wrong").await, 40125).await;
    assert_refused(ask_token(&house, SHOP, &house.operator_key).await, 40125).await;
    assert_refused(ask_token(&house, "wx_no_account", "lpk_wrong").await, 40125).await;
    let none = format!("/gateway/cgi-bin/token?grant_type=client_credential&appid={SHOP}");
    assert_refused(house.get(&none, None).await, 41004).await;
    let other =
        format!("/gateway/cgi-bin/token?grant_type=other&appid={SHOP}&secret={}", house.key);
    assert_refused(house.get(&other, None).await, 40002).await;
    let put = Request::builder().method("PUT").uri("/gateway/cgi-bin/token");
    assert_refused(house.send(put, "").await, 43001).await;
    let post = Request::builder().method("POST").uri("/gateway/cgi-bin/stable_token");
    assert_refused(house.send(post, "{").await, 47001).await;
    let long = Request::builder().method("POST").uri("/gateway/cgi-bin/stable_token");
    assert_refused(house.send(long, &"x".repeat(10_000)).await, 7_900_014).await;
}

#[tokio::test]
async fn a_foreign_account_answers_like_one_that_is_not_there() {
    let house = house().await;
    let foreign = house.foreign_key().await;
    let told = |answer: Answer| (answer.status, answer.text);
    let absent = ask_token(&house, "wx0000000000000000", &foreign).await;
    assert_refused(ask_token(&house, SHOP, &foreign).await, 40013).await;
    assert_eq!(told(ask_token(&house, SHOP, &foreign).await), told(absent));
    for odd in ["", "wx%2F1", "..", "%00"] {
        assert_refused(ask_token(&house, odd, &foreign).await, 40013).await;
    }
    let missing = "/gateway/cgi-bin/token?grant_type=client_credential&secret=";
    assert_refused(house.get(&format!("{missing}{foreign}"), None).await, 41002).await;
}

#[tokio::test]
async fn a_token_that_is_none_or_ended_or_whose_key_ended_is_refused_alike() {
    let house = house().await;
    let token = house.token(&house.key).await;
    assert_eq!(call(&house, USERS, &token).await.json()["total"], 2);
    assert_refused(house.get(USERS, None).await, 41001).await;
    let changed = format!("{token}x");
    for none in ["", "lpv_", "x", changed.as_str(), house.key.as_str()] {
        assert_refused(call(&house, USERS, none).await, 40001).await;
    }
    house.clock.advance(chrono::Duration::seconds(7201));
    assert_refused(call(&house, USERS, &token).await, 40001).await;

    let key = house.key_with(&Scope::ALL).await;
    let token = house.token(&key).await;
    let (operators, keys) = (&house.services.operators, &house.services.api_keys);
    let by = operators.authenticate(&house.operator_key, Default::default()).await.unwrap();
    let caller = keys.authenticate(&key, Default::default()).await.unwrap();
    keys.revoke(&by, &house.tenant_id, &caller.key_id).await.unwrap();
    assert_refused(call(&house, USERS, &token).await, 40001).await;
}

#[tokio::test]
async fn a_key_without_the_scope_and_a_path_that_never_passes_are_refused() {
    let house = house().await;
    let reader = house.key_with(&[Scope::AuthorizerRead, Scope::TokenRead]).await;
    assert_refused(ask_token(&house, SHOP, &reader).await, 48001).await;
    let token = house.token(&house.key).await;
    let before = house.wechat.calls().len();
    for path in [
        "/gateway/cgi-bin/component/api_query_auth",
        "/gateway/cgi-bin/component/api_component_token",
        "/gateway/CGI-BIN/component/api_query_auth",
        "/gateway/cgi-bin/%63omponent/api_query_auth",
        "/gateway//cgi-bin/component/api_query_auth",
        "/gateway/cgi-bin/../cgi-bin/component/api_query_auth",
        "/gateway/cgi-bin/user/../component/api_query_auth",
        "/gateway/cgi-bin/Token",
        "/gateway/cgi-bin/token/",
        "/gateway/cgi-bin/%74oken",
        "/gateway/sns/oauth2/component/access_token",
        "/gateway/sns/jscode2session",
        "/gateway/sns/UserInfo",
        "/gateway/sns/userinfo/",
        "/gateway/sns/%75serinfo",
        "/gateway/",
    ] {
        assert_refused(call(&house, path, &token).await, 48001).await;
    }
    assert_eq!(house.wechat.calls().len(), before, "WeChat saw none of them");
}

#[tokio::test]
async fn a_refusal_tells_a_caller_that_was_let_in_how_much_it_may_still_ask() {
    let house = house().await;
    let token = house.token(&house.key).await;
    for refused in [
        call(&house, "/gateway/cgi-bin/component/api_query_auth", &token).await,
        ask_token(&house, "wx0000000000000000", &house.key).await,
        ask_token(&house, "", &house.key).await,
    ] {
        assert_eq!(refused.status, 200);
        assert_ne!(refused.errcode(), 0, "{}", refused.text);
        assert!(refused.header("ratelimit").is_some(), "{:?}", refused.head);
    }
    let stranger = ask_token(&house, SHOP, "lpk_wrong").await;
    assert!(stranger.header("ratelimit").is_none());
}

#[tokio::test]
async fn wechats_own_refusals_and_the_tenants_own_query_go_through_unchanged() {
    let house = house().await;
    let token = house.token(&house.key).await;
    let path =
        format!("/gateway/cgi-bin/user/info?openid=nobody&lang=zh_CN&access_token={token}&x=%2F+1");
    let answer = house.get(&path, None).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.errcode(), 0);
    assert!(!answer.text.contains("lingpai:"), "{}", answer.text);
    let seen = house.wechat.calls_to("/cgi-bin/user/info");
    let query = format!("{:?}", seen.last().expect("WeChat was called"));
    assert!(!query.contains("lpv_"), "no virtual token reaches WeChat: {query}");
    assert!(answer.header("ratelimit").is_some());
}

#[tokio::test]
async fn a_key_for_other_addresses_is_refused_by_wechats_white_list_number() {
    let house = house().await;
    let token = house.token(&house.key).await;
    let (operators, keys) = (&house.services.operators, &house.services.api_keys);
    let by = operators.authenticate(&house.operator_key, Default::default()).await.unwrap();
    let caller = keys.authenticate(&house.key, Default::default()).await.unwrap();
    let networks = Some(vec![lingpai_model::network::Network::parse("198.51.100.0/24").unwrap()]);
    let change = lingpai_tenant::ApiKeyChange { networks, ..Default::default() };
    keys.change(&by, &house.tenant_id, &caller.key_id, change).await.unwrap();
    assert_refused(call(&house, USERS, &token).await, 40164).await;
    assert_refused(ask_token(&house, SHOP, &house.key).await, 40164).await;
}
