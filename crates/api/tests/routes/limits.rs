//! What a tenant may ask holds on every surface alike.

use std::num::NonZeroU32;

use futures_util::poll;
use lingpai_model::api_key::Scope;
use lingpai_storage::testing::TestDb;
use lingpai_tenant::LimitDefaults;
use poem::http::Request;
use serde_json::json;

use crate::house::{Answer, House};

const URIS: &str = "/v1/redirect-uris";

#[tokio::test]
async fn requests_of_api_proxy_and_gateway_are_counted_together() {
    let limits = LimitDefaults { requests_per_second: NonZeroU32::new(2), ..House::limits() };
    let house = House::with(limits).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let list = house.get("/v1/authorizers", Some(&house.key)).await;
        if list.status == 429 {
            codes.push(list.code());
            assert!(list.header("retry-after").is_some());
        }
        let proxied = house.get("/v1/authorizers/wx1/proxy/a", Some(&house.key)).await;
        if proxied.status == 429 {
            codes.push(proxied.code());
        }
    }
    assert!(codes.len() >= 2, "of eight at once four or so are answered: {codes:?}");
    assert!(codes.iter().all(|code| code == "rate_limited"), "{codes:?}");
    let query = format!("grant_type=client_credential&appid=wx1&secret={}", house.key);
    let token = house.get(&format!("/gateway/cgi-bin/token?{query}"), None).await;
    assert_eq!((token.status, token.errcode()), (200, 45011), "{}", token.text);
    assert!(token.header("retry-after").is_some());
    let operator = house.get("/admin/v1/tenants", Some(&house.operator_key)).await;
    assert_eq!(operator.status, 200, "operators are not held up by tenants");
    assert!(operator.header("ratelimit").is_none());
}

/// Sends what may change something with `key`, and gives the answer.
async fn change(house: &House, (method, path): (&str, &str), key: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json");
    house.send(request, r#"{"uri":"https://shop.example/back"}"#).await
}

#[tokio::test]
async fn what_changes_something_is_counted_apart_and_refused_before_it_does() {
    let [create, remove] =
        [("POST", URIS), ("DELETE", "/v1/redirect-uris?uri=https://shop.example/back")];
    let two = NonZeroU32::new(2).expect("2 is not 0");
    let house = House::with(LimitDefaults { changes_per_minute: two, ..House::limits() }).await;
    assert_eq!(change(&house, create, &house.key).await.status, 201);
    assert_eq!(change(&house, remove, &house.key).await.status, 204);
    for request in [create, remove, ("PATCH", URIS), ("PUT", "/v1/nothing")] {
        let refused = change(&house, request, &house.key).await;
        assert_eq!((refused.status, refused.code()), (429, "rate_limited".to_owned()));
        assert_eq!(refused.header("retry-after"), Some("30"), "{request:?}");
    }
    let sibling = house.key_with(&[Scope::AuthorizerWrite]).await;
    assert_eq!(change(&house, create, &sibling).await.status, 429, "of all its keys together");

    let kept = house.get(URIS, Some(&house.key)).await;
    assert_eq!((kept.status, &kept.json()["items"]), (200, &json!([])), "nothing was written");
    let entries = house.get("/v1/audit", Some(&house.key)).await.json();
    let changes = entries["items"].as_array().expect("a list").iter();
    let changes = changes.filter(|it| it["action"].as_str().expect("text").contains("redirect"));
    assert_eq!(changes.count(), 2);
    for elsewhere in ["/v1/authorizers/wx1/proxy/a", "/gateway/a?access_token=t"] {
        let passed = change(&house, ("POST", elsewhere), &house.key).await;
        assert_ne!(passed.status, 429, "{elsewhere}: {}", passed.text);
    }
    let other = house.foreign_key().await;
    assert_eq!(change(&house, create, &other).await.status, 201, "another tenant has its own");
}

#[tokio::test]
async fn keys_of_tenants_that_wait_for_the_database_hold_up_no_operator() {
    let (mut house, elsewhere) = (House::start().await, TestDb::sqlite().await);
    house.keys_in(&elsewhere.db);
    let mut waiting = Vec::new();
    while waiting.len() < 100 {
        let mut asked = Box::pin(house.get("/v1/key", Some(&house.key)));
        // Begun and left alone: it keeps what it has got.
        if poll!(&mut asked).is_pending() {
            waiting.push(asked);
        }
    }
    let operator = house.get("/admin/v1/tenants", Some(&house.operator_key)).await;
    assert_eq!(operator.status, 200, "{}", operator.text);
}
