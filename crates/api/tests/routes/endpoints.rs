//! Endpoints and what goes to them, from creating to removing.

use serde_json::{Value, json};

use crate::{
    client::Client,
    house::{House, SHOP},
    pushes::text,
};

/// A handler of WeChat's pushes whose replies count.
fn handler(authorizers: &Value) -> Value {
    json!({
        "kind": "wechat", "url": "https://shop.example/wx", "token": "canary42",
        "encoding_aes_key": "a".repeat(43), "mode": "secure", "replying": true,
        "authorizers": authorizers,
    })
}

fn webhook(url: &str) -> Value {
    json!({ "kind": "webhook", "url": url, "name": "backend", "event_types": ["message.*"] })
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_endpoint_is_created_changed_paused_and_removed() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    let created = tenant.post("/endpoints", &webhook("https://shop.example/")).await.expected(201);
    let secret = created["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("/endpoints/{}", created["id"].as_str().unwrap());
    let listed = items(&tenant.get("/endpoints").await);
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &created["id"]));
    assert!(!listed[0].to_string().contains(&secret), "the secret is told once");
    assert_eq!(tenant.get(&path).await["event_types"], json!(["message.*"]));

    let change = json!({ "paused": true, "event_types": [], "url": "https://shop.example/b" });
    let changed = tenant.patch(&path, &change).await.expected(200);
    assert_eq!((&changed["state"], &changed["event_types"]), (&json!("paused"), &json!([])));
    assert_eq!((&changed["name"], &changed["url"]), (&json!("backend"), &change["url"]));
    let resumed = tenant.patch(&path, &json!({ "paused": false })).await.expected(200);
    assert_eq!(resumed["state"], "active");
    let rotated = tenant.post(&format!("{path}/secret"), &json!({ "overlap_secs": 60 })).await;
    let rotated = rotated.expected(200);
    assert_eq!(rotated["id"], created["id"]);
    assert_ne!(rotated["secret"], created["secret"]);
    assert!(tenant.get(&path).await["previous_secret_until"].is_string());
    tenant.patch(&path, &json!({ "token": "abc" })).await.refused_field("token");
    let acts =
        ["endpoint.secret_rotated", "endpoint.changed", "endpoint.changed", "endpoint.created"];
    assert_eq!(tenant.acts(4).await, acts);

    tenant.delete(&path).await.expected(204);
    tenant.delete(&path).await.refused(404, "endpoint_not_found");
    tenant.call("GET", "/endpoints/x", None).await.refused(404, "endpoint_not_found");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_refused_and_nothing_of_it_is_repeated() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    for url in ["http://10.0.0.1/", "https://canary@shop.example/", "ftp://shop.example/", "x"] {
        let refused = tenant.post("/endpoints", &webhook(url)).await;
        refused.refused(422, "endpoint_url_refused");
        assert_eq!(refused.json()["field"], "url");
        assert!(!refused.text.contains("canary"), "{}", refused.text);
    }
    for (field, value) in [
        ("token", json!("x")),
        ("encoding_aes_key", json!("!".repeat(43))),
        ("kind", json!("email")),
        ("mode", json!("open")),
    ] {
        let mut body = handler(&json!([]));
        body[field] = value;
        let refused = tenant.post("/endpoints", &body).await;
        refused.refused_field(field);
        assert!(!refused.text.contains("canary"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_test_tells_how_it_went_and_leaves_nothing_behind() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    // Nobody listens there.
    let created = tenant.post("/endpoints", &webhook("http://127.0.0.1:9/")).await.expected(201);
    let path = format!("/endpoints/{}", created["id"].as_str().unwrap());
    let outcome = tenant.call("POST", &format!("{path}/test"), None).await.expected(200);
    assert_eq!((&outcome["delivered"], outcome.get("status")), (&json!(false), Some(&Value::Null)));
    assert!(outcome["failure"].is_string(), "{outcome}");
    assert_eq!(items(&tenant.get("/deliveries").await), Vec::<Value>::new());
    assert_eq!(tenant.get(&path).await["health"]["failures_in_row"], 0);
    assert_eq!(tenant.acts(1).await, ["endpoint.tested"]);
}

#[tokio::test]
async fn one_endpoint_of_an_account_replies() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    let first = tenant.post("/endpoints", &handler(&json!(["wx1", "wx2"]))).await.expected(201);
    assert_eq!((first.get("secret"), &first["replying"]), (None, &json!(true)));
    assert!(!first.to_string().contains("canary"), "{first}");
    let second = tenant.post("/endpoints", &handler(&json!(["wx2"]))).await;
    second.refused(409, "replying_taken");
    assert!(second.text.contains(first["id"].as_str().unwrap()), "{}", second.text);
    tenant.post("/endpoints", &handler(&json!(["wx3"]))).await.expected(201);
    let path = format!("/endpoints/{}", first["id"].as_str().unwrap());
    let late = json!({ "late_reply": "customer_service" });
    let changed = tenant.patch(&path, &late).await.expected(200);
    assert_eq!(changed["late_reply"], "customer_service");
}

#[tokio::test]
async fn another_tenants_endpoint_is_not_there() {
    let house = House::start().await;
    let tenant = Client::tenant(&house);
    let created = tenant.post("/endpoints", &webhook("https://shop.example/")).await.expected(201);
    let path = format!("/endpoints/{}", created["id"].as_str().unwrap());
    let foreign = house.foreign_key().await;
    let stranger = Client::tenant(&house).with_key(&foreign);
    let absent = "/endpoints/end_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (method, end, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({}))),
        ("DELETE", "", None),
        ("POST", "/secret", Some(json!({}))),
        ("POST", "/test", None),
    ] {
        let theirs = stranger.call(method, &format!("{path}{end}"), body.as_ref()).await;
        theirs.refused(404, "endpoint_not_found");
        let nobodys = stranger.call(method, &format!("{absent}{end}"), body.as_ref()).await;
        assert_eq!(theirs.json()["detail"], nobodys.json()["detail"]);
    }
    assert_eq!(items(&stranger.get("/endpoints").await), Vec::<Value>::new());
    assert_eq!(tenant.get(&path).await["id"], created["id"]);
}

#[tokio::test]
async fn deliveries_are_listed_looked_up_and_made_again() {
    let house = House::start().await;
    house.connect_shop().await;
    let tenant = Client::tenant(&house);
    let endpoint = tenant.post("/endpoints", &webhook("https://shop.example/")).await.expected(201);
    let endpoint = endpoint["id"].as_str().unwrap();
    house.told(&text(1, "hello")).await;
    let event = items(&tenant.get("/events?type=message.text").await).remove(0);
    let event = event["id"].as_str().unwrap();

    let all = items(&tenant.get("/deliveries").await);
    assert_eq!(all.len(), 1, "{all:?}");
    let delivery = &all[0];
    assert_eq!((&delivery["event_id"], &delivery["state"]), (&json!(event), &json!("pending")));
    let path = format!("/deliveries/{}", delivery["id"].as_str().unwrap());
    let one = tenant.get(&path).await;
    assert_eq!((&one["attempts"], &one["attempt_count"]), (&json!([]), &json!(0)));
    for (filter, found) in [
        (format!("?event_id={event}"), 1),
        (format!("?endpoint_id={endpoint}&state=pending"), 1),
        ("?state=dead".to_owned(), 0),
        ("?endpoint_id=end_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), 0),
    ] {
        let listed = items(&tenant.get(&format!("/deliveries{filter}")).await);
        assert_eq!(listed.len(), found, "{filter}");
    }
    for (query, field) in [("event_id=x", "event_id"), ("endpoint_id=x", "endpoint_id")] {
        tenant.call("GET", &format!("/deliveries?{query}"), None).await.refused_field(field);
    }

    let to = json!({ "endpoint_id": endpoint });
    let replayed = tenant.post(&format!("/events/{event}/replay"), &to).await.expected(201);
    assert_eq!(replayed, json!({ "deliveries": 1, "next": null }));
    tenant.call("POST", &format!("{path}/replay"), None).await.expected(201);
    let range = json!({ "from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z" });
    tenant.post("/events/replay", &range).await.expected(201);
    let all = items(&tenant.get("/deliveries").await);
    assert_eq!((all.len(), &all[0]["cause"]), (4, &json!("replay")));
    tenant.post("/events/replay", &json!({ "from": range["from"] })).await.refused_field("to");
    tenant.post("/events/x/replay", &json!({})).await.refused(404, "event_not_found");
    let replay = format!("/events/{event}/replay");
    tenant
        .post(&replay, &json!({ "endpoint_id": "x".repeat(30) }))
        .await
        .refused_field("endpoint_id");
    let absent = json!({ "endpoint_id": "end_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    tenant.post(&replay, &absent).await.refused(404, "endpoint_not_found");
}

#[tokio::test]
async fn a_dead_delivery_is_shown_to_operators_and_replayed_by_them() {
    let house = House::start().await;
    house.connect_shop().await;
    let (tenant, operator) = (Client::tenant(&house), Client::operator(&house));
    let endpoint = tenant.post("/endpoints", &webhook("https://shop.example/")).await.expected(201);
    house.told(&text(1, "hello")).await;
    let live = items(&tenant.get("/deliveries").await).remove(0);
    let none = operator.get("/deliveries").await;
    assert_eq!(items(&none), Vec::<Value>::new());
    tenant.delete(&format!("/endpoints/{}", endpoint["id"].as_str().unwrap())).await.expected(204);

    let own = operator.get(&format!("/deliveries?tenant_id={}", house.tenant_id)).await;
    let dead = items(&own);
    assert_eq!((dead.len(), &dead[0]["id"]), (1, &live["id"]));
    assert_eq!(dead[0]["dead_reason"], "endpoint_removed");
    assert_eq!(dead[0]["tenant_id"], house.tenant_id.to_string());
    let other = operator.get("/deliveries?tenant_id=tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV").await;
    assert_eq!(items(&other), Vec::<Value>::new());
    operator.call("GET", "/deliveries?tenant_id=x", None).await.refused_field("tenant_id");
    let replay = format!("/deliveries/{}/replay", live["id"].as_str().unwrap());
    operator.call("POST", &replay, None).await.refused(404, "endpoint_not_found");
    operator.call("POST", "/deliveries/x/replay", None).await.refused(404, "delivery_not_found");
    let health = operator.get("/health").await;
    assert_eq!(health["deliveries"], json!({ "pending": 0, "dead": 1 }));
}

#[tokio::test]
async fn what_an_account_answers_by_itself_is_set_looked_up_and_removed() {
    let house = House::start().await;
    house.connect_shop().await;
    let tenant = Client::tenant(&house);
    let path = format!("/authorizers/{SHOP}/auto-replies");
    assert_eq!(tenant.get(&path).await, json!({ "rules": [] }));
    let reply = json!({ "type": "text", "content": "from nine\nto five" });
    let rules = json!({ "rules": [{ "on": "keyword", "words": ["hours"], "reply": reply }] });
    assert_eq!(tenant.call("PUT", &path, Some(&rules)).await.expected(200), rules);
    assert_eq!(tenant.get(&path).await, rules);
    let answered = house.push(&text(1, " hours ")).await;
    assert_eq!((answered.status, answered.header("content-type")), (200, Some("application/xml")));
    assert!(answered.text.contains("<Encrypt>") && !answered.text.contains("from nine"));
    house.told(&text(2, "anything else")).await;

    let news = json!({ "type": "news", "articles": [] });
    let bad = json!({ "rules": [{ "on": "any_message", "reply": news }] });
    let refused = tenant.call("PUT", &path, Some(&bad)).await;
    refused.refused_field("rules[0].reply.articles");
    let long = json!({ "type": "text", "content": "长".repeat(1_000) });
    let bad = json!({ "rules": [{ "on": "any_message", "reply": long }] });
    tenant.call("PUT", &path, Some(&bad)).await.refused(422, "reply_refused");
    let blank = json!({ "rules": [{ "on": "keyword", "words": [" a"], "reply": reply }] });
    tenant.call("PUT", &path, Some(&blank)).await.refused_field("rules");
    let foreign = house.foreign_key().await;
    let stranger = Client::tenant(&house).with_key(&foreign);
    for (method, body) in [("GET", None), ("PUT", Some(&rules)), ("DELETE", None)] {
        stranger.call(method, &path, body).await.refused(404, "authorizer_not_found");
    }
    tenant.delete(&path).await.expected(204);
    assert_eq!(tenant.get(&path).await, json!({ "rules": [] }));
    assert_eq!(tenant.acts(2).await, ["auto_replies.changed", "auto_replies.changed"]);
}
