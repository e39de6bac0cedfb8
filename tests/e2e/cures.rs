//! What helps when WeChat refuses a token: the rows of its table of return codes, one by one.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{Fault, Kill};
use lingpai_tests::{
    people::{Answer, Program},
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::json;

const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";
const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";
const INFO: &str = "/cgi-bin/component/api_get_authorizer_info";
const LIST: &str = "/cgi-bin/component/api_get_authorizer_list";
const START_PUSH: &str = "/cgi-bin/component/api_start_push_ticket";
const USERS: &str = "/cgi-bin/user/get";

/// A world whose authorizer's token has run out, with its tenant's id and program.
async fn expired() -> Result<(World, String, Program)> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    world.advance(Duration::hours(3));
    Ok((world, id, tenant))
}

async fn call(tenant: &Program) -> Result<Answer> {
    tenant.get(&format!("/v1/authorizers/{SHOP}/proxy{USERS}")).await
}

async fn succeeds(tenant: &Program) -> Result<()> {
    let answer = call(tenant).await?.expect(StatusCode::OK)?;
    anyhow::ensure!(answer.json["total"] == 2, "{}", answer.text);
    Ok(())
}

fn calls(world: &World, path: &str) -> usize {
    world.emulator.calls_to(path).len()
}

#[tokio::test]
async fn a_killed_token_is_replaced_inside_the_call_and_once() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    let callers = (0..20).map(|_| succeeds(&tenant));
    for outcome in futures_util::future::join_all(callers).await {
        outcome?;
    }
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), 1);
    let shown = world.authorizer(&tenant, SHOP).await?;
    assert_eq!(shown.json["token"]["refreshes"][0]["cause"], "cured", "{}", shown.text);
    world.end().await
}

#[tokio::test]
async fn a_call_that_is_refused_whatever_its_token_does_not_refresh_without_end() -> Result<()> {
    let set = [("LINGPAI_TOKENS__REFRESHES_PER_TOKEN_HOUR", "3")];
    let world = World::start_set(lingpai_emulator::EmulatorConfig::for_tests(), None, &set).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    world.emulator.set_fault(Fault::errcode(USERS, 40001));
    for _ in 0..6 {
        let answer = call(&tenant).await?.expect(StatusCode::OK)?;
        assert_eq!(answer.json["errcode"], 40001, "WeChat's answer goes back: {}", answer.text);
    }
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), 3);
    world.end().await
}

#[tokio::test]
async fn a_killed_component_token_is_replaced_on_the_way() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    succeeds(&tenant).await?;
    world.advance(Duration::hours(1));
    world.emulator.kill(&Kill::ComponentTokens);
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    let before = calls(&world, COMPONENT_TOKEN);
    succeeds(&tenant).await?;
    assert_eq!(calls(&world, COMPONENT_TOKEN), before + 1);
    world.end().await
}

#[tokio::test]
async fn a_replaced_refresh_token_is_told_by_account_info() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.kill(&Kill::ReplaceRefreshToken { appid: SHOP.to_owned() });
    let before = calls(&world, INFO);
    succeeds(&tenant).await?;
    assert_eq!((calls(&world, INFO), calls(&world, LIST)), (before + 1, 0));
    world.end().await
}

#[tokio::test]
async fn a_replaced_refresh_token_that_info_does_not_tell_is_in_the_list() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.change_switches(|switches| switches.info_without_refresh_token = true);
    world.emulator.kill(&Kill::ReplaceRefreshToken { appid: SHOP.to_owned() });
    succeeds(&tenant).await?;
    assert_eq!(calls(&world, LIST), 1);
    world.end().await
}

#[tokio::test]
async fn a_lost_answer_with_a_rotated_refresh_token_loses_nothing() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.change_switches(|switches| switches.rotate_refresh_tokens = true);
    let lost = Fault::new(AUTHORIZER_TOKEN, lingpai_emulator::FaultKind::LoseAnswer);
    world.emulator.set_fault(lost.times(1));
    assert_eq!(call(&tenant).await?.status, StatusCode::BAD_GATEWAY);
    world.advance(Duration::seconds(5));
    succeeds(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn only_when_nothing_helps_the_account_must_authorize_again_and_that_is_told_once()
-> Result<()> {
    let (world, id, tenant) = expired().await?;
    world.emulator.kill(&Kill::RefreshToken { appid: SHOP.to_owned() });
    assert!(call(&tenant).await?.status.is_server_error());
    let shown = world.authorizer(&tenant, SHOP).await?;
    assert_eq!(shown.field("state")?, "needs_reauthorization");
    assert!(shown.field("token.last_error")?.contains("61023"), "{}", shown.text);
    assert_eq!(calls(&world, LIST), 1);

    let asked = calls(&world, AUTHORIZER_TOKEN);
    let answer = call(&tenant).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(answer.field("code")?, "needs_reauthorization");
    world.keep_tokens().await?;
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), asked, "nobody asks until the next probe");

    world.advance(Duration::hours(6));
    world.push_ticket().await?;
    world.keep_tokens().await?;
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), asked + 1, "one probe in six hours");
    let told = world.event_types(Some(&id)).await;
    assert_eq!(told, ["authorizer.authorized", "authorizer.needs_reauthorization"]);

    world.authorize(&tenant, SHOP).await?;
    succeeds(&tenant).await?;
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");
    world.end().await
}

#[tokio::test]
async fn nothing_is_given_up_while_account_info_is_not_heard() -> Result<()> {
    let (world, id, tenant) = expired().await?;
    world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 61023).times(1));
    let lost = Fault::new(INFO, lingpai_emulator::FaultKind::LoseAnswer);
    world.emulator.set_fault(lost.times(1));
    assert!(!call(&tenant).await?.status.is_success());
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");

    world.advance(Duration::minutes(10));
    succeeds(&tenant).await?;
    assert_eq!(world.event_types(Some(&id)).await, ["authorizer.authorized"]);
    world.end().await
}

#[tokio::test]
async fn an_authorizer_that_was_given_up_comes_back_when_a_probe_goes_well() -> Result<()> {
    let (world, id, tenant) = expired().await?;
    let refused = world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 42007));
    assert!(!call(&tenant).await?.status.is_success());
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "needs_reauthorization");
    assert_eq!(calls(&world, LIST), 0, "after a change of password no other token helps");

    world.emulator.clear_fault(refused);
    world.advance(Duration::hours(6));
    world.push_ticket().await?;
    world.keep_tokens().await?;
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");
    succeeds(&tenant).await?;
    let told = world.event_types(Some(&id)).await;
    assert_eq!(
        told,
        ["authorizer.authorized", "authorizer.needs_reauthorization", "authorizer.authorized"]
    );
    world.end().await
}

#[tokio::test]
async fn a_grant_that_wechat_denies_is_made_sure_of_before_it_counts_as_withdrawn() -> Result<()> {
    let (world, id, tenant) = expired().await?;
    world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 61003).times(1));
    succeeds(&tenant).await?;
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");

    world.advance(Duration::hours(3));
    world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 61003));
    world.emulator.set_fault(Fault::errcode(INFO, 61003));
    assert!(!call(&tenant).await?.status.is_success());
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "revoked");
    let told = world.event_types(Some(&id)).await;
    assert_eq!(told, ["authorizer.authorized", "authorizer.unauthorized"]);
    world.end().await
}

#[tokio::test]
async fn a_used_up_quota_is_left_alone_until_the_day_turns() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 45009).times(1));
    assert!(!call(&tenant).await?.status.is_success());
    let asked = calls(&world, AUTHORIZER_TOKEN);
    let answer = call(&tenant).await?.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(answer.headers.contains_key("retry-after"), "{}", answer.text);
    world.keep_tokens().await?;
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), asked);
    world.advance(Duration::hours(25));
    world.push_ticket().await?;
    succeeds(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn a_busy_wechat_is_asked_again_at_once_and_then_ever_more_slowly() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    let busy = world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, -1).times(2));
    succeeds(&tenant).await?;
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), 3, "two pauses, then it went well");
    world.emulator.clear_fault(busy);

    world.advance(Duration::hours(3));
    world.emulator.set_fault(Fault::errcode(AUTHORIZER_TOKEN, -1));
    assert!(!call(&tenant).await?.status.is_success());
    let mut rests = Vec::new();
    for _ in 0..3 {
        let shown = world.authorizer(&tenant, SHOP).await?;
        let next = shown.field("token.next_try_at")?.parse::<chrono::DateTime<chrono::Utc>>()?;
        let failed =
            shown.field("token.last_error_at")?.parse::<chrono::DateTime<chrono::Utc>>()?;
        rests.push((next - failed).num_seconds());
        let asked = calls(&world, AUTHORIZER_TOKEN);
        assert_eq!(call(&tenant).await?.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(calls(&world, AUTHORIZER_TOKEN), asked, "while it rests nobody asks");
        world.advance(next - failed);
        assert!(!call(&tenant).await?.status.is_success());
    }
    assert_eq!(rests, [2, 5, 15]);
    world.end().await
}

#[tokio::test]
async fn a_wrong_component_secret_is_not_tried_in_a_loop() -> Result<()> {
    for errcode in [40001, 40125, 61004] {
        let (world, _, tenant) = expired().await?;
        world.emulator.set_fault(Fault::errcode(COMPONENT_TOKEN, errcode));
        let before = calls(&world, COMPONENT_TOKEN);
        for _ in 0..3 {
            assert!(!call(&tenant).await?.status.is_success());
            world.advance(Duration::minutes(2));
            world.keep_tokens().await?;
        }
        assert_eq!(calls(&world, COMPONENT_TOKEN), before + 1, "{errcode}");
        let shown = world.component().await?;
        let said = shown.field("component_access_token.last_error")?;
        assert!(said.contains(&errcode.to_string()), "{said}");
        world.emulator.clear_faults();
        world.advance(Duration::minutes(10));
        succeeds(&tenant).await?;
        world.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_ticket_gives_way_to_the_one_before_it() -> Result<()> {
    for errcode in [61005, 61006] {
        let (world, _, tenant) = expired().await?;
        world.push_ticket().await?;
        world.emulator.set_fault(Fault::errcode(COMPONENT_TOKEN, errcode).times(1));
        succeeds(&tenant).await?;
        assert_eq!(calls(&world, START_PUSH), 0);
        world.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn when_no_ticket_is_taken_wechat_is_asked_for_one_and_its_arrival_helps_at_once()
-> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.kill(&Kill::Tickets);
    assert!(!call(&tenant).await?.status.is_success());
    assert_eq!(calls(&world, START_PUSH), 1);
    // What was asked for arrives.
    world.emulator.wait_until(|wechat| !wechat.snapshot().tickets.is_empty()).await;
    world
        .emulator
        .wait_until(|wechat| {
            wechat.pushes().iter().filter(|push| push.outcome.is_accepted()).count() >= 3
        })
        .await;
    world.advance(Duration::seconds(2));
    succeeds(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn a_manual_refresh_is_one_and_is_remembered_as_such() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    let before = tenant.get(&path).await?.expect(StatusCode::OK)?.field("access_token")?;
    let after = tenant.post(&path, &json!({})).await?;
    assert!(after.status.is_success(), "{}", after.text);
    assert_ne!(after.field("access_token")?, before);
    assert_eq!(calls(&world, AUTHORIZER_TOKEN), 1);
    let shown = world.authorizer(&tenant, SHOP).await?;
    let causes: Vec<_> = shown.json["token"]["refreshes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|refresh| refresh["cause"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(causes, ["manual", "grant"]);
    world.end().await
}

#[tokio::test]
async fn callers_without_a_ticket_use_up_nothing_and_its_arrival_helps_all_of_them() -> Result<()> {
    let set = [("LINGPAI_TOKENS__REFRESHES_PER_TOKEN_HOUR", "3")];
    let world = World::start_set(lingpai_emulator::EmulatorConfig::for_tests(), None, &set).await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let start = json!({ "component_appid": world.component.appid, "account_kind": "any" });
    for _ in 0..8 {
        let answer = tenant.post("/v1/authorizations", &start).await?;
        assert_eq!(answer.field("code")?, "ticket_missing", "{}", answer.text);
    }
    world.push_ticket().await?;
    world.authorize(&tenant, SHOP).await?;

    world.advance(Duration::hours(13));
    for _ in 0..8 {
        assert_eq!(call(&tenant).await?.field("code")?, "ticket_missing");
    }
    world.push_ticket().await?;
    world.advance(Duration::minutes(2));
    succeeds(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn a_used_up_quota_of_the_components_token_is_not_taken_for_the_authorizers() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    world.emulator.set_fault(Fault::errcode(COMPONENT_TOKEN, 45009).times(1));
    assert!(!call(&tenant).await?.status.is_success());
    world.advance(Duration::seconds(1));
    let path = format!("/admin/v1/components/{}/token-refresh", world.component.appid);
    world.operator.post(&path, &json!({})).await?.expect(StatusCode::OK)?;
    world.advance(Duration::seconds(2));
    succeeds(&tenant).await?;
    world.end().await
}

#[tokio::test]
async fn what_is_wrong_with_the_component_is_not_told_to_tenants() -> Result<()> {
    let (world, _, tenant) = expired().await?;
    let errmsg = Some("not in whitelist, requestIP: 203.0.113.7".to_owned());
    let fault = lingpai_emulator::FaultKind::Errcode { errcode: 61004, errmsg };
    world.emulator.set_fault(Fault::new(COMPONENT_TOKEN, fault));
    call(&tenant).await?;
    let resting = call(&tenant).await?;
    let shown = world.authorizer(&tenant, SHOP).await?;
    for text in [resting.text, shown.text] {
        assert!(!text.contains("203.0.113.7") && !text.contains("cmp_"), "{text}");
    }
    assert!(world.component().await?.text.contains("61004"), "the operator is told");
    world.end().await
}

#[tokio::test]
async fn a_grant_does_not_put_its_refresh_token_in_the_place_of_a_newer_one() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.change_switches(|switches| switches.rotate_refresh_tokens = true);
    world.advance(Duration::minutes(5));
    world.emulator.set_fault(Fault::new(INFO, lingpai_emulator::FaultKind::Hold));
    let (_, link) = tenant.start_authorization(&world.component.appid).await?;
    let mut consents = tokio::task::JoinSet::new();
    consents.spawn(async move {
        lingpai_tests::people::Administrator::new("zh-CN").authorize(&link, SHOP).await
    });
    world.emulator.wait_until(|wechat| !wechat.held().is_empty()).await;
    // The exchange has brought a refresh token; before it is stored a refresh rotates it.
    world.advance(Duration::seconds(1));
    world.emulator.kill(&Kill::AuthorizerTokens { appid: SHOP.to_owned() });
    succeeds(&tenant).await?;
    world.emulator.clear_faults();
    world.emulator.release(None);
    while let Some(consented) = consents.join_next().await {
        consented??;
    }
    world.work().await?;
    let refused = world.emulator.stats(AUTHORIZER_TOKEN, SHOP).refused;
    world.advance(Duration::hours(3));
    succeeds(&tenant).await?;
    assert_eq!(world.emulator.stats(AUTHORIZER_TOKEN, SHOP).refused, refused, "it was the newest");
    world.end().await
}
