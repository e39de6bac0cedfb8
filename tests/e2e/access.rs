//! Who may do what: the access matrix over every operation of both documents.

use anyhow::{Context as _, Result};
use lingpai_tests::{
    people::{Answer, http_client},
    world::{SHOP, World},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

struct Operation {
    method: Method,
    path: String,
    body: Option<Value>,
}

/// Every operation of a document, with parameters that name something of nobody's.
async fn operations(world: &World, document: &str) -> Result<Vec<Operation>> {
    let url = world.base.join(&format!("openapi/{document}.json"))?;
    let document = Answer::read(http_client().get(url).send().await?).await?.json;
    let server = document["servers"][0]["url"].as_str().context("the document names its base")?;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().context("the document has paths")? {
        for (method, operation) in methods.as_object().context("a path has methods")? {
            let mut path = format!("{server}{path}");
            for (name, value) in [
                ("{appid}", SHOP),
                ("{id}", "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                ("{tenant_id}", "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                ("{key_id}", "key_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                ("{authorization_id}", "atn_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                ("{path}", "cgi-bin/user/get"),
            ] {
                path = path.replace(name, value);
            }
            anyhow::ensure!(!path.contains('{'), "the matrix has no value for {path}");
            let has_body = operation.get("requestBody").is_some();
            let body = has_body.then(|| json!({}));
            operations.push(Operation { method: method.to_uppercase().parse()?, path, body });
        }
    }
    Ok(operations)
}

async fn call(world: &World, operation: &Operation, key: Option<&str>) -> Result<Answer> {
    let url = format!("{}{}", world.base.as_str().trim_end_matches('/'), operation.path);
    let mut request = http_client().request(operation.method.clone(), url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = &operation.body {
        request = request.json(body);
    }
    Answer::read(request.send().await?).await
}

#[tokio::test]
async fn every_operation_refuses_every_key_but_the_right_one() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let revoked = revoked_key(&world).await?;
    for (document, wrong_key) in [("tenant", world.operator.key()), ("admin", tenant.key())] {
        let operations = operations(&world, document).await?;
        assert!(!operations.is_empty());
        for operation in &operations {
            let keys = [None, Some("lpk_made_up"), Some(wrong_key), Some(revoked.as_str())];
            for key in keys {
                let answer = call(&world, operation, key).await?;
                let what = format!("{} {}: {}", operation.method, operation.path, answer.text);
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
                assert_eq!(answer.field("code")?, "unauthenticated", "{what}");
                assert_eq!(answer.json["errcode"], 7_900_001, "{what}");
            }
        }
    }
    world.end().await
}

async fn revoked_key(world: &World) -> Result<String> {
    let (tenant_id, tenant) = world.operator.create_tenant("过去的").await?;
    tenant.get("/v1/authorizers").await?.expect(StatusCode::OK)?;
    let keys = format!("/admin/v1/tenants/{tenant_id}/api-keys");
    let listed = world.operator.get(&keys).await?.expect(StatusCode::OK)?;
    let id = listed.json["items"][0]["id"].as_str().context("the key is listed")?.to_owned();
    assert!(!listed.text.contains(tenant.key()), "a key is shown once");
    for _ in 0..2 {
        // A key that has ended stays ended; saying so again is no error.
        world.operator.delete(&format!("{keys}/{id}")).await?.expect(StatusCode::NO_CONTENT)?;
    }
    Ok(tenant.key().to_owned())
}

#[tokio::test]
async fn a_key_without_the_scope_is_told_which_one_is_missing() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (tenant_id, _) = world.operator.create_tenant("小店").await?;
    let keys = format!("/admin/v1/tenants/{tenant_id}/api-keys");
    // A scope that opens none of the operations of today.
    let narrow = json!({ "name": "narrow", "scopes": ["event:read"] });
    let narrow = world.operator.post(&keys, &narrow).await?.expect(StatusCode::CREATED)?;
    let narrow = narrow.field("key")?;
    for operation in operations(&world, "tenant").await? {
        let answer = call(&world, &operation, Some(&narrow)).await?;
        let what = format!("{} {}: {}", operation.method, operation.path, answer.text);
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        assert_eq!(answer.field("code")?, "scope_missing", "{what}");
    }
    let proxied = format!("/v1/authorizers/{SHOP}/proxy/cgi-bin/user/get");
    let operation = Operation { method: Method::GET, path: proxied, body: None };
    let answer = call(&world, &operation, Some(&narrow)).await?;
    assert_eq!(answer.field("code")?, "scope_missing");
    assert_eq!(call(&world, &operation, None).await?.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&world, &operation, Some(tenant.key())).await?.status, StatusCode::OK);

    let unknown = json!({ "name": "x", "scopes": ["everything"] });
    let refused = world.operator.post(&keys, &unknown).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    world.end().await
}

#[tokio::test]
async fn somebody_elses_things_answer_like_missing_ones() -> Result<()> {
    let (world, owner) = World::with_authorizer().await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let list = owner.get("/v1/authorizations").await?.expect(StatusCode::OK)?;
    let id = list.json["items"][0]["id"].as_str().context("one authorization")?.to_owned();
    for (theirs, nobodys) in [
        (format!("/v1/authorizations/{id}"), "/v1/authorizations/atn_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (format!("/v1/authorizers/{SHOP}"), "/v1/authorizers/wx0000000000000000"),
    ] {
        let foreign = stranger.get(&theirs).await?.expect(StatusCode::NOT_FOUND)?;
        let absent = stranger.get(nobodys).await?.expect(StatusCode::NOT_FOUND)?;
        let same_but_for_the_name = |answer: &Answer, path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            let mut body = answer.json.clone();
            body["request_id"].take();
            body.to_string().replace(&name, "…")
        };
        assert_eq!(
            same_but_for_the_name(&foreign, &theirs),
            same_but_for_the_name(&absent, nobodys)
        );
    }
    let token_of = |appid: &str| format!("/v1/authorizers/{appid}/access-token");
    let (foreign, absent) = (token_of(SHOP), token_of("wx0000000000000000"));
    for (foreign, absent) in [
        (stranger.get(&foreign).await?, stranger.get(&absent).await?),
        (stranger.post(&foreign, &json!({})).await?, stranger.post(&absent, &json!({})).await?),
    ] {
        assert_eq!((foreign.status, absent.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
        assert_eq!(foreign.field("detail")?, absent.field("detail")?);
    }
    for path in ["/v1/authorizers", "/v1/authorizations", "/v1/redirect-uris"] {
        let seen = stranger.get(path).await?.expect(StatusCode::OK)?;
        assert_eq!(seen.json["items"], json!([]), "{path}");
    }
    world.end().await
}

#[tokio::test]
async fn nonsense_gets_a_problem_and_never_a_5xx() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for operation in operations(&world, "tenant").await? {
        let bodies = [json!([]), json!({"x": 1}), json!({"component_appid": 7}), json!(null)];
        for body in bodies {
            let operation = Operation { body: Some(body), ..clone(&operation) };
            let answer = call(&world, &operation, Some(tenant.key())).await?;
            assert!(answer.status.as_u16() < 500, "{}: {}", operation.path, answer.text);
        }
    }
    for path in
        ["/v1/authorizers?limit=0", "/v1/authorizers?limit=101", "/v1/authorizers?cursor=%25"]
    {
        let answer = tenant.get(path).await?;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text);
        assert!(answer.field("code").is_ok(), "{path}: {}", answer.text);
    }
    for path in ["/", "/v1/nothing", "/admin", "/favicon.ico", "/v1"] {
        let answer = tenant.get(path).await?.expect(StatusCode::NOT_FOUND)?;
        assert_eq!(answer.field("code")?, "route_not_found", "{path}");
    }
    world.end().await
}

fn clone(operation: &Operation) -> Operation {
    let Operation { method, path, body } = operation;
    Operation { method: method.clone(), path: path.clone(), body: body.clone() }
}
