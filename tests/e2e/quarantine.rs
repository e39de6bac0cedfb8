//! Pushes that are WeChat's and cannot be used: kept raw, looked at by operators, and let out.

use anyhow::{Context as _, Result};
use lingpai_tests::{
    people::Answer,
    receiver::{Manner, Receiver},
    world::{FLOWERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const QUARANTINE: &str = "/admin/v1/quarantine";

async fn listed(world: &World) -> Result<Vec<Value>> {
    world.operator.list_all(QUARANTINE).await
}

fn id(item: &Value) -> Result<&str> {
    item["id"].as_str().context("it has an id")
}

async fn look(world: &World, id: &str) -> Result<Answer> {
    world.operator.get(&format!("{QUARANTINE}/{id}")).await?.expect(StatusCode::OK)
}

async fn release(world: &World, id: &str) -> Result<Answer> {
    world.operator.post(&format!("{QUARANTINE}/{id}/release"), &json!({})).await
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_kept_raw_and_never_delivered() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    let deep = format!("<xml>{}{}</xml>", "<a>".repeat(40), "</a>".repeat(40));
    for raw in [&*deep, "no XML at all 🌸", "<xml><ToUserName>gh_0a1b2c3d4e5f</ToUserName></xml>"]
    {
        for _ in 0..2 {
            let talk = world.push_xml(SHOP, raw).await?;
            assert!(talk.is_success(), "{raw}: {talk:?}");
        }
    }
    world.deliver().await?;
    assert_eq!(receiver.counts().taken, 0);
    assert!(tenant.list_all("/v1/events?type=message.*").await?.is_empty());
    let kept = listed(&world).await?;
    assert_eq!(kept.len(), 3, "repetitions are one: {kept:?}");
    for item in &kept {
        assert_eq!(item["reason"], "unreadable", "{item}");
        assert!(!item.to_string().contains("no XML"), "a list holds no messages: {item}");
    }
    let raws = [look(&world, id(&kept[0])?).await?, look(&world, id(&kept[1])?).await?];
    assert!(raws.iter().any(|shown| shown.text.contains("no XML at all 🌸")), "{raws:?}");
    let trail = world.operator.get("/admin/v1/audit?limit=1").await?;
    assert_eq!(trail.field("items.0.action")?, "quarantine.read");

    let refused = release(&world, id(&kept[0])?).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused.json["code"], "still_unreadable", "{}", refused.text);
    assert_eq!(listed(&world).await?.len(), 3, "it stays");
    let health = world.operator.get("/admin/v1/health").await?.expect(StatusCode::OK)?;
    assert!(health.text.contains("quarantine"), "{}", health.text);
    world.end().await
}

#[tokio::test]
async fn messages_of_an_account_that_is_not_known_yet_wait_for_its_grant() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    let endpoint = json!({
        "kind": "webhook", "url": receiver.url(), "event_types": ["message.*"],
    });
    tenant.create_endpoint(&endpoint).await?;
    let early = world.text("too early");
    for _ in 0..2 {
        assert!(world.push(FLOWERS, &early).await?.is_success());
    }
    let kept = listed(&world).await?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["reason"], "unknown_authorizer");
    let refused = release(&world, id(&kept[0])?).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "nobody is there yet: {}", refused.text);

    world.authorize(&tenant, FLOWERS).await?;
    world.work().await?;
    world.deliver().await?;
    assert!(listed(&world).await?.is_empty());
    let found =
        tenant.list_all(&format!("/v1/events?authorizer_appid={FLOWERS}&type=message.*")).await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(receiver.take_one()?.body.contains("too early"));
    // WeChat's repetition of what was let out is one still.
    assert!(world.push(FLOWERS, &early).await?.is_success());
    world.deliver().await?;
    assert_eq!(receiver.counts().taken, 1);
    world.end().await
}

#[tokio::test]
async fn a_push_to_the_component_that_cannot_be_read_is_listed_too() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    let outcome = world.emulator.push("no xml, yet encrypted with the right key").await;
    assert!(outcome.is_accepted(), "{outcome:?}");
    world.work().await?;
    let kept = listed(&world).await?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["reason"], "unreadable");
    let shown = look(&world, id(&kept[0])?).await?;
    assert!(shown.text.contains("no xml, yet encrypted"), "{}", shown.text);
    let gone = look(&world, "psh_01ARZ3NDEKTSV4RRFFQ69G5FAV").await;
    assert!(gone.is_err());
    world.end().await
}
