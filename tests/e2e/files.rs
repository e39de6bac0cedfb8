//! Domain verification files, at the root of the domain and nowhere else.

use anyhow::Result;
use lingpai_tests::{
    people::{Answer, Program, http_client},
    world::World,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const NAME: &str = "MP_verify_a1B2c3D4e5F6g7H8.txt";

async fn upload(program: &Program, name: &str, content: &str) -> Result<Answer> {
    let base = if program.key().starts_with("lpo_") { "/admin/v1" } else { "/v1" };
    program.post(&format!("{base}/files"), &json!({ "name": name, "content": content })).await
}

async fn at_the_root(world: &World, path: &str) -> Result<Answer> {
    Answer::read(http_client().get(format!("{}{path}", world.base)).send().await?).await
}

#[tokio::test]
async fn a_file_is_served_at_the_root_until_it_is_removed() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    assert_eq!(at_the_root(&world, NAME).await?.status, StatusCode::NOT_FOUND);
    upload(&tenant, NAME, "a1B2c3D4e5F6g7H8").await?.expect(StatusCode::CREATED)?;
    let served = at_the_root(&world, NAME).await?.expect(StatusCode::OK)?;
    assert_eq!(served.text, "a1B2c3D4e5F6g7H8", "byte for byte, and nothing behind it");
    assert!(served.headers["content-type"].to_str()?.starts_with("text/plain"));
    assert_eq!(served.headers["x-content-type-options"], "nosniff");
    let head = http_client().request(Method::HEAD, format!("{}{NAME}", world.base)).send().await?;
    assert!(head.status().is_success() || head.status() == StatusCode::METHOD_NOT_ALLOWED);
    for path in [
        format!("gateway/{NAME}"),
        format!("v1/{NAME}"),
        format!("x/{NAME}"),
        format!("{NAME}/"),
        NAME.to_uppercase(),
        NAME.replace(".txt", ".html"),
        NAME.replace(".txt", ""),
        NAME.replace('_', "%5f"),
    ] {
        let answer = at_the_root(&world, &path).await?;
        assert!(!answer.text.contains("a1B2c3D4e5F6g7H8"), "{path}: {}", answer.text);
    }
    let listed = tenant.get("/v1/files").await?.expect(StatusCode::OK)?;
    assert_eq!(listed.field("items.0.name")?, NAME);
    tenant.delete(&format!("/v1/files/{NAME}")).await?.expect(StatusCode::NO_CONTENT)?;
    let gone = at_the_root(&world, NAME).await?.expect(StatusCode::NOT_FOUND)?;
    assert!(!gone.text.contains("a1B2c3D4e5F6g7H8"));
    let again = tenant.delete(&format!("/v1/files/{NAME}")).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(again.json["code"], "file_not_found");
    world.end().await
}

#[tokio::test]
async fn a_name_is_whoever_had_it_first() -> Result<()> {
    let world = World::start().await?;
    let (_, one) = world.operator.create_tenant("一").await?;
    let (_, two) = world.operator.create_tenant("二").await?;
    upload(&one, NAME, "first").await?.expect(StatusCode::CREATED)?;
    for other in [&two, &world.operator] {
        let refused = upload(other, NAME, "second").await?.expect(StatusCode::CONFLICT)?;
        assert_eq!(refused.json["code"], "file_taken", "{}", refused.text);
        assert_eq!(refused.json["errcode"], 7_900_033);
    }
    two.delete(&format!("/v1/files/{NAME}")).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(at_the_root(&world, NAME).await?.text, "first");
    assert_eq!(two.get("/v1/files").await?.json["items"], json!([]));
    let replaced = upload(&one, NAME, "mended").await?;
    assert!(replaced.status.is_success(), "{}", replaced.text);
    assert_eq!(at_the_root(&world, NAME).await?.text, "mended");
    one.delete(&format!("/v1/files/{NAME}")).await?.expect(StatusCode::NO_CONTENT)?;
    upload(&two, NAME, "second").await?.expect(StatusCode::CREATED)?;

    upload(&world.operator, "0123abcdef.txt", "of-the-platform")
        .await?
        .expect(StatusCode::CREATED)?;
    assert_eq!(at_the_root(&world, "0123abcdef.txt").await?.text, "of-the-platform");
    let own = world.operator.get("/admin/v1/files").await?.expect(StatusCode::OK)?;
    assert_eq!(own.json["items"].as_array().map(Vec::len), Some(1), "{}", own.text);
    assert!(!one.get("/v1/files").await?.text.contains("0123abcdef"));
    world
        .operator
        .delete("/admin/v1/files/0123abcdef.txt")
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    world.end().await
}

#[tokio::test]
async fn nothing_but_a_plain_name_and_a_plain_line_is_taken() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let long = format!("{}.txt", "a".repeat(65));
    for name in [
        "",
        ".txt",
        "a",
        "a.html",
        "a.txt.html",
        "../a.txt",
        "a/b.txt",
        "a\\b.txt",
        "%2e%2e.txt",
        "a b.txt",
        "a..txt",
        ".a.txt",
        "文件.txt",
        "a.TXT",
        "robots.txt",
        "Robots.txt",
        "ads.txt",
        "APP-ADS.txt",
        "security.txt",
        "humans.txt",
        "llms.txt",
        &long,
    ] {
        let refused = upload(&tenant, name, "x").await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name:?}: {}", refused.text);
        assert_eq!(refused.json["field"], "name", "{name:?}: {}", refused.text);
    }
    let long = "x".repeat(513);
    for content in ["", " ", "a\nb", "a\r", "<script>\u{0}", "中文", "\u{feff}a", &long] {
        let refused = upload(&tenant, "a.txt", content).await?;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{content:?}: {}",
            refused.text
        );
        assert_eq!(refused.json["field"], "content", "{content:?}: {}", refused.text);
    }
    assert_eq!(tenant.get("/v1/files").await?.json["items"], json!([]));
    world.end().await
}

#[tokio::test]
async fn a_tenant_has_room_for_fifty() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    for number in 0..50 {
        upload(&tenant, &format!("WW_verify_{number}.txt"), "x")
            .await?
            .expect(StatusCode::CREATED)?;
    }
    let refused = upload(&tenant, "WW_verify_50.txt", "x").await?;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    assert_eq!(at_the_root(&world, "WW_verify_50.txt").await?.status, StatusCode::NOT_FOUND);
    let replaced = upload(&tenant, "WW_verify_0.txt", "y").await?;
    assert!(replaced.status.is_success(), "what is there may be replaced: {}", replaced.text);
    let (_, other) = world.operator.create_tenant("书店").await?;
    upload(&other, "WW_verify_50.txt", "z").await?.expect(StatusCode::CREATED)?;
    let listed: Value = tenant.get("/v1/files").await?.json;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(50));
    world.end().await
}
