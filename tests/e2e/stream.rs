//! Events as they come: the stream, where it goes on, and replies of whoever follows it.

use anyhow::Result;
use chrono::Duration;
use lingpai_model::endpoint::Mode;
use lingpai_tests::{
    fans::FAN,
    handler::{Handler, Says},
    people::Program,
    processes::eventually,
    receiver::{Manner, Receiver},
    site::Site,
    stream::{Heard, Listening},
    world::{FLOWERS, ORDERS, SHOP, World},
    xml::cdata,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// How many streams a tenant may have open.
const MOST: usize = 8;

fn content(heard: &Heard) -> &str {
    heard.data["data"]["message"]["Content"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn events_come_as_they_happen_in_the_form_of_webhooks() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.advance(Duration::minutes(1));
    let mut open = Listening::open(&tenant, "", None).await?;
    world.says(SHOP, "你好\n🌸").await?;
    let heard = open.next().await?;
    assert_eq!(heard.event, "message.text");
    assert_eq!(content(&heard), "你好\n🌸");
    let shown = tenant.get(&format!("/v1/events/{}", heard.id)).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.json["type"], "message.text");
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    let replay = format!("/v1/events/{}/replay", heard.id);
    tenant.post(&replay, &json!({})).await?.expect(StatusCode::CREATED)?;
    world.deliver().await?;
    assert_eq!(receiver.take_one()?.json(), heard.data);

    world.advance(Duration::minutes(1));
    world.emulator.revoke(SHOP).await?;
    world.work().await?;
    assert_eq!(open.next().await?.event, "authorizer.unauthorized");
    drop(open);
    world.end().await
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event_that_was_heard() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let mut open = Listening::open(&tenant, "types=message.*", None).await?;
    world.says(SHOP, "one").await?;
    let first = open.next().await?;
    drop(open);
    for text in ["two", "three"] {
        world.says(SHOP, text).await?;
    }
    let mut again = Listening::open(&tenant, "types=message.*", Some(&first.id)).await?;
    world.says(SHOP, "four").await?;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(content(&again.next().await?).to_owned());
    }
    heard.sort_unstable();
    assert_eq!(heard, ["four", "three", "two"], "each once, and none of before");
    drop(again);
    world.end().await
}

#[tokio::test]
async fn a_stream_holds_what_it_is_asked_for_and_what_is_ones_own() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    let (_, stranger) = world.operator.create_tenant("另一家").await?;
    let mut foreign = Listening::open(&stranger, "", None).await?;
    let query = format!("types=message.*,event.subscribe&authorizers={ORDERS}");
    let mut narrow = Listening::open(&tenant, &query, None).await?;
    world.says(SHOP, "another account").await?;
    world.does(ORDERS, "user_enter_tempsession", "").await?;
    world.says(ORDERS, "this one").await?;
    assert_eq!(content(&narrow.next().await?), "this one");
    // What the stranger hears first is his own.
    world.authorize(&stranger, FLOWERS).await?;
    let own = foreign.next().await?;
    assert_eq!(own.data["data"]["authorizer_appid"], FLOWERS, "{own:?}");
    drop((narrow, foreign));
    for wrong in ["types=Message", "authorizers=a/b", "replying=perhaps"] {
        let refused = Listening::ask(&tenant, wrong, None).await?;
        let refused = refused.expect_err("a wrong query");
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.text);
    }
    world.end().await
}

#[tokio::test]
async fn a_tenant_has_eight_streams_and_gets_a_ninth_when_one_ends() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (_, other) = world.operator.create_tenant("书店").await?;
    let mut open = Vec::new();
    for _ in 0..MOST {
        open.push(Listening::open(&tenant, "", None).await?);
    }
    let refused = Listening::ask(&tenant, "", None).await?.expect_err("there are eight");
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text);
    assert_eq!(refused.json["code"], "too_many_streams");
    drop(Listening::open(&other, "", None).await?);
    open.pop();
    let ninth = eventually("a seat is free again", async || {
        Ok(Listening::ask(&tenant, "", None).await?.ok())
    })
    .await?;
    // Streams take no seat of those who call.
    tenant.get("/v1/key").await?.expect(StatusCode::OK)?;
    drop((ninth, open));
    world.end().await
}

/// A reply to a message that was heard.
fn reply_to(heard: &Heard, content: &str) -> Value {
    let message = &heard.data["data"]["message"];
    let name = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let xml = format!(
        "<xml>{}{}<CreateTime>1700000000</CreateTime>{}{}</xml>",
        cdata("ToUserName", &name("FromUserName")),
        cdata("FromUserName", &name("ToUserName")),
        cdata("MsgType", "text"),
        cdata("Content", content),
    );
    json!({ "xml": xml })
}

async fn answer(tenant: &Program, open: &mut Listening, reply: &str) -> Result<Heard> {
    let heard = open.next().await?;
    let path = format!("/v1/events/{}/reply", heard.id);
    tenant.post(&path, &reply_to(&heard, reply)).await?.expect(StatusCode::NO_CONTENT)?;
    Ok(heard)
}

#[tokio::test]
async fn whoever_follows_may_reply_while_he_is_there() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let mut open = Listening::open(&tenant, "types=message.*&replying=true", None).await?;
    let (talk, heard) =
        tokio::join!(world.says(SHOP, "anybody there?"), answer(&tenant, &mut open, "I am"));
    let (talk, heard) = (talk?, heard?);
    assert_eq!(talk.text(), "I am", "{talk:?}");
    assert_eq!(talk.element("ToUserName"), FAN);
    let path = format!("/v1/events/{}/reply", heard.id);
    let second = tenant.post(&path, &reply_to(&heard, "again")).await?;
    assert_eq!(second.json["code"], "already_replied", "{}", second.text);
    let nonsense = tenant.post(&path, &json!({ "xml": "<xml>" })).await?;
    assert!(nonsense.status.is_client_error(), "{}", nonsense.text);

    // Who says at once that he says nothing keeps nobody waiting.
    let nothing = async {
        let heard = open.next().await?;
        let path = format!("/v1/events/{}/reply", heard.id);
        tenant.post(&path, &json!({})).await?.expect(StatusCode::NO_CONTENT)
    };
    let (talk, nothing) = tokio::join!(world.says(SHOP, "hm"), nothing);
    nothing?;
    assert!(talk?.is_success());

    drop(open);
    world.advance(Duration::minutes(5));
    let late = tenant.post(&path, &reply_to(&heard, "late")).await?;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(world.says(SHOP, "and now?").await?.is_success());
    world.end().await
}

#[tokio::test]
async fn replying_needs_a_key_that_may_change_endpoints() -> Result<()> {
    let world = World::with_ticket().await?;
    let (id, _) = world.authorized().await?;
    let reads = json!({ "name": "reads", "scopes": ["event:read"] });
    let (_, reader) = world.operator.create_key(&id, &reads).await?;
    drop(Listening::open(&reader, "", None).await?);
    let refused = Listening::ask(&reader, "replying=true", None).await?.expect_err("it may not");
    assert_eq!(refused.json["code"], "scope_missing", "{}", refused.text);
    world.end().await
}

/// The whole way of `lingpai listen`, as a process on a developer's machine.
#[tokio::test]
async fn the_command_brings_events_to_a_handler_here_and_its_reply_back() -> Result<()> {
    let site = Site::open(lingpai_emulator::EmulatorConfig::for_tests(), &[]).await?;
    let tenant = site.authorized(SHOP).await?;
    let handler = Handler::new(SHOP, Mode::Secure, Says::Echo("laptop: ".to_owned()))?;
    let receiver = Receiver::start(handler).await?;
    let settings = Handler::settings(Mode::Secure);
    let text = |name: &str| settings[name].as_str().unwrap_or_default().to_owned();
    let environment = [
        ("LINGPAI_LISTEN__SERVER", site.process.url.as_str().trim_end_matches('/').to_owned()),
        ("LINGPAI_LISTEN__KEY", tenant.key().to_owned()),
        ("LINGPAI_LISTEN__TOKEN", text("token")),
        ("LINGPAI_LISTEN__ENCODING_AES_KEY", text("encoding_aes_key")),
        ("LINGPAI_LISTEN__MODE", "secure".to_owned()),
    ];
    let _listening =
        site.start.companion(&["listen", "--forward", &receiver.url()], &environment, "listen")?;
    let said = lingpai_emulator::FanMessage::text(SHOP, "hello");
    eventually("the fan is answered by the laptop", async || {
        let told = site.emulator.fan_message(&said).await?;
        assert_eq!(told.invalid_reply, None);
        Ok(told.reply.filter(|reply| reply.contains("laptop: hello")))
    })
    .await?;
    assert!(receiver.taken().iter().all(|taken| taken.message.is_some()));
    Ok(())
}
