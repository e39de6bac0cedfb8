//! What fans write and do, and what happened by itself: kept once, found again, and forgotten.

use anyhow::Result;
use chrono::Duration;
use lingpai_emulator::{EmulatorConfig, FanMessage, MessageFormat};
use lingpai_tests::{
    fans::{FAN, OTHER_FAN, Said},
    people::{Answer, Program},
    receiver::{Manner, Receiver},
    world::{ORDERS, SHOP, World},
    xml::cdata,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn list(tenant: &Program, query: &str) -> Result<Vec<Value>> {
    tenant.list_all(&format!("/v1/events?{query}")).await
}

async fn search(tenant: &Program, body: &Value) -> Result<Answer> {
    tenant.post("/v1/events/search", body).await?.expect(StatusCode::OK)
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

fn ids(answer: &Answer) -> Vec<&str> {
    let items = answer.json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|event| event["id"].as_str()).collect()
}

/// The newest event of this type.
async fn newest(tenant: &Program, event_type: &str) -> Result<Answer> {
    let listed = tenant.get(&format!("/v1/events?type={event_type}&limit=1")).await?;
    let id = listed.field("items.0.id")?;
    tenant.get(&format!("/v1/events/{id}")).await?.expect(StatusCode::OK)
}

#[tokio::test]
async fn a_fans_message_is_kept_and_shown_decoded_and_raw() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let said = world.text("你好 🌸 <b> & ]]> \"引号\"");
    assert!(world.push(SHOP, &said).await?.is_success());
    let listed = list(&tenant, "type=message.*").await?;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["type"], "message.text");
    assert_eq!(listed[0]["authorizer_appid"], SHOP);
    assert_eq!(listed[0]["component_appid"], world.component.appid);
    assert_eq!(listed[0]["openid"], FAN);
    assert!(listed[0].get("raw").is_none(), "a list holds no messages: {listed:?}");

    let shown = newest(&tenant, "message.text").await?;
    let message = &shown.json["message"];
    assert_eq!(message["Content"], "你好 🌸 <b> & ]]> \"引号\"", "{}", shown.text);
    assert_eq!((&message["FromUserName"], &message["MsgType"]), (&json!(FAN), &json!("text")));
    let account = world.emulator.account(SHOP).map(|account| account.user_name);
    assert_eq!(shown.json["raw"], json!(said.to(&account.unwrap_or_default())));
    world.end().await
}

#[tokio::test]
async fn what_nobody_knows_yet_is_kept_with_every_field() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let nested =
        "<Info><Count>2</Count><List><item><A>1</A></item><item><A>2</A></item></List></Info>";
    assert!(world.does(SHOP, "Event Of_NextYear", nested).await?.is_success());
    let shown = newest(&tenant, "event.event_of_nextyear").await?;
    let message = &shown.json["message"];
    assert_eq!(message["Event"], "Event Of_NextYear", "{}", shown.text);
    assert_eq!(message["Info"]["Count"], "2");
    assert_eq!(message["Info"]["List"]["item"], json!([{ "A": "1" }, { "A": "2" }]));
    world.end().await
}

#[tokio::test]
async fn our_own_events_are_in_the_same_stream() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.says(SHOP, "hello").await?;
    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    let listed = list(&tenant, "").await?;
    let newest_first = ["authorizer.unauthorized", "message.text", "authorizer.authorized"];
    assert_eq!(types(&listed), newest_first);
    let own = newest(&tenant, "authorizer.authorized").await?;
    assert_eq!((&own.json["message"], &own.json["raw"]), (&Value::Null, &Value::Null));
    assert_eq!(own.json["authorizer_appid"], SHOP);
    world.end().await
}

#[tokio::test]
async fn events_are_found_by_type_account_time_and_fan() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    world.says(SHOP, "one").await?;
    world.advance(Duration::hours(1));
    let noon = lingpai_model::clock::Clock::now(&world.clock);
    let noon = noon.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    world.says(ORDERS, "two").await?;
    world.push(SHOP, &world.text("three").by(OTHER_FAN)).await?;
    world.does(SHOP, "subscribe", "").await?;

    assert_eq!(list(&tenant, "type=message.text").await?.len(), 3);
    assert_eq!(types(&list(&tenant, "type=event.*").await?), ["event.subscribe"]);
    assert_eq!(list(&tenant, &format!("type=*&authorizer_appid={ORDERS}")).await?.len(), 2);
    assert_eq!(list(&tenant, &format!("from={noon}")).await?.len(), 3);
    assert_eq!(list(&tenant, &format!("type=message.*&to={noon}")).await?.len(), 1);
    assert!(list(&tenant, "type=message.voice").await?.is_empty());

    let found = search(&tenant, &json!({ "openid": OTHER_FAN })).await?;
    assert_eq!(ids(&found).len(), 1, "{}", found.text);
    let of_fan = json!({ "openid": FAN, "type": "message.*", "authorizer_appid": SHOP });
    assert_eq!(ids(&search(&tenant, &of_fan).await?).len(), 1);
    // Ids tell their letters apart.
    let other_case = json!({ "openid": FAN.to_uppercase() });
    assert!(ids(&search(&tenant, &other_case).await?).is_empty());
    for wrong in ["type=Message.Text", "type=", "from=yesterday", "limit=0"] {
        let refused = tenant.get(&format!("/v1/events?{wrong}")).await?;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.text);
    }
    world.end().await
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended_whatever_comes_meanwhile() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for number in 0..5 {
        world.says(SHOP, &number.to_string()).await?;
    }
    let first = search(&tenant, &json!({ "type": "message.*", "limit": 2 })).await?;
    world.says(SHOP, "meanwhile").await?;
    let cursor = first.field("next")?;
    let rest = search(&tenant, &json!({ "type": "message.*", "cursor": cursor })).await?;
    let (first, rest) = (ids(&first), ids(&rest));
    assert_eq!((first.len(), rest.len()), (2, 3));
    assert!(first.iter().all(|id| !rest.contains(id)));
    world.end().await
}

#[tokio::test]
async fn operators_see_that_something_happened_and_not_what_was_said() -> Result<()> {
    let (world, _) = World::with_authorizer().await?;
    let said = world.says(SHOP, "between us").await?;
    assert!(said.is_success(), "{said:?}");
    let seen = world.operator.list_all("/admin/v1/events").await?;
    assert_eq!(types(&seen), ["message.text", "authorizer.authorized"]);
    let seen = Value::Array(seen).to_string();
    assert!(!seen.contains("between us") && !seen.contains(FAN), "{seen}");
    world.end().await
}

#[tokio::test]
async fn repetitions_of_a_push_are_one_event_and_are_delivered_once() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    let texts: Vec<_> = (0..25).map(|number| world.text(&number.to_string())).collect();
    // At once and later, as WeChat does when an answer is lost.
    for _ in 0..2 {
        let pushes = texts.iter().flat_map(|text| [text, text]).map(|text| world.push(SHOP, text));
        for talk in futures_util::future::join_all(pushes).await {
            assert!(talk?.is_success());
        }
        world.deliver().await?;
    }
    assert_eq!(list(&tenant, "type=message.*").await?.len(), 25);
    let delivered = receiver.take();
    let delivered = delivered.iter().filter(|taken| taken.json()["type"] == "message.text").count();
    assert_eq!(delivered, 25);
    // An event of the same second that is about something else is another event.
    let scans = [cdata("EventKey", "1"), cdata("EventKey", "2"), cdata("EventKey", "1")];
    let at = world.wechat_secs();
    for scan in scans {
        let said = Said::event(at, "SCAN", &scan);
        assert!(world.push(SHOP, &said).await?.is_success());
    }
    assert_eq!(list(&tenant, "type=event.scan").await?.len(), 2);
    world.end().await
}

#[tokio::test]
async fn a_message_to_another_account_than_the_path_says_is_refused() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let talk = world.push_xml(SHOP, &world.text("to whom?").to("gh_ffffffffffff")).await?;
    assert_eq!(talk.outcome.status, Some(403), "{talk:?}");
    assert!(list(&tenant, "type=message.*").await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn one_fans_data_is_erased_and_nobody_elses() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    world.says(SHOP, "forget me").await?;
    world.push(SHOP, &world.text("keep me").by(OTHER_FAN)).await?;
    world.deliver().await?;
    let path = format!("/v1/authorizers/{SHOP}/erasures");
    let event = newest_of(&tenant, FAN).await?;
    let delivery = format!("/v1/deliveries?event_id={event}");
    assert_eq!(tenant.list_all(&delivery).await?.len(), 1);

    world.advance(Duration::seconds(1));
    let erased = tenant.post(&path, &json!({ "openid": FAN })).await?;
    assert!(erased.status.is_success(), "{}", erased.text);
    assert_eq!(erased.json["erased"], 1, "{}", erased.text);
    let gone = tenant.get(&format!("/v1/events/{event}")).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(gone.json["code"], "event_not_found");
    assert!(tenant.list_all(&delivery).await?.is_empty(), "its delivery is gone as well");
    assert!(ids(&search(&tenant, &json!({ "openid": FAN })).await?).is_empty());
    assert_eq!(ids(&search(&tenant, &json!({ "openid": OTHER_FAN })).await?).len(), 1);
    let trail = tenant.get("/v1/audit?limit=1").await?;
    assert_eq!(trail.field("items.0.action")?, "fan.erased");
    assert!(!trail.text.contains(FAN), "the trail does not keep what was erased: {}", trail.text);

    let again = tenant.post(&path, &json!({ "openid": FAN })).await?;
    assert_eq!(again.json["erased"], 0, "{}", again.text);
    world.end().await
}

/// The id of the newest event of a fan.
async fn newest_of(tenant: &Program, openid: &str) -> Result<String> {
    search(tenant, &json!({ "openid": openid, "limit": 1 })).await?.field("items.0.id")
}

#[tokio::test]
async fn all_data_of_an_accounts_fans_is_erased_and_no_other_accounts() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    for appid in [SHOP, ORDERS] {
        world.says(appid, "x").await?;
        world.push(appid, &world.text("y").by(OTHER_FAN)).await?;
    }
    world.advance(Duration::seconds(1));
    let path = format!("/v1/authorizers/{SHOP}/erasures");
    let erased = tenant.post(&path, &json!({})).await?;
    assert!(erased.status.is_success(), "{}", erased.text);
    assert!(list(&tenant, &format!("type=message.*&authorizer_appid={SHOP}")).await?.is_empty());
    let others = list(&tenant, &format!("type=message.*&authorizer_appid={ORDERS}")).await?;
    assert_eq!(others.len(), 2);
    let trail = tenant.get("/v1/audit?limit=1").await?;
    assert_eq!(trail.field("items.0.action")?, "authorizer.events_erased");
    world.end().await
}

#[tokio::test]
async fn what_was_erased_is_not_delivered_any_more() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::status(500)).await?;
    tenant.create_webhook(&receiver.url()).await?;
    world.says(SHOP, "forget me").await?;
    world.deliver().await?;
    assert!(receiver.take().iter().any(|taken| taken.body.contains("forget me")));
    let path = format!("/v1/authorizers/{SHOP}/erasures");
    tenant.post(&path, &json!({ "openid": FAN })).await?;
    receiver.answer(Manner::well());
    world.advance(Duration::hours(1));
    world.deliver().await?;
    assert!(!receiver.take().iter().any(|taken| taken.body.contains("forget me")));
    world.end().await
}

#[tokio::test]
async fn events_are_kept_for_so_many_days_and_no_longer() -> Result<()> {
    let config = EmulatorConfig::for_tests();
    let set = [("LINGPAI_EVENTS__RETENTION_DAYS", "4")];
    let world = World::start_set(config, None, &set).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    world.says(SHOP, "old").await?;
    world.advance(Duration::days(3));
    world.says(SHOP, "young").await?;
    world.sweep().await?;
    assert_eq!(list(&tenant, "type=message.*").await?.len(), 2);
    world.advance(Duration::days(2));
    world.sweep().await?;
    let left = list(&tenant, "").await?;
    assert_eq!(types(&left), ["message.text"]);
    assert_eq!(newest(&tenant, "message.text").await?.json["message"]["Content"], "young");
    world.end().await
}

#[tokio::test]
async fn pushes_of_an_account_of_its_own_secret_are_events_of_its_tenant() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    world.connect_by_secret(&tenant, SHOP).await?;
    for _ in 0..2 {
        let talk = world.says(SHOP, "eigen").await?;
        assert!(talk.is_success(), "{talk:?}");
    }
    let listed = list(&tenant, "type=message.*").await?;
    assert_eq!(listed.len(), 2, "two texts with ids of their own");
    assert_eq!(listed[0]["component_appid"], Value::Null);
    assert_eq!(listed[0]["authorizer_appid"], SHOP);
    world.end().await
}

#[tokio::test]
async fn what_an_account_has_pushed_as_json_stays_json() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    world.connect_by_secret(&tenant, ORDERS).await?;
    world.emulator.change_account(ORDERS, |account| {
        account.message_format = MessageFormat::Json;
    })?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    world.deliver().await?;
    let _ = receiver.take();
    let said = FanMessage::message(ORDERS, "text")
        .with("Content", "你好 🌸 \"引号\"")
        .with("Nested", json!({ "List": [1, "two", { "three": null }] }));
    let record = world.emulator.fan_message(&said).await?;
    assert!(record.outcome.is_accepted(), "{record:?}");
    let shown = newest(&tenant, "message.text").await?;
    let message = &shown.json["message"];
    assert_eq!(message["Content"], "你好 🌸 \"引号\"", "{}", shown.text);
    assert_eq!(message["Nested"], json!({ "List": [1, "two", { "three": null }] }));
    assert_eq!(shown.json["raw"], json!(record.plaintext));
    world.deliver().await?;
    assert_eq!(receiver.take_one()?.json()["data"]["message"], *message);
    world.end().await
}
