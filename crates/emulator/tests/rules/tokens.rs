//! Lives of tokens, the book of issues, silent grants and kills of everything at once.

use std::time::Duration;

use lingpai_emulator::{AccountConfig, EmulatorConfig, Kill};
use serde_json::{Value, json};

use crate::world::{
    AUTHORIZER_LIST, AUTHORIZER_TOKEN, COMPONENT, COMPONENT_TOKEN, ECHO, Receiver, SHOP, World,
    refresh_body, text,
};

async fn errcode(world: &World, token: &str) -> Option<i64> {
    let echo = world.get(&format!("{ECHO}?access_token={token}")).await.expect("an answer");
    echo.get("errcode").and_then(Value::as_i64)
}

#[tokio::test]
async fn a_short_life_is_told_and_kept_with_a_quarter_of_overlap() {
    let world = World::start().await.unwrap();
    world.wechat.change_switches(|switches| switches.token_life_secs = 4000);
    let shop = world.authorize(&[1]).await.unwrap();
    let first = world.refresh(&shop).await.unwrap();
    assert_eq!(first["expires_in"], 4000);
    let first = text(&first, "authorizer_access_token").unwrap();
    world.wechat.advance_clock(Duration::from_secs(3990));
    assert_eq!(errcode(&world, &first).await, None);
    world.wechat.advance_clock(Duration::from_secs(10));
    assert_eq!(errcode(&world, &first).await, Some(42001));

    world.wechat.change_switches(|switches| switches.token_life_secs = 400);
    let component = world.component_token().await.unwrap();
    let next = async || {
        let body = refresh_body(&shop.refresh_token);
        let answer = world.component(AUTHORIZER_TOKEN, &component, body).await.unwrap();
        text(&answer, "authorizer_access_token").unwrap()
    };
    let (second, third) = (next().await, next().await);
    assert_eq!(errcode(&world, &second).await, None);
    world.wechat.advance_clock(Duration::from_secs(100));
    assert_eq!(errcode(&world, &second).await, Some(40001));
    assert_eq!(errcode(&world, &third).await, None);
}

#[tokio::test]
async fn the_book_of_issues_tells_what_was_replaced_and_how_early() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    world.wechat.advance_clock(Duration::from_secs(7200));
    let component = world.component_token().await.unwrap();
    let refresh = async || {
        let body = refresh_body(&shop.refresh_token);
        world.component(AUTHORIZER_TOKEN, &component, body).await.unwrap()
    };
    let told = refresh().await;
    world.wechat.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    refresh().await;
    let issues = world.wechat.issues();
    let paths: Vec<&str> = issues.iter().map(|issue| issue.path).collect();
    assert_eq!(paths, [COMPONENT_TOKEN, COMPONENT_TOKEN, AUTHORIZER_TOKEN, AUTHORIZER_TOKEN]);
    assert_eq!((issues[0].appid.as_str(), issues[2].appid.as_str()), (COMPONENT, SHOP));
    assert_eq!(issues[0].previous_remaining_ms, None);
    for issue in &issues[1..3] {
        assert!(issue.previous_remaining_ms.unwrap() <= 0, "{issue:?}");
    }
    assert_eq!(issues[3].previous_remaining_ms, Some(0));
    let url = world.url("/control/api/issues?since=2");
    let newer = world.http.get(url).send().await.unwrap().text().await.unwrap();
    let newer: Value = serde_json::from_str(&newer).unwrap();
    assert_eq!((newer.as_array().unwrap().len(), &newer[0]["number"]), (2, &json!(3)));
    assert_eq!(newer[0]["value_digest"], issues[2].value_digest);
    assert!(text(&told, "authorizer_access_token").is_ok());
    let book = serde_json::to_string(&issues).unwrap();
    assert!(!book.contains("CANARY"));
}

#[tokio::test]
async fn account_info_can_leave_the_refresh_token_out() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    world.wechat.change_switches(|switches| switches.info_without_refresh_token = true);
    let path = "/cgi-bin/component/api_get_authorizer_info";
    let body = json!({ "authorizer_appid": SHOP });
    let info = world.component(path, &shop.component_token, body).await.unwrap();
    assert_eq!(info["authorization_info"]["authorizer_appid"], SHOP);
    assert!(info["authorization_info"].get("authorizer_refresh_token").is_none());
}

#[tokio::test]
async fn a_silent_grant_is_listed_and_pushes_nothing() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    let token = world.component_token().await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.grant(SHOP, &[2, 999]).unwrap();
    assert!(receiver.queries().is_empty());
    let grant = world.wechat.account(SHOP).unwrap().grant.unwrap();
    assert_eq!(grant.sets, [2]);
    let page = json!({ "offset": 0, "count": 500 });
    let list = world.component(AUTHORIZER_LIST, &token, page).await.unwrap();
    assert_eq!(list["list"][0]["refresh_token"], grant.refresh_token.unwrap());
    assert!(world.wechat.grant("wx0", &[]).is_err() && world.wechat.grant(SHOP, &[999]).is_err());
}

#[tokio::test]
async fn many_accounts_are_listed_page_by_page() {
    let config = EmulatorConfig { many_accounts: 700, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config).await.unwrap();
    for number in 1..=700 {
        world.wechat.grant(&AccountConfig::generated(number).appid, &[]).unwrap();
    }
    let token = world.component_token().await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (offset, expected) in [(0, 500), (500, 200), (1000, 0)] {
        let page = json!({ "offset": offset, "count": 500 });
        let answer = world.component(AUTHORIZER_LIST, &token, page).await.unwrap();
        assert_eq!(answer["total_count"], 700);
        let list = answer["list"].as_array().unwrap();
        assert_eq!(list.len(), expected);
        seen.extend(list.iter().map(|one| one["authorizer_appid"].to_string()));
    }
    assert_eq!(seen.len(), 700);
}

#[tokio::test]
async fn all_authorizer_tokens_and_all_refresh_tokens_fall_at_once() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    world.wechat.kill(&Kill::AllAuthorizerTokens);
    assert_eq!(errcode(&world, &shop.access_token).await, Some(40001));
    assert!(world.refresh(&shop).await.unwrap().get("errcode").is_none());
    let kill: Kill = serde_json::from_str(r#"{"kind":"all_refresh_tokens_replaced"}"#).unwrap();
    world.wechat.kill(&kill);
    assert_eq!(world.refresh(&shop).await.unwrap()["errcode"], 61023);
    let listed = world.wechat.account(SHOP).unwrap().grant.unwrap().refresh_token.unwrap();
    let body = refresh_body(&listed);
    let answer = world.component(AUTHORIZER_TOKEN, &shop.component_token, body).await.unwrap();
    assert!(answer.get("errcode").is_none(), "{answer}");
}
