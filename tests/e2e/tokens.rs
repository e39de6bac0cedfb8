//! One refresh per expiry, however many ask.

use std::sync::Arc;

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{Fault, FaultKind};
use lingpai_tests::world::{SHOP, World};
use reqwest::StatusCode;
use tokio::task::JoinSet;

const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";
const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";

fn slow(path: &str) -> Fault {
    Fault::new(path, FaultKind::Latency { ms: 300 })
}

#[tokio::test]
async fn fifty_callers_after_an_expiry_cause_one_refresh_of_each_token() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.set_fault(slow(COMPONENT_TOKEN));
    world.emulator.set_fault(slow(AUTHORIZER_TOKEN));
    world.advance(Duration::hours(3));
    let before = world.emulator.calls_to(COMPONENT_TOKEN).len();
    let tenant = Arc::new(tenant);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let tenant = Arc::clone(&tenant);
        let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
        callers.spawn(async move { tenant.get(&path).await });
    }
    while let Some(answer) = callers.join_next().await {
        let answer = answer??.expect(StatusCode::OK)?;
        assert_eq!(answer.json["total"], 2, "{}", answer.text);
    }
    assert_eq!(world.emulator.calls_to(AUTHORIZER_TOKEN).len(), 1);
    assert_eq!(world.emulator.calls_to(COMPONENT_TOKEN).len(), before + 1);
    world.end().await
}

#[tokio::test]
async fn a_token_that_is_due_serves_on_while_one_refresh_runs() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    // Six minutes before the end a refresh is due, and the token still lives.
    world.advance(Duration::minutes(114));
    world.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::Hold));
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    for _ in 0..3 {
        let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
        assert_eq!(answer.json["total"], 2, "{}", answer.text);
    }
    world.emulator.wait_until(|wechat| wechat.held().len() == 1).await;
    world.emulator.clear_faults();
    world.emulator.release(None);
    world.emulator.wait_until(|wechat| wechat.stats(AUTHORIZER_TOKEN, "*").in_flight == 0).await;
    assert_eq!(world.emulator.calls_to(AUTHORIZER_TOKEN).len(), 1);
    world.end().await
}

#[tokio::test]
async fn a_refresh_that_nobody_waits_for_any_more_still_lands() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::hours(3));
    world.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::Hold));
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    {
        let call = tenant.get(&path);
        tokio::pin!(call);
        let held = world.emulator.wait_until(|wechat| !wechat.held().is_empty());
        tokio::select! { _ = &mut call => unreachable!("the refresh is held"), () = held => {} }
        // Here the caller hangs up.
    }
    world.emulator.clear_faults();
    world.emulator.release(None);
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    assert_eq!(world.emulator.calls_to(AUTHORIZER_TOKEN).len(), 1);
    world.end().await
}

#[tokio::test]
async fn a_rotated_refresh_token_replaces_the_old_one() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.emulator.change_switches(|switches| switches.rotate_refresh_tokens = true);
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    for _ in 0..3 {
        world.advance(Duration::hours(3));
        let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
        assert_eq!(answer.json["total"], 2, "{}", answer.text);
    }
    assert_eq!(world.emulator.stats(AUTHORIZER_TOKEN, SHOP).refused, 0);
    world.end().await
}

#[tokio::test]
async fn a_worker_is_ahead_of_the_end_and_callers_never_wait() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(99));
    assert_eq!(world.keep_tokens().await?, 0, "nothing is due yet");
    world.advance(Duration::minutes(12));
    world.keep_tokens().await?;
    assert_eq!(world.emulator.calls_to(AUTHORIZER_TOKEN).len(), 1);
    let shown = world.authorizer(&tenant, SHOP).await?;
    assert_eq!(shown.field("token.state")?, "fresh");
    assert_eq!(shown.json["token"]["refreshes"][0]["cause"], "ahead", "{}", shown.text);
    assert_eq!(world.keep_tokens().await?, 0, "once for each expiry");
    world.end().await
}

#[tokio::test]
async fn the_token_itself_is_handed_to_keys_that_may_read_it() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    let account = world.emulator.account(SHOP).expect("an account of the emulator");
    let granted = account.grant.expect("it has granted").access_token;
    assert_eq!(Some(answer.field("access_token")?), granted);
    assert_eq!(answer.json["expires_in"], 7200);
    world.advance(Duration::minutes(1));
    assert_eq!(tenant.get(&path).await?.json["expires_in"], 7140);
    world.end().await
}
