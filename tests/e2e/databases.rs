//! The main job on each of the three databases. SQLite is what every other test runs on.

use anyhow::Result;
use lingpai_emulator::EmulatorConfig;
use lingpai_storage::testing::{Backend, TestDb};
use lingpai_tests::{
    fans::{FAN, OTHER_FAN},
    needs,
    people::Program,
    receiver::{Manner, Receiver},
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::json;

async fn the_main_job_on(backend: Backend) -> Result<()> {
    let database = TestDb::open_empty(&backend).await;
    let config = EmulatorConfig::for_tests();
    let world = World::start_with(config, Some(&database.config.url)).await?;
    the_main_job(&world).await?;
    world.end().await?;
    database.remove().await;
    Ok(())
}

async fn the_main_job(world: &World) -> Result<()> {
    world.push_ticket().await?;
    let (id, tenant) = world.operator.create_tenant("花店 🌸").await?;
    for appid in [SHOP, ORDERS] {
        assert_eq!(world.authorize(&tenant, appid).await?.field("state")?, "finished");
    }
    let path = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    world.advance(chrono::Duration::hours(3));
    world.push_ticket().await?;
    let answer = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.json["total"], 2, "{}", answer.text);
    what_fans_write(world, &tenant).await?;
    world.advance(chrono::Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "revoked");
    let first = tenant.get("/v1/authorizers?limit=1").await?.expect(StatusCode::OK)?;
    let next =
        tenant.get(&format!("/v1/authorizers?limit=1&cursor={}", first.field("next")?)).await?;
    assert_ne!(first.json["items"][0]["appid"], next.json["items"][0]["appid"]);
    what_is_counted_and_kept(world, &tenant).await?;
    what_changes_hands(world, &id, &tenant).await
}

/// Messages: kept once, delivered, tried again, found, replayed and forgotten.
async fn what_fans_write(world: &World, tenant: &Program) -> Result<()> {
    // What happened before there is an endpoint.
    world.deliver().await?;
    let receiver = Receiver::start(Manner::status(500)).await?;
    let (endpoint, _) = tenant.create_webhook(&receiver.url()).await?;
    let said = world.text("你好 🌸  ");
    for _ in 0..2 {
        assert!(world.push(SHOP, &said).await?.is_success());
    }
    assert!(world.push(SHOP, &world.text("else").by(OTHER_FAN)).await?.is_success());
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 2, "each is tried once");
    receiver.answer(Manner::well());
    world.advance(chrono::Duration::minutes(1));
    world.deliver().await?;
    let taken = receiver.take();
    assert!(taken.iter().any(|taken| taken.json()["data"]["message"]["Content"] == "你好 🌸  "));
    let delivered = format!("/v1/deliveries?endpoint_id={endpoint}&state=delivered");
    assert_eq!(tenant.list_all(&delivered).await?.len(), 2);

    let of_fan = json!({ "openid": FAN, "type": "message.*" });
    let found = tenant.post("/v1/events/search", &of_fan).await?.expect(StatusCode::OK)?;
    assert_eq!(found.json["items"].as_array().map(Vec::len), Some(1), "{}", found.text);
    let replay = format!("/v1/events/{}/replay", found.field("items.0.id")?);
    tenant.post(&replay, &json!({})).await?.expect(StatusCode::CREATED)?;
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 1);
    let erasures = format!("/v1/authorizers/{SHOP}/erasures");
    let erased = tenant.post(&erasures, &json!({ "openid": FAN })).await?;
    assert_eq!(erased.json["erased"], 1, "{}", erased.text);
    assert_eq!(tenant.list_all(&delivered).await?.len(), 1);
    tenant.delete(&format!("/v1/endpoints/{endpoint}")).await?.expect(StatusCode::NO_CONTENT)?;
    assert!(world.push_xml(SHOP, "not XML").await?.is_success());
    let kept = world.operator.list_all("/admin/v1/quarantine").await?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    Ok(())
}

/// Usage, quotas, the trail, and answers that are given again.
async fn what_is_counted_and_kept(world: &World, tenant: &Program) -> Result<()> {
    let sdk = world.sdk(ORDERS, tenant);
    let token = sdk.token().await?;
    for _ in 0..2 {
        for _ in 0..3 {
            sdk.get("/cgi-bin/get_api_domain_ip", &token).await?;
        }
        world.flush().await?;
    }
    let path = format!("/v1/usage?granularity=hour&authorizer_appid={ORDERS}");
    let usage = tenant.get(&path).await?.expect(StatusCode::OK)?;
    assert_eq!(usage.json["items"][0]["calls"], 6, "{}", usage.text);
    let clear = format!("/v1/authorizers/{ORDERS}/quota/clear");
    for number in 1..=2 {
        let cleared = tenant.post(&clear, &json!({})).await?.expect(StatusCode::OK)?;
        assert_eq!(cleared.json["used_this_month"], number, "{}", cleared.text);
    }
    let body = json!({ "uri": "https://shop.example/🌸" });
    let refused = tenant.post_once("/v1/redirect-uris", &body, "k").await?;
    let again = tenant.post_once("/v1/redirect-uris", &body, "k").await?;
    assert_eq!((refused.status, refused.text), (again.status, again.text));
    // Entries of one instant have no order among them.
    world.advance(chrono::Duration::seconds(1));
    let file = json!({ "name": "WW_verify_1.txt", "content": "0123456789abcdef" });
    tenant.post("/v1/files", &file).await?.expect(StatusCode::CREATED)?;
    let served = tenant.get("/WW_verify_1.txt").await?.expect(StatusCode::OK)?;
    assert_eq!(served.text, "0123456789abcdef");
    let trail = tenant.get("/v1/audit?limit=1").await?.expect(StatusCode::OK)?;
    assert_eq!(trail.field("items.0.action")?, "file.uploaded");
    world.sweep().await
}

/// Keys that are rotated, and accounts that are released and assigned.
async fn what_changes_hands(world: &World, id: &str, tenant: &Program) -> Result<()> {
    let key = json!({ "name": "spare", "networks": ["127.0.0.0/8"], "requests_per_second": 9 });
    let (key, old) = world.operator.create_key(id, &key).await?;
    let rotate = format!("/admin/v1/tenants/{id}/api-keys/{key}/rotate");
    let rotated = world.operator.post(&rotate, &json!({ "overlap_secs": 60 })).await?;
    for program in [old.clone(), old.with_key(&rotated.field("key")?)] {
        program.get("/v1/key").await?.expect(StatusCode::OK)?;
    }
    world.flush().await?;
    let (other_id, other) = world.operator.create_tenant("书店").await?;
    let path = format!("/v1/authorizers/{ORDERS}");
    tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    let listed = world.operator.get("/admin/v1/authorizers?unclaimed=true").await?;
    let assign = format!("/admin/v1/authorizers/{}/assign", listed.field("items.0.id")?);
    let assigned = world.operator.post(&assign, &json!({ "tenant_id": other_id })).await?;
    assigned.expect(StatusCode::OK)?;
    other.get(&path).await?.expect(StatusCode::OK)?;
    let found = other.get("/v1/authorizers?kind=mini_program&name=点单").await?;
    assert_eq!(found.field("items.0.appid")?, ORDERS);
    Ok(())
}

#[tokio::test]
async fn the_main_job_runs_on_postgresql() -> Result<()> {
    let Some(url) = needs("LINGPAI_TEST_POSTGRES_URL") else { return Ok(()) };
    the_main_job_on(Backend::Postgres(url)).await
}

#[tokio::test]
async fn the_main_job_runs_on_mysql() -> Result<()> {
    let Some(url) = needs("LINGPAI_TEST_MYSQL_URL") else { return Ok(()) };
    the_main_job_on(Backend::MySql(url)).await
}
