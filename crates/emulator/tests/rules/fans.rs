//! What fans write and do, and how WeChat looks at what is answered.

use lingpai_emulator::{AccountConfig, EmulatorConfig, FanMessage, MessageFormat, PushPolicy};
use lingpai_wechat::push::message::Heard;
use lingpai_wechat::push::reply::Reply;
use serde_json::{Value, json};

use crate::service::{Answer, Service, send_text};
use crate::world::{Receiver, SHOP, World, crypt};

const ORDERS: &str = "wxb1c2d3e4f5061728";
const FAN: &str = "oLingPai000000000000000fan01";

fn hello() -> Reply {
    Reply::Text { content: "你好".to_owned() }
}

#[tokio::test]
async fn a_fan_writes_and_is_shown_the_reply() {
    let world = World::start().await.unwrap();
    let service = Service::start(&world, |_| Answer::Sealed(hello())).await.unwrap();
    let record = world.wechat.fan_message(&FanMessage::text(SHOP, "在吗")).await.unwrap();
    assert_eq!(record.invalid_reply, None);
    assert_eq!(Reply::parse(record.reply.unwrap()).unwrap().reply, hello());
    assert_eq!((record.appid.as_deref(), record.outcome.name.as_str()), (Some(SHOP), "text"));
    let push = service.seen().remove(0);
    assert_eq!((push.text(), push.openid()), (Some("在吗"), Some(FAN)));
    assert_eq!(push.to_user_name, "gh_0a1b2c3d4e5f");
    assert!(push.create_time.is_some() && push.msg_id.is_some());
    assert!(service.queries()[0].ends_with(&format!("&openid={FAN}")));
}

#[tokio::test]
async fn messages_have_ids_of_their_own_unless_one_is_named() {
    let world = World::start().await.unwrap();
    let service = Service::start(&world, |_| Answer::Plain(String::new())).await.unwrap();
    let text = FanMessage::text(SHOP, "a").by("oStranger");
    world.wechat.fan_message(&text).await.unwrap();
    world.wechat.fan_message(&text).await.unwrap();
    world.wechat.fan_message(&text.with("MsgId", 7)).await.unwrap();
    let ids: Vec<_> = service.seen().into_iter().map(|push| push.msg_id.unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], "7");
    assert!(service.seen().iter().all(|push| push.openid() == Some("oStranger")));
}

#[tokio::test]
async fn a_fan_does_something_and_sends_something_else() {
    let world = World::start().await.unwrap();
    let service = Service::start(&world, |_| Answer::Plain("success".to_owned())).await.unwrap();
    let click = FanMessage::event(SHOP, "CLICK").with("EventKey", "V1");
    let record = world.wechat.fan_message(&click).await.unwrap();
    assert!(record.outcome.is_accepted());
    assert_eq!((record.reply, record.invalid_reply), (None, None));
    let image = FanMessage::message(SHOP, "image").with("MediaId", "m");
    world.wechat.fan_message(&image).await.unwrap();
    let seen = service.seen();
    assert_eq!(seen[0].heard(), Heard::MenuClick("V1"));
    assert_eq!((seen[1].heard(), seen[1].is_event()), (Heard::OtherMessage, false));
}

#[tokio::test]
async fn whatever_is_no_reply_is_noted_and_not_repeated() {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { pauses_ms: vec![1; 2], ..PushPolicy::default() };
    let world = World::start_with(config).await.unwrap();
    let answers = |push: &lingpai_wechat::push::message::MessagePush| match push.text() {
        Some("unswapped") => Answer::Unswapped(hello()),
        Some("plain") => Answer::Plain(hello().to_xml("a", "b", 1)),
        _ => Answer::Plain("ok".to_owned()),
    };
    let _service = Service::start(&world, answers).await.unwrap();
    for (text, why) in [("unswapped", "swapped"), ("plain", "TimeStamp"), ("word", "XML")] {
        let record = world.wechat.fan_message(&FanMessage::text(SHOP, text)).await.unwrap();
        assert_eq!(record.reply, None);
        let invalid = record.invalid_reply.unwrap();
        assert!(invalid.contains(why), "{text}: {invalid}");
    }
    // A push that is repeated overtakes any repetition of these, if there were one.
    let (_receiver, url) = Receiver::start(&[(503, "")]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.push_ticket().await;
    world.wechat.wait_until(|wechat| wechat.pushes().len() >= 5).await;
    let pushes = world.wechat.pushes();
    assert!(pushes.iter().filter(|push| push.appid.is_some()).all(|push| push.attempt == 1));
}

#[tokio::test]
async fn a_mini_program_cannot_be_answered_with_content() {
    let world = World::start().await.unwrap();
    let _service = Service::start(&world, |_| Answer::Sealed(hello())).await.unwrap();
    let record = world.wechat.fan_message(&FanMessage::text(ORDERS, "a")).await.unwrap();
    assert!(record.invalid_reply.unwrap().contains("mini program"));
}

#[tokio::test]
async fn an_account_with_keys_of_its_own_may_have_json() {
    let world = World::start().await.unwrap();
    let key = "CANARYaccountAESKey00123456789abcdefghijklm";
    let keys = crypt(ORDERS, "CANARYaccounttoken", key).unwrap();
    let transfer = || Reply::TransferCustomerService { kf_account: None };
    let service =
        Service::start_with(&world, keys, move |_| Answer::Sealed(transfer())).await.unwrap();
    let own = |config: &mut AccountConfig| {
        config.push_token = Some("CANARYaccounttoken".to_owned());
        config.encoding_aes_key = Some(key.to_owned());
        config.message_format = MessageFormat::Json;
    };
    world.wechat.change_account(ORDERS, own).unwrap();
    let card = FanMessage::message(ORDERS, "miniprogrampage").with("Title", "卡片").by("oFan");
    let record = world.wechat.fan_message(&card).await.unwrap();
    let written: Value = serde_json::from_str(&record.plaintext).expect("it is JSON");
    assert_eq!(written["Title"], "卡片");
    assert!(written["MsgId"].is_u64() && written["CreateTime"].is_i64());
    assert_eq!(record.invalid_reply, None);
    assert_eq!(Reply::parse(record.reply.unwrap()).unwrap().reply, transfer());
    assert_eq!(service.seen()[0].openid(), Some("oFan"));
}

#[tokio::test]
async fn the_components_pushes_stay_xml_whatever_the_account_chose() {
    let world = World::start().await.unwrap();
    let _service = Service::start(&world, |_| Answer::Plain(String::new())).await.unwrap();
    let json = |config: &mut AccountConfig| config.message_format = MessageFormat::Json;
    world.wechat.change_account(SHOP, json).unwrap();
    let record = world.wechat.fan_message(&FanMessage::text(SHOP, "a")).await.unwrap();
    assert!(record.plaintext.starts_with("<xml>"), "{}", record.plaintext);
}

#[tokio::test]
async fn control_takes_a_fans_message_and_its_page_shows_the_talk() {
    let world = World::start().await.unwrap();
    let _service = Service::start(&world, |_| Answer::Sealed(hello())).await.unwrap();
    for path in ["/control/api/fans/message", "/_emulator/fans/message"] {
        let body = json!({ "appid": SHOP, "text": "<在吗>" });
        let answer = world.post(path, &body).await.unwrap();
        assert!(answer["reply"].as_str().unwrap().contains("你好"), "{answer}");
    }
    let event = json!({ "appid": SHOP, "event": "subscribe", "fields": { "EventKey": "" } });
    let answer = world.post("/control/api/fans/message", &event).await.unwrap();
    assert_eq!(answer["name"], "subscribe");
    let shop = world.authorize(&[]).await.unwrap();
    let sent = send_text(&world, &shop.access_token, FAN, "晚到的回复").await.unwrap();
    assert_eq!(sent["errcode"], 0, "{sent}");
    let form = [("act", "fan_text"), ("appid", SHOP), ("text", "从页面")];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let page = world.url("/control/?lang=en");
    let posted = world.http.post(&page).body(form).send().await.unwrap();
    assert_eq!(posted.status(), 303);
    let page = world.http.get(&page).send().await.unwrap().text().await.unwrap();
    for line in ["&#60;在吗&#62;", "[subscribe]", "你好", "晚到的回复", "从页面"] {
        assert!(page.contains(line), "{line} is not in the talk");
    }
    let messages = world.wechat.account(SHOP).unwrap().messages;
    assert_eq!((messages.len(), messages[0].openid.as_str()), (1, FAN));
}

#[tokio::test]
async fn a_message_must_say_who_and_what() {
    let world = World::start().await.unwrap();
    assert!(world.wechat.fan_message(&FanMessage::text("wx0", "a")).await.is_err());
    for body in [
        json!({ "appid": SHOP }),
        json!({ "appid": SHOP, "text": "a", "event": "CLICK" }),
        json!({ "appid": "wx0", "text": "a" }),
        json!({ "appid": SHOP, "text": "a", "other": 1 }),
    ] {
        let url = world.url("/control/api/fans/message");
        let response = world.http.post(url).body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
    }
}
