//! What tenants and operators keep here, from creating to removing it.

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    client::Client,
    house::{House, SHOP},
};

#[tokio::test]
async fn a_tenant_is_created_changed_and_looked_up() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    let new = json!({ "name": "Shops", "logo_url": "https://shop.example/l.png" });
    let created = operator.post("/tenants", &new).await.expected(201);
    let path = format!("/tenants/{}", created["id"].as_str().unwrap());
    assert_eq!(created.get("requests_per_second"), Some(&Value::Null));
    let change = json!({ "name": "Better Shops", "logo_url": null, "requests_per_second": 7 });
    let changed = operator.patch(&path, &change).await.expected(200);
    assert_eq!(changed["name"], "Better Shops");
    assert_eq!(changed.get("logo_url"), Some(&Value::Null));
    assert_eq!(changed["requests_per_second"], 7);
    assert_eq!(operator.get(&path).await, changed);
    assert_eq!(operator.acts(2).await, ["tenant.changed", "tenant.created"]);

    operator.patch(&path, &json!({ "name": "" })).await.refused_field("name");
    let bad = json!({ "logo_url": "http://shop.example/l.png" });
    operator.patch(&path, &bad).await.refused_field("logo_url");
    let nobody = "/tenants/tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    operator.patch(nobody, &json!({})).await.refused(404, "tenant_not_found");
    operator.call("GET", "/tenants/x", None).await.refused(404, "tenant_not_found");
}

#[tokio::test]
async fn a_key_is_created_narrowed_rotated_and_revoked() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    let keys = format!("/tenants/{}/api-keys", house.tenant_id);
    let new = json!({ "name": "ci", "scopes": ["usage:read"], "networks": ["192.0.2.0/24"] });
    let created = operator.post(&keys, &new).await.expected(201);
    let text = created["key"].as_str().unwrap().to_owned();
    let key = format!("{keys}/{}", created["id"].as_str().unwrap());
    let own = Client::tenant(&house).with_key(&text).get("/key").await;
    assert_eq!((&own["id"], &own["scopes"]), (&created["id"], &json!(["usage:read"])));
    assert_eq!(own["tenant"]["id"], house.tenant_id.to_string());
    assert_eq!(own["limits"]["concurrent_requests"], 128);

    let rotated =
        operator.post(&format!("{key}/rotate"), &json!({ "overlap_secs": 60 })).await.expected(200);
    let next = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!(rotated["id"], created["id"]);
    for counting in [&text, &next] {
        Client::tenant(&house).with_key(counting).get("/usage").await;
    }
    let change = json!({ "networks": ["198.51.100.1"], "requests_per_second": 5 });
    let changed = operator.patch(&key, &change).await.expected(200);
    assert_eq!(changed["networks"], json!(["198.51.100.1/32"]));
    assert!(changed["previous_until"].is_string() && changed.get("key").is_none());
    assert_eq!(operator.get(&key).await["requests_per_second"], 5);
    let elsewhere = Client::tenant(&house).with_key(&next).call("GET", "/usage", None).await;
    elsewhere.refused(403, "address_refused");

    for _ in 0..2 {
        operator.delete(&key).await.expected(204);
    }
    operator.patch(&key, &json!({ "networks": [] })).await.refused(404, "api_key_not_found");
    Client::tenant(&house)
        .with_key(&next)
        .call("GET", "/key", None)
        .await
        .refused(401, "unauthenticated");
    let acts = ["api_key.revoked", "api_key.changed", "api_key.rotated", "api_key.created"];
    assert_eq!(operator.acts(4).await, acts);
    operator
        .post(&keys, &json!({ "name": "x", "networks": ["10.0"] }))
        .await
        .refused_field("networks");
}

#[tokio::test]
async fn operators_come_and_go_and_the_last_one_stays() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    let created = operator.post("/operators", &json!({ "name": "night" })).await.expected(201);
    let second = created["key"].as_str().unwrap();
    let listed = operator.get("/operators").await;
    let ids: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), Some(ids[1])), (2, created["id"].as_str()));
    assert!(!listed.to_string().contains(second));
    let other = Client::operator(&house).with_key(second);
    other.delete(&format!("/operators/{}", ids[0])).await.expected(204);
    operator.call("GET", "/operators", None).await.refused(401, "unauthenticated");
    other.delete(&format!("/operators/{}", ids[1])).await.refused(409, "last_operator");
    let nobody = "/operators/opr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    other.delete(nobody).await.refused(404, "operator_not_found");
    other.delete("/operators/me").await.refused(404, "operator_not_found");
    assert_eq!(other.acts(2).await, ["operator.revoked", "operator.created"]);
}

#[tokio::test]
async fn a_file_belongs_to_who_uploaded_it() {
    let house = House::start().await;
    let (tenant, operator) = (Client::tenant(&house), Client::operator(&house));
    let file = json!({ "name": "MP_verify_a1.txt", "content": "a1" });
    let uploaded = tenant.post("/files", &file).await.expected(201);
    assert_eq!(uploaded["url"], "https://lingpai.example/MP_verify_a1.txt");
    assert_eq!(tenant.get("/files").await["items"], json!([uploaded]));
    operator.post("/files", &file).await.refused(409, "file_taken");
    assert_eq!(operator.get("/files").await["items"], json!([]));
    let foreign = house.foreign_key().await;
    let stranger = Client::tenant(&house).with_key(&foreign);
    stranger.delete("/files/MP_verify_a1.txt").await.refused(404, "file_not_found");
    stranger.delete("/files/..").await.refused(404, "file_not_found");
    tenant.delete("/files/MP_verify_a1.txt").await.expected(204);
    operator.post("/files", &file).await.expected(201);
    operator.delete("/files/MP_verify_a1.txt").await.expected(204);
    tenant
        .post("/files", &json!({ "name": "robots.txt", "content": "x" }))
        .await
        .refused_field("name");
    assert_eq!(tenant.acts(2).await, ["file.removed", "file.uploaded"]);
}

#[tokio::test]
async fn a_redirect_uri_is_registered_and_removed_letter_by_letter() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    let uri = "https://shop.example/done?x=1";
    tenant.post("/redirect-uris", &json!({ "uri": uri })).await.expected(201);
    let other = tenant.delete("/redirect-uris?uri=https%3A%2F%2Fshop.example%2Fdone").await;
    other.refused(404, "redirect_uri_not_found");
    let here = "/redirect-uris?uri=https%3A%2F%2Fshop.example%2Fdone%3Fx%3D1";
    tenant.delete(here).await.expected(204);
    tenant.delete(here).await.refused(404, "redirect_uri_not_found");
    for bad in ["/redirect-uris", "/redirect-uris?uri=", "/redirect-uris?uri=%00"] {
        tenant.delete(bad).await.refused_field("uri");
    }
}

#[tokio::test]
async fn an_account_is_found_by_every_filter_and_released() {
    let house = House::start().await;
    house.clock.advance(Duration::milliseconds(1));
    house.connect_shop().await;
    let (tenant, operator) = (Client::tenant(&house), Client::operator(&house));
    for (filter, found) in [
        ("", 1),
        ("?connection=secret&state=active", 1),
        ("?connection=component", 0),
        ("?kind=mini_program", 0),
        ("?name=%25", 0),
        ("?component_appid=wx1", 0),
    ] {
        let listed = tenant.get(&format!("/authorizers{filter}")).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), found, "{filter}");
    }
    for bad in ["?connection=x", "?kind=x", "?name=%00", "?component_appid=a%2Fb", "?limit=0"] {
        let answer = tenant.call("GET", &format!("/authorizers{bad}"), None).await;
        answer.refused(422, "invalid_field");
    }
    let all = operator.get(&format!("/authorizers?tenant_id={}", house.tenant_id)).await;
    let id = all["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(all["items"][0]["appid"], SHOP);
    for (filter, found) in [("?unclaimed=true", 0), ("?unclaimed=false", 1), ("?refused=true", 0)] {
        let listed = operator.get(&format!("/authorizers{filter}")).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), found, "{filter}");
    }
    let refused = operator.call("POST", &format!("/authorizers/{id}/refuse"), None).await;
    refused.refused(409, "authorizer_claimed");
    let profile = format!("/authorizers/{SHOP}/profile-refresh");
    tenant.call("POST", &profile, None).await.refused(409, "no_profile");

    tenant.delete(&format!("/authorizers/{SHOP}")).await.expected(204);
    let gone = format!("/authorizers/{SHOP}");
    tenant.call("GET", &gone, None).await.refused(404, "authorizer_not_found");
    tenant.delete(&gone).await.refused(404, "authorizer_not_found");
    let owner = json!({ "tenant_id": house.tenant_id.to_string() });
    let assigned = operator.post(&format!("/authorizers/{id}/assign"), &owner).await;
    assert_eq!(assigned.status, 409, "its secret is erased: {}", assigned.text);
    let nobody = "/authorizers/aut_01ARZ3NDEKTSV4RRFFQ69G5FAV/assign";
    operator.post(nobody, &owner).await.refused(404, "authorizer_not_found");
    let bad = json!({ "tenant_id": "x" });
    operator.post(&format!("/authorizers/{id}/assign"), &bad).await.refused_field("tenant_id");
    assert_eq!(tenant.acts(2).await, ["authorizer.released", "account.connected"]);
}

#[tokio::test]
async fn quotas_are_asked_and_cleared_and_calls_are_told() {
    let house = House::start().await;
    house.connect_shop().await;
    let tenant = Client::tenant(&house);
    let quota = format!("/authorizers/{SHOP}/quota");
    let figures = tenant.get(&format!("{quota}?path=/cgi-bin/user/get")).await;
    assert_eq!(figures["path"], "/cgi-bin/user/get");
    let number = |name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("{figures}"));
    assert_eq!(number("daily_limit"), number("used") + number("remain"));
    for bad in ["", "?path=cgi-bin", "?path=/a//b", "?path=%00", "?path=/../a", "?path=/a."] {
        tenant.call("GET", &format!("{quota}{bad}"), None).await.refused_field("path");
    }
    let cleared = tenant.call("POST", &format!("{quota}/clear"), None).await.expected(200);
    assert_eq!(cleared, json!({ "used_this_month": 1, "allowance": 10 }));
    let narrow = house.key_with(&[lingpai_model::api_key::Scope::WechatCall]).await;
    let narrow = Client::tenant(&house).with_key(&narrow);
    let refused = narrow.call("POST", &format!("{quota}/clear"), None).await;
    refused.refused(403, "scope_missing");

    let called = format!("/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    tenant.get(&called).await;
    house.services.ledger.flush().await.unwrap();
    for query in ["?granularity=hour", "", "?from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z"] {
        let usage = tenant.get(&format!("/usage{query}")).await;
        let figure = &usage["items"][0];
        assert_eq!(figure["authorizer_appid"], SHOP, "{query}: {usage}");
        assert_eq!((&figure["path"], &figure["calls"]), (&json!("/cgi-bin/user/get"), &json!(1)));
    }
    let none = tenant.get("/usage?authorizer_appid=wx1").await;
    assert_eq!(none["items"], json!([]));
    tenant.call("GET", "/usage?from=yesterday", None).await.refused_field("from");
    for (query, field) in
        [("key_id=key_1", "key_id"), ("authorizer_appid=wx/1", "authorizer_appid")]
    {
        tenant.call("GET", &format!("/usage?{query}"), None).await.refused_field(field);
    }
}

#[tokio::test]
async fn the_trail_of_all_is_narrowed_by_who_and_what() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    let own = operator.get(&format!("/audit?tenant_id={}", house.tenant_id)).await;
    let items = own["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{own}");
    let actor = items[0]["actor"]["id"].as_str().unwrap();
    let by = operator.get(&format!("/audit?actor={actor}&action=tenant.created")).await;
    assert_eq!(by["items"].as_array().unwrap().len(), 1);
    let page = operator.get("/audit?limit=1").await;
    let rest = operator.get(&format!("/audit?cursor={}", page["next"].as_str().unwrap())).await;
    assert_ne!(page["items"][0]["id"], rest["items"][0]["id"]);
    for (query, field) in
        [("actor=root", "actor"), ("action=x", "action"), ("tenant_id=x", "tenant_id")]
    {
        operator.call("GET", &format!("/audit?{query}"), None).await.refused_field(field);
    }
    let told = Client::tenant(&house).get("/audit").await;
    assert_eq!(told["items"][0]["actor"], json!({ "kind": "operator", "id": null }));
}

#[tokio::test]
async fn a_component_is_changed_without_telling_a_secret_and_the_whole_is_looked_at() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    let new = json!({
        "appid": "wx1f0e2d3c4b5a6978",
        "name": "Services",
        "appsecret": "canary-secret",
        "push_token": "canary-token",
        "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    });
    operator.post("/components", &new).await.expected(201);
    let path = "/components/wx1f0e2d3c4b5a6978";
    let change = json!({ "name": "Better Services", "push_token": "canary-token-2" });
    let changed = operator.patch(path, &change).await.expected(200);
    assert_eq!(changed["name"], "Better Services");
    assert!(changed["previous_push_token_until"].is_string());
    assert!(!changed.to_string().contains("canary"), "{changed}");
    operator.patch("/components/wx1", &change).await.refused(404, "component_not_found");
    operator
        .patch(path, &json!({ "encoding_aes_key": "a" }))
        .await
        .refused_field("encoding_aes_key");
    assert_eq!(operator.acts(2).await, ["component.changed", "component.registered"]);
    let quota = operator.call("GET", &format!("{path}/quota?path=/cgi-bin/a"), None).await;
    quota.refused(503, "ticket_missing");

    house.connect_shop().await;
    let health = operator.get("/health").await;
    assert_eq!(health["authorizers"]["active"], 1);
    assert_eq!((&health["state"], &health["overdue_tokens"]), (&json!("good"), &json!(0)));
    assert_eq!(health["components"][0].get("ticket_received_at"), Some(&Value::Null));
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
}
