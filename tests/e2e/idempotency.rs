//! `Idempotency-Key`: who does not know whether a request had its effect sends it again.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{Fault, FaultKind};
use lingpai_tests::{
    people::{Answer, Program},
    world::World,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TENANTS: &str = "/admin/v1/tenants";
const START: &str = "/v1/authorizations";
const PREAUTH: &str = "/cgi-bin/component/api_create_preauthcode";

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn names_of_tenants(world: &World) -> Result<Vec<String>> {
    let listed = world.operator.get(TENANTS).await?.expect(StatusCode::OK)?;
    let items = listed.json["items"].as_array().cloned().unwrap_or_default();
    let names = items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    // Those of one instant have no order among them.
    names.sort();
    Ok(names)
}

async fn authorizations(tenant: &Program) -> Result<usize> {
    let listed = tenant.get(START).await?.expect(StatusCode::OK)?;
    Ok(listed.json["items"].as_array().map_or(0, Vec::len))
}

fn start(world: &World) -> Value {
    json!({ "component_appid": world.component.appid, "account_kind": "any" })
}

#[tokio::test]
async fn the_same_key_twice_creates_one() -> Result<()> {
    let world = World::with_ticket().await?;
    let body = json!({ "name": "花店" });
    let first = world.operator.post_once(TENANTS, &body, "once-1").await?;
    let again = world.operator.post_once(TENANTS, &body, "once-1").await?;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.text, again.text, "the same answer, letter by letter");
    assert_eq!(first.headers["content-type"], again.headers["content-type"]);
    assert!(!is_replayed(&first) && is_replayed(&again));
    assert_eq!(names_of_tenants(&world).await?, ["花店"]);
    // Another key is another request, and none at all is one each time.
    world.operator.post_once(TENANTS, &body, "once-2").await?.expect(StatusCode::CREATED)?;
    world.operator.post(TENANTS, &body).await?.expect(StatusCode::CREATED)?;
    assert_eq!(names_of_tenants(&world).await?.len(), 3);

    let id = first.field("id")?;
    let keys = format!("{TENANTS}/{id}/api-keys");
    let first = world.operator.post_once(&keys, &json!({ "name": "shop" }), "once-3").await?;
    let again = world.operator.post_once(&keys, &json!({ "name": "shop" }), "once-3").await?;
    assert_eq!(
        first.field("key")?,
        again.field("key")?,
        "its text was lost on the way, and is not"
    );
    let tenant = world.operator.with_key(&first.field("key")?);
    let started =
        tenant.post_once(START, &start(&world), "a").await?.expect(StatusCode::CREATED)?;
    let again = tenant.post_once(START, &start(&world), "a").await?;
    assert_eq!(started.text, again.text);
    assert_eq!(authorizations(&tenant).await?, 1);
    world.end().await
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, _) = world.operator.create_tenant("花店").await?;
    let keys = format!("{TENANTS}/{id}/api-keys");
    world.operator.post_once(TENANTS, &json!({ "name": "a" }), "k").await?;
    for (path, body) in [
        (TENANTS, json!({ "name": "b" })),
        (TENANTS, json!({ "name": "a", "logo_url": "https://a.example/logo.png" })),
        (keys.as_str(), json!({ "name": "a" })),
    ] {
        let refused = world.operator.post_once(path, &body, "k").await?;
        let refused = refused.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
        assert_eq!(refused.json["code"], "idempotency_mismatch", "{}", refused.text);
        assert_eq!(refused.json["errcode"], 7_900_029);
    }
    assert_eq!(names_of_tenants(&world).await?, ["a", "花店"]);
    world.end().await
}

#[tokio::test]
async fn a_key_is_its_callers_own() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, one) = world.operator.create_tenant("一").await?;
    let (_, two) = world.operator.create_tenant("二").await?;
    let first = one.post_once(START, &start(&world), "same").await?.expect(StatusCode::CREATED)?;
    let second = two.post_once(START, &start(&world), "same").await?.expect(StatusCode::CREATED)?;
    assert!(!is_replayed(&second));
    assert_ne!(first.field("id")?, second.field("id")?);
    assert_eq!((authorizations(&one).await?, authorizations(&two).await?), (1, 1));
    world.end().await
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_to_wait() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let body = start(&world);
    world.emulator.set_fault(Fault::new(PREAUTH, FaultKind::Hold));
    let first = tenant.post_once(START, &body, "k");
    let second = async {
        world.emulator.wait_until(|wechat| !wechat.held().is_empty()).await;
        let second = tenant.post_once(START, &body, "k").await;
        world.emulator.clear_faults();
        world.emulator.release(None);
        second
    };
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first?.expect(StatusCode::CREATED)?, second?);
    assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.text);
    assert_eq!(second.json["code"], "idempotency_under_way", "{}", second.text);
    let third = tenant.post_once(START, &body, "k").await?;
    assert_eq!((third.text.as_str(), is_replayed(&third)), (first.text.as_str(), true));
    assert_eq!(authorizations(&tenant).await?, 1);
    world.end().await
}

#[tokio::test]
async fn of_many_at_once_one_has_its_effect() -> Result<()> {
    let world = World::start().await?;
    let calls = (0..20).map(|_| {
        let operator = world.operator.clone();
        async move { operator.post_once(TENANTS, &json!({ "name": "花店" }), "k").await }
    });
    let mut ids = Vec::new();
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer?;
        match answer.status {
            StatusCode::CREATED => ids.push(answer.field("id")?),
            StatusCode::CONFLICT => assert_eq!(answer.json["code"], "idempotency_under_way"),
            _ => panic!("{}", answer.text),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(names_of_tenants(&world).await?, ["花店"]);
    world.end().await
}

#[tokio::test]
async fn a_request_that_broke_off_is_neither_repeated_nor_called_done() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let body = start(&world);
    world.emulator.set_fault(Fault::new(PREAUTH, FaultKind::Hold));
    {
        let call = tenant.post_once(START, &body, "k");
        tokio::pin!(call);
        let held = world.emulator.wait_until(|wechat| !wechat.held().is_empty());
        tokio::select! { _ = &mut call => unreachable!("the answer is held"), () = held => {} }
        // Here the caller hangs up.
    }
    world.advance(Duration::seconds(61));
    let refused = tenant.post_once(START, &body, "k").await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused.json["code"], "idempotency_interrupted", "{}", refused.text);
    world.emulator.clear_faults();
    world.emulator.release(None);
    tenant.post_once(START, &body, "another").await?.expect(StatusCode::CREATED)?;
    world.end().await
}

#[tokio::test]
async fn what_failed_for_our_or_wechats_part_may_be_tried_again() -> Result<()> {
    let world = World::with_ticket().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    world.emulator.set_fault(Fault::errcode(PREAUTH, -1));
    let failed = tenant.post_once(START, &start(&world), "k").await?;
    assert!(failed.status.is_server_error(), "{}", failed.text);
    world.emulator.clear_faults();
    let done = tenant.post_once(START, &start(&world), "k").await?.expect(StatusCode::CREATED)?;
    assert!(!is_replayed(&done));
    world.end().await
}

#[tokio::test]
async fn a_refusal_is_an_answer_too() -> Result<()> {
    let world = World::start().await?;
    let wrong = json!({ "name": "" });
    let first = world.operator.post_once(TENANTS, &wrong, "k").await?;
    let again = world.operator.post_once(TENANTS, &wrong, "k").await?;
    assert_eq!(first.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", first.text);
    assert_eq!((again.status, is_replayed(&again)), (first.status, true), "{}", again.text);
    assert_eq!(again.headers["content-type"], first.headers["content-type"]);
    // Whoever had no valid key has done nothing that could be repeated.
    let nobody = world.operator.with_key("lpo_made_up");
    let refused = nobody.post_once(TENANTS, &json!({ "name": "a" }), "k2").await?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let done = world.operator.post_once(TENANTS, &json!({ "name": "a" }), "k2").await?;
    assert_eq!((done.status, is_replayed(&done)), (StatusCode::CREATED, false));
    world.end().await
}

#[tokio::test]
async fn after_a_day_a_key_is_forgotten() -> Result<()> {
    let world = World::start().await?;
    let body = json!({ "name": "花店" });
    world.operator.post_once(TENANTS, &body, "k").await?.expect(StatusCode::CREATED)?;
    world.advance(Duration::hours(23));
    world.sweep().await?;
    assert!(is_replayed(&world.operator.post_once(TENANTS, &body, "k").await?));
    world.advance(Duration::hours(2));
    world.sweep().await?;
    let anew = world.operator.post_once(TENANTS, &body, "k").await?.expect(StatusCode::CREATED)?;
    assert!(!is_replayed(&anew));
    assert_eq!(names_of_tenants(&world).await?.len(), 2);
    world.end().await
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_and_other_methods_take_no_notice() -> Result<()> {
    let world = World::start().await?;
    for key in ["", " ", "a b\tc", "ключ", &"k".repeat(256)] {
        let request = world.operator.request(Method::POST, TENANTS).json(&json!({ "name": "x" }));
        let request = request.header("Idempotency-Key", key.as_bytes());
        let answer = Answer::read(request.send().await?).await?;
        assert!(answer.status.is_client_error(), "{key:?}: {}", answer.text);
    }
    assert!(names_of_tenants(&world).await?.is_empty());
    let longest = "k".repeat(255);
    world.operator.post_once(TENANTS, &json!({ "name": "x" }), &longest).await?;
    for _ in 0..2 {
        let request = world.operator.request(Method::GET, TENANTS).header("Idempotency-Key", "k");
        let answer = Answer::read(request.send().await?).await?.expect(StatusCode::OK)?;
        assert!(!is_replayed(&answer));
    }
    world.end().await
}
