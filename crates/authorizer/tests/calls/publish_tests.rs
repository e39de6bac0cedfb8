//! The step of the publish test that goes through the API.

use lingpai_authorizer::Error;
use lingpai_emulator::Fault;
use lingpai_model::authorizer::RefreshTokenSource;

use crate::{
    authorizations::{consent, start},
    site::{Site, appid},
    world::FLOWERS,
};

const SEND: &str = "/cgi-bin/message/custom/send";
const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";

/// A fan that the account has at WeChat.
const FAN: &str = "oLingPai0000000000000flower1";

/// Answers this code to the account that it was made for.
async fn answer(site: &Site, code: &str) -> lingpai_authorizer::Result<()> {
    let account = appid(FLOWERS);
    site.publish_tests.answer(&site.world.component, &account, code, FAN).await
}

/// A code that WeChat made for an account.
async fn code(site: &Site) -> String {
    let changed = site.world.wechat.change_account(FLOWERS, |account| {
        account.fans = vec![lingpai_emulator::Fan::new(FAN, "小林")];
    });
    changed.unwrap();
    let (_, link) = start(site, &site.tenant, &[]).await;
    consent(site, &link, FLOWERS, &[]).await.authorization_code.expose().clone()
}

#[tokio::test]
async fn a_code_is_answered_with_the_token_that_it_gave_and_makes_nobody_an_authorizer() {
    let site = Site::open().await;
    let code = code(&site).await;
    answer(&site, &code).await.unwrap();
    let account = site.world.wechat.account(FLOWERS).unwrap();
    let [sent] = &account.messages[..] else { panic!("one message") };
    assert!(sent.body.contains(&format!("\"{code}_from_api\"")), "{}", sent.body);
    let component = &site.world.component.id;
    let found = site.db.authorizers().system_find(component, &appid(FLOWERS)).await.unwrap();
    assert_eq!(found, None);
    // Every refresh token that was ever received is kept.
    let kept = site.db.refresh_tokens().list(component, &appid(FLOWERS)).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].source, RefreshTokenSource::QueryAuth);
}

#[tokio::test]
async fn a_code_of_another_account_is_answered_to_nobody() {
    let site = Site::open().await;
    let code = code(&site).await;
    let (component, test) = (&site.world.component, appid("wx570bc396a51b8ff8"));
    let refused = site.publish_tests.answer(component, &test, &code, FAN).await.unwrap_err();
    assert!(matches!(&refused, Error::NoAccessToken { appid } if *appid == test), "{refused}");
    assert_eq!(site.world.calls(SEND), 0);
    // Whose code it was recovers by it.
    let kept = site.db.refresh_tokens().list(&component.id, &appid(FLOWERS)).await.unwrap();
    assert_eq!(kept.len(), 1);
}

#[tokio::test]
async fn a_code_that_nobody_made_is_refused_by_wechat_itself_and_its_text_is_not_told() {
    let site = Site::open().await;
    let code = "queryauthcode@@@CANARY";
    let refused = answer(&site, code).await.unwrap_err();
    assert!(matches!(refused.upstream_errcode(), Some(61009 | 61010)), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("CANARY"));
    assert_eq!(site.world.calls(QUERY_AUTH), 1);
    assert_eq!(site.world.calls(SEND), 0);
}

#[tokio::test]
async fn a_message_that_is_taken_a_moment_later_is_sent_twice_more_and_no_other_refusal_is() {
    for (errcode, refusals, calls, is_sent) in
        [(-1000, 2, 3, true), (-1000, 3, 3, false), (45015, 1, 1, false)]
    {
        let site = Site::open().await;
        let code = code(&site).await;
        site.world.wechat.set_fault(Fault::errcode(SEND, errcode).times(refusals));
        let answered = answer(&site, &code).await;
        assert_eq!(answered.is_ok(), is_sent, "{errcode} {refusals} times");
        assert_eq!(site.world.calls(SEND), calls, "{errcode} {refusals} times");
        assert_eq!(site.world.calls(QUERY_AUTH), 1, "the code is good once");
    }
}
