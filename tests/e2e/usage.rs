//! Usage: each call is counted, by hour and by day, without a write on its way.

use anyhow::{Context as _, Result};
use chrono::{Duration, DurationRound as _};
use lingpai_emulator::Fault;
use lingpai_model::{Instant, clock::Clock as _};
use lingpai_tests::{
    people::Program,
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const USERS: &str = "/cgi-bin/user/get";
const INFO: &str = "/cgi-bin/user/info";

fn proxied(appid: &str, path: &str) -> String {
    format!("/v1/authorizers/{appid}/proxy{path}")
}

async fn figures(tenant: &Program, query: &str) -> Result<Vec<Value>> {
    let page = tenant.get(&format!("/v1/usage?limit=100&{query}")).await?.expect(StatusCode::OK)?;
    page.json["items"].as_array().cloned().context("a page has items")
}

/// How many calls the figures tell of this path and errcode.
fn calls(figures: &[Value], path: &str, errcode: i64) -> u64 {
    let of = |figure: &&Value| figure["path"] == path && figure["errcode"] == errcode;
    figures.iter().filter(of).filter_map(|figure| figure["calls"].as_u64()).sum()
}

fn starts(figures: &[Value]) -> Result<Vec<Instant>> {
    let mut all = Vec::new();
    for figure in figures {
        all.push(figure["starts_at"].as_str().context("a figure has a beginning")?.parse()?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

#[tokio::test]
async fn every_call_is_counted_by_path_and_errcode_through_every_door() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let sdk = world.sdk(SHOP, &tenant);
    let token = sdk.token().await?;
    for _ in 0..3 {
        tenant.get(&proxied(SHOP, USERS)).await?.expect(StatusCode::OK)?;
    }
    for _ in 0..2 {
        tenant.get(&proxied(SHOP, &format!("{INFO}?openid=nobody"))).await?;
        sdk.get(USERS, &token).await?;
    }
    tenant.get(&proxied(SHOP, "/cgi-bin/component/api_query_auth")).await?;
    tenant.get("/v1/authorizers").await?;
    assert_eq!(
        figures(&tenant, "granularity=hour").await?,
        [Value::Null; 0],
        "nothing is written yet"
    );
    world.flush().await?;
    for granularity in ["hour", "day"] {
        let figures = figures(&tenant, &format!("granularity={granularity}")).await?;
        assert_eq!(calls(&figures, USERS, 0), 5, "{figures:?}");
        assert_eq!(calls(&figures, INFO, 40003), 2, "{figures:?}");
        assert_eq!(figures.len(), 2, "what never reached WeChat is no call: {figures:?}");
        assert!(figures.iter().all(|figure| figure["authorizer_appid"] == SHOP), "{figures:?}");
    }
    world.flush().await?;
    let again = figures(&tenant, "granularity=hour").await?;
    assert_eq!(calls(&again, USERS, 0), 5, "a second flush adds nothing");
    sdk.get(USERS, &token).await?;
    world.flush().await?;
    assert_eq!(calls(&figures(&tenant, "granularity=hour").await?, USERS, 0), 6);
    world.end().await
}

#[tokio::test]
async fn hours_and_days_begin_where_utc_says() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (mut hours, mut days) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        world.push_ticket().await?;
        tenant.get(&proxied(SHOP, USERS)).await?.expect(StatusCode::OK)?;
        world.flush().await?;
        hours.push(world.clock.now().duration_trunc(Duration::hours(1))?);
        days.push(world.clock.now().duration_trunc(Duration::days(1))?);
        world.advance(Duration::hours(9));
    }
    days.dedup();
    let by_hour = figures(&tenant, "granularity=hour").await?;
    let by_day = figures(&tenant, "granularity=day").await?;
    assert_eq!((starts(&by_hour)?, starts(&by_day)?), (hours.clone(), days.clone()));
    assert_eq!((calls(&by_hour, USERS, 0), calls(&by_day, USERS, 0)), (4, 4));

    let text = |at: Instant| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let some = format!("granularity=hour&from={}&to={}", text(hours[1]), text(hours[3]));
    assert_eq!(starts(&figures(&tenant, &some).await?)?, hours[1..3], "`to` is not included");
    // Hours are kept for a quarter of a year, days for more than a year.
    world.advance(Duration::days(95));
    world.sweep().await?;
    assert!(figures(&tenant, "granularity=hour").await?.is_empty());
    assert_eq!(starts(&figures(&tenant, "granularity=day").await?)?, days);
    world.advance(Duration::days(400));
    world.sweep().await?;
    assert!(figures(&tenant, "granularity=day").await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn figures_are_told_apart_by_key_and_by_account() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, one) = world.authorized().await?;
    world.authorize(&one, ORDERS).await?;
    let (key_id, two) = world.operator.create_key(&id, &json!({ "name": "two" })).await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    one.get(&proxied(SHOP, USERS)).await?;
    for _ in 0..2 {
        two.get(&proxied(SHOP, USERS)).await?;
    }
    for _ in 0..3 {
        two.get(&proxied(ORDERS, "/cgi-bin/get_api_domain_ip")).await?;
    }
    stranger.get(&proxied(SHOP, USERS)).await?.expect(StatusCode::NOT_FOUND)?;
    world.flush().await?;
    let total =
        |figures: &[Value]| figures.iter().filter_map(|it| it["calls"].as_u64()).sum::<u64>();
    for (query, wanted) in [
        (String::new(), 6),
        (format!("&key_id={key_id}"), 5),
        (format!("&authorizer_appid={SHOP}"), 3),
        (format!("&authorizer_appid={SHOP}&key_id={key_id}"), 2),
    ] {
        let figures = figures(&one, &format!("granularity=day{query}")).await?;
        assert_eq!(total(&figures), wanted, "{query}: {figures:?}");
    }
    assert!(figures(&stranger, "granularity=hour").await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn every_path_is_counted_once_over_all_pages() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for number in 0..50 {
        // One that WeChat has, or it would be counted with the others that it has not.
        let path = format!("/wxa/of_next_month_{number}");
        world.emulator.set_fault(Fault::errcode(&path, 48001));
        tenant.get(&proxied(SHOP, &path)).await?;
    }
    world.flush().await?;
    let (mut all, mut next) = (0, String::new());
    loop {
        let page = tenant.get(&format!("/v1/usage?granularity=hour&limit=20{next}")).await?;
        let page = page.expect(StatusCode::OK)?;
        let items = page.json["items"].as_array().context("a page has items")?;
        all += items.iter().filter_map(|it| it["calls"].as_u64()).sum::<u64>();
        match page.json["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(all, 50);
    world.end().await
}
