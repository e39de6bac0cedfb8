//! Endpoints: what their tenant can set, what he is shown, and what is refused.

use anyhow::Result;
use chrono::Duration;
use lingpai_model::endpoint::Mode;
use lingpai_tests::{
    handler::{Handler, Says},
    people::{Answer, Program},
    receiver::{Manner, Receiver, Taken},
    world::{ORDERS, SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::signatures::is_signed_by;

/// How many endpoints a tenant may have.
const MOST: usize = 50;

async fn refused(tenant: &Program, endpoint: &Value) -> Result<(StatusCode, String)> {
    let answer = tenant.post("/v1/endpoints", endpoint).await?;
    Ok((answer.status, answer.field("code").unwrap_or_else(|_| answer.text.clone())))
}

fn webhook(url: &str) -> Value {
    json!({ "kind": "webhook", "url": url })
}

/// A handler's settings and these fields.
fn handler(url: &str, more: &Value) -> Value {
    let mut endpoint = Handler::settings(Mode::Secure);
    endpoint["url"] = json!(url);
    for (name, value) in more.as_object().into_iter().flatten() {
        endpoint[name] = value.clone();
    }
    endpoint
}

#[tokio::test]
async fn an_endpoint_is_created_with_a_secret_that_is_shown_once() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let input = json!({
        "kind": "webhook", "url": "https://shop.example/hook", "name": "仓库",
        "event_types": ["message.*", "authorizer.authorized"], "authorizers": [SHOP],
    });
    world.advance(Duration::seconds(1));
    let created = tenant.create_endpoint(&input).await?;
    let (id, secret) = (created.field("id")?, created.field("secret")?);
    assert!(id.starts_with("end_") && secret.starts_with("whsec_"), "{}", created.text);
    let path = format!("/v1/endpoints/{id}");
    for shown in [tenant.get(&path).await?, tenant.get("/v1/endpoints").await?] {
        assert!(
            !shown.text.contains("whsec_") && !shown.text.contains("secret\":"),
            "{}",
            shown.text
        );
    }
    let shown = tenant.get(&path).await?.expect(StatusCode::OK)?;
    for (field, value) in input.as_object().into_iter().flatten() {
        assert_eq!(shown.json[field], *value, "{field}");
    }
    assert_eq!(shown.json["state"], "active");
    let trail = tenant.get("/v1/audit?limit=1").await?;
    assert_eq!(trail.field("items.0.action")?, "endpoint.created");
    assert!(!trail.text.contains("whsec_"), "{}", trail.text);
    world.end().await
}

#[tokio::test]
async fn keys_of_a_handler_go_in_and_never_come_out() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let created = tenant.create_endpoint(&handler("https://shop.example/wx", &json!({}))).await?;
    assert!(created.json.get("secret").is_none_or(Value::is_null), "{}", created.text);
    assert_eq!(
        (&created.json["mode"], &created.json["replying"]),
        (&json!("secure"), &json!(false))
    );
    let path = format!("/v1/endpoints/{}", created.field("id")?);
    let changed = tenant.patch(&path, &json!({ "mode": "plain", "token": "CANARYother" })).await?;
    assert_eq!(changed.json["mode"], "plain", "{}", changed.text);
    let listed = tenant.get("/v1/endpoints").await?;
    for answer in [created, changed, tenant.get(&path).await?, listed] {
        assert!(!answer.text.contains("CANARY"), "{}", answer.text);
    }
    world.end().await
}

#[tokio::test]
async fn an_endpoint_is_changed_field_by_field_and_removed() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let created = tenant.create_endpoint(&webhook("https://shop.example/a")).await?;
    let path = format!("/v1/endpoints/{}", created.field("id")?);
    for change in [
        json!({ "url": "https://shop.example/b" }),
        json!({ "name": "new" }),
        json!({ "event_types": ["event.*"] }),
        json!({ "authorizers": [SHOP] }),
    ] {
        let changed = tenant.patch(&path, &change).await?.expect(StatusCode::OK)?;
        for (field, value) in change.as_object().into_iter().flatten() {
            assert_eq!(changed.json[field], *value, "{field}: {}", changed.text);
        }
    }
    let shown = tenant.get(&path).await?;
    assert_eq!(shown.json["url"], "https://shop.example/b");
    assert_eq!((&shown.json["name"], &shown.json["kind"]), (&json!("new"), &json!("webhook")));
    world.advance(Duration::seconds(1));
    tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    let gone = tenant.get(&path).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(gone.json["code"], "endpoint_not_found");
    assert_eq!(tenant.get("/v1/endpoints").await?.json["items"], json!([]));
    let trail = tenant.list_all("/v1/audit").await?;
    let actions: Vec<_> = trail.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "endpoint.changed").count(), 4);
    assert_eq!(actions[0], "endpoint.removed");
    world.end().await
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_the_name_of_its_field() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let url = "https://shop.example/x";
    for (endpoint, field) in [
        (json!({ "url": url }), "kind"),
        (json!({ "kind": "webhook" }), "url"),
        (json!({ "kind": "queue", "url": url }), "kind"),
        (json!({ "kind": "webhook", "url": url, "event_types": ["message*"] }), "event_types"),
        (json!({ "kind": "webhook", "url": url, "authorizers": ["a b"] }), "authorizers"),
        (json!({ "kind": "webhook", "url": url, "token": "x" }), "token"),
        (json!({ "kind": "webhook", "url": url, "colour": "red" }), "colour"),
        (json!({ "kind": "wechat", "url": url, "encoding_aes_key": "a".repeat(43) }), "token"),
        (handler(url, &json!({ "mode": "secret" })), "mode"),
        (handler(url, &json!({ "encoding_aes_key": "short" })), "encoding_aes_key"),
        (handler(url, &json!({ "encoding_aes_key": "!".repeat(43) })), "encoding_aes_key"),
        (
            handler(url, &json!({ "replying": false, "late_reply": "customer_service" })),
            "late_reply",
        ),
    ] {
        let answer = tenant.post("/v1/endpoints", &endpoint).await?;
        assert!(answer.status.is_client_error(), "{endpoint}: {}", answer.text);
        let named = answer.json["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{field}: {}", answer.text);
        assert!(!answer.text.contains("CANARY"), "{}", answer.text);
    }
    assert_eq!(tenant.get("/v1/endpoints").await?.json["items"], json!([]));
    world.end().await
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for url in [
        "ftp://shop.example/x",
        "https://user:pass@shop.example/",
        "http://10.0.0.1/",
        "http://0x0a000001/",
        "http://167772161/",
        "http://012.0.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[2002:a00:1::]/",
        "http://224.0.0.1/",
        "nonsense",
    ] {
        let (status, code) = refused(&tenant, &webhook(url)).await?;
        assert_eq!(
            (status, &*code),
            (StatusCode::UNPROCESSABLE_ENTITY, "endpoint_url_refused"),
            "{url}"
        );
    }
    let public = tenant.create_endpoint(&webhook("https://shop.example/x")).await?;
    let path = format!("/v1/endpoints/{}", public.field("id")?);
    let changed = tenant.patch(&path, &json!({ "url": "http://10.0.0.1/" })).await?;
    assert_eq!(changed.json["code"], "endpoint_url_refused", "{}", changed.text);
    // Our own listener is not public either, even where loopback is allowed.
    let (_, code) = refused(&tenant, &webhook(&format!("{}x", world.base))).await?;
    assert_eq!(code, "endpoint_url_refused");
    world.end().await
}

#[tokio::test]
async fn a_tenant_has_fifty_endpoints_and_no_more() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    for number in 0..MOST {
        tenant.create_endpoint(&webhook(&format!("https://shop.example/{number}"))).await?;
    }
    let one_more = webhook("https://shop.example/more");
    let (status, code) = refused(&tenant, &one_more).await?;
    assert_eq!((status, &*code), (StatusCode::CONFLICT, "endpoint_limit"));
    other.create_endpoint(&one_more).await?;
    let listed = tenant.list_all("/v1/endpoints").await?;
    assert_eq!(listed.len(), MOST);
    let path = format!("/v1/endpoints/{}", listed[7]["id"].as_str().unwrap_or_default());
    tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    tenant.create_endpoint(&one_more).await?;
    world.end().await
}

#[tokio::test]
async fn one_endpoint_replies_for_an_account_and_no_second() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let replying = |authorizers: Value| {
        let more = json!({ "replying": true, "authorizers": authorizers });
        handler("https://shop.example/wx", &more)
    };
    let first = tenant.create_endpoint(&replying(json!([SHOP]))).await?.field("id")?;
    for overlapping in [json!([SHOP]), json!([ORDERS, SHOP]), json!([])] {
        let (status, code) = refused(&tenant, &replying(overlapping.clone())).await?;
        assert_eq!((status, &*code), (StatusCode::CONFLICT, "replying_taken"), "{overlapping}");
    }
    tenant.create_endpoint(&replying(json!([ORDERS]))).await?;
    let listening = handler("https://shop.example/wx", &json!({}));
    let third = tenant.create_endpoint(&listening).await?.field("id")?;
    let path = format!("/v1/endpoints/{third}");
    let taken = tenant.patch(&path, &json!({ "replying": true })).await?;
    assert_eq!(taken.json["code"], "replying_taken", "{}", taken.text);
    tenant.delete(&format!("/v1/endpoints/{first}")).await?.expect(StatusCode::NO_CONTENT)?;
    let only_shop = json!({ "replying": true, "authorizers": [SHOP] });
    tenant.patch(&path, &only_shop).await?.expect(StatusCode::OK)?;
    world.end().await
}

#[tokio::test]
async fn of_two_that_want_to_reply_at_once_one_may() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let replying = handler("https://shop.example/wx", &json!({ "replying": true }));
    let asked = (0..8).map(|_| tenant.post("/v1/endpoints", &replying));
    let mut created = 0;
    for answer in futures_util::future::join_all(asked).await {
        let answer = answer?;
        match answer.status {
            StatusCode::CREATED => created += 1,
            _ => assert_eq!(answer.json["code"], "replying_taken", "{}", answer.text),
        }
    }
    assert_eq!(created, 1);
    world.end().await
}

/// The one webhook about a message that came.
fn message(receiver: &Receiver) -> Result<Taken> {
    let mut taken = receiver.take();
    taken.retain(|taken| taken.json()["type"] == "message.text");
    anyhow::ensure!(taken.len() == 1, "{} messages came", taken.len());
    Ok(taken.remove(0))
}

#[tokio::test]
async fn two_secrets_sign_until_the_overlap_ends() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    let (id, old) = tenant.create_webhook(&receiver.url()).await?;
    world.says(SHOP, "before").await?;
    world.deliver().await?;
    assert!(is_signed_by(&message(&receiver)?, &old));

    let path = format!("/v1/endpoints/{id}/secret");
    let rotated =
        tenant.post(&path, &json!({ "overlap_secs": 3600 })).await?.expect(StatusCode::OK)?;
    let new = rotated.field("secret")?;
    assert_ne!(new, old);
    world.says(SHOP, "meanwhile").await?;
    world.deliver().await?;
    let both = message(&receiver)?;
    assert!(is_signed_by(&both, &old) && is_signed_by(&both, &new));

    world.advance(Duration::hours(2));
    world.push_ticket().await?;
    world.says(SHOP, "after").await?;
    world.deliver().await?;
    let after = message(&receiver)?;
    assert!(is_signed_by(&after, &new) && !is_signed_by(&after, &old));

    let at_once = tenant.post(&path, &json!({ "overlap_secs": 0 })).await?.field("secret")?;
    world.says(SHOP, "at once").await?;
    world.deliver().await?;
    let last = message(&receiver)?;
    assert!(is_signed_by(&last, &at_once) && !is_signed_by(&last, &new));
    let too_long = tenant.post(&path, &json!({ "overlap_secs": 8 * 24 * 3600 })).await?;
    assert!(too_long.status.is_client_error(), "{}", too_long.text);
    world.end().await
}

#[tokio::test]
async fn nothing_goes_to_a_paused_endpoint_and_everything_goes_when_it_is_resumed() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    let (id, _) = tenant.create_webhook(&receiver.url()).await?;
    world.deliver().await?;
    let _ = receiver.take();
    let path = format!("/v1/endpoints/{id}");
    let paused = tenant.patch(&path, &json!({ "paused": true })).await?.expect(StatusCode::OK)?;
    assert_eq!(paused.json["state"], "paused");
    for number in 0..3 {
        assert!(world.says(SHOP, &number.to_string()).await?.is_success());
    }
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 0);
    tenant.patch(&path, &json!({ "paused": false })).await?.expect(StatusCode::OK)?;
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 3);
    world.end().await
}

async fn test(tenant: &Program, id: &str) -> Result<Answer> {
    tenant.post(&format!("/v1/endpoints/{id}/test"), &json!({})).await?.expect(StatusCode::OK)
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_tells_how_it_went() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::Answer(200, "danke".to_owned())).await?;
    let only = json!({ "kind": "webhook", "url": receiver.url(), "event_types": ["event.none"] });
    let created = tenant.create_endpoint(&only).await?;
    let (id, secret) = (created.field("id")?, created.field("secret")?);
    let went = test(&tenant, &id).await?;
    assert_eq!((&went.json["delivered"], &went.json["status"]), (&json!(true), &json!(200)));
    assert_eq!(went.json["answer"], "danke", "{}", went.text);
    let taken = receiver.take_one()?;
    assert!(is_signed_by(&taken, &secret));
    assert_eq!(taken.json()["type"], "endpoint.test");

    receiver.answer(Manner::Answer(404, "nobody here".to_owned()));
    let went = test(&tenant, &id).await?;
    assert_eq!((&went.json["delivered"], &went.json["status"]), (&json!(false), &json!(404)));
    assert!(went.json["failure"].is_string(), "{}", went.text);
    assert!(tenant.list_all("/v1/events?type=endpoint.test").await?.is_empty(), "it is not kept");
    assert!(tenant.list_all("/v1/deliveries").await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn a_test_of_a_handler_is_the_text_of_a_fan_whom_there_is_not() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let says = Handler::new(SHOP, Mode::Secure, Says::Echo("you said ".to_owned()))?;
    let receiver = Receiver::start(says).await?;
    let more = json!({ "authorizers": [SHOP], "replying": true });
    let id = tenant.create_endpoint(&handler(&receiver.url(), &more)).await?.field("id")?;
    let went = test(&tenant, &id).await?;
    assert_eq!(went.json["delivered"], true, "{}", went.text);
    let message = receiver.take_one()?.message.expect("the handler could open it");
    assert!(message.contains("<MsgType>"), "{message}");
    assert!(world.custom_messages(SHOP)?.is_empty());
    world.end().await
}

#[tokio::test]
async fn an_endpoint_that_was_disabled_takes_events_again_when_its_tenant_says_so() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::status(410)).await?;
    let (id, _) = tenant.create_webhook(&receiver.url()).await?;
    world.says(SHOP, "gone").await?;
    world.deliver().await?;
    let path = format!("/v1/endpoints/{id}");
    let shown = tenant.get(&path).await?;
    assert_eq!(shown.json["state"], "disabled", "{}", shown.text);
    assert!(shown.json["state_reason"].is_string());
    receiver.answer(Manner::well());
    let _ = receiver.take();
    world.says(SHOP, "while disabled").await?;
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 0);

    let resumed = tenant.patch(&path, &json!({ "paused": false })).await?.expect(StatusCode::OK)?;
    assert_eq!(resumed.json["state"], "active", "{}", resumed.text);
    assert_eq!(resumed.json["health"]["failures_in_row"], 0);
    world.says(SHOP, "back").await?;
    world.deliver().await?;
    assert!(message(&receiver)?.body.contains("back"));
    world.end().await
}
