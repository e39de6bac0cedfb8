//! Quotas: what WeChat allows in a day is shown, its end is told once, and clearing it is counted.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, Fault};
use lingpai_model::{
    event::{Event, EventContent, EventKind},
    id::TenantId,
};
use lingpai_storage::testing::kept_events;
use lingpai_tests::{
    people::Program,
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const USERS: &str = "/cgi-bin/user/get";
const CLEAR: &str = "/cgi-bin/clear_quota";

/// How often an account's quotas may be cleared in a month.
const ALLOWANCE: u64 = 10;

fn proxied(path: &str) -> String {
    format!("/v1/authorizers/{SHOP}/proxy{path}")
}

fn clear() -> String {
    format!("/v1/authorizers/{SHOP}/quota/clear")
}

/// A world in which an account has `calls` calls of one interface a day, its tenant and its program.
async fn limited(calls: u64) -> Result<(World, String, Program)> {
    let mut config = EmulatorConfig::for_tests();
    config.quotas.insert(USERS.to_owned(), calls);
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    Ok((world, id, tenant))
}

async fn warnings(world: &World, tenant: &str) -> Vec<Event> {
    let tenant = TenantId::parse(tenant).expect("an id of ours");
    let mut events = kept_events(&world.db, Some(&tenant)).await;
    events.retain(|event| event.event_type == EventKind::QuotaWarning);
    events
}

fn detail(event: &Event) -> Value {
    match &event.content {
        EventContent::Ours(detail) => detail.clone().unwrap_or_default(),
        EventContent::Pushed(_) => Value::Null,
    }
}

#[tokio::test]
async fn a_used_up_quota_is_told_once_a_day() -> Result<()> {
    let (world, id, tenant) = limited(2).await?;
    for errcode in [Value::Null, Value::Null, json!(45009), json!(45009), json!(45009)] {
        let answer = tenant.get(&proxied(USERS)).await?.expect(StatusCode::OK)?;
        assert_eq!(answer.json.get("errcode").cloned().unwrap_or_default(), errcode);
        let is_told = answer.headers.contains_key("lingpai-hint");
        assert_eq!(is_told, !errcode.is_null(), "{:?}", answer.headers);
    }
    assert!(warnings(&world, &id).await.is_empty());
    for _ in 0..2 {
        world.flush().await?;
        let told = warnings(&world, &id).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(detail(&told[0]), json!({ "path": USERS, "errcode": 45009 }));
        tenant.get(&proxied(USERS)).await?;
    }
    // Another day in Beijing: another quota, and another end of it.
    world.advance(Duration::hours(24));
    world.push_ticket().await?;
    for _ in 0..3 {
        tenant.get(&proxied(USERS)).await?;
    }
    world.flush().await?;
    assert_eq!(warnings(&world, &id).await.len(), 2);
    world.end().await
}

#[tokio::test]
async fn each_interface_is_warned_of_and_a_pace_once_an_hour() -> Result<()> {
    let (world, id, tenant) = limited(100).await?;
    let (send, info) = ("/cgi-bin/message/custom/send", "/cgi-bin/user/info");
    world.emulator.set_fault(Fault::errcode(send, 45009));
    world.emulator.set_fault(Fault::errcode(info, 45011));
    for _ in 0..2 {
        tenant.post(&proxied(send), &json!({})).await?;
        tenant.get(&proxied(info)).await?;
        world.flush().await?;
    }
    let mut told: Vec<_> = warnings(&world, &id).await.iter().map(detail).collect();
    told.sort_by_key(Value::to_string);
    let wanted =
        [json!({ "errcode": 45009, "path": send }), json!({ "errcode": 45011, "path": info })];
    assert_eq!(told, wanted);
    world.advance(Duration::minutes(61));
    tenant.get(&proxied(info)).await?;
    world.flush().await?;
    assert_eq!(warnings(&world, &id).await.len(), 3);
    world.end().await
}

#[tokio::test]
async fn the_quota_of_an_interface_is_shown_as_wechat_tells_it() -> Result<()> {
    let (world, _, tenant) = limited(7).await?;
    for _ in 0..3 {
        tenant.get(&proxied(USERS)).await?;
    }
    let path = format!("/v1/authorizers/{SHOP}/quota?path={USERS}");
    let shown = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.json["daily_limit"], 7, "{}", shown.text);
    assert_eq!((&shown.json["used"], &shown.json["remain"]), (&json!(3), &json!(4)));
    for wrong in ["", "cgi-bin/user/get", "/cgi-bin/../x", "/cgi-bin/user/get?x=1"] {
        let path = format!("/v1/authorizers/{SHOP}/quota?path={}", wrong.replace('?', "%3F"));
        let refused = tenant.get(&path).await?;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.text);
    }
    world.end().await
}

#[tokio::test]
async fn the_components_own_quotas_are_the_operators_to_see() -> Result<()> {
    let preauth = "/cgi-bin/component/api_create_preauthcode";
    let mut config = EmulatorConfig::for_tests();
    config.quotas.insert(preauth.to_owned(), 50);
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    world.authorized().await?;
    let path = format!("/admin/v1/components/{}/quota?path={preauth}", world.component.appid);
    let shown = world.operator.get(&path).await?.expect(StatusCode::OK)?;
    let figures = ["daily_limit", "used", "remain"].map(|name| shown.json[name].as_u64());
    assert_eq!(figures[0], Some(50), "{}", shown.text);
    assert_eq!(figures[1].zip(figures[2]).map(|(used, left)| used + left), Some(50));
    world.end().await
}

#[tokio::test]
async fn clearing_needs_its_own_scope_through_every_door() -> Result<()> {
    let (world, id, everything) = limited(1).await?;
    let others = json!({ "name": "caller", "scopes": ["wechat:call", "authorizer:write"] });
    let (_, caller) = world.operator.create_key(&id, &others).await?;
    let body = json!({ "appid": SHOP });
    for path in [CLEAR, "/CGI-BIN/Clear_Quota", "/cgi-bin/openapi/quota/clear"] {
        let refused = caller.post(&proxied(path), &body).await?.expect(StatusCode::FORBIDDEN)?;
        assert_eq!(refused.json["code"], "scope_missing", "{path}: {}", refused.text);
        assert!(refused.field("detail")?.contains("quota:clear"), "{}", refused.text);
        let sdk = world.sdk(SHOP, &caller);
        let refused = sdk.post(path, &sdk.token().await?, &body).await?;
        assert_eq!(refused.json["errcode"], 48001, "{path}: {}", refused.text);
        assert!(refused.text.contains("quota:clear"), "{}", refused.text);
    }
    let refused = caller.post(&clear(), &json!({})).await?.expect(StatusCode::FORBIDDEN)?;
    assert_eq!(refused.json["code"], "scope_missing");
    assert!(world.emulator.calls_to(CLEAR).is_empty());

    for errcode in [Value::Null, json!(45009)] {
        let answer = everything.get(&proxied(USERS)).await?;
        assert_eq!(answer.json.get("errcode").cloned().unwrap_or_default(), errcode);
    }
    let cleared = everything.post(&clear(), &json!({})).await?;
    assert!(cleared.status.is_success(), "{}", cleared.text);
    assert_eq!(cleared.json["used_this_month"], 1, "{}", cleared.text);
    assert_eq!(cleared.json["allowance"], ALLOWANCE);
    assert_eq!(everything.get(&proxied(USERS)).await?.json["total"], 2, "it works again");
    world.end().await
}

#[tokio::test]
async fn ten_times_a_month_and_the_proxy_counts_too() -> Result<()> {
    let (world, _, tenant) = limited(1).await?;
    let sdk = world.sdk(SHOP, &tenant);
    let (token, body) = (sdk.token().await?, json!({ "appid": SHOP }));
    for number in 1..=ALLOWANCE {
        match number % 3 {
            0 => assert_eq!(tenant.post(&proxied(CLEAR), &body).await?.json["errcode"], 0),
            1 => assert_eq!(sdk.post(CLEAR, &token, &body).await?.json["errcode"], 0),
            _ => {
                let cleared = tenant.post(&clear(), &json!({})).await?;
                assert_eq!(cleared.json["used_this_month"], number, "{}", cleared.text);
            }
        }
    }
    let calls = world.emulator.calls_to(CLEAR).len();
    for path in [clear(), proxied(CLEAR)] {
        let refused = tenant.post(&path, &body).await?;
        let refused = refused.expect(StatusCode::TOO_MANY_REQUESTS);
        let refused = refused.with_context(|| path.clone())?;
        assert_eq!(refused.json["code"], "allowance_used_up", "{}", refused.text);
    }
    let refused = sdk.post(CLEAR, &token, &body).await?;
    assert!(refused.field("errmsg")?.starts_with("lingpai: "), "{}", refused.text);
    assert_ne!(refused.json["errcode"], 0);
    assert_eq!(world.emulator.calls_to(CLEAR).len(), calls, "WeChat was not asked");
    // Next month there are ten again, whatever this month's length.
    world.advance(Duration::days(31));
    world.push_ticket().await?;
    let cleared = tenant.post(&clear(), &json!({})).await?;
    assert_eq!(cleared.json["used_this_month"], 1, "{}", cleared.text);
    world.end().await
}

#[tokio::test]
async fn a_clearing_that_wechat_refused_is_not_counted() -> Result<()> {
    let (world, _, tenant) = limited(1).await?;
    world.emulator.set_fault(Fault::errcode(CLEAR, 48001).times(1));
    let refused = tenant.post(&clear(), &json!({})).await?.expect(StatusCode::BAD_GATEWAY)?;
    assert_eq!(refused.json["upstream_errcode"], 48001, "{}", refused.text);
    let cleared = tenant.post(&clear(), &json!({})).await?;
    assert_eq!(cleared.json["used_this_month"], 1, "{}", cleared.text);
    world.end().await
}

#[tokio::test]
async fn of_many_clearings_at_once_ten_pass() -> Result<()> {
    let (world, _, tenant) = limited(1).await?;
    let clearings = (0..20).map(|_| {
        let tenant = tenant.clone();
        async move { tenant.post(&clear(), &json!({})).await }
    });
    let mut passed = 0;
    for answer in futures_util::future::join_all(clearings).await {
        passed += u64::from(answer?.status.is_success());
    }
    assert_eq!(passed, ALLOWANCE);
    assert_eq!(world.emulator.calls_to(CLEAR).len() as u64, ALLOWANCE);
    world.end().await
}
