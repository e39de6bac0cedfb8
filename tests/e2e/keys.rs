//! Keys: how long they live, where they work, and how one follows another.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::EmulatorConfig;
use lingpai_model::clock::Clock as _;
use lingpai_tests::{
    people::{Answer, Program},
    world::{SHOP, World},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const USERS: &str = "/cgi-bin/user/get";

async fn status(program: &Program) -> Result<StatusCode> {
    Ok(program.get("/v1/key").await?.status)
}

async fn from(program: &Program, address: &str) -> Result<StatusCode> {
    let request = program.request(Method::GET, "/v1/key").header("X-Forwarded-For", address);
    Ok(request.send().await?.status())
}

fn keys(tenant: &str) -> String {
    format!("/admin/v1/tenants/{tenant}/api-keys")
}

/// One key as the operator sees it.
async fn shown(world: &World, tenant: &str, id: &str) -> Result<Value> {
    let listed = world.operator.get(&keys(tenant)).await?.expect(StatusCode::OK)?;
    let items = listed.json["items"].as_array().context("a list has items")?;
    let found = items.iter().find(|item| item["id"] == id).cloned();
    found.with_context(|| format!("no {id} in {}", listed.text))
}

#[tokio::test]
async fn a_key_tells_whose_it_is_and_what_it_may() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("花店").await?;
    let end = world.clock.now() + Duration::days(30);
    let key = json!({
        "name": "shop backend",
        "scopes": ["wechat:call", "authorizer:read"],
        "expires_at": end,
        "networks": ["127.0.0.1", "2001:db8::/32"],
        "requests_per_second": 5,
    });
    let (id, program) = world.operator.create_key(&tenant, &key).await?;
    let own = program.get("/v1/key").await?.expect(StatusCode::OK)?;
    assert_eq!((own.field("id")?, own.field("tenant.id")?), (id.clone(), tenant.clone()));
    let scopes = json!(["authorizer:read", "wechat:call"]);
    assert_eq!(own.json["scopes"], scopes, "{}", own.text);
    assert_eq!(own.field("expires_at")?.parse::<lingpai_model::Instant>()?, end);
    assert!(!own.text.contains(program.key()), "a key is shown once");
    let listed = shown(&world, &tenant, &id).await?;
    assert_eq!(listed["networks"], json!(["127.0.0.1/32", "2001:db8::/32"]), "{listed}");
    assert_eq!(listed["requests_per_second"], 5, "{listed}");
    assert!(!listed.to_string().contains(program.key()));
    world.end().await
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("花店").await?;
    let end = world.clock.now() + Duration::hours(1);
    let key = json!({ "name": "short", "expires_at": end });
    let (id, short) = world.operator.create_key(&tenant, &key).await?;
    world.advance(Duration::minutes(59));
    assert_eq!(status(&short).await?, StatusCode::OK);
    world.advance(Duration::minutes(1));
    assert_eq!(status(&short).await?, StatusCode::UNAUTHORIZED);
    // A key that ran out by mistake can be given a longer life.
    let path = format!("{}/{id}", keys(&tenant));
    let later = json!({ "expires_at": world.clock.now() + Duration::hours(1) });
    world.operator.patch(&path, &later).await?.expect(StatusCode::OK)?;
    assert_eq!(status(&short).await?, StatusCode::OK);
    let past = json!({ "name": "past", "expires_at": world.clock.now() - Duration::hours(1) });
    let refused = world.operator.post(&keys(&tenant), &past).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.json["field"], "expires_at", "{}", refused.text);
    world.end().await
}

#[tokio::test]
async fn a_key_works_from_its_networks_only() -> Result<()> {
    let set = [("LINGPAI_SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    let (tenant, anywhere) = world.operator.create_tenant("花店").await?;
    let networks = json!({ "name": "office", "networks": ["203.0.113.0/24", "2001:db8::/32"] });
    let (id, office) = world.operator.create_key(&tenant, &networks).await?;
    for (address, allowed) in [
        ("203.0.113.7", true),
        ("::ffff:203.0.113.7", true),
        ("2001:db8::7", true),
        ("198.51.100.1, 203.0.113.7", true),
        ("203.0.114.7", false),
        ("2001:db9::7", false),
        ("203.0.113.7, 198.51.100.1", false),
        ("unknown", false),
        ("", false),
    ] {
        let wanted = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(from(&office, address).await?, wanted, "{address}");
        assert_eq!(from(&anywhere, address).await?, StatusCode::OK, "{address}");
    }
    let refused = office.get("/v1/key").await?.expect(StatusCode::FORBIDDEN)?;
    assert_eq!(refused.json["code"], "address_refused", "{}", refused.text);
    assert_eq!(refused.json["errcode"], 7_900_024);
    // Whoever has no valid key hears nothing of networks.
    let mistyped = office.with_key(&format!("{}x", &office.key()[..office.key().len() - 1]));
    assert_eq!(from(&mistyped, "198.51.100.1").await?, StatusCode::UNAUTHORIZED);
    let path = format!("{}/{id}", keys(&tenant));
    world.operator.patch(&path, &json!({ "networks": [] })).await?.expect(StatusCode::OK)?;
    assert_eq!(from(&office, "198.51.100.1").await?, StatusCode::OK);
    let wrong = json!({ "name": "x", "networks": ["203.0.113.0/33"] });
    let refused = world.operator.post(&keys(&tenant), &wrong).await?;
    assert_eq!(refused.json["field"], "networks", "{}", refused.text);
    world.end().await
}

#[tokio::test]
async fn a_rotated_key_and_the_one_before_work_side_by_side_for_a_while() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("花店").await?;
    let (id, old) = world.operator.create_key(&tenant, &json!({ "name": "shop" })).await?;
    let rotate = format!("{}/{id}/rotate", keys(&tenant));
    let overlap = json!({ "overlap_secs": 3600 });
    let rotated = world.operator.post(&rotate, &overlap).await?;
    assert!(rotated.status.is_success(), "{}", rotated.text);
    let new = world.operator.with_key(&rotated.field("key")?);
    assert_eq!(rotated.field("id")?, id, "it stays the same key");
    assert_ne!(new.key(), old.key());
    world.advance(Duration::minutes(59));
    assert_eq!((status(&old).await?, status(&new).await?), (StatusCode::OK, StatusCode::OK));
    world.advance(Duration::minutes(1));
    assert_eq!(status(&old).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&new).await?, StatusCode::OK);

    let at_once = world.operator.post(&rotate, &json!({ "overlap_secs": 0 })).await?;
    let newest = world.operator.with_key(&at_once.field("key")?);
    assert_eq!(status(&new).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&newest).await?, StatusCode::OK);
    let week = json!({ "overlap_secs": 7 * 24 * 3600 + 1 });
    let refused = world.operator.post(&rotate, &week).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    world.operator.delete(&format!("{}/{id}", keys(&tenant))).await?;
    assert_eq!(status(&newest).await?, StatusCode::UNAUTHORIZED);
    world.end().await
}

#[tokio::test]
async fn a_revoked_key_ends_what_was_before_it_too() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("花店").await?;
    let (id, old) = world.operator.create_key(&tenant, &json!({ "name": "shop" })).await?;
    let key = format!("{}/{id}", keys(&tenant));
    let (rotate, overlap) = (format!("{key}/rotate"), json!({ "overlap_secs": 3600 }));
    let rotated = world.operator.post(&rotate, &overlap).await?;
    let new = world.operator.with_key(&rotated.field("key")?);
    world.operator.delete(&key).await?.expect(StatusCode::NO_CONTENT)?;
    for program in [&old, &new] {
        assert_eq!(status(program).await?, StatusCode::UNAUTHORIZED);
    }
    for answer in [
        world.operator.post(&format!("{key}/rotate"), &json!({ "overlap_secs": 0 })).await?,
        world.operator.patch(&key, &json!({ "name": "x" })).await?,
    ] {
        assert_eq!(answer.json["code"], "api_key_not_found", "{}", answer.text);
    }
    world.end().await
}

#[tokio::test]
async fn scopes_that_are_taken_away_are_gone_at_once() -> Result<()> {
    let world = World::with_ticket().await?;
    let (tenant, _) = world.authorized().await?;
    let (id, program) = world.operator.create_key(&tenant, &json!({ "name": "shop" })).await?;
    let path = format!("/v1/authorizers/{SHOP}/proxy{USERS}");
    program.get(&path).await?.expect(StatusCode::OK)?;
    let sdk = world.sdk(SHOP, &program);
    let token = sdk.token().await?;
    let narrower = json!({ "scopes": ["authorizer:read"] });
    let key = format!("{}/{id}", keys(&tenant));
    world.operator.patch(&key, &narrower).await?.expect(StatusCode::OK)?;
    program.get(&path).await?.expect(StatusCode::FORBIDDEN)?;
    let refused = sdk.get(USERS, &token).await?;
    assert_eq!(refused.json["errcode"], 48001, "its virtual tokens too: {}", refused.text);
    program.get("/v1/authorizers").await?.expect(StatusCode::OK)?;
    world.end().await
}

/// A world, a key of a tenant with an account, and a virtual token minted with it.
async fn minted() -> Result<(World, String, Program, String)> {
    let world = World::with_ticket().await?;
    let (tenant, _) = world.authorized().await?;
    let (id, program) = world.operator.create_key(&tenant, &json!({ "name": "shop" })).await?;
    let token = world.sdk(SHOP, &program).token().await?;
    assert_eq!(world.sdk(SHOP, &program).get(USERS, &token).await?.json["total"], 2);
    Ok((world, format!("{}/{id}", keys(&tenant)), program, token))
}

async fn errcode(world: &World, program: &Program, token: &str) -> Result<Value> {
    Ok(world.sdk(SHOP, program).get(USERS, token).await?.json["errcode"].clone())
}

#[tokio::test]
async fn a_virtual_token_dies_with_its_key() -> Result<()> {
    let (world, key, program, token) = minted().await?;
    world.operator.delete(&key).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(errcode(&world, &program, &token).await?, 40001);
    world.end().await
}

#[tokio::test]
async fn a_virtual_token_lives_no_longer_than_the_text_it_was_minted_with() -> Result<()> {
    let (world, key, old, token) = minted().await?;
    let rotate = format!("{key}/rotate");
    let rotated = world.operator.post(&rotate, &json!({ "overlap_secs": 600 })).await?;
    let new = world.operator.with_key(&rotated.field("key")?);
    assert_eq!(errcode(&world, &old, &token).await?, Value::Null, "the overlap is for it too");
    let newer = world.sdk(SHOP, &new).token().await?;
    world.advance(Duration::minutes(10));
    assert_eq!(errcode(&world, &old, &token).await?, 40001);
    assert_eq!(errcode(&world, &new, &newer).await?, Value::Null);
    world.operator.post(&rotate, &json!({ "overlap_secs": 0 })).await?;
    assert_eq!(errcode(&world, &new, &newer).await?, 40001);
    world.end().await
}

#[tokio::test]
async fn a_virtual_token_ends_with_its_key_and_works_where_its_key_works() -> Result<()> {
    let set = [("LINGPAI_SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    world.push_ticket().await?;
    let (tenant, _) = world.authorized().await?;
    let end = world.clock.now() + Duration::minutes(30);
    let (id, short) =
        world.operator.create_key(&tenant, &json!({ "name": "s", "expires_at": end })).await?;
    let token = world.sdk(SHOP, &short).token().await?;
    let office = json!({ "networks": ["203.0.113.0/24"] });
    world.operator.patch(&format!("{}/{id}", keys(&tenant)), &office).await?;
    let call = async |address: &'static str| {
        let request = world.sdk(SHOP, &short).request(Method::GET, USERS, &token);
        let answer = request.header("X-Forwarded-For", address).send().await?;
        anyhow::Ok(Answer::read(answer).await?)
    };
    assert_eq!(call("203.0.113.1").await?.json["total"], 2);
    let refused = call("198.51.100.1").await?;
    assert!(refused.field("errmsg")?.starts_with("lingpai: "), "{}", refused.text);
    world.advance(Duration::minutes(30));
    assert_eq!(call("203.0.113.1").await?.json["errcode"], 40001);
    world.end().await
}

#[tokio::test]
async fn the_operator_sees_when_a_key_was_last_used() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("花店").await?;
    let (id, program) = world.operator.create_key(&tenant, &json!({ "name": "shop" })).await?;
    world.flush().await?;
    assert_eq!(shown(&world, &tenant, &id).await?["last_used_at"], Value::Null);
    world.advance(Duration::minutes(5));
    let used = world.clock.now();
    assert_eq!(status(&program).await?, StatusCode::OK);
    world.flush().await?;
    let told = shown(&world, &tenant, &id).await?["last_used_at"].clone();
    let told: lingpai_model::Instant = told.as_str().context("it was used")?.parse()?;
    assert!((used - told).abs() < Duration::minutes(1), "{told} instead of {used}");
    world.end().await
}

#[tokio::test]
async fn the_last_operator_cannot_be_revoked() -> Result<()> {
    let world = World::start().await?;
    let operators = "/admin/v1/operators";
    let listed = world.operator.get(operators).await?.expect(StatusCode::OK)?;
    let first = listed.field("items.0.id")?;
    let path = format!("{operators}/{first}");
    let refused = world.operator.delete(&path).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused.json["code"], "last_operator", "{}", refused.text);
    let second = world.operator.post(operators, &json!({ "name": "二" })).await?;
    let second = second.expect(StatusCode::CREATED)?;
    let colleague = world.operator.with_key(&second.field("key")?);
    // Two who revoke each other at the same time cannot both be gone.
    let second = format!("{operators}/{}", second.field("id")?);
    let (a, b) = tokio::join!(world.operator.delete(&second), colleague.delete(&path));
    let gone = [a?.status, b?.status].iter().filter(|status| status.is_success()).count();
    assert!(gone <= 1, "both are gone");
    let alive = [&world.operator, &colleague];
    let mut answered = 0;
    for program in alive {
        answered += usize::from(program.get(operators).await?.status.is_success());
    }
    assert!(answered >= 1, "nobody can come in any more");
    world.end().await
}
