//! How pushes are sealed, repeated, doubled and reordered.

use lingpai_emulator::{EmulatorConfig, PushPolicy};
use lingpai_wechat::push::component::{ComponentPush, InfoType};
use serde_json::json;

use crate::world::{COMPONENT, Receiver, SHOP, World};

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
