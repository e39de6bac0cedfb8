//! Accounts that are connected by their own secret: the same machine keeps their tokens.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{Emulator, Fault, Kill};
use lingpai_tests::{
    people::{Answer, Program},
    processes::eventually,
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const STABLE: &str = "/cgi-bin/stable_token";
const TOKEN: &str = "/cgi-bin/token";

fn secret(wechat: &Emulator) -> String {
    wechat.account(SHOP).and_then(|account| account.appsecret).expect("it has a secret")
}

fn input(world: &World) -> Value {
    json!({ "connection": "secret", "appid": SHOP, "appsecret": secret(&world.emulator) })
}

async fn connect(tenant: &Program, input: &Value) -> Result<Answer> {
    tenant.post("/v1/authorizers", input).await
}

/// A world and a tenant that has connected 令牌小店 by its secret.
async fn connected() -> Result<(World, String, Program)> {
    let world = World::start().await?;
    let (id, tenant) = world.operator.create_tenant("花店").await?;
    connect(&tenant, &input(&world)).await?.expect(StatusCode::CREATED)?;
    Ok((world, id, tenant))
}

fn calls(world: &World, path: &str) -> usize {
    world.emulator.calls_to(path).len()
}

async fn token(tenant: &Program) -> Result<String> {
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    tenant.get(&path).await?.expect(StatusCode::OK)?.field("access_token")
}

#[tokio::test]
async fn an_account_is_connected_without_any_component() -> Result<()> {
    let (world, id, tenant) = connected().await?;
    let shown = world.authorizer(&tenant, SHOP).await?;
    assert_eq!(shown.field("connection")?, "secret");
    assert_eq!(shown.json["component_appid"], Value::Null);
    assert_eq!(shown.field("token.state")?, "fresh");
    assert!(!shown.text.contains("CANARY"), "no secret comes out: {}", shown.text);
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    assert_eq!(tenant.get(&path).await?.expect(StatusCode::OK)?.json["total"], 2);
    let stable = world.emulator.account(SHOP).and_then(|account| account.stable_token);
    assert_eq!(stable.map(|stable| stable.value), Some(token(&tenant).await?));
    assert_eq!(calls(&world, STABLE), 1);
    assert_eq!(world.event_types(Some(&id)).await, ["authorizer.authorized"]);
    world.end().await
}

#[tokio::test]
async fn a_stable_token_is_refreshed_in_its_last_five_minutes_and_once() -> Result<()> {
    let (world, _, tenant) = connected().await?;
    let first = token(&tenant).await?;
    world.advance(Duration::minutes(114));
    assert_eq!(world.keep_tokens().await?, 0, "WeChat would give the same token again");
    world.advance(Duration::minutes(3));
    world.keep_tokens().await?;
    assert_eq!(calls(&world, STABLE), 2);
    assert_ne!(token(&tenant).await?, first);
    assert_eq!(world.keep_tokens().await?, 0);
    world.end().await
}

#[tokio::test]
async fn a_killed_stable_token_is_cured_inside_the_call() -> Result<()> {
    let (world, _, tenant) = connected().await?;
    world.advance(Duration::minutes(1));
    world.emulator.kill(&Kill::OrdinaryTokens { appid: SHOP.to_owned() });
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    assert_eq!(tenant.get(&path).await?.expect(StatusCode::OK)?.json["total"], 2);
    world.end().await
}

#[tokio::test]
async fn a_token_that_wechat_gives_again_though_it_refuses_it_is_forced_anew() -> Result<()> {
    let (world, _, tenant) = connected().await?;
    let first = token(&tenant).await?;
    world.advance(Duration::minutes(1));
    let users = "/cgi-bin/user/get";
    world.emulator.set_fault(Fault::errcode(users, 40001).times(1));
    let path = format!("/v1/authorizers/{SHOP}/proxy{users}");
    assert_eq!(tenant.get(&path).await?.expect(StatusCode::OK)?.json["total"], 2);
    assert_ne!(token(&tenant).await?, first);
    assert_eq!(calls(&world, STABLE), 3, "connected; the same again; forced");
    world.end().await
}

#[tokio::test]
async fn the_older_interface_is_used_when_it_is_asked_for() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let mut input = input(&world);
    input["token_api"] = json!("token");
    connect(&tenant, &input).await?.expect(StatusCode::CREATED)?;
    world.advance(Duration::hours(3));
    token(&tenant).await?;
    assert_eq!((calls(&world, TOKEN), calls(&world, STABLE)), (2, 0));
    world.end().await
}

#[tokio::test]
async fn a_wrong_secret_connects_nothing_and_is_not_repeated_in_the_answer() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let wrong = json!({ "connection": "secret", "appid": SHOP, "appsecret": "not-the-secret" });
    let answer = connect(&tenant, &wrong).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(answer.field("field")?, "appsecret");
    assert!(answer.text.contains("40125") && !answer.text.contains("not-the-secret"));
    let absent = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);

    let nobody = json!({ "connection": "secret", "appid": "wx0", "appsecret": "not-the-secret" });
    let answer = connect(&tenant, &nobody).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(answer.field("field")?, "appid", "{}", answer.text);
    world.end().await
}

#[tokio::test]
async fn an_account_belongs_to_whoever_connected_it_first_who_may_renew_its_secret() -> Result<()> {
    let (world, _, tenant) = connected().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    let refused = connect(&other, &input(&world)).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);

    world.emulator.change_account(SHOP, |account| {
        account.appsecret = Some("CANARYappsecretAfterReset".to_owned());
    })?;
    world.advance(Duration::hours(3));
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    assert!(!tenant.get(&path).await?.status.is_success(), "the old secret is void");
    connect(&tenant, &input(&world)).await?.expect(StatusCode::CREATED)?;
    token(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn pushes_to_the_account_are_taken_on_its_own_route_once_each() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let (push_token, key) = ("CANARYpushToken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
    let mut input = input(&world);
    input["push_token"] = json!(push_token);
    input["encoding_aes_key"] = json!(key);
    let shown = connect(&tenant, &input).await?.expect(StatusCode::CREATED)?;
    let url = shown.field("events_url")?;
    assert!(url.ends_with(&format!("/wechat/authorizers/{SHOP}/events")), "{url}");
    world.emulator.change_account(SHOP, |account| {
        account.messages_url = Some(url.clone());
        account.push_token = Some(push_token.to_owned());
        account.encoding_aes_key = Some(key.to_owned());
    })?;
    let message = "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName>\
                   <FromUserName><![CDATA[oFan]]></FromUserName><CreateTime>1</CreateTime>\
                   <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hello]]></Content>\
                   <MsgId>77</MsgId></xml>";
    for _ in 0..2 {
        let outcome = world.emulator.push_message(SHOP, message).await?;
        assert!(outcome.is_accepted(), "{outcome:?}");
    }
    world.emulator.change_account(SHOP, |account| {
        account.push_token = Some("another".to_owned());
    })?;
    assert!(!world.emulator.push_message(SHOP, message).await?.is_accepted());
    world.end().await
}

#[tokio::test]
async fn that_no_other_token_can_be_forced_says_nothing_of_the_usual_way() -> Result<()> {
    let (world, _, tenant) = connected().await?;
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    // Twice within thirty seconds: WeChat refuses the second.
    world.advance(Duration::minutes(1));
    tenant.post(&path, &json!({})).await?;
    let refused = tenant.post(&path, &json!({})).await?.expect(StatusCode::TOO_MANY_REQUESTS)?;
    assert_eq!(refused.field("code")?, "refresh_ceiling");
    token(&tenant).await?;
    world.advance(Duration::hours(3));
    token(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn a_caller_that_hangs_up_while_it_connects_leaves_the_newer_token_behind() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let mut input = input(&world);
    input["token_api"] = json!("token");
    connect(&tenant, &input).await?.expect(StatusCode::CREATED)?;
    let first = token(&tenant).await?;
    world.emulator.set_fault(Fault::new(TOKEN, lingpai_emulator::FaultKind::Hold));
    {
        let call = connect(&tenant, &input);
        tokio::pin!(call);
        let held = world.emulator.wait_until(|wechat| !wechat.held().is_empty());
        tokio::select! { _ = &mut call => unreachable!("the answer is held"), () = held => {} }
        // Here the caller hangs up.
    }
    world.emulator.clear_faults();
    world.emulator.release(None);
    eventually("the newer token is there", async || {
        let present = token(&tenant).await?;
        Ok((present != first).then_some(()))
    })
    .await?;
    world.end().await
}
