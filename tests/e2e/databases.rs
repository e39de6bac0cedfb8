//! The main job on each of the three databases. SQLite is what every other test runs on.

use anyhow::Result;
use lingpai_emulator::EmulatorConfig;
use lingpai_storage::testing::{Backend, TestDb};
use lingpai_tests::{
    needs,
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;

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
    let (_, tenant) = world.operator.create_tenant("花店 🌸").await?;
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
    world.advance(chrono::Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    let shown = tenant.get(&format!("/v1/authorizers/{SHOP}")).await?;
    assert_eq!(shown.field("state")?, "revoked");
    let first = tenant.get("/v1/authorizers?limit=1").await?.expect(StatusCode::OK)?;
    let next =
        tenant.get(&format!("/v1/authorizers?limit=1&cursor={}", first.field("next")?)).await?;
    assert_ne!(first.json["items"][0]["appid"], next.json["items"][0]["appid"]);
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
