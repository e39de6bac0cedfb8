//! The audit trail: who did what, written with the act itself.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::{AccountConfig, EmulatorConfig};
use lingpai_model::audit::Action;
use lingpai_tests::{
    fans::FAN,
    people::{Answer, Program},
    world::{FLOWERS, ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const TRAIL: &str = "/admin/v1/audit";

/// Every entry of a trail, the newest first.
async fn entries(program: &Program, path: &str) -> Result<Vec<Value>> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = program.get(&format!("{path}{joint}limit=7{next}")).await?;
        let page = page.expect(StatusCode::OK)?;
        all.extend(page.json["items"].as_array().cloned().context("a page has items")?);
        match page.json["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(all),
        }
    }
}

fn actions(entries: &[Value]) -> Vec<String> {
    entries.iter().filter_map(|entry| entry["action"].as_str().map(str::to_owned)).collect()
}

/// Does one thing of a kind and gives the entry that it left, of which there is exactly one more.
async fn act(world: &World, answer: impl Future<Output = Result<Answer>>) -> Result<Value> {
    let before = entries(&world.operator, TRAIL).await?.len();
    // Entries of one instant have no order among them.
    world.advance(Duration::seconds(1));
    let answer = answer.await?;
    anyhow::ensure!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    let now = entries(&world.operator, TRAIL).await?;
    assert_eq!(now.len(), before + 1, "{:?} after {}", actions(&now), answer.text);
    let id = answer.headers["lingpai-request-id"].to_str()?;
    assert_eq!(now[0]["request_id"], id, "{}", now[0]);
    assert_eq!(now[0]["peer"], "127.0.0.1", "{}", now[0]);
    Ok(now[0].clone())
}

/// What operators do, in an order in which all of it works.
async fn acts_of_an_operator(world: &World, tenant_id: &str) -> Result<Vec<Value>> {
    let (operator, appid) = (&world.operator, &world.component.appid);
    let component = format!("/admin/v1/components/{appid}");
    let tenant = format!("/admin/v1/tenants/{tenant_id}");
    let keys = format!("{tenant}/api-keys");
    let (key, _) = operator.create_key(tenant_id, &json!({ "name": "spare" })).await?;
    let colleague = operator.post("/admin/v1/operators", &json!({ "name": "spare" })).await?;
    let colleague = colleague.field("id")?;
    let none = json!({});
    let (rename, path) = (json!({ "name": "renamed" }), |end: &str| format!("{component}/{end}"));
    Ok(vec![
        act(world, operator.post("/admin/v1/tenants", &json!({ "name": "另一家" }))).await?,
        act(world, operator.patch(&tenant, &rename)).await?,
        act(world, operator.post(&keys, &json!({ "name": "one more" }))).await?,
        act(world, operator.patch(&format!("{keys}/{key}"), &rename)).await?,
        act(world, operator.post(&format!("{keys}/{key}/rotate"), &json!({ "overlap_secs": 60 })))
            .await?,
        act(world, operator.delete(&format!("{keys}/{key}"))).await?,
        act(world, operator.post("/admin/v1/operators", &json!({ "name": "a colleague" }))).await?,
        act(world, operator.delete(&format!("/admin/v1/operators/{colleague}"))).await?,
        act(world, operator.patch(&component, &rename)).await?,
        act(world, operator.post(&path("ticket-push"), &none)).await?,
        act(world, operator.post(&path("reconciliation"), &none)).await?,
        act(world, operator.post(&path("token-refresh"), &none)).await?,
    ])
}

/// What operators do with accounts that nobody owns: one of a tenant is released, and goes back.
async fn acts_on_accounts(world: &World, tenant_id: &str) -> Result<Vec<Value>> {
    let operator = &world.operator;
    let listed = operator.get("/admin/v1/authorizers").await?.expect(StatusCode::OK)?;
    let items = listed.json["items"].as_array().context("a list has items")?;
    let orders = items.iter().find(|item| item["appid"] == ORDERS);
    let id = orders.and_then(|item| item["id"].as_str()).context("it is listed")?;
    let path = |end: &str| format!("/admin/v1/authorizers/{id}/{end}");
    Ok(vec![
        act(world, operator.post(&path("release"), &json!({}))).await?,
        act(world, operator.post(&path("assign"), &json!({ "tenant_id": tenant_id }))).await?,
        act(world, operator.post(&path("release"), &json!({}))).await?,
        act(world, operator.post(&path("refuse"), &json!({}))).await?,
    ])
}

/// What operators do with pushes that cannot be used, and with the publish test.
async fn acts_on_pushes(world: &World) -> Result<Vec<Value>> {
    let (operator, appid) = (&world.operator, &world.component.appid);
    // Nobody knows the account yet; then it is known, and nobody's.
    world.says(FLOWERS, "too early").await?;
    world.emulator.grant(FLOWERS, &[])?;
    let component = format!("/admin/v1/components/{appid}");
    operator.post(&format!("{component}/reconciliation"), &json!({})).await?;
    let listed = operator.get("/admin/v1/quarantine").await?;
    let path = format!("/admin/v1/quarantine/{}", listed.field("items.0.id")?);
    Ok(vec![
        act(world, operator.get(&path)).await?,
        act(world, operator.post(&format!("{path}/release"), &json!({}))).await?,
        act(world, operator.post(&format!("{component}/rehearsal"), &json!({}))).await?,
    ])
}

/// What a tenant does about its events.
async fn acts_on_events(world: &World, tenant: &Program) -> Result<Vec<Value>> {
    // Nobody listens there, and nobody outside is asked.
    let new = json!({ "kind": "webhook", "url": "http://127.0.0.1:9/hook" });
    let first = act(world, tenant.post("/v1/endpoints", &new)).await?;
    let listed = tenant.get("/v1/endpoints").await?;
    let endpoint = format!("/v1/endpoints/{}", listed.field("items.0.id")?);
    world.says(SHOP, "hello").await?;
    let event = tenant.get("/v1/events?type=message.*").await?.field("items.0.id")?;
    let of_shop = |end: &str| format!("/v1/authorizers/{SHOP}/{end}");
    let (name, none) = (json!({ "name": "renamed" }), json!({}));
    let reply = json!({ "type": "text", "content": "欢迎" });
    let rules = json!({ "rules": [{ "on": "subscribe", "reply": reply }] });
    Ok(vec![
        first,
        act(world, tenant.patch(&endpoint, &name)).await?,
        act(world, tenant.post(&format!("{endpoint}/secret"), &none)).await?,
        act(world, tenant.post(&format!("{endpoint}/test"), &none)).await?,
        act(world, tenant.post(&format!("/v1/events/{event}/replay"), &none)).await?,
        act(world, tenant.put(&of_shop("auto-replies"), &rules)).await?,
        act(world, tenant.delete(&of_shop("auto-replies"))).await?,
        act(world, tenant.post(&of_shop("erasures"), &json!({ "openid": FAN }))).await?,
        act(world, tenant.post(&of_shop("erasures"), &none)).await?,
        act(world, tenant.delete(&endpoint)).await?,
    ])
}

/// What a tenant does.
async fn acts_of_a_tenant(world: &World, tenant: &Program) -> Result<Vec<Value>> {
    let account = AccountConfig::generated(1);
    let start = json!({ "component_appid": world.component.appid, "account_kind": "any" });
    let connect =
        json!({ "connection": "secret", "appid": account.appid, "appsecret": account.appsecret });
    let (uri, none) = ("https://shop.example/done", json!({}));
    let file = json!({ "name": "WW_verify_1.txt", "content": "0123456789abcdef" });
    let of_shop = |end: &str| format!("/v1/authorizers/{SHOP}{end}");
    Ok(vec![
        act(world, tenant.post("/v1/authorizations", &start)).await?,
        act(world, tenant.post("/v1/authorizers", &connect)).await?,
        act(world, tenant.post(&of_shop("/profile-refresh"), &none)).await?,
        act(world, tenant.post(&of_shop("/access-token"), &none)).await?,
        act(world, tenant.post("/v1/redirect-uris", &json!({ "uri": uri }))).await?,
        act(world, tenant.delete(&format!("/v1/redirect-uris?uri={uri}"))).await?,
        act(world, tenant.post("/v1/files", &file)).await?,
        act(world, tenant.delete("/v1/files/WW_verify_1.txt")).await?,
        act(world, tenant.post(&of_shop("/quota/clear"), &none)).await?,
        act(world, tenant.delete(&of_shop(""))).await?,
    ])
}

#[tokio::test]
async fn every_act_leaves_its_entry_with_who_and_from_where() -> Result<()> {
    let config = EmulatorConfig { many_accounts: 1, ..EmulatorConfig::for_tests() };
    let world = World::start_with(config, None).await?;
    world.push_ticket().await?;
    let (tenant_id, tenant) = world.authorized().await?;
    world.authorize(&tenant, ORDERS).await?;
    let by_operator = acts_of_an_operator(&world, &tenant_id).await?;
    let on_accounts = acts_on_accounts(&world, &tenant_id).await?;
    let on_pushes = acts_on_pushes(&world).await?;
    let on_events = acts_on_events(&world, &tenant).await?;
    let by_tenant = acts_of_a_tenant(&world, &tenant).await?;
    for entry in by_operator.iter().chain(&on_accounts).chain(&on_pushes) {
        assert_eq!(entry["actor"]["kind"], "operator", "{entry}");
    }
    for entry in on_events.iter().chain(&by_tenant) {
        assert_eq!(entry["actor"]["kind"], "api_key", "{entry}");
        assert_eq!(entry["tenant_id"], tenant_id.as_str(), "{entry}");
    }
    let all = entries(&world.operator, TRAIL).await?;
    let seen: BTreeSet<String> = actions(&all).into_iter().collect();
    let wanted: BTreeSet<String> =
        Action::ALL.into_iter().map(|action| action.as_str().to_owned()).collect();
    assert_eq!(seen, wanted, "each action is one that somebody here has done");
    let text = Value::Array(all).to_string();
    assert!(!text.contains("CANARY") && !text.contains("lpk_") && !text.contains("lpo_"), "{text}");
    assert!(!text.contains("whsec_") && !text.contains(FAN), "{text}");
    world.end().await
}

#[tokio::test]
async fn the_newest_entry_comes_first_and_pages_leave_none_out() -> Result<()> {
    let world = World::start().await?;
    for number in 0..20 {
        world.operator.create_tenant(&format!("第{number}家")).await?;
    }
    let paged = entries(&world.operator, TRAIL).await?;
    let whole = world.operator.get(&format!("{TRAIL}?limit=100")).await?.expect(StatusCode::OK)?;
    assert_eq!(Value::Array(paged.clone()), whole.json["items"]);
    let ids: Vec<&str> = paged.iter().filter_map(|entry| entry["id"].as_str()).collect();
    assert_eq!(ids.len(), paged.len());
    assert!(ids.iter().all(|id| id.starts_with("aud_")) && ids.is_sorted_by(|a, b| a > b));
    world.end().await
}

#[tokio::test]
async fn a_tenant_sees_its_own_trail_and_no_other() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, tenant) = world.authorized().await?;
    let (other_id, other) = world.operator.create_tenant("另一家").await?;
    other.post("/v1/redirect-uris", &json!({ "uri": "https://other.example/" })).await?;
    let own = entries(&tenant, "/v1/audit").await?;
    let mut did = actions(&own);
    did.sort();
    // What operators did about it is its own too.
    assert_eq!(did, ["api_key.created", "authorization.started", "tenant.created"]);
    let text = Value::Array(own).to_string();
    assert!(text.contains(&id) && !text.contains(&other_id) && !text.contains("other.example"));
    let theirs = entries(&other, "/v1/audit").await?;
    assert!(actions(&theirs).contains(&"redirect_uri.registered".to_owned()), "{theirs:?}");
    assert!(!Value::Array(theirs).to_string().contains(&id));
    let filtered = entries(&world.operator, &format!("{TRAIL}?tenant_id={other_id}")).await?;
    assert_eq!(filtered.len(), 3, "{filtered:?}");
    let started = format!("{TRAIL}?action=authorization.started");
    assert_eq!(entries(&world.operator, &started).await?.len(), 1);
    world.end().await
}

#[tokio::test]
async fn what_was_refused_leaves_no_entry() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let before = entries(&world.operator, TRAIL).await?.len();
    for (path, body) in [
        ("/v1/redirect-uris", json!({ "uri": "http://shop.example/" })),
        ("/v1/authorizations", json!({ "component_appid": "wx0", "account_kind": "any" })),
        ("/v1/files", json!({ "name": "robots.txt", "content": "x" })),
        ("/v1/authorizers/wx0000000000000000/access-token", json!({})),
        ("/v1/authorizers/wx0000000000000000/quota/clear", json!({})),
    ] {
        let answer = tenant.post(path, &body).await?;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text);
    }
    tenant.delete("/v1/authorizers/wx0000000000000000").await?.expect(StatusCode::NOT_FOUND)?;
    world.operator.post("/admin/v1/tenants", &json!({ "name": "" })).await?;
    let secret = json!({ "connection": "secret", "appid": ORDERS, "appsecret": "wrong" });
    assert!(!tenant.post("/v1/authorizers", &secret).await?.status.is_success());
    let after = entries(&world.operator, TRAIL).await?;
    assert_eq!(after.len(), before, "{:?}", actions(&after));
    world.end().await
}

#[tokio::test]
async fn the_address_is_the_peers_own_unless_a_trusted_proxy_tells_another() -> Result<()> {
    let told = |world: &World, from: &'static str| {
        world.advance(Duration::seconds(1));
        let operator = world.operator.clone();
        async move {
            let request = operator.request(reqwest::Method::POST, "/admin/v1/tenants");
            let request = request.header("X-Forwarded-For", from).json(&json!({ "name": "x" }));
            Answer::read(request.send().await?).await?.expect(StatusCode::CREATED)?;
            let trail = operator.get(&format!("{TRAIL}?limit=1")).await?;
            trail.field("items.0.peer")
        }
    };
    let world = World::start().await?;
    assert_eq!(told(&world, "203.0.113.9").await?, "127.0.0.1", "anybody can write a header");
    world.end().await?;
    let set = [("LINGPAI_SERVER__TRUSTED_PROXIES", "127.0.0.1,198.51.100.0/24")];
    let world = World::start_set(EmulatorConfig::for_tests(), None, &set).await?;
    assert_eq!(told(&world, "203.0.113.9").await?, "203.0.113.9");
    assert_eq!(told(&world, "10.0.0.1, 203.0.113.9, 198.51.100.7").await?, "203.0.113.9");
    assert_eq!(told(&world, "203.0.113.9, 192.0.2.1").await?, "192.0.2.1");
    assert_eq!(told(&world, "2001:db8::1").await?, "2001:db8::1");
    world.end().await
}
