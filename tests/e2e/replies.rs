//! What fans read at once: what the account says by itself, what a handler says in time, and nothing
//! in every other case.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::Fan;
use lingpai_model::endpoint::Mode;
use lingpai_tests::{
    fans::{FAN, Said},
    handler::{Handler, Says},
    people::Program,
    processes::eventually,
    receiver::{Manner, Receiver},
    world::{ORDERS, SHOP, World},
    xml::{cdata, element},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

fn auto_replies() -> String {
    format!("/v1/authorizers/{SHOP}/auto-replies")
}

fn text(content: &str) -> Value {
    json!({ "type": "text", "content": content })
}

/// A receiver with a handler behind a replying endpoint; gives the endpoint's id too.
async fn replying(tenant: &Program, mode: Mode, says: Says) -> Result<(Receiver, String)> {
    let receiver = Receiver::start(Handler::new(SHOP, mode, says)?).await?;
    let id = replies_at(tenant, &receiver, mode, &json!({ "replying": true })).await?;
    Ok((receiver, id))
}

async fn replies_at(
    tenant: &Program,
    receiver: &Receiver,
    mode: Mode,
    more: &Value,
) -> Result<String> {
    let mut endpoint = Handler::settings(mode);
    endpoint["url"] = json!(receiver.url());
    for (name, value) in more.as_object().into_iter().flatten() {
        endpoint[name] = value.clone();
    }
    tenant.create_endpoint(&endpoint).await?.field("id")
}

#[tokio::test]
async fn an_account_answers_by_itself_without_any_server() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let rules = json!({ "rules": [
        { "on": "keyword", "words": ["价格", "price"], "reply": text("¥99 ]]> <b>") },
        { "on": "containing", "words": ["营业"], "reply": text("9–18") },
        { "on": "subscribe", "reply": text("欢迎") },
        { "on": "menu_click", "key": "V1", "reply": { "type": "image", "media_id": "m1" } },
        { "on": "any_message", "reply": { "type": "news", "articles": [
            { "title": "目录", "url": "https://shop.example/?a=1&b=2" },
        ] } },
    ] });
    tenant.put(&auto_replies(), &rules).await?.expect(StatusCode::OK)?;
    let shown = tenant.get(&auto_replies()).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.json["rules"].as_array().map(Vec::len), Some(5), "{}", shown.text);

    assert_eq!(world.says(SHOP, " 价格\n").await?.text(), "¥99 ]]> <b>");
    assert_eq!(world.says(SHOP, "几点营业？").await?.text(), "9–18");
    assert_eq!(world.does(SHOP, "subscribe", "").await?.text(), "欢迎");
    let tapped = world.does(SHOP, "CLICK", &cdata("EventKey", "V1")).await?;
    assert_eq!(
        (tapped.element("MsgType"), tapped.element("MediaId")),
        ("image".into(), "m1".into())
    );
    let any = world.says(SHOP, "hm").await?;
    assert_eq!((any.element("MsgType"), any.element("ArticleCount")), ("news".into(), "1".into()));
    assert_eq!(any.element("Url"), "https://shop.example/?a=1&b=2");
    // The fan is spoken to by the account.
    assert_eq!(any.element("ToUserName"), FAN);
    assert_eq!(any.element("FromUserName"), "gh_0a1b2c3d4e5f");
    assert!(world.does(SHOP, "VIEW", &cdata("EventKey", "V1")).await?.is_success());
    assert_eq!(tenant.list_all("/v1/events?type=message.*").await?.len(), 3, "all are kept");
    world.end().await
}

#[tokio::test]
async fn what_an_account_answers_is_changed_and_taken_back() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    let rules = |content| json!({ "rules": [{ "on": "any_message", "reply": text(content) }] });
    for content in ["first", "second"] {
        tenant.put(&auto_replies(), &rules(content)).await?.expect(StatusCode::OK)?;
        assert_eq!(world.says(SHOP, "x").await?.text(), content);
    }
    assert!(world.says(ORDERS, "x").await?.is_success(), "another account says nothing");
    tenant.delete(&auto_replies()).await?.expect(StatusCode::NO_CONTENT)?;
    assert!(world.says(SHOP, "x").await?.is_success());
    let shown = tenant.get(&auto_replies()).await?.expect(StatusCode::OK)?;
    assert_eq!(shown.json["rules"], json!([]));
    for wrong in [
        json!({ "rules": [{ "on": "never", "reply": text("x") }] }),
        json!({ "rules": [{ "on": "keyword", "words": [], "reply": text("x") }] }),
        json!({ "rules": [{ "on": "any_message", "reply": { "type": "text" } }] }),
        json!({ "rules": [{ "on": "any_message", "reply": text(&"长".repeat(700)) }] }),
        json!({ "rules": [{ "on": "any_message", "reply": { "type": "news", "articles": [] } }] }),
        json!({ "rules": vec![json!({ "on": "any_message", "reply": text("x") }); 101] }),
    ] {
        let refused = tenant.put(&auto_replies(), &wrong).await?;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.text);
        assert!(refused.field("code").is_ok(), "{}", refused.text);
    }
    world.end().await
}

#[tokio::test]
async fn a_repeated_push_is_answered_by_the_same_words() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let rules = json!({ "rules": [{ "on": "any_message", "reply": text("same") }] });
    tenant.put(&auto_replies(), &rules).await?.expect(StatusCode::OK)?;
    let said = world.text("x");
    for _ in 0..3 {
        assert_eq!(world.push(SHOP, &said).await?.text(), "same");
    }
    assert_eq!(tenant.list_all("/v1/events?type=message.*").await?.len(), 1);
    world.end().await
}

#[tokio::test]
async fn a_handlers_reply_reaches_the_fan_in_each_mode() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    for mode in Mode::ALL {
        let (receiver, id) = replying(&tenant, mode, Says::Echo("收到：".to_owned())).await?;
        let talk = world.says(SHOP, "你好 🌸").await?;
        assert_eq!(talk.text(), "收到：你好 🌸", "{mode:?}: {talk:?}");
        assert_eq!(talk.element("ToUserName"), FAN);
        world.deliver().await?;
        assert_eq!(receiver.take().len(), 1, "asked once, and not told again");
        let listed = tenant.list_all(&format!("/v1/deliveries?endpoint_id={id}")).await?;
        let [delivery] = &*listed else { anyhow::bail!("{listed:?}") };
        assert_eq!(
            (&delivery["state"], &delivery["attempt_count"]),
            (&json!("delivered"), &json!(1))
        );
        tenant.delete(&format!("/v1/endpoints/{id}")).await?.expect(StatusCode::NO_CONTENT)?;
    }
    world.end().await
}

#[tokio::test]
async fn every_kind_of_reply_passes() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let inner = |name: &str, fields: &str| format!("<{name}>{fields}</{name}>");
    let media = cdata("MediaId", "m1");
    let articles = format!(
        "<ArticleCount>1</ArticleCount>{}",
        inner(
            "Articles",
            &inner("item", &(cdata("Title", "t") + &cdata("Url", "https://a.example/")))
        ),
    );
    let (receiver, _) = replying(&tenant, Mode::Secure, Says::Nothing).await?;
    for (msg_type, fields) in [
        ("image", inner("Image", &media)),
        ("voice", inner("Voice", &media)),
        ("video", inner("Video", &(media.clone() + &cdata("Title", "t")))),
        ("music", inner("Music", &cdata("ThumbMediaId", "m1"))),
        ("news", articles),
        ("transfer_customer_service", String::new()),
        ("transfer_customer_service", inner("TransInfo", &cdata("KfAccount", "test1@test"))),
    ] {
        let says = Says::Elements(cdata("MsgType", msg_type) + &fields);
        receiver.answer(Handler::new(SHOP, Mode::Secure, says)?);
        let talk = world.says(SHOP, "x").await?;
        assert_eq!(talk.element("MsgType"), msg_type, "{talk:?}");
    }
    world.end().await
}

#[tokio::test]
async fn what_is_no_reply_is_success_to_wechat() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (receiver, _) = replying(&tenant, Mode::Secure, Says::Nothing).await?;
    let elements = |msg_type: &str, rest: &str| Says::Elements(cdata("MsgType", msg_type) + rest);
    for (says, is_told) in [
        (Says::Nothing, false),
        (Says::Success, false),
        // It has taken the message, and is told that its reply was none.
        (Says::ToItself("x".to_owned()), true),
        (Says::Raw("<xml>".to_owned()), true),
        (Says::Raw("<html>500</html>".to_owned()), true),
        (elements("of_next_year", ""), true),
        (elements("text", &cdata("Content", &"长".repeat(700))), true),
        (Says::Raw("x".repeat(70 * 1024)), true),
    ] {
        receiver.answer(Handler::new(SHOP, Mode::Secure, says.clone())?);
        // Whoever fails too often is left alone for a while.
        world.advance(Duration::minutes(10));
        let talk = world.says(SHOP, "x").await?;
        assert!(talk.is_success(), "{says:?}: {talk:?}");
        let id = tenant.get("/v1/deliveries?limit=1").await?.field("items.0.id")?;
        let path = format!("/v1/deliveries/{id}");
        eventually("what came of it is recorded", async || {
            let shown = tenant.get(&path).await?;
            let attempts = shown.json["attempts"].as_array();
            Ok(attempts.is_some_and(|it| !it.is_empty()).then_some(()))
        })
        .await?;
        let shown = tenant.get(&path).await?;
        assert_eq!(shown.json["state"], "delivered", "{says:?}: {}", shown.text);
        let failure = &shown.json["attempts"][0]["failure"];
        assert_eq!(failure.is_string(), is_told, "{says:?}: {failure}");
    }
    world.end().await
}

#[tokio::test]
async fn an_unsealed_reply_is_taken_as_some_handlers_send_it() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let _handler = replying(&tenant, Mode::Secure, Says::InClear("in clear".to_owned())).await?;
    let talk = world.says(SHOP, "x").await?;
    assert_eq!(talk.text(), "in clear", "{talk:?}");
    world.end().await
}

#[tokio::test]
async fn a_handler_that_only_listens_says_nothing_to_fans() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let handler = Handler::new(SHOP, Mode::Secure, Says::Text("not for fans".to_owned()))?;
    let receiver = Receiver::start(handler).await?;
    replies_at(&tenant, &receiver, Mode::Secure, &json!({})).await?;
    assert!(world.says(SHOP, "x").await?.is_success());
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 1);
    assert!(world.custom_messages(SHOP)?.is_empty());
    world.end().await
}

#[tokio::test]
async fn a_handler_that_fails_is_told_again_like_every_endpoint() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (receiver, id) = replying(&tenant, Mode::Secure, Says::Success).await?;
    receiver.answer(Manner::status(500));
    let said = world.text("x");
    assert!(world.push(SHOP, &said).await?.is_success());
    assert!(world.push(SHOP, &said).await?.is_success(), "a repetition asks nobody");
    assert_eq!(receiver.take().len(), 1);
    receiver.answer(Handler::new(SHOP, Mode::Secure, Says::Success)?);
    world.advance(Duration::minutes(10));
    world.deliver().await?;
    let again = receiver.take_one()?;
    assert!(again.message.is_some());
    let listed = tenant.list_all(&format!("/v1/deliveries?endpoint_id={id}")).await?;
    assert_eq!(listed[0]["state"], "delivered", "{listed:?}");
    world.end().await
}

#[tokio::test]
async fn the_accounts_own_answer_comes_before_a_handlers_who_is_told_all_the_same() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let rules = json!({ "rules": [{ "on": "keyword", "words": ["价格"], "reply": text("¥99") }] });
    tenant.put(&auto_replies(), &rules).await?.expect(StatusCode::OK)?;
    let (receiver, _) = replying(&tenant, Mode::Secure, Says::Text("handler".to_owned())).await?;
    assert_eq!(world.says(SHOP, "价格").await?.text(), "¥99");
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 1);
    assert_eq!(world.says(SHOP, "else").await?.text(), "handler");
    world.end().await
}

/// Pushes while the handler takes its time: WeChat is answered with `success`, then it replies.
async fn too_late(world: &World, receiver: &Receiver, mode: Mode) -> Result<()> {
    let late = Manner::from(Handler::new(SHOP, mode, Says::Text("后来".to_owned()))?);
    receiver.answer(Manner::Late(Box::new(late)));
    let talk = world.says(SHOP, "slow").await?;
    assert!(talk.is_success(), "{talk:?}");
    assert_eq!(receiver.counts().in_flight, 1, "the handler has not answered yet");
    receiver.let_go();
    receiver.wait_until(|counts| counts.in_flight == 0).await
}

async fn delivered(tenant: &Program, id: &str) -> Result<()> {
    let path = format!("/v1/deliveries?endpoint_id={id}&state=delivered");
    eventually("the late answer is recorded", async || {
        Ok((!tenant.list_all(&path).await?.is_empty()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_reply_that_comes_too_late_is_dropped() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (receiver, id) = replying(&tenant, Mode::Secure, Says::Nothing).await?;
    too_late(&world, &receiver, Mode::Secure).await?;
    delivered(&tenant, &id).await?;
    world.deliver().await?;
    assert!(world.custom_messages(SHOP)?.is_empty());
    assert_eq!(receiver.counts().taken, 1, "it is not asked twice");
    world.end().await
}

#[tokio::test]
async fn a_late_reply_is_sent_by_customer_service_when_that_is_wanted() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let receiver = Receiver::start(Manner::Hang).await?;
    let more = json!({ "replying": true, "late_reply": "customer_service" });
    let id = replies_at(&tenant, &receiver, Mode::Secure, &more).await?;
    too_late(&world, &receiver, Mode::Secure).await?;
    delivered(&tenant, &id).await?;
    world.deliver().await?;
    let sent = world.custom_messages(SHOP)?;
    let [message] = &*sent else { anyhow::bail!("{sent:?}") };
    assert_eq!(message["touser"], FAN);
    assert_eq!(
        (&message["msgtype"], &message["text"]["content"]),
        (&json!("text"), &json!("后来"))
    );
    world.deliver().await?;
    assert_eq!(world.custom_messages(SHOP)?.len(), 1, "once");
    world.end().await
}

#[tokio::test]
async fn a_reply_is_sealed_with_the_key_that_fitted() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let says = Says::Text("with the old key".to_owned());
    let _handler = replying(&tenant, Mode::Secure, says).await?;
    let path = format!("/admin/v1/components/{}", world.component.appid);
    let key = json!({ "encoding_aes_key": "b".repeat(42) + "Y" });
    world.operator.patch(&path, &key).await?.expect(StatusCode::OK)?;
    // WeChat still pushes with the key before.
    assert_eq!(world.says(SHOP, "x").await?.text(), "with the old key");
    world.end().await
}

#[tokio::test]
async fn pushes_of_an_account_of_its_own_secret_are_replied_to_with_its_own_keys() -> Result<()> {
    let world = World::start().await?;
    let (_, tenant) = world.operator.create_tenant("花店").await?;
    let seals = world.connect_by_secret(&tenant, SHOP).await?;
    let (receiver, _) = replying(&tenant, Mode::Secure, Says::Echo("own: ".to_owned())).await?;
    let talk = world.says(SHOP, "x").await?;
    let reply = seals.open_reply(&talk.outcome.body).with_context(|| format!("{talk:?}"))?;
    assert_eq!(element(&reply, "Content").as_deref(), Some("own: x"));
    assert_eq!(talk.reply, None, "not with the component's");
    assert_eq!(receiver.take().len(), 1);
    world.end().await
}

/// WeChat takes no content from a mini program as the answer to a push.
#[tokio::test]
async fn what_a_mini_program_says_by_itself_is_sent_by_customer_service() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    let rules = json!({ "rules": [{ "on": "any_message", "reply": text("您好") }] });
    world.emulator.change_account(ORDERS, |account| {
        account.fans.push(Fan::new(FAN, "小林"));
    })?;
    let path = format!("/v1/authorizers/{ORDERS}/auto-replies");
    tenant.put(&path, &rules).await?.expect(StatusCode::OK)?;
    let said = world.text("hello");
    for _ in 0..2 {
        let talk = world.push(ORDERS, &said).await?;
        assert!(talk.is_success(), "{talk:?}");
    }
    world.deliver().await?;
    let sent = world.custom_messages(ORDERS)?;
    let [message] = &*sent else { anyhow::bail!("{sent:?}") };
    assert_eq!((&message["touser"], &message["text"]["content"]), (&json!(FAN), &json!("您好")));
    world.end().await
}

#[tokio::test]
async fn whoever_waits_for_a_handler_takes_nobody_elses_place() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    world.authorize(&tenant, ORDERS).await?;
    let receiver = Receiver::start(Manner::Hang).await?;
    let more = json!({ "replying": true, "authorizers": [SHOP] });
    replies_at(&tenant, &receiver, Mode::Secure, &more).await?;
    let waiting = async {
        let said: Vec<Said> = (0..100).map(|number| world.text(&number.to_string())).collect();
        let pushes = said.iter().map(|said| world.push(SHOP, said));
        futures_util::future::join_all(pushes).await.into_iter().collect::<Result<Vec<_>>>()
    };
    let others = async {
        receiver.wait_until(|counts| counts.in_flight > 0).await?;
        let told = world.says(ORDERS, "and I?").await?;
        assert!(told.is_success(), "{told:?}");
        assert!(receiver.counts().in_flight > 0, "the others wait still");
        assert!(world.emulator.push_ticket().await.is_accepted());
        tenant.get("/v1/key").await?.expect(StatusCode::OK)?;
        anyhow::Ok(())
    };
    let (waited, others) = tokio::join!(waiting, others);
    others?;
    for talk in waited? {
        assert!(talk.is_success(), "in time, and never 503: {talk:?}");
    }
    world.end().await
}

#[tokio::test]
async fn fans_who_write_together_are_each_answered() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    let (receiver, _) = replying(&tenant, Mode::Secure, Says::Echo("an ".to_owned())).await?;
    let said: Vec<(String, Said)> = (0..20)
        .map(|number| {
            let fan = format!("oTogether{number:019}");
            (format!("an {number}"), world.text(&number.to_string()).by(&fan))
        })
        .collect();
    let pushes = said.iter().map(|(_, said)| world.push(SHOP, said));
    let talks = futures_util::future::join_all(pushes).await;
    let mut replies = 0;
    for (talk, (expected, said)) in talks.into_iter().zip(&said) {
        let talk = talk?;
        // Who finds no seat is answered with the word.
        if !talk.is_success() {
            let to_whom = (talk.text(), talk.element("ToUserName"));
            assert_eq!(to_whom, (expected.clone(), said.openid.clone()));
            replies += 1;
        }
    }
    assert!(replies > 0, "some find a seat");
    assert_eq!(receiver.take().len(), replies);
    world.deliver().await?;
    assert_eq!(receiver.take().len(), said.len() - replies, "the others are told as by webhooks");
    world.end().await
}
