//! WeChat's publish test: answered for its ten accounts, for nobody else, and while switched on.

use lingpai_callback::{Refusal, Taken};
use lingpai_emulator::Fault;
use lingpai_model::{
    Appid,
    authorizer::{Authorizer, ProfileKind},
    page::PageRequest,
    publish_test::{PublishCheck, PublishStep},
};
use lingpai_storage::testing::{count_messages, kept_events};
use lingpai_wechat::push::publish_test::{TEST_ACCOUNTS, TestAccount, TestAccountKind};

use crate::{
    http::Said,
    site::{SHOP, SHOP_NAME, Site, event, text},
};

const WORDS: &str = "TESTCOMPONENT_MSG_TYPE_TEXT";
const CODE: &str = "QUERY_AUTH_CODE:queryauthcode@@@a-b_c:d";
const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";
const SEND: &str = "/cgi-bin/message/custom/send";

fn unchanged(said: Said) -> Said {
    said
}

impl Site {
    /// The tenant has this test account.
    async fn owns(&self, account: &TestAccount) {
        let mut owned =
            Authorizer { appid: Appid::parse(account.appid).unwrap(), ..self.shop.clone() };
        owned.id = lingpai_model::id::AuthorizerId::new(owned.created_at, &self.entropy);
        owned.profile.kind = Some(ProfileKind::OfficialAccount);
        owned.profile.user_name = Some(account.user_name.to_owned());
        self.granted(&owned).await;
    }

    async fn checks(&self) -> Vec<PublishCheck> {
        let page = PageRequest::first();
        self.publish_checks.list(&self.component.appid, &page).await.unwrap().items
    }
}

#[tokio::test]
async fn wechat_is_content_with_all_ten_accounts() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    site.serve(unchanged).await;
    let working = async {
        loop {
            site.processor.run_once().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let verdicts = tokio::select! {
        verdicts = site.wechat.publish_test(None) => verdicts,
        () = working => unreachable!("it works on and on"),
    };
    assert_eq!(verdicts.len(), 1 + 5 * 4 + 5 * 2);
    for verdict in &verdicts {
        assert!(verdict.passed, "{verdict:?}");
    }
    site.settle().await;
    let checks = site.checks().await;
    assert_eq!(checks.len(), 5 + 10 + 5);
    assert!(checks.iter().all(|check| check.failure.is_none()), "{checks:?}");
    while site.processor.run_once().await.unwrap() > 0 {}
    let exchanged = site.wechat.calls_to(QUERY_AUTH).len();
    assert_eq!(exchanged, 10, "the codes that were asked about, and not those of the grants");
    // No authorizer has come of it, and the operator sees what was asked.
    for account in &TEST_ACCOUNTS {
        let appid = Appid::parse(account.appid).unwrap();
        let found = site.db.authorizers().system_find(&site.component.id, &appid).await.unwrap();
        assert_eq!(found, None);
    }
    assert_eq!(kept_events(&site.db, None).await.len(), 5 + 10 + 5);
}

#[tokio::test]
async fn the_same_words_of_an_ordinary_account_are_an_ordinary_message() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    for (number, words) in [(1, WORDS), (2, CODE)] {
        let taken = site.push(SHOP, &text(SHOP_NAME, number, words)).await;
        assert!(matches!(taken, Ok(Taken::Success)), "{words}");
    }
    let taken = site.push(SHOP, &event(SHOP_NAME, "LOCATION", "")).await;
    assert!(matches!(taken, Ok(Taken::Success)));
    site.settle().await;
    assert_eq!(site.events().await.len(), 3);
    assert_eq!(site.checks().await, []);
    assert_eq!(site.wechat.calls_to(QUERY_AUTH).len(), 0);
}

#[tokio::test]
async fn path_and_message_must_both_name_the_test_account() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    let [first, other] = [&TEST_ACCOUNTS[0], &TEST_ACCOUNTS[2]];
    // An ordinary account in the place of the test's, by path or by message.
    let refusal = site.push(SHOP, &text(first.user_name, 1, WORDS)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unverified));
    for named in [SHOP_NAME, other.user_name] {
        let taken = site.push(first.appid, &text(named, 2, WORDS)).await;
        assert!(matches!(taken, Ok(Taken::Success)), "{named}: to quarantine");
    }
    assert_eq!(site.checks().await, []);
    assert_eq!(count_messages(&site.db).await, 0);
}

#[tokio::test]
async fn while_switched_off_a_test_account_is_nobody() {
    let site = Site::open().await;
    for account in &TEST_ACCOUNTS {
        for (number, words) in [(1, WORDS), (2, CODE)] {
            let taken = site.push(account.appid, &text(account.user_name, number, words)).await;
            assert!(matches!(taken, Ok(Taken::Success)), "{account:?}");
        }
    }
    site.settle().await;
    assert_eq!(site.wechat.calls_to(QUERY_AUTH).len(), 0);
    assert_eq!(site.checks().await, []);
    let kept = site.quarantine.list(&PageRequest::first()).await.unwrap().items;
    assert_eq!(kept.len(), 20);
}

#[tokio::test]
async fn a_test_account_that_is_somebodys_tells_him_what_it_asked() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    let account = &TEST_ACCOUNTS[0];
    site.owns(account).await;
    let taken = site.push(account.appid, &text(account.user_name, 1, WORDS)).await.unwrap();
    assert_eq!(site.words(&taken), "TESTCOMPONENT_MSG_TYPE_TEXT_callback");
    assert_eq!(site.events().await.len(), 1);
    // What it says beside that is an ordinary message.
    let taken = site.push(account.appid, &text(account.user_name, 2, "hi")).await;
    assert!(matches!(taken, Ok(Taken::Success)));
    assert_eq!(site.events().await.len(), 2);
}

#[tokio::test]
async fn a_question_that_wechat_repeats_is_answered_again_and_its_code_exchanged_once() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    site.push_ticket().await;
    for account in TEST_ACCOUNTS.iter().filter(|one| one.kind == TestAccountKind::OfficialAccount) {
        for _ in 0..3 {
            let asked = text(account.user_name, 1, WORDS);
            let taken = site.push(account.appid, &asked).await.unwrap();
            assert_eq!(site.words(&taken), "TESTCOMPONENT_MSG_TYPE_TEXT_callback");
            let located = event(account.user_name, "LOCATION", "");
            let taken = site.push(account.appid, &located).await.unwrap();
            assert_eq!(site.words(&taken), "LOCATIONfrom_callback");
        }
    }
    let account = &TEST_ACCOUNTS[1];
    for _ in 0..3 {
        let taken = site.push(account.appid, &text(account.user_name, 7, CODE)).await;
        assert!(matches!(taken, Ok(Taken::Empty)));
    }
    site.settle().await;
    assert_eq!(site.wechat.calls_to(QUERY_AUTH).len(), 1);
    let checks = site.checks().await;
    let failed: Vec<_> = checks.iter().filter(|check| check.failure.is_some()).collect();
    assert_eq!(failed.len(), 1, "nobody made that code: {checks:?}");
    assert_eq!(failed[0].step, PublishStep::ApiReply);
    assert!(matches!(failed[0].errcode, Some(61009 | 61010)), "{failed:?}");
}

#[tokio::test]
async fn a_code_that_was_recorded_and_then_forgotten_is_exchanged_when_wechat_repeats_it() {
    let mut site = Site::open().await;
    site.push_ticket().await;
    let account = &TEST_ACCOUNTS[0];
    site.owns(account).await;
    // As if we had died behind the commit: it is recorded, and nothing came of it.
    let asked = text(account.user_name, 1, CODE);
    site.push(account.appid, &asked).await.unwrap();
    site.answer_publish_test().await;
    for _ in 0..2 {
        assert!(matches!(site.push(account.appid, &asked).await, Ok(Taken::Empty)));
        site.settle().await;
        assert_eq!(site.wechat.calls_to(QUERY_AUTH).len(), 1, "once");
    }
    assert_eq!(site.events().await.len(), 1);
    assert_eq!(site.checks().await.len(), 1);
}

#[tokio::test]
async fn a_message_that_wechat_takes_a_moment_later_only_is_in_time_all_the_same() {
    let mut site = Site::open().await;
    site.answer_publish_test().await;
    site.serve(unchanged).await;
    site.wechat.set_fault(Fault::errcode(SEND, -1000).times(2));
    let verdicts = Box::pin(site.wechat.publish_test(Some(1))).await;
    assert!(verdicts.iter().all(|verdict| verdict.passed), "{verdicts:?}");
    site.settle().await;
}
