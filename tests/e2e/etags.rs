//! What has not changed is not sent again.

use anyhow::{Context as _, Result};
use lingpai_tests::{
    people::{Answer, Program},
    world::{SHOP, World},
};
use reqwest::{
    Method, StatusCode,
    header::{ETAG, IF_NONE_MATCH},
};
use serde_json::json;

async fn again(program: &Program, path: &str, tag: &str) -> Result<Answer> {
    let request = program.request(Method::GET, path).header(IF_NONE_MATCH, tag);
    Answer::read(request.send().await?).await
}

fn tag(answer: &Answer) -> Result<String> {
    Ok(answer.headers.get(ETAG).context("an answer has a tag")?.to_str()?.to_owned())
}

#[tokio::test]
async fn what_is_unchanged_costs_no_body_and_what_changed_is_told() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let own = tenant.get("/v1/key").await?.field("tenant.id")?;
    let shown = format!("/admin/v1/tenants/{own}");
    for (program, path) in [
        (&tenant, "/openapi/tenant.json"),
        (&tenant, "/openapi/admin.json"),
        (&tenant, "/v1/key"),
        (&tenant, "/v1/authorizations"),
        (&world.operator, shown.as_str()),
    ] {
        let first = program.get(path).await?.expect(StatusCode::OK)?;
        let tag = tag(&first)?;
        let unchanged = again(program, path, &tag).await?.expect(StatusCode::NOT_MODIFIED)?;
        assert_eq!((unchanged.text.as_str(), self::tag(&unchanged)?), ("", tag), "{path}");
        let other = again(program, path, "\"another\"").await?.expect(StatusCode::OK)?;
        assert_eq!(other.text, first.text, "{path}");
    }
    let before = tag(&world.operator.get(&shown).await?)?;
    world.operator.patch(&shown, &json!({ "name": "花店二号" })).await?;
    let changed = again(&world.operator, &shown, &before).await?.expect(StatusCode::OK)?;
    assert_ne!(tag(&changed)?, before);
    world.end().await
}

#[tokio::test]
async fn a_token_has_no_tag_and_whoever_has_no_key_learns_of_no_change() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let token = tenant.get(&format!("/v1/authorizers/{SHOP}/access-token")).await?;
    assert!(!token.headers.contains_key(ETAG), "{:?}", token.headers);
    let own = tag(&tenant.get("/v1/key").await?)?;
    let nobody = tenant.with_key("lpk_made_up");
    for tag in [own.as_str(), "*"] {
        again(&nobody, "/v1/key", tag).await?.expect(StatusCode::UNAUTHORIZED)?;
    }
    world.end().await
}
