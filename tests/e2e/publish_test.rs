//! WeChat's whole-network publish test: lingpai answers it by itself, for WeChat's test accounts only,
//! and only while it is switched on.

use anyhow::Result;
use lingpai_emulator::{EmulatorConfig, FanMessage, TestStep};
use lingpai_tests::{
    fans::Said,
    receiver::{Manner, Receiver},
    site::Site,
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// WeChat's words.
///
/// Source: WeChat docs, "Whole-network publication access test" (全网发布接入检测说明).
const TEXT: &str = "TESTCOMPONENT_MSG_TYPE_TEXT";

/// The official account and the mini program of the first group.
const TEST_ACCOUNTS: [&str; 2] = ["wx570bc396a51b8ff8", "wxd101a85aa106f53e"];

async fn switch(world: &World, on: bool) -> Result<()> {
    let path = format!("/admin/v1/components/{}", world.component.appid);
    let change = json!({ "answers_publish_test": on });
    let changed = world.operator.patch(&path, &change).await?.expect(StatusCode::OK)?;
    assert_eq!(changed.json["answers_publish_test"], on, "{}", changed.text);
    Ok(())
}

async fn log(world: &World) -> Result<Vec<Value>> {
    let path = format!("/admin/v1/components/{}/publish-test", world.component.appid);
    world.operator.list_all(&path).await
}

#[tokio::test]
async fn the_whole_test_passes_for_all_ten_accounts() -> Result<()> {
    let world = World::with_ticket().await?;
    switch(&world, true).await?;
    let verdicts = world.emulator.publish_test(None).await;
    for verdict in &verdicts {
        assert!(verdict.passed, "{verdict:?}");
    }
    let of = |step| verdicts.iter().filter(|verdict| verdict.step == step).count();
    assert_eq!((of(TestStep::Text), of(TestStep::ApiReply), of(TestStep::Event)), (5, 10, 5));
    world.work().await?;
    assert_eq!(world.deliver().await?, 0, "it concerns nobody else");
    let log = log(&world).await?;
    assert_eq!(log.len(), 20, "{log:?}");
    assert!(log.iter().all(|check| check["failure"].is_null()), "{log:?}");
    assert!(!log.iter().any(|check| check.to_string().contains("queryauthcode")), "{log:?}");
    world.end().await
}

#[tokio::test]
async fn it_passes_again_when_wechat_tests_again() -> Result<()> {
    let world = World::with_ticket().await?;
    switch(&world, true).await?;
    for _ in 0..2 {
        for verdict in world.emulator.publish_test(Some(3)).await {
            assert!(verdict.passed, "{verdict:?}");
        }
        world.advance(chrono::Duration::minutes(1));
    }
    world.work().await?;
    world.end().await
}

#[tokio::test]
async fn an_ordinary_account_that_hears_the_same_words_hears_an_ordinary_message() -> Result<()> {
    let (world, tenant) = World::with_authorizer().await?;
    switch(&world, true).await?;
    let receiver = Receiver::start(Manner::well()).await?;
    tenant.create_webhook(&receiver.url()).await?;
    let calls = world.emulator.calls().len();
    for words in [TEXT, "QUERY_AUTH_CODE:queryauthcode@@@abc"] {
        let talk = world.says(SHOP, words).await?;
        assert!(talk.is_success(), "{words}: {talk:?}");
    }
    let talk = world.does(SHOP, "LOCATION", "<Latitude>1</Latitude>").await?;
    assert!(talk.is_success(), "{talk:?}");
    world.work().await?;
    world.deliver().await?;
    assert_eq!(receiver.take().len(), 3, "it is delivered as every message is");
    assert_eq!(world.emulator.calls().len(), calls, "WeChat is asked nothing");
    assert!(world.custom_messages(SHOP)?.is_empty());
    assert!(log(&world).await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn a_test_account_needs_its_name_too() -> Result<()> {
    let world = World::with_ticket().await?;
    switch(&world, true).await?;
    // Another account's name in the message, at a test account's address.
    let said = Said::text(world.wechat_secs(), 1, TEXT);
    let talk = world.push_xml(TEST_ACCOUNTS[0], &said.to("gh_0a1b2c3d4e5f")).await?;
    assert_eq!(talk.reply, None, "{talk:?}");
    // A test account's name in a message to another account.
    let talk = world.push_xml(SHOP, &said.to("gh_3c884a361561")).await?;
    assert_eq!(talk.reply, None, "{talk:?}");
    assert!(log(&world).await?.is_empty());
    world.end().await
}

#[tokio::test]
async fn while_it_is_switched_off_nobody_is_answered() -> Result<()> {
    let world = World::with_ticket().await?;
    let before = world.emulator.publish_test(Some(1)).await;
    let failed = |step| before.iter().filter(|it| it.step == step).all(|it| !it.passed);
    assert!(failed(TestStep::Text) && failed(TestStep::ApiReply) && failed(TestStep::Event));
    world.work().await?;
    assert!(log(&world).await?.is_empty());
    switch(&world, true).await?;
    for verdict in world.emulator.publish_test(Some(1)).await {
        assert!(verdict.passed, "{verdict:?}");
    }
    switch(&world, false).await?;
    let said = FanMessage::text(TEST_ACCOUNTS[0], TEXT);
    let record = world.emulator.fan_message(&said).await?;
    assert_eq!(record.reply, None, "{record:?}");
    world.work().await?;
    world.end().await
}

#[tokio::test]
async fn other_words_of_a_test_account_are_answered_with_success() -> Result<()> {
    let world = World::with_ticket().await?;
    switch(&world, true).await?;
    for words in ["TESTCOMPONENT_MSG_TYPE_TEXT ", "testcomponent_msg_type_text", "hello"] {
        let record = world.emulator.fan_message(&FanMessage::text(TEST_ACCOUNTS[0], words)).await?;
        assert!(record.outcome.is_accepted(), "{words}: {record:?}");
    }
    world.work().await?;
    world.end().await
}

/// The rehearsal calls the live addresses, so the service is a process of its own.
#[tokio::test]
async fn the_rehearsal_plays_the_test_against_the_live_addresses() -> Result<()> {
    let site = Site::open(EmulatorConfig::for_tests(), &[]).await?;
    site.push_ticket().await?;
    let component = format!("/admin/v1/components/{}", site.component.appid);
    let rehearsal = format!("{component}/rehearsal");
    let off = site.operator.post(&rehearsal, &json!({})).await?;
    let verdicts = off.json["verdicts"].as_array().cloned().unwrap_or_default();
    assert!(verdicts.iter().any(|verdict| verdict["passed"] == false), "{}", off.text);
    let cures = verdicts.iter().filter(|verdict| verdict["passed"] == false);
    assert!(cures.clone().all(|verdict| verdict["cure"].is_string()), "{}", off.text);

    let on = json!({ "answers_publish_test": true });
    site.operator.patch(&component, &on).await?.expect(StatusCode::OK)?;
    let played = site.operator.post(&rehearsal, &json!({})).await?;
    assert!(played.status.is_success(), "{}", played.text);
    let verdicts = played.json["verdicts"].as_array().cloned().unwrap_or_default();
    assert!(verdicts.len() >= 10, "{}", played.text);
    for verdict in &verdicts {
        assert_eq!(verdict["passed"], true, "{verdict}");
    }
    // WeChat lives in this process and must not be held up.
    let (start, appid) = (site.start.clone(), site.component.appid.clone());
    let command = tokio::task::spawn_blocking(move || start.command(&["rehearse", &appid]));
    let printed = command.await??;
    assert!(printed.lines().count() >= verdicts.len(), "{printed}");
    Ok(())
}
