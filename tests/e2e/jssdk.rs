//! Pages that are signed for the JS-SDK.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::PageSignature;
use lingpai_tests::{
    people::{Answer, Program},
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const TICKETS: &str = "/cgi-bin/ticket/getticket";

/// A page with a query that must stay as it is, and a fragment that must go.
const PAGE: &str = "https://shop.example/p?b=2&a=%E4%BD%A0+x&empty=";

async fn sign(tenant: &Program, url: &str) -> Result<Answer> {
    tenant.post(&format!("/v1/authorizers/{SHOP}/js-sdk-config"), &json!({ "url": url })).await
}

fn text<'a>(config: &'a Value, name: &str) -> &'a str {
    config[name].as_str().unwrap_or_default()
}

/// Whether a page at `url` may use the JS-SDK with this config, by WeChat's word.
fn is_taken(world: &World, url: &str, config: &Value) -> bool {
    let timestamp = config["timestamp"].to_string();
    let (nonce, signature) = (text(config, "nonceStr"), text(config, "signature"));
    let page = PageSignature { url, timestamp: &timestamp, nonce, signature };
    world.emulator.verify_page(SHOP, &page)
}

#[tokio::test]
async fn a_page_is_signed_as_it_is_without_its_fragment() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for url in [PAGE.to_owned(), format!("{PAGE}#top"), format!("{PAGE}#/a?b#c")] {
        let config = sign(&tenant, &url).await?.expect(StatusCode::OK)?.json;
        let mut names: Vec<&String> = config.as_object().context("an object")?.keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["appId", "nonceStr", "signature", "timestamp"]);
        assert_eq!(config["appId"], SHOP);
        assert!(is_taken(&world, PAGE, &config), "{url}");
        for other in ["https://shop.example/p", "https://shop.example/p?a=%E4%BD%A0+x&b=2&empty="] {
            assert!(!is_taken(&world, other, &config), "{other}");
        }
    }
    world.end().await
}

#[tokio::test]
async fn fifty_cold_callers_cost_one_ticket_and_it_never_leaves() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let all = futures_util::future::try_join_all((0..50).map(|_| sign(&tenant, PAGE))).await?;
    assert!(all.iter().all(|one| one.status == StatusCode::OK));
    assert_eq!(world.emulator.calls_to(TICKETS).len(), 1);
    let nonces: std::collections::BTreeSet<String> =
        all.iter().map(|one| one.field("nonceStr")).collect::<Result<_>>()?;
    assert_eq!(nonces.len(), 50, "each page has a nonce of its own");
    world.advance(Duration::hours(3));
    world.push_ticket().await?;
    sign(&tenant, PAGE).await?.expect(StatusCode::OK)?;
    assert_eq!(world.emulator.calls_to(TICKETS).len(), 2);
    world.end().await
}

#[tokio::test]
async fn what_is_no_page_is_not_signed() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for url in ["/p", "ftp://shop.example/", "https://", "https://shop.example/a b", "javascript:x"]
    {
        let refused = sign(&tenant, url).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {}", refused.text);
    }
    let (_, other) = world.operator.create_tenant("书店").await?;
    sign(&other, PAGE).await?.expect(StatusCode::NOT_FOUND)?;
    assert!(world.emulator.calls_to(TICKETS).is_empty());
    world.end().await
}

#[tokio::test]
async fn a_card_is_signed_with_a_ticket_of_its_own_kind() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (card_id, openid) = ("pFS7Fjg8kV1IdDz01r4SQwMkuCKc", "oFan");
    let card = json!({ "card_id": card_id, "openid": openid });
    let path = format!("/v1/authorizers/{SHOP}/card-signature");
    let signed = tenant.post(&path, &card).await?.expect(StatusCode::OK)?;
    assert_eq!(signed.field("signType")?, "SHA1");
    assert!(signed.json["timestamp"].is_i64(), "{}", signed.text);
    let (timestamp, nonce) = (signed.json["timestamp"].to_string(), signed.field("nonceStr")?);
    let signature = signed.field("signature")?;
    let is_taken = |values: &[&str]| world.emulator.verify_card(SHOP, values, &signature);
    assert!(is_taken(&[&timestamp, &nonce, card_id, openid]));
    assert!(!is_taken(&[&timestamp, &nonce, card_id]), "for this fan alone");
    sign(&tenant, PAGE).await?.expect(StatusCode::OK)?;
    assert_eq!(world.emulator.calls_to(TICKETS).len(), 2, "a ticket for each kind");
    world.end().await
}
