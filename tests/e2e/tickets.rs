//! Tickets: from the push to the `component_access_token`.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::Fault;
use lingpai_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn component(world: &World) -> Result<Value> {
    let path = format!("/admin/v1/components/{}", world.component.appid);
    Ok(world.operator.get(&path).await?.expect(StatusCode::OK)?.json)
}

#[tokio::test]
async fn a_pushed_ticket_becomes_a_component_token() -> Result<()> {
    let world = World::start().await?;
    assert_eq!(component(&world).await?["ticket"], Value::Null);
    world.push_ticket().await?;
    let shown = component(&world).await?;
    assert_eq!(shown["ticket"]["age_secs"], json!(0));
    assert_eq!(shown["component_access_token"]["state"], "missing");

    let (_, tenant) = world.operator.create_tenant("花店").await?;
    tenant.start_authorization(&world.component.appid).await?;
    assert_eq!(component(&world).await?["component_access_token"]["state"], "fresh");
    world.end().await
}

#[tokio::test]
async fn without_a_ticket_the_answer_says_what_to_do() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let body = json!({ "component_appid": world.component.appid, "account_kind": "any" });
    let answer = tenant.post("/v1/authorizations", &body).await?;
    let answer = answer.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    assert_eq!(answer.field("code")?, "ticket_missing");
    assert_eq!(answer.json["errcode"], 7_900_053);
    assert!(answer.field("detail")?.contains("ticket-push"), "{}", answer.text);
    world.end().await
}

#[tokio::test]
async fn asking_for_tickets_makes_wechat_push_one() -> Result<()> {
    let world = World::start().await?;
    let path = format!("/admin/v1/components/{}/ticket-push", world.component.appid);
    let asked = world.operator.post(&path, &json!({})).await?;
    assert!(asked.status.is_success(), "{}", asked.text);
    world
        .emulator
        .wait_until(|wechat| wechat.pushes().iter().any(|p| p.outcome.is_accepted()))
        .await;
    assert_eq!(component(&world).await?["ticket"]["age_secs"], json!(0));
    world.end().await
}

#[tokio::test]
async fn the_same_ticket_twice_is_one_and_twelve_hours_end_it() -> Result<()> {
    let mut config = lingpai_emulator::EmulatorConfig::for_tests();
    config.switches.duplicate_pushes = true;
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    assert_eq!(component(&world).await?["ticket"]["age_secs"], json!(0));
    world.advance(Duration::hours(13));
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let body = json!({ "component_appid": world.component.appid, "account_kind": "any" });
    let answer = tenant.post("/v1/authorizations", &body).await?;
    assert_eq!(answer.field("code")?, "ticket_missing");
    world.end().await
}

#[tokio::test]
async fn when_tickets_stop_wechat_is_asked_again_and_the_operator_is_told_once() -> Result<()> {
    const START_PUSH: &str = "/cgi-bin/component/api_start_push_ticket";
    let world = World::with_ticket().await?;
    world.advance(Duration::minutes(24));
    world.watch().await?;
    assert_eq!(world.emulator.calls_to(START_PUSH).len(), 0, "two may be a little late");
    // WeChat hears it and still pushes none.
    world.emulator.set_fault(Fault::errcode(START_PUSH, -1));
    for minutes in [1, 5, 5, 10] {
        world.advance(Duration::minutes(minutes));
        world.watch().await?;
    }
    assert_eq!(world.emulator.calls_to(START_PUSH).len(), 3, "once, and every ten minutes");
    assert_eq!(world.event_types(None).await, ["component.ticket_late"]);
    assert!(component(&world).await?["ticket_late_since"].is_string());

    world.push_ticket().await?;
    world.watch().await?;
    assert_eq!(component(&world).await?["ticket_late_since"], Value::Null);
    assert_eq!(world.event_types(None).await, ["component.ticket_late"]);
    world.end().await
}
