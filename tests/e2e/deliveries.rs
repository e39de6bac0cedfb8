//! Events on their way to endpoints: in the form that each wants, again until it is taken, and again
//! when the tenant says so.

use anyhow::{Context as _, Result};
use chrono::{DateTime, Duration, Utc};
use lingpai_emulator::EmulatorConfig;
use lingpai_model::{clock::Clock as _, endpoint::Mode};
use lingpai_tests::{
    handler::{Handler, Says},
    people::{Answer, Program},
    processes::eventually,
    receiver::{Manner, Receiver, Taken},
    world::{ALLOW_LOOPBACK, ORDERS, SHOP, World},
    xml::element,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::signatures::is_signed_by;

/// A world, its tenant, and a receiver behind a webhook that wants messages; gives the webhook's id
/// and secret too.
struct Scene {
    world: World,
    tenant: Program,
    receiver: Receiver,
    id: String,
    secret: String,
}

impl Scene {
    async fn with(manner: Manner) -> Result<Self> {
        let (world, tenant) = World::with_authorizer().await?;
        let receiver = Receiver::start(manner).await?;
        let endpoint = json!({
            "kind": "webhook", "url": receiver.url(), "event_types": ["message.*"],
        });
        let created = tenant.create_endpoint(&endpoint).await?;
        let (id, secret) = (created.field("id")?, created.field("secret")?);
        Ok(Self { world, tenant, receiver, id, secret })
    }

    /// A fan writes, and what is due is delivered.
    async fn says(&self, content: &str) -> Result<()> {
        assert!(self.world.says(SHOP, content).await?.is_success());
        self.world.deliver().await?;
        Ok(())
    }

    /// The only delivery to the endpoint, with its attempts.
    async fn delivery(&self) -> Result<Answer> {
        let listed = deliveries(&self.tenant, &format!("endpoint_id={}", self.id)).await?;
        let [only] = &*listed else { anyhow::bail!("{listed:?}") };
        let id = only["id"].as_str().context("it has an id")?;
        self.tenant.get(&format!("/v1/deliveries/{id}")).await?.expect(StatusCode::OK)
    }

    /// Lets the time pass until the next attempt of the only delivery, and makes it.
    async fn next_attempt(&self) -> Result<Answer> {
        let due: DateTime<Utc> = self.delivery().await?.field("due_at")?.parse()?;
        let wait = (due - self.world.clock.now()).max(Duration::zero()) + Duration::seconds(1);
        self.world.advance(wait);
        self.world.deliver().await?;
        self.delivery().await
    }
}

async fn deliveries(tenant: &Program, query: &str) -> Result<Vec<Value>> {
    tenant.list_all(&format!("/v1/deliveries?{query}")).await
}

fn contents(taken: &[Taken]) -> Vec<String> {
    let content = |it: &Taken| it.json()["data"]["message"]["Content"].as_str().map(str::to_owned);
    taken.iter().filter_map(content).collect()
}

#[tokio::test]
async fn a_webhook_says_everything_and_is_signed() -> Result<()> {
    let scene = Scene::with(Manner::well()).await?;
    let said = scene.world.text("你好 🌸 \"引号\" \\ </xml>");
    assert!(scene.world.push(SHOP, &said).await?.is_success());
    scene.world.deliver().await?;
    let taken = scene.receiver.take_one()?;
    assert!(is_signed_by(&taken, &scene.secret));
    assert_eq!(taken.header("content-type"), "application/json");
    let (body, events) = (taken.json(), scene.tenant.get("/v1/events?type=message.*").await?);
    assert_eq!(taken.header("webhook-id"), events.field("items.0.id")?);
    assert_eq!(body["type"], "message.text");
    assert!(body["timestamp"].as_str().is_some_and(|at| at.parse::<DateTime<Utc>>().is_ok()));
    assert_eq!(body["data"]["authorizer_appid"], SHOP);
    assert_eq!(body["data"]["component_appid"], scene.world.component.appid);
    assert_eq!(body["data"]["message"]["Content"], "你好 🌸 \"引号\" \\ </xml>");
    assert_eq!(body["data"]["raw"], said.to("gh_0a1b2c3d4e5f"));
    let delivery = scene.delivery().await?;
    assert_eq!(delivery.json["state"], "delivered", "{}", delivery.text);
    assert_eq!(delivery.json["attempts"][0]["status"], 204);
    assert_eq!(scene.world.deliver().await?, 0, "nothing is left");
    scene.world.end().await
}

#[tokio::test]
async fn our_own_events_are_delivered_as_webhooks_too() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    world.authorize(&tenant, ORDERS).await?;
    world.deliver().await?;
    let body = receiver.take_one()?.json();
    assert_eq!(body["type"], "authorizer.authorized", "{body}");
    assert_eq!(body["data"]["authorizer_appid"], ORDERS);
    assert!(body["data"].get("message").is_none_or(Value::is_null), "{body}");
    world.end().await
}

#[tokio::test]
async fn a_handler_of_wechats_pushes_is_spoken_to_as_wechat_speaks_in_each_mode() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for mode in Mode::ALL {
        let receiver = Receiver::start(Handler::new(SHOP, mode, Says::Success)?).await?;
        let mut endpoint = Handler::settings(mode);
        endpoint["url"] = json!(format!("{}?own=1", receiver.url()));
        let id = tenant.create_endpoint(&endpoint).await?.field("id")?;
        let said = world.text("原样 🌸 ]]>");
        assert!(world.push(SHOP, &said).await?.is_success());
        world.deliver().await?;
        let taken = receiver.take_one()?;
        let message = taken.message.as_deref().context("it was not made for this handler")?;
        let account = world.emulator.account(SHOP).context("the shop")?.user_name;
        assert_eq!(message, said.to(&account), "byte for byte, {mode:?}");
        assert_eq!(taken.parameter("openid"), Some(said.openid.clone()), "{mode:?}");
        assert_eq!(taken.parameter("own"), Some("1".to_owned()), "its own query stays");
        let is_told = taken.body.contains("原样");
        assert_eq!(is_told, mode != Mode::Secure, "{mode:?}: {}", taken.body);
        assert!(!taken.body.contains(&world.component.appid), "not WeChat's own ciphertext");
        let listed = deliveries(&tenant, &format!("endpoint_id={id}")).await?;
        assert_eq!(listed[0]["state"], "delivered", "{mode:?}: {listed:?}");
        tenant.delete(&format!("/v1/endpoints/{id}")).await?.expect(StatusCode::NO_CONTENT)?;
    }
    world.end().await
}

#[tokio::test]
async fn what_is_no_push_of_wechats_has_no_form_for_a_handler() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let handler = Handler::new(ORDERS, Mode::Secure, Says::Success)?;
    let receiver = Receiver::start(handler).await?;
    let mut endpoint = Handler::settings(Mode::Secure);
    endpoint["url"] = json!(receiver.url());
    tenant.create_endpoint(&endpoint).await?;
    world.authorize(&tenant, ORDERS).await?;
    world.deliver().await?;
    assert_eq!(receiver.counts().taken, 0);
    world.says(ORDERS, "hello").await?;
    world.deliver().await?;
    let message = receiver.take_one()?.message.context("with the appid of the account")?;
    assert_eq!(element(&message, "Content").as_deref(), Some("hello"));
    world.end().await
}

#[tokio::test]
async fn each_endpoint_gets_what_it_wants_and_nothing_else() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    world.deliver().await?;
    let mut wanted = Vec::new();
    for (filter, expected) in [
        (json!({}), 5),
        (json!({ "event_types": ["*"] }), 5),
        (json!({ "event_types": ["message.*"] }), 2),
        (json!({ "event_types": ["message.image"] }), 0),
        (json!({ "event_types": ["event.subscribe", "event.click"] }), 2),
        (json!({ "authorizers": [ORDERS] }), 1),
        (json!({ "authorizers": [SHOP], "event_types": ["message.*"] }), 1),
        (json!({ "event_types": ["authorizer.*"] }), 1),
    ] {
        let receiver = Receiver::start(Manner::well()).await?;
        let mut endpoint = json!({ "kind": "webhook", "url": receiver.url() });
        for (name, value) in filter.as_object().into_iter().flatten() {
            endpoint[name] = value.clone();
        }
        tenant.create_endpoint(&endpoint).await?;
        wanted.push((receiver, filter, expected));
    }
    world.says(SHOP, "one").await?;
    world.says(ORDERS, "two").await?;
    world.does(SHOP, "subscribe", "").await?;
    world.does(SHOP, "CLICK", "<EventKey>V1</EventKey>").await?;
    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    world.deliver().await?;
    for (receiver, filter, expected) in wanted {
        assert_eq!(receiver.take().len(), expected, "{filter}");
    }
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    assert!(deliveries(&stranger, "").await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id_until_it_is_taken() -> Result<()> {
    let scene = Scene::with(Manner::Answer(500, "CANARYanswer".to_owned())).await?;
    scene.says("again").await?;
    let first = scene.receiver.take_one()?;
    let failed = scene.delivery().await?;
    assert_eq!(
        (&failed.json["state"], &failed.json["attempt_count"]),
        (&json!("pending"), &json!(1))
    );
    assert_eq!(failed.json["attempts"][0]["status"], 500);
    assert!(failed.json["attempts"][0]["failure"].is_string());
    assert!(!failed.text.contains("CANARY"), "an answer is not repeated: {}", failed.text);
    scene.world.deliver().await?;
    assert_eq!(scene.receiver.counts().taken, 1, "not before it is due");

    scene.next_attempt().await?;
    scene.receiver.answer(Manner::well());
    let taken = scene.next_attempt().await?;
    assert_eq!(taken.json["state"], "delivered", "{}", taken.text);
    assert_eq!(taken.json["attempts"].as_array().map(Vec::len), Some(3));
    for again in scene.receiver.take() {
        assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(again.body, first.body);
        assert!(is_signed_by(&again, &scene.secret));
    }
    scene.world.end().await
}

#[tokio::test]
async fn whatever_is_no_success_is_a_failure() -> Result<()> {
    let elsewhere = Receiver::start(Manner::well()).await?;
    let scene = Scene::with(Manner::well()).await?;
    let redirect = format!("Location: {}\r\n", elsewhere.url());
    for (manner, status, state) in [
        (Manner::AnswerWith(302, redirect.clone()), 302, "pending"),
        (Manner::AnswerWith(307, redirect), 307, "pending"),
        (Manner::status(404), 404, "pending"),
        (Manner::status(503), 503, "pending"),
        // It has taken the event, and says more than anybody reads.
        (Manner::Answer(200, "x".repeat(70 * 1024)), 200, "delivered"),
    ] {
        scene.receiver.answer(manner);
        scene.says("x").await?;
        let newest = deliveries(&scene.tenant, "").await?[0].clone();
        let path = format!("/v1/deliveries/{}", newest["id"].as_str().unwrap_or_default());
        let shown = scene.tenant.get(&path).await?.expect(StatusCode::OK)?;
        let attempt = &shown.json["attempts"][0];
        assert_eq!((&attempt["status"], &shown.json["state"]), (&json!(status), &json!(state)));
        assert!(attempt["failure"].is_string(), "{status}: {attempt}");
    }
    assert_eq!(elsewhere.counts().taken, 0, "redirects are not followed");
    scene.world.end().await
}

#[tokio::test]
async fn who_says_when_to_come_again_is_not_asked_before() -> Result<()> {
    let later = Manner::AnswerWith(503, "Retry-After: 1800\r\n".to_owned());
    let scene = Scene::with(later).await?;
    scene.says("later").await?;
    let due: DateTime<Utc> = scene.delivery().await?.field("due_at")?.parse()?;
    let wait = due - scene.world.clock.now();
    assert!(wait >= Duration::minutes(29), "{wait}");
    scene.world.end().await
}

#[tokio::test]
async fn what_fails_for_three_days_is_given_up_and_can_be_replayed() -> Result<()> {
    let scene = Scene::with(Manner::status(500)).await?;
    scene.says("never").await?;
    let began = scene.world.clock.now();
    let mut delivery = scene.delivery().await?;
    while delivery.json["state"] == "pending" {
        let attempts = delivery.json["attempt_count"].clone();
        delivery = scene.next_attempt().await?;
        assert_ne!(delivery.json["attempt_count"], attempts, "{}", delivery.text);
    }
    assert_eq!(
        (&delivery.json["state"], &delivery.json["dead_reason"]),
        (&json!("dead"), &json!("gave_up"))
    );
    let lasted = scene.world.clock.now() - began;
    assert!(lasted > Duration::days(2) && lasted < Duration::days(4), "{lasted}");
    let attempts = delivery.json["attempts"].as_array().map_or(0, Vec::len);
    assert!((10..=12).contains(&attempts), "{attempts} attempts");
    assert_eq!(delivery.json["due_at"], Value::Null);
    assert!(delivery.json["ended_at"].is_string());

    let seen = scene.world.operator.list_all("/admin/v1/deliveries?state=dead").await?;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["id"], delivery.json["id"]);
    scene.receiver.answer(Manner::well());
    let _ = scene.receiver.take();
    let path = format!("/v1/deliveries/{}/replay", delivery.field("id")?);
    let replayed = scene.tenant.post(&path, &json!({})).await?.expect(StatusCode::CREATED)?;
    assert_eq!(replayed.json["deliveries"], 1, "{}", replayed.text);
    // The endpoint rests after so many failures.
    scene.world.advance(Duration::minutes(10));
    scene.world.deliver().await?;
    assert_eq!(contents(&scene.receiver.take()), ["never"]);
    let listed = deliveries(&scene.tenant, "state=delivered").await?;
    assert_eq!(listed[0]["cause"], "replay", "{listed:?}");
    scene.world.end().await
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_and_its_tenant_is_told() -> Result<()> {
    let scene = Scene::with(Manner::status(410)).await?;
    let told = Receiver::start(Manner::well()).await?;
    let elsewhere = json!({ "kind": "webhook", "url": told.url(), "event_types": ["endpoint.*"] });
    scene.tenant.create_endpoint(&elsewhere).await?;
    for text in ["one", "two"] {
        scene.world.says(SHOP, text).await?;
    }
    scene.world.deliver().await?;
    let shown = scene.tenant.get(&format!("/v1/endpoints/{}", scene.id)).await?;
    assert_eq!(shown.json["state"], "disabled", "{}", shown.text);
    let given_up = deliveries(&scene.tenant, &format!("endpoint_id={}", scene.id)).await?;
    assert_eq!(given_up.len(), 2);
    for delivery in given_up {
        assert_eq!(delivery["dead_reason"], "endpoint_disabled", "{delivery}");
    }
    let event = told.take_one()?.json();
    assert_eq!(event["type"], "endpoint.disabled", "{event}");
    assert!(event.to_string().contains(&scene.id), "{event}");
    scene.world.end().await
}

#[tokio::test]
async fn an_endpoint_that_fails_for_three_days_is_disabled() -> Result<()> {
    let scene = Scene::with(Manner::status(500)).await?;
    let path = format!("/v1/endpoints/{}", scene.id);
    for hour in 0..40 {
        scene.world.advance(Duration::hours(2));
        scene.says(&hour.to_string()).await?;
        if scene.tenant.get(&path).await?.json["state"] == "disabled" {
            assert!(hour >= 35, "after {hour} times two hours");
            let listed = scene.tenant.list_all("/v1/events?type=endpoint.disabled").await?;
            assert_eq!(listed.len(), 1);
            return scene.world.end().await;
        }
    }
    anyhow::bail!("it is still sent to")
}

#[tokio::test]
async fn one_success_in_between_keeps_an_endpoint_enabled() -> Result<()> {
    let scene = Scene::with(Manner::status(500)).await?;
    for hour in 0..50 {
        let manner = if hour == 25 { Manner::well() } else { Manner::status(500) };
        scene.receiver.answer(manner);
        scene.world.advance(Duration::hours(2));
        scene.says(&hour.to_string()).await?;
    }
    let shown = scene.tenant.get(&format!("/v1/endpoints/{}", scene.id)).await?;
    assert_eq!(shown.json["state"], "active", "{}", shown.text);
    scene.world.end().await
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_for_a_while() -> Result<()> {
    let scene = Scene::with(Manner::status(500)).await?;
    for number in 0..20 {
        scene.world.says(SHOP, &number.to_string()).await?;
    }
    scene.world.deliver().await?;
    let asked = scene.receiver.counts().taken;
    assert!(asked < 20, "{asked} of 20 were tried though the first ones failed");
    let shown = scene.tenant.get(&format!("/v1/endpoints/{}", scene.id)).await?;
    assert!(shown.json["health"]["blocked_until"].is_string(), "{}", shown.text);
    scene.receiver.answer(Manner::well());
    scene.world.advance(Duration::minutes(10));
    scene.world.deliver().await?;
    assert!(deliveries(&scene.tenant, "state=pending").await?.is_empty());
    assert_eq!(deliveries(&scene.tenant, "state=delivered").await?.len(), 20);
    scene.world.end().await
}

#[tokio::test]
async fn four_at_once_go_to_an_endpoint_and_sixteen_to_a_tenant() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::Late(Box::new(Manner::well()))).await?;
    tenant.create_webhook(&format!("{}/0", receiver.url())).await?;
    for number in 0..8 {
        world.says(SHOP, &number.to_string()).await?;
    }
    let held = async |most: usize| {
        receiver.wait_until(|counts| counts.in_flight == most).await?;
        receiver.answer(Manner::well());
        receiver.let_go();
        anyhow::Ok(())
    };
    let (delivered, held_back) = tokio::join!(world.deliver(), held(4));
    delivered?;
    held_back?;
    assert_eq!(receiver.counts().most_in_flight, 4);
    assert_eq!(receiver.take().len(), 8);

    receiver.answer(Manner::Late(Box::new(Manner::well())));
    for number in 1..6 {
        tenant.create_webhook(&format!("{}/{number}", receiver.url())).await?;
    }
    for number in 0..8 {
        world.says(SHOP, &number.to_string()).await?;
    }
    let (delivered, held_back) = tokio::join!(world.deliver(), held(16));
    delivered?;
    held_back?;
    assert_eq!(receiver.counts().most_in_flight, 16);
    assert_eq!(receiver.take().len(), 6 * 8);
    world.end().await
}

#[tokio::test]
async fn events_are_replayed_one_by_one_to_another_endpoint_and_by_range() -> Result<()> {
    let scene = Scene::with(Manner::well()).await?;
    let began = scene.world.clock.now();
    for text in ["one", "two", "three"] {
        scene.world.advance(Duration::seconds(1));
        scene.says(text).await?;
    }
    let first_ids: Vec<String> =
        scene.receiver.take().iter().map(|taken| taken.header("webhook-id").to_owned()).collect();
    let newest =
        scene.tenant.get("/v1/events?type=message.*&limit=1").await?.field("items.0.id")?;
    let path = format!("/v1/events/{newest}/replay");
    let replayed = scene.tenant.post(&path, &json!({})).await?.expect(StatusCode::CREATED)?;
    assert_eq!(replayed.json["deliveries"], 1);
    scene.world.deliver().await?;
    let again = scene.receiver.take_one()?;
    assert_eq!(again.header("webhook-id"), newest, "under the id that it has");

    let elsewhere = Receiver::start(Manner::well()).await?;
    // Whatever its filters say.
    let other = json!({ "kind": "webhook", "url": elsewhere.url(), "event_types": ["event.none"] });
    let other = scene.tenant.create_endpoint(&other).await?.field("id")?;
    let to_other = json!({ "endpoint_id": other });
    scene.tenant.post(&path, &to_other).await?.expect(StatusCode::CREATED)?;
    scene.world.deliver().await?;
    assert_eq!(contents(&elsewhere.take()), ["three"]);
    assert!(scene.receiver.take().is_empty());

    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let now = instant(scene.world.clock.now() + Duration::seconds(1));
    scene.world.advance(Duration::seconds(1));
    let range = json!({
        "type": "message.*", "from": instant(began), "to": now, "endpoint_id": other,
    });
    let replayed = scene.tenant.post("/v1/events/replay", &range).await?;
    let replayed = replayed.expect(StatusCode::CREATED)?;
    assert_eq!((&replayed.json["deliveries"], &replayed.json["next"]), (&json!(3), &Value::Null));
    scene.world.deliver().await?;
    let mut ids: Vec<String> =
        elsewhere.take().iter().map(|taken| taken.header("webhook-id").to_owned()).collect();
    ids.sort_unstable();
    assert_eq!(ids, first_ids, "ids grow with time");
    let trail = scene.tenant.get("/v1/audit?limit=1").await?;
    assert_eq!(trail.field("items.0.action")?, "deliveries.replayed");
    scene.world.end().await
}

#[tokio::test]
async fn nothing_is_replayed_to_endpoints_that_take_nothing() -> Result<()> {
    let scene = Scene::with(Manner::well()).await?;
    scene.says("x").await?;
    let event = scene.tenant.get("/v1/events?type=message.*").await?.field("items.0.id")?;
    let path = format!("/v1/events/{event}/replay");
    scene.receiver.answer(Manner::status(410));
    scene.says("y").await?;
    let to_it = json!({ "endpoint_id": scene.id });
    let refused = scene.tenant.post(&path, &to_it).await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused.json["code"], "endpoint_not_active", "{}", refused.text);
    let nowhere = json!({ "endpoint_id": "end_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    let refused = scene.tenant.post(&path, &nowhere).await?.expect(StatusCode::NOT_FOUND)?;
    assert_eq!(refused.json["code"], "endpoint_not_found");
    scene.world.end().await
}

#[tokio::test]
async fn an_operator_sees_what_is_dead_and_has_it_delivered() -> Result<()> {
    let scene = Scene::with(Manner::status(410)).await?;
    scene.says("dead").await?;
    let tenant_id = scene.delivery().await?.field("tenant_id")?;
    let path = format!("/admin/v1/deliveries?state=dead&tenant_id={tenant_id}");
    let dead = scene.world.operator.list_all(&path).await?;
    assert_eq!(dead.len(), 1, "{dead:?}");
    let others = "/admin/v1/deliveries?state=dead&tenant_id=tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert!(scene.world.operator.list_all(others).await?.is_empty());
    let id = dead[0]["id"].as_str().context("it has an id")?;
    let replay = format!("/admin/v1/deliveries/{id}/replay");
    let refused = scene.world.operator.post(&replay, &json!({})).await?;
    assert_eq!(refused.json["code"], "endpoint_not_active", "{}", refused.text);

    let endpoint = format!("/v1/endpoints/{}", scene.id);
    scene.tenant.patch(&endpoint, &json!({ "paused": false })).await?.expect(StatusCode::OK)?;
    scene.receiver.answer(Manner::well());
    let _ = scene.receiver.take();
    let replayed = scene.world.operator.post(&replay, &json!({})).await?;
    assert!(replayed.status.is_success(), "{}", replayed.text);
    scene.world.deliver().await?;
    assert_eq!(contents(&scene.receiver.take()), ["dead"]);
    scene.world.end().await
}

#[tokio::test]
async fn nothing_more_goes_to_an_endpoint_that_was_removed() -> Result<()> {
    let scene = Scene::with(Manner::status(500)).await?;
    scene.says("x").await?;
    let path = format!("/v1/endpoints/{}", scene.id);
    scene.tenant.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
    let _ = scene.receiver.take();
    scene.world.advance(Duration::hours(1));
    scene.world.deliver().await?;
    assert!(scene.receiver.take().is_empty());
    let listed = deliveries(&scene.tenant, "").await?;
    assert_eq!(listed[0]["dead_reason"], "endpoint_removed", "{listed:?}");
    scene.world.end().await
}

#[tokio::test]
async fn loopback_is_reached_only_where_an_operator_allows_it() -> Result<()> {
    let (allow, _) = ALLOW_LOOPBACK;
    let world = World::start_set(EmulatorConfig::for_tests(), None, &[(allow, "")]).await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    for host in ["127.0.0.1", "localhost", "[::1]", "127.1", "LOCALHOST."] {
        let endpoint = json!({ "kind": "webhook", "url": format!("http://{host}/hook") });
        let refused = tenant.post("/v1/endpoints", &endpoint).await?;
        assert_eq!(refused.json["code"], "endpoint_url_refused", "{host}: {}", refused.text);
    }
    world.end().await
}

#[tokio::test]
async fn one_endpoint_that_hangs_holds_up_no_other() -> Result<()> {
    let scene = Scene::with(Manner::well()).await?;
    let hanging = Receiver::start(Manner::Hang).await?;
    let endpoint = json!({ "kind": "webhook", "url": hanging.url() });
    scene.tenant.create_endpoint(&endpoint).await?;
    for number in 0..6 {
        assert!(scene.world.says(SHOP, &number.to_string()).await?.is_success());
    }
    let others = async {
        hanging.wait_until(|counts| counts.in_flight > 0).await?;
        scene.receiver.wait_until(|counts| counts.taken == 6).await?;
        hanging.answer(Manner::status(500));
        hanging.let_go();
        anyhow::Ok(())
    };
    let (delivered, others) = tokio::join!(scene.world.deliver(), others);
    delivered?;
    others?;
    eventually("what hung is counted as failed", async || {
        let health = scene.tenant.list_all("/v1/endpoints").await?;
        let failing = health.iter().any(|it| it["health"]["failures_in_row"] != 0);
        Ok(failing.then_some(()))
    })
    .await?;
    scene.world.end().await
}
