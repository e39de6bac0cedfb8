//! Events as they are read and erased, what is kept in quarantine, and WeChat's publish test.

use lingpai_model::{
    Appid, Secret,
    digest::Digest,
    event::{Event, EventContent, EventKind},
    id::{EventId, PushId},
    page::PageRequest,
    quarantine::{NewQuarantined, QuarantineReason, QuarantinedFor},
};
use poem::http::Request;
use serde_json::{Value, json};

use crate::{
    client::Client,
    house::{House, SHOP},
    pushes::{FAN, text, text_of},
};

const OTHER_FAN: &str = "oOther0123456789abcdefghijkl";

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().expect("a list").clone()
}

async fn house() -> House {
    let house = House::start().await;
    house.connect_shop().await;
    house
}

#[tokio::test]
async fn events_are_listed_searched_and_looked_up() {
    let house = house().await;
    let tenant = Client::tenant(&house);
    for (id, fan) in [(1, FAN), (2, OTHER_FAN), (3, FAN)] {
        house.told(&text_of(fan, id, "hello")).await;
    }
    let all = items(&tenant.get("/events?type=message.*").await);
    assert_eq!(all.len(), 3);
    assert_eq!((&all[0]["type"], &all[0]["openid"]), (&json!("message.text"), &json!(FAN)));
    assert_eq!(all[0]["authorizer_appid"], SHOP);
    assert!(all[0].get("raw").is_none(), "a list tells heads only");
    let page = tenant.get("/events?type=message.*&limit=2").await;
    let next = page["next"].as_str().unwrap();
    let rest = tenant.get(&format!("/events?limit=2&type=message.*&cursor={next}")).await;
    assert_eq!(items(&rest), [all[2].clone()]);
    for (query, found) in [
        (format!("authorizer_appid={SHOP}&type=message.text"), 3),
        ("authorizer_appid=wx1".to_owned(), 0),
        ("type=event.*".to_owned(), 0),
        ("from=2999-01-01T00:00:00Z".to_owned(), 0),
        ("type=message.*&to=2999-01-01T00:00:00Z".to_owned(), 3),
    ] {
        assert_eq!(items(&tenant.get(&format!("/events?{query}")).await).len(), found, "{query}");
    }
    let search = json!({ "openid": FAN, "type": "message.text", "limit": 1 });
    let found = tenant.post("/events/search", &search).await.expected(200);
    assert_eq!(items(&found), [all[0].clone()]);
    let search = json!({ "openid": FAN, "limit": 1, "cursor": found["next"] });
    let found = tenant.post("/events/search", &search).await.expected(200);
    assert_eq!(items(&found), [all[2].clone()]);

    let one = tenant.get(&format!("/events/{}", all[0]["id"].as_str().unwrap())).await;
    assert_eq!(
        (&one["message"]["Content"], &one["message"]["MsgId"]),
        (&json!("hello"), &json!("3"))
    );
    assert_eq!(one["raw"], text(3, "hello"));
    for (query, field) in [("type=x*", "type"), ("authorizer_appid=a%2Fb", "authorizer_appid")] {
        tenant.call("GET", &format!("/events?{query}"), None).await.refused_field(field);
    }
    refuses_times_that_nobody_reckons_with(&tenant).await;
    tenant.post("/events/search", &json!({ "cursor": "?" })).await.refused_field("cursor");
    tenant.call("GET", "/events/x", None).await.refused(404, "event_not_found");
}

/// A day cannot be added to the ends of what a date may be, nor taken away.
async fn refuses_times_that_nobody_reckons_with(tenant: &Client<'_>) {
    let (first, last) = ("-262143-01-01T00:00:00Z", "+262142-12-31T23:59:59Z");
    for path in ["/events", "/usage"] {
        let first = format!("{path}?from={first}");
        tenant.call("GET", &first, None).await.refused_field("from");
        let last = format!("{path}?to=%2B{}", &last[1..]);
        tenant.call("GET", &last, None).await.refused_field("to");
    }
    for (from, to, field) in [(first, "2026-01-01T00:00:00Z", "from"), (first, last, "from")] {
        let range = json!({ "from": from, "to": to });
        tenant.post("/events/search", &range).await.refused_field(field);
        tenant.post("/events/replay", &range).await.refused_field(field);
    }
    let late = json!({ "from": "2026-01-01T00:00:00Z", "to": last });
    tenant.post("/events/replay", &late).await.refused_field("to");
}

#[tokio::test]
async fn an_operator_reads_the_heads_of_all_streams() {
    let house = house().await;
    house.told(&text(1, "canary")).await;
    let operator = Client::operator(&house);
    let all = items(&operator.get("/events?type=message.*").await);
    let head = &all[0];
    assert_eq!((all.len(), &head["type"]), (1, &json!("message.text")));
    assert_eq!(head["tenant_id"], house.tenant_id.to_string());
    assert_eq!(head["authorizer_appid"], SHOP);
    assert!(!head.to_string().contains(FAN), "fans are their tenants' business: {head}");
    let nobodys = unowned(&house).await;
    let found = items(&operator.get("/events?type=component.ticket_late").await);
    assert_eq!((&found[0]["id"], found[0].get("tenant_id")), (&nobodys, Some(&Value::Null)));
    let tenant = Client::tenant(&house).get("/events?type=component.*").await;
    assert_eq!(items(&tenant), Vec::<Value>::new(), "it is in no tenant's stream");
    for (query, found) in [
        (format!("tenant_id={}&type=message.*", house.tenant_id), 1),
        (format!("tenant_id={}&type=component.*", house.tenant_id), 0),
        ("tenant_id=tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), 0),
        (format!("authorizer_appid={SHOP}&type=message.text"), 1),
        ("authorizer_appid=wx1".to_owned(), 0),
        ("from=2999-01-01T00:00:00Z".to_owned(), 0),
    ] {
        assert_eq!(items(&operator.get(&format!("/events?{query}")).await).len(), found, "{query}");
    }
    for (query, field) in [("tenant_id=x", "tenant_id"), ("from=1999-01-01T00:00:00Z", "from")] {
        operator.call("GET", &format!("/events?{query}"), None).await.refused_field(field);
    }
    let tenants_key = Client::operator(&house).with_key(&house.key);
    tenants_key.call("GET", "/events", None).await.refused(401, "unauthenticated");
}

/// An event of the installation's own, which is no tenant's; its id.
async fn unowned(house: &House) -> Value {
    let at = house.services.clock.now();
    let event = Event {
        id: EventId::new(at, &house.services.entropy),
        tenant_id: None,
        component_appid: Some(Appid::parse(COMPONENT).expect("a fixed appid")),
        authorizer_appid: None,
        event_type: EventKind::TicketLate.into(),
        openid: None,
        occurred_at: at,
        received_at: at,
        content: EventContent::Ours(None),
    };
    let tx = house.db.db.begin().await.expect("the database is there");
    tx.events().append(&event).await.expect("it fits");
    tx.commit().await.expect("the database is there");
    json!(event.id.to_string())
}

#[tokio::test]
async fn another_tenants_events_are_not_there() {
    let house = house().await;
    house.told(&text(1, "hello")).await;
    let own = items(&Client::tenant(&house).get("/events?type=message.*").await);
    let foreign = house.foreign_key().await;
    let stranger = Client::tenant(&house).with_key(&foreign);
    assert_eq!(items(&stranger.get("/events").await), Vec::<Value>::new());
    let path = format!("/events/{}", own[0]["id"].as_str().unwrap());
    stranger.call("GET", &path, None).await.refused(404, "event_not_found");
    stranger.post(&format!("{path}/replay"), &json!({})).await.refused(404, "event_not_found");
    stranger.post(&format!("{path}/reply"), &json!({})).await.refused(404, "event_not_found");
    let erased = stranger.post(&format!("/authorizers/{SHOP}/erasures"), &json!({})).await;
    erased.refused(404, "authorizer_not_found");
    let of_a_fan = json!({ "openid": FAN });
    let erased = stranger.post(&format!("/authorizers/{SHOP}/erasures"), &of_a_fan).await;
    erased.refused(404, "authorizer_not_found");
    let trail = stranger.get("/audit").await;
    assert!(!trail.to_string().contains("erased"), "what was not done is in no trail: {trail}");
    assert_eq!(Client::tenant(&house).get(&path).await["id"], own[0]["id"]);
}

#[tokio::test]
async fn what_is_kept_of_a_fan_and_of_all_fans_is_erased() {
    let house = house().await;
    let tenant = Client::tenant(&house);
    for (id, fan) in [(1, FAN), (2, OTHER_FAN), (3, FAN)] {
        house.told(&text_of(fan, id, "hello")).await;
    }
    let path = format!("/authorizers/{SHOP}/erasures");
    let one = tenant.post(&path, &json!({ "openid": FAN })).await.expected(200);
    assert_eq!(one, json!({ "erased": 2 }));
    let left = items(&tenant.get("/events?type=message.*").await);
    assert_eq!((left.len(), &left[0]["openid"]), (1, &json!(OTHER_FAN)));
    tenant.post(&path, &json!({})).await.expected(200);
    assert_eq!(items(&tenant.get("/events?type=message.*").await), Vec::<Value>::new());
    assert_eq!(tenant.acts(2).await, ["authorizer.events_erased", "fan.erased"]);
    let trail = tenant.get("/audit").await;
    assert!(!trail.to_string().contains(FAN), "the trail names no fan");
    house.told(&text(4, "hello")).await;
    tenant.delete(&format!("/authorizers/{SHOP}")).await.expected(204);
    let late = tenant.post(&path, &json!({ "openid": FAN })).await.expected(200);
    assert_eq!(late["erased"], 1, "also of an account that is no longer there");
    assert_eq!(tenant.acts(2).await, ["fan.erased", "authorizer.released"]);
    tenant.post(&path, &json!({ "openid": FAN })).await.refused(404, "authorizer_not_found");
    assert_eq!(tenant.acts(2).await, ["fan.erased", "authorizer.released"], "no second entry");
    let narrow = house.key_with(&[lingpai_model::api_key::Scope::EventRead]).await;
    let reader = Client::tenant(&house).with_key(&narrow);
    reader.post(&path, &json!({})).await.refused(403, "scope_missing");
}

/// A push that is in quarantine.
async fn quarantined(house: &House, reason: QuarantineReason, payload: &str) -> String {
    let (at, entropy) = (house.services.clock.now(), &house.services.entropy);
    let id = PushId::new(at, entropy);
    let page = PageRequest::first();
    let mut components = house.services.components.list(&page).await.expect("a list");
    let component = components.items.remove(0).id;
    let new = NewQuarantined {
        id: id.clone(),
        recipient: QuarantinedFor::Component(component),
        appid: Appid::parse(SHOP).expect("a fixed appid"),
        reason,
        dedupe: Digest::of(&[id.as_str().as_bytes()]),
        payload: Secret::new(payload.as_bytes().to_vec()),
        received_at: at,
    };
    house.db.db.quarantine_message(new).await.expect("the database is there");
    id.to_string()
}

const COMPONENT: &str = "wx1f0e2d3c4b5a6978";

async fn register_component(operator: &Client<'_>) {
    let new = json!({
        "appid": COMPONENT,
        "name": "Services",
        "appsecret": "secret",
        "push_token": "token4711",
        "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    });
    operator.post("/components", &new).await.expected(201);
}

#[tokio::test]
async fn a_push_in_quarantine_is_listed_looked_at_and_let_out() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    register_component(&operator).await;
    assert_eq!(operator.get("/health").await["quarantined"], 0);
    let first = quarantined(&house, QuarantineReason::Unreadable, "<xml canary").await;
    house.clock.advance(chrono::Duration::milliseconds(1));
    let second = quarantined(&house, QuarantineReason::UnknownAuthorizer, &text(1, "hi")).await;
    let health = operator.get("/health").await;
    assert_eq!((&health["quarantined"], &health["state"]), (&json!(2), &json!("needs_attention")));
    let listed = items(&operator.get("/quarantine").await);
    let ids: Vec<_> = listed.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert_eq!(listed[0]["component_appid"], COMPONENT);
    assert_eq!(listed[0]["authorizer_appid"], SHOP);
    assert!(listed.iter().all(|it| it.get("text").is_none()), "a list tells no text");

    let one = operator.get(&format!("/quarantine/{first}")).await;
    assert_eq!((&one["text"], &one["reason"]), (&json!("<xml canary"), &json!("unreadable")));
    assert_eq!(operator.acts(1).await, ["quarantine.read"]);
    for id in [&first, &second] {
        let release = format!("/quarantine/{id}/release");
        let refused = operator.call("POST", &release, None).await;
        refused.refused(409, "still_unreadable");
        assert!(!refused.text.contains("canary"), "{}", refused.text);
    }
    for nobody in ["x", "psh_01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        let path = format!("/quarantine/{nobody}");
        operator.call("GET", &path, None).await.refused(404, "quarantine_not_found");
        let release = operator.call("POST", &format!("{path}/release"), None).await;
        release.refused(404, "quarantine_not_found");
    }
}

#[tokio::test]
async fn the_publish_test_is_switched_and_its_log_is_read() {
    let house = House::start().await;
    let operator = Client::operator(&house);
    register_component(&operator).await;
    let path = format!("/components/{COMPONENT}");
    assert_eq!(operator.get(&path).await["answers_publish_test"], false);
    let on = operator.patch(&path, &json!({ "answers_publish_test": true })).await.expected(200);
    assert_eq!((&on["answers_publish_test"], &on["name"]), (&json!(true), &json!("Services")));
    let log = operator.get(&format!("{path}/publish-test")).await;
    assert_eq!(log, json!({ "items": [], "next": null }));
    for (method, end) in [("GET", "publish-test"), ("POST", "rehearsal")] {
        let absent = operator.call(method, &format!("/components/wx1/{end}"), None).await;
        absent.refused(404, "component_not_found");
    }
}

#[tokio::test]
async fn the_message_url_of_a_component_refuses_what_does_not_verify() {
    let house = House::start().await;
    register_component(&Client::operator(&house)).await;
    for (component, appid) in [(COMPONENT, SHOP), ("wx1", SHOP), (COMPONENT, "a%2Fb")] {
        let path = format!("/wechat/components/{component}/authorizers/{appid}/events?x=1");
        for method in ["POST", "GET"] {
            let refused = house.send(Request::builder().method(method).uri(&path), "<xml/>").await;
            assert_eq!(
                (refused.status, refused.text.as_str()),
                (403, "refused"),
                "{method} {path}"
            );
        }
    }
}
