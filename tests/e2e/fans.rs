//! What WeChat knows of a fan, by the fan's own token and by the account's.

use anyhow::{Context as _, Result};
use lingpai_emulator::Fault;
use lingpai_tests::{
    fans::{FAN, OTHER_FAN},
    people::{Answer, Program},
    shop::Shop,
    visitor::{Choice, Visitor},
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::json;

const BY_WEB_TOKEN: &str = "/sns/userinfo";
const BY_ACCOUNT_TOKEN: &str = "/cgi-bin/user/info";

async fn look_up(tenant: &Program, openid: &str) -> Result<Answer> {
    tenant.post(&format!("/v1/authorizers/{SHOP}/user-info"), &json!({ "openid": openid })).await
}

/// A world in which 小林 has let the tenant know him.
async fn known() -> Result<(World, Program)> {
    let (world, tenant) = World::with_authorizer().await?;
    let places = (world.base.clone(), world.base.clone());
    let shop = Shop::new(tenant.clone(), places, SHOP, "https://shop.example");
    shop.register().await?;
    let code = shop.code_of(&mut Visitor::default(), "snsapi_userinfo", Choice::Allow).await?;
    let code = json!({ "code": code.context("the fan brings a code")? });
    tenant.post("/v1/oauth/exchange", &code).await?.expect(StatusCode::OK)?;
    Ok((world, tenant))
}

#[tokio::test]
async fn both_ways_are_joined_and_each_field_says_where_it_came_from() -> Result<()> {
    let (world, tenant) = known().await?;
    let told = look_up(&tenant, FAN).await?.expect(StatusCode::OK)?;
    assert_eq!(told.field("openid")?, FAN);
    assert_eq!(told.json["subscribe"], true);
    assert_eq!(told.field("fields.nickname.value")?, "小林");
    assert_eq!(told.field("fields.nickname.from")?, "web_token");
    for of_account in ["subscribe", "subscribe_scene", "remark", "tagid_list"] {
        assert_eq!(told.field(&format!("fields.{of_account}.from"))?, "account_token");
    }
    assert_eq!(told.json["missing"], json!([]));
    assert!(
        !told.text.contains("CANARY") && !told.text.contains("access_token\":"),
        "{}",
        told.text
    );
    world.end().await
}

#[tokio::test]
async fn what_one_way_cannot_tell_is_said() -> Result<()> {
    let (world, tenant) = known().await?;
    let told = look_up(&tenant, OTHER_FAN).await?.expect(StatusCode::OK)?;
    assert_eq!(told.json["missing"][0]["from"], "web_token", "she has not consented");
    assert_eq!(told.field("fields.subscribe.from")?, "account_token");
    world.emulator.set_fault(Fault::errcode(BY_ACCOUNT_TOKEN, 48001));
    let told = look_up(&tenant, FAN).await?.expect(StatusCode::OK)?;
    assert_eq!(told.json["missing"][0]["from"], "account_token");
    assert_eq!(told.json["missing"][0]["errcode"], 48001);
    assert_eq!(told.json.get("subscribe"), None, "nobody said so");
    world.emulator.set_fault(Fault::errcode(BY_WEB_TOKEN, 48001));
    let failed = look_up(&tenant, FAN).await?;
    assert_eq!(
        (failed.status, failed.field("code")?.as_str()),
        (StatusCode::BAD_GATEWAY, "upstream_rejected")
    );
    world.end().await
}

#[tokio::test]
async fn nobody_asks_about_another_tenants_fans() -> Result<()> {
    let (world, _) = known().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    look_up(&other, FAN).await?.expect(StatusCode::NOT_FOUND)?;
    assert!(world.emulator.calls_to(BY_ACCOUNT_TOKEN).is_empty());
    world.end().await
}

#[tokio::test]
async fn a_fans_token_that_died_at_wechat_is_refreshed_and_the_call_goes_well() -> Result<()> {
    let (world, tenant) = known().await?;
    let refreshes = "/sns/oauth2/component/refresh_token";
    world.emulator.kill_web_token(FAN);
    let told = look_up(&tenant, FAN).await?.expect(StatusCode::OK)?;
    assert_eq!(told.field("fields.nickname.from")?, "web_token");
    assert_eq!(world.emulator.calls_to(refreshes).len(), 1);
    world.end().await
}
