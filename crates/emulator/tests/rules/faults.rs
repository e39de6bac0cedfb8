//! Fault switches and the ledger, seen by a caller.

use lingpai_emulator::{Fault, FaultKind, Kill, TokenKind};
use serde_json::{Value, json};

use crate::world::{
    AUTHORIZER_LIST, AUTHORIZER_TOKEN, COMPONENT, COMPONENT_TOKEN, ECHO, SHOP, World,
    component_token_body,
};

#[tokio::test]
async fn a_lost_answer_has_its_effect() {
    let world = World::start().await.unwrap();
    let mut shop = world.authorize(&[1]).await.unwrap();
    world.wechat.change_switches(|switches| switches.rotate_refresh_tokens = true);
    world.wechat.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::LoseAnswer).times(1));
    assert!(world.refresh(&shop).await.is_err());
    // The refresh token was rotated, although nobody was told.
    assert_eq!(world.refresh(&shop).await.unwrap()["errcode"], 61023);
    let grant = world.wechat.snapshot().accounts[0].grant.clone().unwrap();
    shop.refresh_token = grant.refresh_token.unwrap();
    assert!(world.refresh(&shop).await.unwrap().get("errcode").is_none());
}

#[tokio::test]
async fn an_empty_answer_is_http_500_after_the_effect() {
    let world = World::start().await.unwrap();
    world.wechat.push_ticket().await;
    let ticket = world.wechat.snapshot().tickets[0].value.clone();
    world.wechat.set_fault(Fault::new(COMPONENT_TOKEN, FaultKind::EmptyAnswer).times(1));
    let body = component_token_body(&ticket);
    let error = world.post(COMPONENT_TOKEN, &body).await.unwrap_err();
    assert_eq!(error.to_string(), "HTTP 500 Internal Server Error");
    assert!(world.wechat.snapshot().component_access_token.is_some());
}

#[tokio::test]
async fn a_refusal_by_fault_has_no_effect() {
    let world = World::start().await.unwrap();
    world.wechat.push_ticket().await;
    let ticket = world.wechat.snapshot().tickets[0].value.clone();
    world.wechat.set_fault(Fault::errcode(COMPONENT_TOKEN, -1));
    let answer = world.post(COMPONENT_TOKEN, &component_token_body(&ticket)).await.unwrap();
    assert_eq!(answer["errcode"], -1);
    assert!(world.wechat.snapshot().component_access_token.is_none());
}

#[tokio::test]
async fn another_answer_can_be_put_in_place() {
    let world = World::start().await.unwrap();
    let kind = FaultKind::OtherAnswer {
        status: 502,
        content_type: "text/html".to_owned(),
        body: "<html>".to_owned(),
    };
    world.wechat.set_fault(Fault::new("*", kind));
    let answer = world.http.get(world.url("/cgi-bin/user/get")).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text().await.unwrap(), "<html>");
}

#[tokio::test]
async fn held_answers_wait_for_their_release_and_count_as_in_flight() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    world.wechat.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::Hold).for_appid(SHOP).times(2));
    let release = async {
        world.wechat.wait_until(|wechat| wechat.held().len() == 2).await;
        assert_eq!(world.wechat.stats(AUTHORIZER_TOKEN, SHOP).in_flight, 2);
        assert_eq!(world.wechat.release(Some(COMPONENT_TOKEN)), 0);
        assert_eq!(world.wechat.release(Some(AUTHORIZER_TOKEN)), 2);
    };
    let (one, two, ()) = tokio::join!(world.refresh(&shop), world.refresh(&shop), release);
    assert!(one.unwrap().get("errcode").is_none());
    assert!(two.unwrap().get("errcode").is_none());
    let landed =
        |wechat: &lingpai_emulator::Emulator| wechat.stats(AUTHORIZER_TOKEN, SHOP).in_flight == 0;
    world.wechat.wait_until(landed).await;
    let stats = world.wechat.stats(AUTHORIZER_TOKEN, SHOP);
    assert_eq!((stats.max_in_flight, stats.succeeded), (2, 2));
}

#[tokio::test]
async fn the_ledger_tells_who_called_what_and_how_it_ended() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    world.get(&format!("{ECHO}?access_token={}", shop.access_token)).await.unwrap();
    world.get("/cgi-bin/user/get?access_token=x").await.unwrap();
    let call = world.wechat.calls_to(ECHO).remove(0);
    assert_eq!((call.token, call.appid.as_str(), call.errcode), (TokenKind::Authorizer, SHOP, 0));
    let token_call = world.wechat.calls_to(COMPONENT_TOKEN).remove(0);
    assert_eq!((token_call.token, token_call.appid.as_str()), (TokenKind::None, COMPONENT));
    let last = world.wechat.calls().pop().unwrap();
    assert_eq!((last.errcode, last.appid.as_str()), (40001, ""));
}

#[tokio::test]
async fn killed_tokens_are_refused() {
    let world = World::start().await.unwrap();
    let shop = world.authorize(&[1]).await.unwrap();
    let echo = async || {
        let path = format!("{ECHO}?access_token={}", shop.access_token);
        world.get(&path).await.unwrap().get("errcode").and_then(Value::as_i64)
    };
    assert_eq!(echo().await, None);
    world.wechat.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    assert_eq!(echo().await, Some(40001));
    world.wechat.kill(&Kill::RefreshToken { appid: SHOP.to_owned() });
    assert_eq!(world.refresh(&shop).await.unwrap()["errcode"], 61023);
    world.wechat.kill(&Kill::ComponentTokens);
    assert_eq!(world.refresh(&shop).await.unwrap()["errcode"], 40001);
    let ticket = world.wechat.snapshot().tickets[0].value.clone();
    world.wechat.kill(&Kill::Tickets);
    let answer = world.post(COMPONENT_TOKEN, &component_token_body(&ticket)).await.unwrap();
    assert_eq!(answer["errcode"], 61006);
}

#[tokio::test]
async fn an_address_off_the_white_list_is_61004_everywhere() {
    let world = World::start().await.unwrap();
    let token = world.component_token().await.unwrap();
    world.wechat.change_switches(|switches| switches.ip_refused = true);
    let page = json!({ "offset": 0, "count": 1 });
    assert_eq!(world.component(AUTHORIZER_LIST, &token, page).await.unwrap()["errcode"], 61004);
    let answer = world.post(COMPONENT_TOKEN, &component_token_body("t")).await.unwrap();
    assert_eq!(answer["errcode"], 61004);
}

#[tokio::test]
async fn json_can_lie_about_its_type() {
    let world = World::start().await.unwrap();
    let kind = async || {
        let response = world.http.get(world.url("/cgi-bin/user/get")).send().await.unwrap();
        response.headers()["content-type"].to_str().unwrap().to_owned()
    };
    assert_eq!(kind().await, "application/json; charset=UTF-8");
    world.wechat.change_switches(|switches| switches.text_plain = true);
    assert_eq!(kind().await, "text/plain");
}
