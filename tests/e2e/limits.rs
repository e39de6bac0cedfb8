//! Limits: how fast a tenant may call, how much at a time, and that no tenant takes what is another's.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lingpai_emulator::{EmulatorConfig, Fault, FaultKind};
use lingpai_tests::{
    people::{Answer, Program},
    processes::eventually,
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const USERS: &str = "/cgi-bin/user/get";

/// More calls than anybody may make who may make one a second, however slow the machine is.
const MANY: usize = 40;

fn proxied(appid: &str) -> String {
    format!("/v1/authorizers/{appid}/proxy{USERS}")
}

/// Makes many calls at once and gives the answers.
async fn many(tenant: &Program, path: &str) -> Result<Vec<Answer>> {
    let mut callers = JoinSet::new();
    for _ in 0..MANY {
        let (tenant, path) = (tenant.clone(), path.to_owned());
        callers.spawn(async move { tenant.get(&path).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = callers.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

fn refused(answers: &[Answer]) -> Vec<&Answer> {
    answers.iter().filter(|it| it.status == StatusCode::TOO_MANY_REQUESTS).collect()
}

async fn limit(world: &World, tenant: &str, limits: &Value) -> Result<Answer> {
    let path = format!("/admin/v1/tenants/{tenant}");
    world.operator.patch(&path, limits).await?.expect(StatusCode::OK)
}

fn header(answer: &Answer, name: &str) -> Result<String> {
    let value = answer.headers.get(name);
    let value = value.with_context(|| format!("no {name} in {:?}", answer.headers))?;
    Ok(value.to_str()?.to_owned())
}

#[tokio::test]
async fn who_calls_too_fast_is_told_so_in_standard_headers() -> Result<()> {
    let world = World::start().await?;
    let (id, tenant) = world.operator.create_tenant("花店").await?;
    let answer = tenant.get("/v1/authorizers").await?.expect(StatusCode::OK)?;
    let policy = header(&answer, "ratelimit-policy")?;
    assert!(policy.contains("q=2000") && policy.contains("w=2"), "{policy}");
    let left = header(&answer, "ratelimit")?;
    assert!(left.contains("r=") && left.contains("t="), "{left}");

    limit(&world, &id, &json!({ "requests_per_second": 1 })).await?;
    let answers = many(&tenant, "/v1/authorizers").await?;
    let refused = refused(&answers);
    assert!(!refused.is_empty() && refused.len() < MANY, "{} of {MANY}", refused.len());
    for answer in &refused {
        assert_eq!(answer.json["code"], "rate_limited", "{}", answer.text);
        assert_eq!(answer.json["errcode"], 7_900_025);
        assert!(header(answer, "retry-after")?.parse::<u32>()? >= 1);
        assert!(header(answer, "ratelimit-policy")?.contains("q=2"), "{:?}", answer.headers);
        assert!(header(answer, "ratelimit")?.contains("r=0"), "{:?}", answer.headers);
    }
    limit(&world, &id, &json!({ "requests_per_second": 5000 })).await?;
    assert!(self::refused(&many(&tenant, "/v1/authorizers").await?).is_empty());
    world.end().await
}

#[tokio::test]
async fn a_tenant_without_a_limit_of_its_own_has_the_usual_one() -> Result<()> {
    let set = [("LINGPAI_LIMITS__REQUESTS_PER_SECOND", "1")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    let (_, slow) = world.operator.create_tenant("花店").await?;
    let (id, fast) = world.operator.create_tenant("书店").await?;
    limit(&world, &id, &json!({ "requests_per_second": 5000 })).await?;
    assert!(!refused(&many(&slow, "/v1/key").await?).is_empty());
    assert!(refused(&many(&fast, "/v1/key").await?).is_empty(), "each tenant has its own");
    // Operators are not held back: they are who is called when something goes wrong.
    assert!(refused(&many(&world.operator, "/admin/v1/tenants").await?).is_empty());
    world.end().await
}

#[tokio::test]
async fn a_key_may_be_narrower_than_its_tenant() -> Result<()> {
    let world = World::start().await?;
    let (id, tenant) = world.operator.create_tenant("花店").await?;
    let narrow = json!({ "name": "narrow", "requests_per_second": 1 });
    let (_, narrow) = world.operator.create_key(&id, &narrow).await?;
    assert!(!refused(&many(&narrow, "/v1/key").await?).is_empty());
    assert!(refused(&many(&tenant, "/v1/key").await?).is_empty(), "the tenant's others go on");
    world.end().await
}

#[tokio::test]
async fn the_gateway_tells_limits_by_wechats_number() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    let sdk = Arc::new(world.sdk(SHOP, &tenant));
    let token = sdk.token().await?;
    limit(&world, &id, &json!({ "requests_per_second": 1 })).await?;
    let mut callers = JoinSet::new();
    for _ in 0..MANY {
        let (sdk, token) = (Arc::clone(&sdk), token.clone());
        callers.spawn(async move { sdk.get(USERS, &token).await });
    }
    let mut slowed = 0;
    while let Some(answer) = callers.join_next().await {
        let answer = answer??.expect(StatusCode::OK)?;
        if answer.json["errcode"] == 45011 {
            assert!(answer.field("errmsg")?.starts_with("lingpai: "), "{}", answer.text);
            header(&answer, "ratelimit-policy")?;
            slowed += 1;
        }
    }
    assert!((1..MANY).contains(&slowed), "{slowed} of {MANY}");
    assert_eq!(world.emulator.calls_to(USERS).len(), MANY - slowed, "WeChat saw the others");
    world.end().await
}

/// Holds `count` calls of `tenant` at WeChat.
async fn held_calls(world: &World, tenant: &Program, count: usize) -> JoinSet<Result<Answer>> {
    world.emulator.set_fault(Fault::new(USERS, FaultKind::Hold).for_appid(SHOP));
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let tenant = tenant.clone();
        calls.spawn(async move { tenant.get(&proxied(SHOP)).await });
    }
    world.emulator.wait_until(|wechat| wechat.held().len() == count).await;
    calls
}

#[tokio::test]
async fn one_tenant_does_not_starve_another() -> Result<()> {
    const SEATS: usize = 4;
    let set = [("LINGPAI_LIMITS__CONCURRENT_REQUESTS", "4")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    world.push_ticket().await?;
    let (_, greedy) = world.authorized().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    world.authorize(&other, ORDERS).await?;
    let sdk = world.sdk(SHOP, &greedy);
    let token = sdk.token().await?;
    let mut held = held_calls(&world, &greedy, SEATS).await;

    for answer in [greedy.get(&proxied(SHOP)).await?, greedy.get("/v1/authorizers").await?] {
        let answer = answer.expect(StatusCode::TOO_MANY_REQUESTS)?;
        assert_eq!(answer.json["code"], "too_many_at_once", "{}", answer.text);
        assert_eq!(answer.json["errcode"], 7_900_026);
        header(&answer, "retry-after")?;
    }
    assert_eq!(sdk.get(USERS, &token).await?.json["errcode"], 45011);
    let echo = format!("/v1/authorizers/{ORDERS}/proxy/wxa/emulator/echo");
    for answer in many(&other, "/v1/authorizers").await? {
        // Its own seats are four too, and they are there.
        assert!([200, 429].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    assert_eq!(other.get(&echo).await?.field("appid")?, ORDERS);

    world.emulator.clear_faults();
    world.emulator.release(None);
    while let Some(answer) = held.join_next().await {
        assert_eq!(answer??.json["total"], 2);
    }
    eventually("a seat is free", async || {
        Ok((greedy.get(&proxied(SHOP)).await?.json["total"] == 2).then_some(()))
    })
    .await?;
    world.end().await
}

#[tokio::test]
async fn a_caller_that_hangs_up_gives_its_seat_back() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    limit(&world, &id, &json!({ "concurrent_requests": 2 })).await?;
    let held = held_calls(&world, &tenant, 2).await;
    assert_eq!(tenant.get("/v1/key").await?.status, StatusCode::TOO_MANY_REQUESTS);
    drop(held);
    eventually("the seats are free", async || {
        Ok(tenant.get("/v1/key").await?.status.is_success().then_some(()))
    })
    .await?;
    world.emulator.clear_faults();
    world.emulator.release(None);
    world.end().await
}

#[tokio::test]
async fn with_the_usual_settings_a_quarter_of_the_seats_is_all_that_one_tenant_gets() -> Result<()>
{
    let world = World::with_ticket().await?;
    let (_, greedy) = world.authorized().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    world.authorize(&other, ORDERS).await?;
    let mut held = held_calls(&world, &greedy, 128).await;
    let refused = greedy.get(&proxied(SHOP)).await?.expect(StatusCode::TOO_MANY_REQUESTS)?;
    assert_eq!(refused.json["code"], "too_many_at_once");
    let echo = format!("/v1/authorizers/{ORDERS}/proxy/wxa/emulator/echo");
    assert_eq!(other.get(&echo).await?.expect(StatusCode::OK)?.field("appid")?, ORDERS);
    world.emulator.clear_faults();
    world.emulator.release(None);
    while let Some(answer) = held.join_next().await {
        answer??.expect(StatusCode::OK)?;
    }
    world.end().await
}

#[tokio::test]
async fn one_tenant_does_not_use_up_what_wechat_gives_to_all() -> Result<()> {
    const LINKS: usize = 3;
    let set = [("LINGPAI_LIMITS__CHANGES_PER_MINUTE", "3")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    world.push_ticket().await?;
    let (_, greedy) = world.operator.create_tenant("花店").await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    let wanted = json!({ "component_appid": world.component.appid });
    let mut refused = 0;
    for _ in 0..4 * LINKS {
        let answer = greedy.post("/v1/authorizations", &wanted).await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.json["code"], "rate_limited", "{}", answer.text);
            assert!(header(&answer, "retry-after")?.parse::<u32>()? >= 1);
            refused += 1;
        }
    }
    assert!((1..=3 * LINKS).contains(&refused), "{refused}");
    let asked = world.emulator.calls_to("/cgi-bin/component/api_create_preauthcode").len();
    assert!(asked <= 4 * LINKS - refused, "WeChat was asked {asked} times");
    greedy.get("/v1/authorizations").await?.expect(StatusCode::OK)?;
    other.start_authorization(&world.component.appid).await?;
    world.end().await
}

#[tokio::test]
async fn one_token_is_renewed_by_hand_so_many_times_an_hour() -> Result<()> {
    let set = [("LINGPAI_TOKENS__REFRESHES_PER_TOKEN_HOUR", "5")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    let path = format!("/v1/authorizers/{SHOP}/access-token");
    let mut renewed = 0;
    let refused = loop {
        let answer = tenant.post(&path, &json!({})).await?;
        if !answer.status.is_success() {
            break answer.expect(StatusCode::TOO_MANY_REQUESTS)?;
        }
        renewed += 1;
        assert!(renewed < MANY, "there is no end to it");
    };
    assert!(renewed >= 4, "{renewed}: {}", refused.text);
    assert_eq!(refused.json["code"], "refresh_ceiling", "{}", refused.text);
    // The one that is there goes on to be read and used.
    tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(tenant.get(&proxied(SHOP)).await?.json["total"], 2);
    world.end().await
}
