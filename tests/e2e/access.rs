//! Who may do what: the access matrix over every operation of both documents.

mod ground;
mod row;
mod rows;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use lingpai_tests::{people::Answer, world::World};
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::{
    ground::{Ground, Names},
    row::{Operation, Row},
    rows::{ADMIN, TENANT},
};

/// Both documents with their rows.
const DOCUMENTS: [(&str, &[Row]); 2] = [("tenant", TENANT), ("admin", ADMIN)];

/// Each row of a document with its operation, in the order of the rows.
async fn matrix(
    world: &World,
    (document, rows): (&str, &'static [Row]),
) -> Result<Vec<(&'static Row, Operation)>> {
    let mut operations = Operation::all_of(world, document).await?;
    let mut matrix = Vec::new();
    for row in rows {
        let at = operations.iter().position(|operation| operation.id == row.operation);
        let at = at.with_context(|| format!("{document}: {} is not served", row.operation))?;
        matrix.push((row, operations.swap_remove(at)));
    }
    Ok(matrix)
}

#[tokio::test]
async fn every_operation_has_its_row_and_every_row_its_operation() -> Result<()> {
    let world = World::start().await?;
    let names = Names::of_nobody();
    for (document, rows) in DOCUMENTS {
        let operations = Operation::all_of(&world, document).await?;
        let served: BTreeSet<&str> = operations.iter().map(|it| it.id.as_str()).collect();
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
        assert_eq!(served.len(), operations.len(), "{document}: an operationId is there twice");
        assert_eq!(listed.len(), rows.len(), "{document}: a row is there twice");
        let missing: Vec<_> = served.difference(&listed).collect();
        assert!(missing.is_empty(), "{document}: add rows to access/rows.rs for {missing:?}");
        let stale: Vec<_> = listed.difference(&served).collect();
        assert!(stale.is_empty(), "{document}: take the rows of {stale:?} out of access/rows.rs");
        for (row, operation) in matrix(&world, (document, rows)).await? {
            let at = (row.at)(&names);
            let name = row.operation;
            assert!(operation.fits(&at), "{name}: {at} is no {}", operation.template);
            if let Some(scope) = row.scope {
                let told = format!("`{scope}`");
                assert!(operation.description.contains(&told), "{name} does not say {told}");
            }
            if let Some(object) = row.object {
                assert!(at.contains(object(&names)), "{name}: its object is not in {at}");
            }
        }
    }
    world.end().await
}

fn assert_refused(answer: &Answer, (status, code): (StatusCode, &str), what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert_eq!(answer.json["code"], code, "{what}: {}", answer.text);
    let named = answer.json["request_id"].as_str().unwrap_or_default();
    let header = answer.headers.get("lingpai-request-id").and_then(|it| it.to_str().ok());
    assert_eq!(header, Some(named), "{what}");
}

const UNAUTHENTICATED: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, "unauthenticated");
const SCOPE_MISSING: (StatusCode, &str) = (StatusCode::FORBIDDEN, "scope_missing");
const ADDRESS_REFUSED: (StatusCode, &str) = (StatusCode::FORBIDDEN, "address_refused");

/// Whatever was refused before has changed nothing: with the right key each operation succeeds
/// afterwards.
#[tokio::test]
async fn every_operation_of_the_tenant_api_takes_the_right_key_and_no_other() -> Result<()> {
    let mut ground = Ground::prepare().await?;
    let mut wrong = ground.dead_keys().await?;
    ground.hear_again().await?;
    let surroundings = (&ground.http, &ground.world);
    wrong.push(("an operator's key", ground.world.operator.key().to_owned()));
    let elsewhere = json!({ "name": "elsewhere", "networks": ["203.0.113.0/24", "2001:db8::/32"] });
    let (_, elsewhere) = ground.world.operator.create_key(&ground.names.tenant, &elsewhere).await?;
    let matrix = matrix(&ground.world, ("tenant", TENANT)).await?;
    for (row, operation) in &matrix {
        let call = async |key| operation.call(surroundings, row, &ground.names, key).await;
        let name = row.operation;
        assert_refused(&call(None).await?, UNAUTHENTICATED, &format!("{name} without a key"));
        for (what, key) in &wrong {
            let answer = call(Some(key)).await?;
            assert_refused(&answer, UNAUTHENTICATED, &format!("{name} with {what}"));
            assert_eq!(answer.json["errcode"], 7_900_001, "{name} with {what}");
        }
        let answer = call(Some(elsewhere.key())).await?;
        assert_refused(&answer, ADDRESS_REFUSED, &format!("{name} from a wrong address"));
        if let Some(scope) = row.scope {
            let answer = call(Some(&ground.key_without(scope).await?)).await?;
            assert_refused(&answer, SCOPE_MISSING, &format!("{name} without {scope}"));
            assert!(answer.field("detail")?.contains(scope), "{name}: {}", answer.text);
        }
    }
    for (row, operation) in &matrix {
        // A key needs a scope, whichever; this one opens no operation of its own.
        let key = ground.key_with(&[row.scope.unwrap_or("event:read")]).await?;
        let answer = operation.call(surroundings, row, &ground.names, Some(&key)).await?;
        assert!(answer.status.is_success(), "{}: {}", row.operation, answer.text);
        let errcode = &answer.json["errcode"];
        assert!(errcode.is_null() || *errcode == 0, "{}: {}", row.operation, answer.text);
    }
    ground.world.end().await
}

#[tokio::test]
async fn every_operation_of_the_admin_api_takes_an_operators_key_and_no_other() -> Result<()> {
    let ground = Ground::prepare().await?;
    let surroundings = (&ground.http, &ground.world);
    let mut wrong = ground.dead_operator_keys().await?;
    wrong.push(("a tenant's key", ground.owner.key().to_owned()));
    let matrix = matrix(&ground.world, ("admin", ADMIN)).await?;
    for (row, operation) in &matrix {
        let call = async |key| operation.call(surroundings, row, &ground.names, key).await;
        let name = row.operation;
        assert_refused(&call(None).await?, UNAUTHENTICATED, &format!("{name} without a key"));
        for (what, key) in &wrong {
            let answer = call(Some(key)).await?;
            assert_refused(&answer, UNAUTHENTICATED, &format!("{name} with {what}"));
        }
    }
    let operator = ground.world.operator.key();
    for (row, operation) in &matrix {
        let answer = operation.call(surroundings, row, &ground.names, Some(operator)).await?;
        assert!(answer.status.is_success(), "{}: {}", row.operation, answer.text);
    }
    ground.world.end().await
}

/// What of an answer may not differ between a foreign object and an absent one: everything but the
/// id of the request, the name itself and the moment.
fn but_for_the_name(answer: &Answer, name: &str) -> String {
    let id = answer.json["request_id"].as_str().unwrap_or_default();
    let moving = ["date", "lingpai-request-id", "ratelimit"];
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(header, _)| !moving.contains(&header.as_str()))
        .map(|(header, value)| format!("{header}: {}", value.to_str().unwrap_or("?")))
        .collect();
    headers.sort();
    let body = if id.is_empty() { answer.text.clone() } else { answer.text.replace(id, "ID") };
    format!("{} {headers:?} {}", answer.status, body.replace(name, "NAME"))
}

#[tokio::test]
async fn somebody_elses_things_answer_byte_for_byte_like_missing_ones() -> Result<()> {
    let ground = Ground::prepare().await?;
    let surroundings = (&ground.http, &ground.world);
    let (_, stranger) = ground.world.operator.create_tenant("另一家").await?;
    let absent = Names::of_nobody();
    let calls = ground.world.emulator.calls().len();
    let mut objects = 0;
    for (row, operation) in matrix(&ground.world, ("tenant", TENANT)).await? {
        let Some(object) = row.object else { continue };
        objects += 1;
        let call =
            async |names| operation.call(surroundings, row, names, Some(stranger.key())).await;
        let (theirs, nobodys) = (call(&ground.names).await?, call(&absent).await?);
        assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{}: {}", row.operation, theirs.text);
        assert_eq!(
            but_for_the_name(&theirs, object(&ground.names)),
            but_for_the_name(&nobodys, object(&absent)),
            "{}",
            row.operation
        );
    }
    assert!(objects >= 10, "operations on objects: {objects}");
    assert_eq!(ground.world.emulator.calls().len(), calls, "WeChat heard of none");
    // Nothing has happened to them.
    for path in [
        format!("/v1/authorizers/{}", ground.names.appid),
        format!("/v1/authorizations/{}", ground.names.authorization),
        format!("/v1/endpoints/{}", ground.names.endpoint),
        format!("/v1/events/{}", ground.names.event),
        format!("/v1/deliveries/{}", ground.names.delivery),
    ] {
        ground.owner.get(&path).await?.expect(StatusCode::OK)?;
    }
    for (list, name) in [("redirect-uris", &ground.names.uri), ("files", &ground.names.file)] {
        let listed = ground.owner.get(&format!("/v1/{list}")).await?.expect(StatusCode::OK)?;
        assert!(listed.text.contains(name.as_str()), "{list}: {}", listed.text);
    }
    ground.world.end().await
}

/// For operators nothing is foreign; but a key belongs to its tenant, whoever asks.
#[tokio::test]
async fn a_key_under_another_tenants_id_answers_like_a_missing_one() -> Result<()> {
    let ground = Ground::prepare().await?;
    let (surroundings, operator) = ((&ground.http, &ground.world), ground.world.operator.key());
    let (other, _) = ground.world.operator.create_tenant("另一家").await?;
    let foreign = Names { tenant: other.clone(), ..ground.names.clone() };
    let absent = Names { tenant: other, ..Names::of_nobody() };
    for (row, operation) in matrix(&ground.world, ("admin", ADMIN)).await? {
        let Some(object) = row.object else { continue };
        let call = async |names| operation.call(surroundings, row, names, Some(operator)).await;
        let (theirs, nobodys) = (call(&foreign).await?, call(&absent).await?);
        assert_eq!(theirs.json["code"], "api_key_not_found", "{}", theirs.text);
        assert_eq!(
            but_for_the_name(&theirs, object(&foreign)),
            but_for_the_name(&nobodys, object(&absent)),
            "{}",
            row.operation
        );
    }
    ground.world.end().await
}

#[tokio::test]
async fn lists_show_what_is_ones_own() -> Result<()> {
    let ground = Ground::prepare().await?;
    let names = &ground.names;
    ground.owner.get(&format!("/v1/authorizers/{}/proxy/cgi-bin/user/get", names.appid)).await?;
    ground.world.flush().await?;
    let (_, stranger) = ground.world.operator.create_tenant("另一家").await?;
    let lists = [
        "authorizations",
        "authorizers",
        "redirect-uris",
        "files",
        "endpoints",
        "events",
        "deliveries",
        "usage",
        "audit",
    ];
    for list in lists {
        let path = format!("/v1/{list}");
        let own = ground.owner.get(&path).await?.expect(StatusCode::OK)?;
        assert_ne!(own.json["items"], json!([]), "{list}");
        let seen = stranger.get(&path).await?.expect(StatusCode::OK)?;
        let theirs = [&names.appid, &names.authorization, &names.uri, &names.file, &names.tenant];
        let heard = [&names.endpoint, &names.event, &names.delivery];
        for name in theirs.into_iter().chain(heard) {
            assert!(!seen.text.contains(name.as_str()), "{list}: {}", seen.text);
        }
        if list != "audit" {
            assert_eq!(seen.json["items"], json!([]), "{list}");
        }
    }
    ground.world.end().await
}

#[tokio::test]
async fn a_key_is_created_with_scopes_that_there_are() -> Result<()> {
    let world = World::start().await?;
    let (tenant, _) = world.operator.create_tenant("小店").await?;
    let unknown = json!({ "name": "x", "scopes": ["everything"] });
    let keys = format!("/admin/v1/tenants/{tenant}/api-keys");
    let refused = world.operator.post(&keys, &unknown).await?;
    let refused = refused.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(refused.json["field"], "scopes[0]", "{}", refused.text);
    world.end().await
}

#[tokio::test]
async fn nonsense_gets_a_problem_and_never_a_5xx() -> Result<()> {
    let ground = Ground::prepare().await?;
    let surroundings = (&ground.http, &ground.world);
    let keys = [ground.owner.key(), ground.world.operator.key()];
    for (document, key) in DOCUMENTS.into_iter().zip(keys) {
        for (row, operation) in matrix(&ground.world, document).await? {
            if row.body.is_none() || row.operation.starts_with("call_wechat") {
                continue;
            }
            let bodies: [Value; 5] =
                [json!([]), json!({ "x": 1 }), json!({ "name": 7 }), json!(null), json!("x")];
            for body in &bodies {
                let at = (row.at)(&ground.names);
                let answer = operation.call_with(surroundings, at, Some(body), Some(key)).await?;
                let what = format!("{} {body}: {}", row.operation, answer.text);
                assert!(answer.status.is_client_error(), "{what}");
                assert!(answer.field("code").is_ok(), "{what}");
            }
        }
    }
    for path in [
        "/v1/authorizers?limit=0",
        "/v1/authorizers?limit=101",
        "/v1/authorizers?cursor=%25",
        "/v1/audit?cursor=%25",
        "/v1/events?cursor=%25",
        "/v1/events?type=%2A%2A",
        "/v1/deliveries?state=lost",
        "/v1/endpoints/%25",
        "/v1/usage?granularity=year",
    ] {
        let answer = ground.owner.get(path).await?;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text);
        assert!(answer.field("code").is_ok(), "{path}: {}", answer.text);
    }
    for path in ["/", "/v1/nothing", "/admin", "/favicon.ico", "/v1", "/robots.txt"] {
        let answer = ground.owner.get(path).await?.expect(StatusCode::NOT_FOUND)?;
        assert!(answer.field("code")?.ends_with("_not_found"), "{path}: {}", answer.text);
    }
    ground.world.end().await
}
