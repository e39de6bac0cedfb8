//! How pushes are sealed, repeated, doubled and reordered.

use lingpai_emulator::{AccountConfig, EmulatorConfig, PushPolicy};
use lingpai_wechat::push::component::{ComponentPush, InfoType};
use serde_json::json;

use crate::world::{COMPONENT, Receiver, SHOP, World, crypt};

#[tokio::test]
async fn a_ticket_push_opens_and_reads_as_one() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    assert!(world.wechat.push_ticket().await.is_accepted());
    let plaintext = receiver.plaintexts().remove(0);
    let push = ComponentPush::parse(plaintext.as_bytes()).unwrap();
    let InfoType::VerifyTicket { ticket } = &push.info else { panic!("{}", push.info.name()) };
    assert_eq!(*ticket.expose(), world.wechat.snapshot().tickets[0].value);
    let query = receiver.queries().remove(0);
    assert!(query.starts_with("own=1&signature=") && query.contains("&encrypt_type=aes&"));
}

#[tokio::test]
async fn without_a_url_nothing_is_sent() {
    let world = World::start().await.unwrap();
    let outcome = world.wechat.push_ticket().await;
    assert_eq!(outcome.status, None);
    assert!(outcome.error.unwrap().contains("events_url"));
}

#[tokio::test]
async fn an_unanswered_push_is_repeated_until_success_and_sealed_afresh() {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { pauses_ms: vec![1; 5], ..PushPolicy::default() };
    let world = World::start_with(config).await.unwrap();
    let (receiver, url) = Receiver::start(&[(503, ""), (200, "Success")]).await.unwrap();
    world.wechat.set_events_url(&url);
    let first = world.wechat.push_ticket().await;
    assert_eq!(first.status, Some(503));
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 3).await;
    let pushes = world.wechat.pushes();
    assert_eq!(pushes.iter().map(|push| push.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pushes.iter().all(|push| push.series == pushes[0].series));
    assert!(pushes[2].outcome.is_accepted());
    let queries = receiver.queries();
    assert_ne!(queries[0], queries[1]);
    let plaintexts = receiver.plaintexts();
    assert_eq!(plaintexts[0], plaintexts[2]);
}

#[tokio::test]
async fn repeats_end_after_the_last_pause() {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { pauses_ms: vec![1, 1], ..PushPolicy::default() };
    let world = World::start_with(config).await.unwrap();
    let (_receiver, url) = Receiver::start(&[(403, ""); 9]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.push_ticket().await;
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 3).await;
    // A second push overtakes any further repeat of the first, if there were one.
    world.wechat.push_ticket().await;
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 6).await;
    let first = world.wechat.pushes()[0].series;
    assert_eq!(world.wechat.pushes().iter().filter(|push| push.series == first).count(), 3);
}

#[tokio::test]
async fn pushes_can_be_doubled() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.change_switches(|switches| switches.duplicate_pushes = true);
    world.wechat.push_ticket().await;
    let plaintexts = receiver.plaintexts();
    assert_eq!(plaintexts.len(), 2);
    assert_eq!(plaintexts[0], plaintexts[1]);
}

#[tokio::test]
async fn pushes_can_change_places() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.change_switches(|switches| switches.reorder_pushes = true);
    world.wechat.push("<xml>1</xml>").await;
    world.wechat.push("<xml>2</xml>").await;
    assert_eq!(receiver.plaintexts(), ["<xml>2</xml>", "<xml>1</xml>"]);
}

#[tokio::test]
async fn the_timer_pushes_one_ticket_as_soon_as_it_knows_where() {
    let mut config = EmulatorConfig::for_tests();
    config.ticket_interval_secs = 3600;
    let world = World::start_with(config).await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.wait_until(|wechat| !wechat.pushes().is_empty()).await;
    assert!(receiver.plaintexts()[0].contains("component_verify_ticket"));
}

#[tokio::test]
async fn start_push_ticket_switches_tickets_on_and_pushes_one() {
    let world = World::start().await.unwrap();
    let (_receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.change_switches(|switches| switches.tickets_stopped = true);
    let path = "/cgi-bin/component/api_start_push_ticket";
    let secret = EmulatorConfig::default().component.appsecret;
    let wrong = json!({ "component_appid": COMPONENT, "component_appsecret": secret });
    assert_eq!(world.post(path, &wrong).await.unwrap()["errcode"], 41004);
    let right = json!({ "component_appid": COMPONENT, "component_secret": secret });
    assert_eq!(world.post(path, &right).await.unwrap()["errcode"], 0);
    assert!(!world.wechat.switches().tickets_stopped);
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 1).await;
}

#[tokio::test]
async fn messages_go_to_the_accounts_url_in_the_accounts_envelope() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_messages_url(&url.replace("/events", "/messages/$APPID$"));
    let outcome = world.wechat.push_message(SHOP, "<xml>你好</xml>").await.unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    assert_eq!(receiver.plaintexts(), ["<xml>你好</xml>"]);
    assert!(world.wechat.push_message("wx0", "<xml/>").await.is_err());
}

#[tokio::test]
async fn a_message_is_sent_three_times_at_most() {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { pauses_ms: vec![1; 9], ..PushPolicy::default() };
    let world = World::start_with(config).await.unwrap();
    let (_receiver, url) = Receiver::start(&[(503, ""); 3]).await.unwrap();
    world.wechat.set_messages_url(&url);
    world.wechat.push_message(SHOP, "<xml>1</xml>").await.unwrap();
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 3).await;
    // An event goes on after three; by then a fourth attempt of the message would have come.
    let (_receiver, url) = Receiver::start(&[(503, ""); 4]).await.unwrap();
    world.wechat.set_events_url(&url);
    world.wechat.push_ticket().await;
    world.wechat.wait_until(|wechat| wechat.pushes().len() >= 8).await;
    let attempts = |name: &str| {
        let pushes = world.wechat.pushes();
        pushes.iter().filter(|push| push.outcome.name == name).count()
    };
    assert_eq!((attempts("message"), attempts("component_verify_ticket")), (3, 5));
}

#[tokio::test]
async fn a_message_is_settled_by_an_empty_answer_and_by_a_reply() {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { pauses_ms: vec![1; 2], ..PushPolicy::default() };
    let world = World::start_with(config).await.unwrap();
    let answers = [(200, ""), (200, "<xml><Encrypt>a</Encrypt></xml>"), (503, "")];
    let (_receiver, url) = Receiver::start(&answers).await.unwrap();
    world.wechat.set_messages_url(&url);
    for text in ["<xml>1</xml>", "<xml>2</xml>", "<xml>3</xml>"] {
        world.wechat.push_message(SHOP, text).await.unwrap();
    }
    world.wechat.wait_until(|wechat| wechat.pushes().len() == 4).await;
    let sent: Vec<String> = world.wechat.pushes().into_iter().map(|push| push.plaintext).collect();
    assert_eq!(sent[2..], ["<xml>3</xml>", "<xml>3</xml>"]);
}

#[tokio::test]
async fn an_account_with_keys_of_its_own_gets_messages_sealed_with_them() {
    let world = World::start().await.unwrap();
    let key = "CANARYaccountAESKey00123456789abcdefghijklm";
    let keys = crypt(SHOP, "CANARYaccounttoken", key).unwrap();
    let (receiver, url) = Receiver::start_with(&[], keys).await.unwrap();
    let (component, component_url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_messages_url(&component_url);
    let own = |config: &mut AccountConfig| {
        config.messages_url = Some(url.replace("/events", "/own/$APPID$"));
        config.push_token = Some("CANARYaccounttoken".to_owned());
        config.encoding_aes_key = Some(key.to_owned());
    };
    world.wechat.change_account(SHOP, own).unwrap();
    let outcome = world.wechat.push_message(SHOP, "<xml>own</xml>").await.unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    assert_eq!(receiver.plaintexts(), ["<xml>own</xml>"], "{:?}", receiver.refused());
    let other = "wxc2d3e4f506172839";
    world.wechat.push_message(other, "<xml>other</xml>").await.unwrap();
    assert_eq!(component.plaintexts(), ["<xml>other</xml>"]);
    assert!(world.wechat.change_account("wx0", |_| ()).is_err());
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_told_and_nothing_is_sent() {
    let world = World::start().await.unwrap();
    let (receiver, url) = Receiver::start(&[]).await.unwrap();
    world.wechat.set_messages_url(&url);
    let half = |config: &mut AccountConfig| config.push_token = Some("CANARYtoken".to_owned());
    world.wechat.change_account(SHOP, half).unwrap();
    let outcome = world.wechat.push_message(SHOP, "<xml/>").await.unwrap();
    assert!(outcome.error.unwrap().contains("go together"));
    assert!(receiver.queries().is_empty());
    let mut config = EmulatorConfig::for_tests();
    config.accounts[0].push_token = Some("CANARYtoken".to_owned());
    assert!(World::start_with(config).await.is_err());
}
