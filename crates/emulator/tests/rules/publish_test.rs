//! WeChat's publish test, against services that pass it and services that do not.

use std::sync::Arc;

use lingpai_emulator::{EmulatorConfig, Fault, PushPolicy, StepVerdict, TestStep};
use lingpai_wechat::push::message::MessagePush;
use lingpai_wechat::push::publish_test::{TEST_ACCOUNTS, TestAccountKind, code_reply};
use lingpai_wechat::push::reply::Reply;
use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::task::TaskTracker;

use crate::service::{Answer, Asked, Service, exchange, passing, send_text};
use crate::world::{AUTHORIZER_TOKEN, World, text};

const CUSTOM_SEND: &str = "/cgi-bin/message/custom/send";

/// With which token the answers to codes are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// The one that came for the code.
    OfCode,
    /// One that the account's refresh token gave: it works, and is another.
    Refreshed,
}

/// A world that waits this long for answers.
async fn world(answer_within_ms: u64) -> Arc<World> {
    let mut config = EmulatorConfig::for_tests();
    config.push = PushPolicy { answer_within_ms, ..config.push };
    Arc::new(World::start_with(config).await.expect("an emulator starts"))
}

/// Runs the test of `group` against a service that answers as told and exchanges every code it is
/// given, with the token as told.
async fn tested(
    world: &Arc<World>,
    group: Option<u8>,
    token: Token,
    decide: fn(&MessagePush, &UnboundedSender<Asked>) -> Answer,
) -> Vec<StepVerdict> {
    let (codes, mut asked) = mpsc::unbounded_channel();
    let service = Service::start(world, move |push| decide(push, &codes)).await;
    let _service = service.expect("a service listens");
    let component_token = world.component_token().await.expect("a component token");
    let working = Arc::clone(world);
    let worker = TaskTracker::new().spawn(async move {
        while let Some((code, openid)) = asked.recv().await {
            let token = token_for(&working, &component_token, &code, token).await;
            let token = token.expect("a token for the code");
            for _ in 0..3 {
                let answer = send_text(&working, &token, &openid, &code_reply(&code)).await;
                if answer.expect("an answer")["errcode"] == 0 {
                    break;
                }
            }
        }
    });
    let verdicts = world.wechat.publish_test(group).await;
    worker.abort();
    verdicts
}

async fn token_for(
    world: &World,
    component_token: &str,
    code: &str,
    token: Token,
) -> anyhow::Result<String> {
    let info = exchange(world, component_token, code).await?;
    match token {
        Token::OfCode => text(&info, "authorizer_access_token"),
        Token::Refreshed => {
            let body = json!({
                "authorizer_appid": info["authorizer_appid"],
                "authorizer_refresh_token": info["authorizer_refresh_token"],
            });
            let refreshed = world.component(AUTHORIZER_TOKEN, component_token, body).await?;
            text(&refreshed, "authorizer_access_token")
        }
    }
}

fn failures(verdicts: &[StepVerdict]) -> Vec<(TestStep, String)> {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed);
    failed.map(|verdict| (verdict.step, verdict.failure.clone().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_service_that_answers_all_ten_accounts_passes() {
    let world = world(5000).await;
    // WeChat sometimes refuses the message at first.
    world.wechat.set_fault(Fault::errcode(CUSTOM_SEND, -1000).times(1));
    let verdicts = tested(&world, None, Token::OfCode, passing).await;
    assert_eq!(failures(&verdicts), []);
    let steps_of = |appid: &str| -> Vec<TestStep> {
        let own = verdicts.iter().filter(|verdict| verdict.appid == appid);
        own.map(|verdict| verdict.step).collect()
    };
    for account in &TEST_ACCOUNTS {
        let expected = match account.kind {
            TestAccountKind::OfficialAccount => {
                vec![TestStep::Authorized, TestStep::Text, TestStep::ApiReply, TestStep::Event]
            }
            TestAccountKind::MiniProgram => vec![TestStep::Authorized, TestStep::ApiReply],
        };
        assert_eq!(steps_of(account.appid), expected, "{}", account.appid);
    }
    assert_eq!((verdicts[0].step, verdicts[0].group), (TestStep::Ticket, None));
    let shown = world.get("/control/api/publish-test").await.unwrap();
    assert_eq!(shown.as_array().unwrap().len(), verdicts.len());
    let page = world.http.get(world.url("/control/?lang=en")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("wx570bc396a51b8ff8") && page.contains("Reply by the API"));
}

#[tokio::test]
async fn one_group_has_two_accounts() {
    let world = world(5000).await;
    let verdicts = tested(&world, Some(3), Token::OfCode, passing).await;
    assert_eq!(failures(&verdicts), []);
    let groups: Vec<Option<u8>> = verdicts.iter().map(|verdict| verdict.group).collect();
    assert_eq!(groups, [None, Some(3), Some(3), Some(3), Some(3), Some(3), Some(3)]);
}

#[tokio::test]
async fn a_service_that_only_says_success_fails_with_reasons() {
    let world = world(200).await;
    let says_success =
        |_: &MessagePush, _: &UnboundedSender<Asked>| Answer::Plain("success".to_owned());
    let verdicts = tested(&world, Some(1), Token::OfCode, says_success).await;
    let failures = failures(&verdicts);
    let steps: Vec<TestStep> = failures.iter().map(|(step, _)| *step).collect();
    let expected = [TestStep::Text, TestStep::ApiReply, TestStep::Event, TestStep::ApiReply];
    assert_eq!(steps, expected);
    assert!(failures[0].1.contains("a reply was wanted"), "{failures:?}");
    assert!(failures[1].1.contains("an empty answer was wanted"), "{failures:?}");
}

#[tokio::test]
async fn a_code_that_is_not_exchanged_or_not_answered_fails() {
    let world = world(200).await;
    let forgets = |push: &MessagePush, _: &UnboundedSender<Asked>| {
        passing(push, &mpsc::unbounded_channel().0)
    };
    let verdicts = tested(&world, Some(2), Token::OfCode, forgets).await;
    let reasons = failures(&verdicts);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].1.contains("never exchanged"), "{reasons:?}");
    world.wechat.set_fault(Fault::errcode(CUSTOM_SEND, 45015));
    let verdicts = tested(&world, Some(2), Token::OfCode, passing).await;
    let reasons = failures(&verdicts);
    assert!(reasons[0].1.contains("no message"), "{reasons:?}");
}

#[tokio::test]
async fn an_answer_with_another_token_fails() {
    let world = world(5000).await;
    let verdicts = tested(&world, Some(4), Token::Refreshed, passing).await;
    let reasons = failures(&verdicts);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    for (step, why) in reasons {
        assert_eq!(step, TestStep::ApiReply);
        assert!(why.contains("not sent with the token that came for the code"), "{why}");
    }
}

#[tokio::test]
async fn a_wrong_text_is_told_with_what_was_wanted() {
    let world = world(5000).await;
    let wrong = |push: &MessagePush, codes: &UnboundedSender<Asked>| match passing(push, codes) {
        Answer::Sealed(_) => Answer::Sealed(Reply::Text { content: "callback".to_owned() }),
        other => other,
    };
    let verdicts = tested(&world, Some(5), Token::OfCode, wrong).await;
    let reasons = failures(&verdicts);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[1].1.contains("\"LOCATIONfrom_callback\""), "{reasons:?}");
}

#[tokio::test]
async fn the_accounts_of_the_test_are_there_and_not_shown() {
    let world = world(5000).await;
    let state = world.wechat.snapshot();
    assert_eq!(state.accounts.len(), EmulatorConfig::default().accounts.len());
    for account in &TEST_ACCOUNTS {
        let found = world.wechat.account(account.appid).expect(account.appid);
        assert_eq!(found.user_name, account.user_name);
        assert!(state.accounts.iter().all(|one| one.appid != account.appid));
    }
    let body = json!({ "group": 9 });
    let verdicts = world.post("/_emulator/publish-test", &body).await.unwrap();
    assert_eq!(verdicts.as_array().unwrap().len(), 1, "only the ticket: {verdicts}");
}
