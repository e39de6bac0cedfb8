//! Accounts that nobody owns: how they come to be, and to whom they go.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::Emulator;
use lingpai_tests::{
    people::Program,
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const USERS: &str = "/cgi-bin/user/get";

async fn listed(world: &World, query: &str) -> Result<Vec<Value>> {
    let listed = world.operator.get(&format!("/admin/v1/authorizers?{query}")).await?;
    let listed = listed.expect(StatusCode::OK)?;
    listed.json["items"].as_array().cloned().context("a list has items")
}

async fn id_of(world: &World, appid: &str) -> Result<String> {
    let all = listed(world, "limit=100").await?;
    let found = all.iter().find(|item| item["appid"] == appid);
    let id = found.and_then(|item| item["id"].as_str());
    Ok(id.with_context(|| format!("no {appid} in {all:?}"))?.to_owned())
}

async fn unclaimed(world: &World) -> Result<Vec<String>> {
    let items = listed(world, "unclaimed=true").await?;
    Ok(items.iter().filter_map(|item| item["appid"].as_str().map(str::to_owned)).collect())
}

async fn assign(world: &World, appid: &str, tenant: &str) -> Result<(StatusCode, Value)> {
    let path = format!("/admin/v1/authorizers/{}/assign", id_of(world, appid).await?);
    let answer = world.operator.post(&path, &json!({ "tenant_id": tenant })).await?;
    Ok((answer.status, answer.json))
}

async fn users(tenant: &Program, appid: &str) -> Result<(StatusCode, Value)> {
    let answer = tenant.get(&format!("/v1/authorizers/{appid}/proxy{USERS}")).await?;
    Ok((answer.status, answer.json["total"].clone()))
}

fn secret_of(wechat: &Emulator, appid: &str) -> String {
    wechat.account(appid).and_then(|account| account.appsecret).expect("it has a secret")
}

#[tokio::test]
async fn a_released_account_waits_and_works_for_whom_it_is_assigned_to() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, first) = world.authorized().await?;
    let (second_id, second) = world.operator.create_tenant("书店").await?;
    let sdk = world.sdk(SHOP, &first);
    let token = sdk.token().await?;
    assert!(unclaimed(&world).await?.is_empty());
    let path = format!("/v1/authorizers/{SHOP}");
    first.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(unclaimed(&world).await?, [SHOP]);
    // To its former owner it is as absent as any other.
    let gone = first.get(&path).await?.expect(StatusCode::NOT_FOUND)?;
    let absent = first.get("/v1/authorizers/wx0000000000000000").await?;
    assert_eq!(
        gone.field("detail")?.replace(SHOP, ""),
        absent.field("detail")?.replace("wx0000000000000000", "")
    );
    assert_eq!(users(&first, SHOP).await?.0, StatusCode::NOT_FOUND);
    first.delete(&path).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(sdk.get(USERS, &token).await?.json["errcode"], 40013, "its virtual tokens are void");
    assert_eq!(first.get("/v1/authorizers").await?.json["items"], json!([]));
    world.advance(Duration::hours(3));
    world.push_ticket().await?;
    let refreshes = "/cgi-bin/component/api_authorizer_token";
    let before = world.emulator.calls_to(refreshes).len();
    world.keep_tokens().await?;
    assert_eq!(world.emulator.calls_to(refreshes).len(), before, "nobody needs its token");

    let (status, answer) = assign(&world, SHOP, &second_id).await?;
    assert!(status.is_success(), "{answer}");
    assert!(unclaimed(&world).await?.is_empty());
    assert_eq!(users(&second, SHOP).await?, (StatusCode::OK, json!(2)));
    assert_eq!(users(&first, SHOP).await?.0, StatusCode::NOT_FOUND);
    assert_eq!(world.event_types(Some(&second_id)).await, ["authorizer.authorized"]);
    assert_eq!(sdk.get(USERS, &token).await?.json["errcode"], 40001, "it was too old anyway");
    world.end().await
}

#[tokio::test]
async fn an_account_that_nobody_asked_for_is_assigned_or_refused() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.operator.create_tenant("花店").await?;
    for appid in [SHOP, ORDERS] {
        world.emulator.grant(appid, &[])?;
    }
    let path = format!("/admin/v1/components/{}/reconciliation", world.component.appid);
    world.operator.post(&path, &json!({})).await?.expect(StatusCode::OK)?;
    assert_eq!(unclaimed(&world).await?.len(), 2);
    let refuse = format!("/admin/v1/authorizers/{}/refuse", id_of(&world, ORDERS).await?);
    for _ in 0..2 {
        let refused = world.operator.post(&refuse, &json!({})).await?;
        assert!(refused.status.is_success(), "{}", refused.text);
    }
    assert_eq!(unclaimed(&world).await?, [SHOP], "what was refused waits no longer");
    assert_eq!(listed(&world, "limit=100").await?.len(), 2, "and is not gone");
    let (status, answer) = assign(&world, SHOP, &id).await?;
    assert!(status.is_success(), "{answer}");
    assert_eq!(users(&tenant, SHOP).await?, (StatusCode::OK, json!(2)));
    world.end().await
}

#[tokio::test]
async fn an_account_that_is_owned_is_neither_assigned_nor_refused() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, owner) = world.authorized().await?;
    let (other, _) = world.operator.create_tenant("书店").await?;
    let (status, answer) = assign(&world, SHOP, &other).await?;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("authorizer_claimed")));
    assert_eq!(answer["errcode"], 7_900_035);
    let id = id_of(&world, SHOP).await?;
    let refuse = format!("/admin/v1/authorizers/{id}/refuse");
    let refused = world.operator.post(&refuse, &json!({})).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused.json["code"], "authorizer_claimed", "{}", refused.text);
    assert_eq!(users(&owner, SHOP).await?, (StatusCode::OK, json!(2)));

    world.operator.post(&format!("/admin/v1/authorizers/{id}/release"), &json!({})).await?;
    let (status, answer) = assign(&world, SHOP, "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV").await?;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("tenant_not_found")));
    let nobodys = "/admin/v1/authorizers/aut_01ARZ3NDEKTSV4RRFFQ69G5FAV/assign";
    let answer = world.operator.post(nobodys, &json!({ "tenant_id": other })).await?;
    assert_eq!(answer.json["code"], "authorizer_not_found", "{}", answer.text);
    world.end().await
}

#[tokio::test]
async fn of_two_who_assign_at_once_one_wins() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, owner) = world.authorized().await?;
    let (one, first) = world.operator.create_tenant("一").await?;
    let (two, second) = world.operator.create_tenant("二").await?;
    owner.delete(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::NO_CONTENT)?;
    let (a, b) = tokio::join!(assign(&world, SHOP, &one), assign(&world, SHOP, &two));
    let won = [a?.0, b?.0].iter().filter(|status| status.is_success()).count();
    assert_eq!(won, 1);
    let seen = [users(&first, SHOP).await?.0, users(&second, SHOP).await?.0];
    assert_eq!(seen.iter().filter(|status| status.is_success()).count(), 1, "{seen:?}");
    world.end().await
}

#[tokio::test]
async fn a_released_account_comes_back_by_a_link_of_whoever_asks_next() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, first) = world.authorized().await?;
    let (_, second) = world.operator.create_tenant("书店").await?;
    first.delete(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::NO_CONTENT)?;
    world.advance(Duration::minutes(1));
    // Its administrator withdraws and grants anew: a push with the new link's code.
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    world.advance(Duration::minutes(1));
    let authorization = world.authorize(&second, SHOP).await?;
    assert_eq!(authorization.field("state")?, "finished", "{}", authorization.text);
    assert_eq!(users(&second, SHOP).await?, (StatusCode::OK, json!(2)));
    assert_eq!(users(&first, SHOP).await?.0, StatusCode::NOT_FOUND);
    world.end().await
}

#[tokio::test]
async fn a_released_account_of_its_own_secret_forgets_the_secret() -> Result<()> {
    let world = World::start().await?;
    let (_, first) = world.operator.create_tenant("花店").await?;
    let (second_id, second) = world.operator.create_tenant("书店").await?;
    let secret = secret_of(&world.emulator, SHOP);
    let connect = json!({ "connection": "secret", "appid": SHOP, "appsecret": secret });
    first.post("/v1/authorizers", &connect).await?.expect(StatusCode::CREATED)?;
    let id = id_of(&world, SHOP).await?;
    first.delete(&format!("/v1/authorizers/{SHOP}")).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(users(&first, SHOP).await?.0, StatusCode::NOT_FOUND);
    let calls = world.emulator.calls().len();
    world.advance(Duration::hours(3));
    world.keep_tokens().await?;
    assert_eq!(world.emulator.calls().len(), calls, "there is nothing to get a token with");
    let assign = format!("/admin/v1/authorizers/{id}/assign");
    let refused = world.operator.post(&assign, &json!({ "tenant_id": second_id })).await?;
    assert!(refused.status.is_client_error(), "without its secret it is no use: {}", refused.text);
    // Whoever has the secret may connect it.
    second.post("/v1/authorizers", &connect).await?.expect(StatusCode::CREATED)?;
    assert_eq!(users(&second, SHOP).await?, (StatusCode::OK, json!(2)));
    world.end().await
}

#[tokio::test]
async fn the_operator_finds_accounts_by_tenant_component_and_state() -> Result<()> {
    let world = World::with_ticket().await?;
    let (one, first) = world.authorized().await?;
    let (two, second) = world.operator.create_tenant("书店").await?;
    world.authorize(&second, ORDERS).await?;
    world.advance(Duration::minutes(1));
    world.emulator.revoke(ORDERS).await?;
    world.work().await?;
    let component = &world.component.appid;
    for (query, wanted) in [
        (String::new(), vec![SHOP, ORDERS]),
        (format!("tenant_id={one}"), vec![SHOP]),
        (format!("tenant_id={two}&state=active"), vec![]),
        ("state=revoked".to_owned(), vec![ORDERS]),
        (format!("component_appid={component}"), vec![SHOP, ORDERS]),
        ("component_appid=wx1111111111111111".to_owned(), vec![]),
    ] {
        let items = listed(&world, &query).await?;
        let mut appids: Vec<&str> =
            items.iter().filter_map(|item| item["appid"].as_str()).collect();
        appids.sort_unstable();
        assert_eq!(appids, wanted, "{query}");
        assert!(items.iter().all(|item| !item.to_string().contains("CANARY")), "{items:?}");
    }
    drop(first);
    world.end().await
}
