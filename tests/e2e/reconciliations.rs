//! Reconciliation with WeChat's own list of accounts: what was lost comes back, what nobody knew is
//! found, and nothing is deleted.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, Fault};
use lingpai_tests::world::{ORDERS, SHOP, World};
use reqwest::StatusCode;
use serde_json::{Value, json};

const LIST: &str = "/cgi-bin/component/api_get_authorizer_list";

async fn reconcile(world: &World) -> Result<Value> {
    let path = format!("/admin/v1/components/{}/reconciliation", world.component.appid);
    Ok(world.operator.post(&path, &json!({})).await?.expect(StatusCode::OK)?.json)
}

fn lists(world: &World) -> usize {
    world.emulator.calls_to(LIST).len()
}

#[tokio::test]
async fn an_account_that_nobody_knew_is_found_and_unclaimed() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.grant(ORDERS, &[])?;
    let report = reconcile(&world).await?;
    assert_eq!((&report["listed"], &report["found"]), (&json!(2), &json!(1)), "{report}");
    let answer = tenant.get(&format!("/v1/authorizers/{ORDERS}")).await?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "it is nobody's");
    world.advance(Duration::minutes(1));
    assert_eq!(reconcile(&world).await?["found"], 0);
    // The tenant asks its administrator, who consents to the same sets: the found one is claimed.
    let claimed = world.authorize(&tenant, ORDERS).await?;
    assert_ne!(claimed.field("state")?, "owned_elsewhere", "{}", claimed.text);
    world.end().await
}

#[tokio::test]
async fn a_withdrawal_whose_push_was_lost_is_found_and_told() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    world.advance(Duration::minutes(1));
    world.emulator.set_events_url(&format!("{}nowhere", world.base));
    world.emulator.revoke(SHOP).await?;
    world.emulator.set_events_url(&world.events_url());
    assert_eq!(reconcile(&world).await?["withdrawn"], 1);
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "revoked");
    let told = world.event_types(Some(&id)).await;
    assert_eq!(told, ["authorizer.authorized", "authorizer.unauthorized"]);
    world.advance(Duration::minutes(1));
    assert_eq!(reconcile(&world).await?["withdrawn"], 0);
    world.end().await
}

#[tokio::test]
async fn a_new_grant_whose_push_was_lost_makes_a_withdrawn_account_stand_again() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "revoked");
    world.advance(Duration::minutes(30));
    world.emulator.grant(SHOP, &[])?;
    assert_eq!(reconcile(&world).await?["recovered"], 1);
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    assert_eq!(tenant.get(&path).await?.json["total"], 2);
    world.end().await
}

#[tokio::test]
async fn a_list_that_leaves_accounts_out_withdraws_nothing_by_itself() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(1));
    let empty = lingpai_emulator::FaultKind::OtherAnswer {
        status: 200,
        content_type: "application/json".to_owned(),
        body: r#"{"total_count":0,"list":[]}"#.to_owned(),
    };
    world.emulator.set_fault(Fault::new(LIST, empty));
    let report = reconcile(&world).await?;
    assert_eq!((&report["listed"], &report["withdrawn"]), (&json!(0), &json!(0)));
    assert_eq!(world.authorizer(&tenant, SHOP).await?.field("state")?, "active");
    world.end().await
}

#[tokio::test]
async fn every_account_of_a_long_list_is_taken_in_once() -> Result<()> {
    let config = EmulatorConfig { many_accounts: 1203, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    let generated = world.emulator.snapshot().accounts;
    for account in generated.iter().filter(|account| account.appid.starts_with("wxe")) {
        world.emulator.grant(&account.appid, &[])?;
    }
    let report = reconcile(&world).await?;
    assert_eq!((&report["listed"], &report["found"]), (&json!(1203), &json!(1203)), "{report}");
    assert_eq!(lists(&world), 3);
    world.advance(Duration::minutes(1));
    assert_eq!(reconcile(&world).await?["found"], 0);
    world.end().await
}

#[tokio::test]
async fn it_runs_by_itself_once_a_day_and_after_a_time_away() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    world.watch().await?;
    assert_eq!(lists(&world), 1, "a component that was never compared");
    for _ in 0..5 {
        world.advance(Duration::minutes(10));
        world.push_ticket().await?;
        world.watch().await?;
    }
    assert_eq!(lists(&world), 1, "tickets come: nothing was missed");
    world.advance(Duration::hours(2));
    world.push_ticket().await?;
    world.watch().await?;
    assert_eq!(lists(&world), 2, "two hours without a ticket: we were away");
    world.advance(Duration::minutes(15));
    world.push_ticket().await?;
    world.watch().await?;
    assert_eq!(lists(&world), 2, "the same gap counts once");
    let shown = world.component().await?;
    assert_eq!(shown.json["reconciliation"]["listed"], 1, "{}", shown.text);
    world.end().await
}

#[tokio::test]
async fn one_account_that_cannot_be_asked_about_does_not_stop_the_comparison() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    world.emulator.grant(ORDERS, &[])?;
    let info = "/cgi-bin/component/api_get_authorizer_info";
    world.emulator.set_fault(Fault::errcode(info, 40013).for_appid(ORDERS));
    let report = reconcile(&world).await?;
    assert_eq!((&report["listed"], &report["found"]), (&json!(2), &json!(0)), "{report}");
    world.end().await
}

#[tokio::test]
async fn a_comparison_that_fails_is_not_tried_again_every_minute() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    world.emulator.set_fault(Fault::errcode(LIST, 48001));
    for _ in 0..5 {
        world.watch().await?;
        world.advance(Duration::minutes(1));
    }
    assert_eq!(lists(&world), 1);
    world.end().await
}
