//! What is served where, and what is not.

use lingpai_model::file::{FileContent, FileName};
use poem::http::Request;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn what_is_not_served_is_a_problem_whoever_asks() {
    let house = House::start().await;
    for path in [
        "/",
        "/nothing",
        "/a.txt",
        "/robots.txt",
        "/favicon.ico",
        "/v1",
        "/v1/nothing",
        "/v1/authorizers/wx1/nothing",
        "/admin/v1/nothing",
        "/admin",
        "/gateway",
        "/openapi/x.json",
    ] {
        for key in [None, Some(house.key.as_str()), Some(house.operator_key.as_str())] {
            let answer = house.get(path, key).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{path}");
        }
    }
    for (method, path) in [("POST", "/a.txt"), ("DELETE", "/nothing")] {
        let answer = house.send(Request::builder().method(method).uri(path), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_verification_file_is_served_at_the_root_as_plain_text() {
    let house = House::start().await;
    let caller =
        house.services.api_keys.authenticate(&house.key, Default::default()).await.unwrap();
    let name = FileName::parse("MP_verify_a1B2.txt").unwrap();
    let content = FileContent::parse("a1B2c3").unwrap();
    house.services.files.upload(&caller, name, content).await.unwrap();
    let answer = house.get("/MP_verify_a1B2.txt", None).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "a1B2c3"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let head = Request::builder().method("HEAD").uri("/MP_verify_a1B2.txt");
    assert_eq!(house.send(head, "").await.status, 200);
    for other in ["/mp_verify_a1b2.txt", "/MP_verify_a1B2%2Etxt", "/v1/MP_verify_a1B2.txt"] {
        assert_eq!(house.get(other, None).await.status, 404, "{other}");
    }
}

#[tokio::test]
async fn the_doors_of_the_two_apis_do_not_open_to_each_others_keys() {
    let house = House::start().await;
    for (path, good, bad) in [
        ("/v1/authorizers", &house.key, &house.operator_key),
        ("/admin/v1/tenants", &house.operator_key, &house.key),
    ] {
        assert_eq!(house.get(path, Some(good)).await.status, 200, "{path}");
        for key in [None, Some(bad.as_str()), Some("lpk_x")] {
            let answer = house.get(path, key).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{path}");
        }
    }
    let proxied = house.get("/v1/authorizers/wx1/proxy/cgi-bin/user/get", None).await;
    assert_eq!(proxied.code(), "unauthenticated");
}

#[tokio::test]
async fn lists_and_documents_are_not_sent_to_who_has_them() {
    let house = House::start().await;
    for (path, key) in [
        ("/v1/authorizers", Some(house.key.as_str())),
        ("/admin/v1/tenants", Some(house.operator_key.as_str())),
        ("/openapi/tenant.json", None),
        ("/openapi/admin.json", None),
    ] {
        let answer = house.get(path, key).await;
        let tag = answer.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
        let mut again = Request::builder().uri(path).header("if-none-match", tag);
        if let Some(key) = key {
            again = again.header("authorization", format!("Bearer {key}"));
        }
        let again = house.send(again, "").await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test]
async fn a_creating_call_is_made_once_on_both_apis() {
    let house = House::start().await;
    let send = |path: &'static str, key: &str, once: &str, body: serde_json::Value| {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("idempotency-key", once);
        let body = body.to_string();
        let house = &house;
        async move { house.send(request, &body).await }
    };
    let new = || json!({ "name": "花店" });
    let first = send("/admin/v1/tenants", &house.operator_key, "k1", new()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = send("/admin/v1/tenants", &house.operator_key, "k1", new()).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    let uri = || json!({ "uri": "https://shop.example/done" });
    let first = send("/v1/redirect-uris", &house.key, "k1", uri()).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    let elsewhere = send("/v1/files", &house.key, "k1", uri()).await;
    assert_eq!(elsewhere.code(), "idempotency_mismatch", "the path is part of a request");
    let foreign = house.foreign_key().await;
    let theirs = send("/v1/redirect-uris", &foreign, "k1", uri()).await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (201, None));
}

#[tokio::test]
async fn a_hint_of_wechats_own_is_not_ours() {
    let house = House::start().await;
    house.connect_shop().await;
    let answer = house
        .get("/v1/authorizers/wxa0b1c2d3e4f50617/proxy/cgi-bin/user/get", Some(&house.key))
        .await;
    assert_eq!((answer.status, answer.header("lingpai-hint")), (200, None));
    assert!(answer.header("ratelimit-policy").is_some());
}
