//! Calls on an account's behalf.

use futures_util::TryStreamExt as _;
use http::Method;
use lingpai_authorizer::{Answered, Error, PathRefusal, Uncatalogued};
use lingpai_emulator::{Fault, FaultKind, TokenKind};
use lingpai_model::{
    api_key::Scope, audit::Action, authorizer::AuthorizerState, clock::Clock as _,
};

use crate::{
    site::{Site, USER_GET, with_scopes},
    world::SHOP,
};

const CLEAR: &str = "/cgi-bin/clear_quota";
const CLEAR_PATH: &str = "/cgi-bin/openapi/quota/clear";
const PICTURE: &str = "/cgi-bin/showqrcode";

async fn body(answered: Answered) -> String {
    let chunks: Vec<_> = answered.response.body.try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

fn refusal(outcome: Result<Answered, Error>) -> Error {
    outcome.map(|answered| answered.response.status).unwrap_err()
}

#[tokio::test]
async fn a_call_comes_back_as_wechat_answers_it_and_without_a_hint() {
    let site = Site::open().await;
    let answered = site.get(USER_GET).await.unwrap();
    assert_eq!(answered.hint, None);
    assert!(body(answered).await.contains("\"total\":2"));
    assert_eq!(site.world.wechat.calls_to(USER_GET)[0].token, TokenKind::Authorizer);
}

#[tokio::test]
async fn nobody_elses_account_is_called_for_or_counted() {
    let site = Site::open().await;
    let foreign = site.call(&site.other, Method::GET, (USER_GET, "")).await;
    assert!(matches!(refusal(foreign), Error::AuthorizerNotFound { .. }));
    assert!(site.world.wechat.calls_to(USER_GET).is_empty());
    assert_eq!(site.ledger.flush().await.unwrap(), 0);
}

#[tokio::test]
async fn paths_that_the_catalogue_does_not_know_are_refused_where_the_operator_says_so() {
    let (open, strict) = (Site::open().await, Site::open_with(Uncatalogued::Deny).await);
    let unknown = "/wxa/emulator/echo";
    assert!(open.get(unknown).await.is_ok());
    let error = refusal(strict.get(unknown).await);
    assert!(matches!(error, Error::PathRefused(PathRefusal::Uncatalogued)), "{error}");
    assert!(strict.world.wechat.calls_to(unknown).is_empty());
    assert!(strict.get(USER_GET).await.is_ok());
}

#[tokio::test]
async fn a_stale_token_is_cured_within_the_call_and_counted_once() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::errcode(USER_GET, 40001).times(1));
    assert!(body(site.get(USER_GET).await.unwrap()).await.contains("\"total\":2"));
    assert_eq!(site.world.wechat.calls_to(USER_GET).len(), 2);
    site.ledger.flush().await.unwrap();
    let figures = site.figures(&site.tenant).await;
    assert_eq!(figures.iter().map(|one| (one.errcode, one.calls)).collect::<Vec<_>>(), [(0, 1)]);
}

#[tokio::test]
async fn the_picture_of_a_qr_code_is_got_without_any_token() {
    let mut site = Site::open().await;
    let jpeg = FaultKind::OtherAnswer {
        status: 200,
        content_type: "image/jpg".to_owned(),
        body: "picture".to_owned(),
    };
    site.world.wechat.set_fault(Fault::new(PICTURE, jpeg));
    let path = format!("{PICTURE}?ticket=a%2Fb&access_token=lpv_mine");
    let answered = site.get(&path).await.unwrap();
    assert_eq!(answered.response.headers["content-type"], "image/jpg");
    assert_eq!(body(answered).await, "picture");
    let calls = site.world.wechat.calls_to(PICTURE);
    assert_eq!((calls.len(), calls[0].token), (1, TokenKind::None));

    // It takes no grant, but it takes an account of the tenant's own.
    let foreign = site.call(&site.other, Method::GET, (PICTURE, "")).await;
    assert!(matches!(refusal(foreign), Error::AuthorizerNotFound { .. }));
    site.shop.state = AuthorizerState::Revoked { at: site.world.clock.now() };
    let tx = site.db.begin().await.unwrap();
    tx.authorizers().system_update(&site.shop).await.unwrap();
    tx.commit().await.unwrap();
    assert!(site.get(PICTURE).await.is_ok());
    assert!(matches!(refusal(site.get(USER_GET).await), Error::Revoked { .. }));
}

#[tokio::test]
async fn counting_anew_needs_its_own_scope_however_the_path_is_written() {
    let site = Site::open().await;
    let caller = with_scopes(&site.tenant, &[Scope::WechatCall]);
    for path in [CLEAR, CLEAR_PATH, "/CGI-BIN/Clear_Quota"] {
        let error = refusal(site.call(&caller, Method::POST, (path, "{}")).await);
        assert!(matches!(error, Error::ScopeMissing { scope: Scope::QuotaClear }), "{error}");
    }
    assert!(site.world.wechat.calls_to(CLEAR).is_empty());
    assert!(site.trail(&site.tenant).await.is_empty());
}

#[tokio::test]
async fn counting_anew_is_counted_by_the_month_and_what_did_nothing_is_not() {
    let site = Site::open().await;
    let done = site.answer(CLEAR, r#"{"errcode":0,"errmsg":"ok"}"#);
    for _ in 0..9 {
        site.post(CLEAR, "{}").await.unwrap();
    }
    site.world.wechat.clear_fault(done);
    site.world.wechat.set_fault(Fault::errcode(CLEAR, 48006).times(1));
    let refused = body(site.post(CLEAR, "{}").await.unwrap()).await;
    assert!(refused.contains("48006"), "{refused}");
    // The tenth did nothing; of the next nobody knows whether it did.
    site.world.wechat.set_fault(Fault::new(CLEAR, FaultKind::LoseAnswer).times(1));
    assert!(matches!(refusal(site.post(CLEAR, "{}").await), Error::Wechat(_)));
    let error = refusal(site.post(CLEAR, "{}").await);
    let Error::AllowanceUsedUp { allowance: 10, month } = &error else { panic!("{error}") };
    assert_eq!(month.len(), "2026-11".len());
    assert_eq!(site.world.wechat.calls_to(CLEAR).len(), 11);

    // The other path has an allowance of its own, and next month has a new one.
    site.answer(CLEAR_PATH, r#"{"errcode":0,"errmsg":"ok"}"#);
    assert!(site.post(CLEAR_PATH, "{}").await.is_ok());
    site.world.clock.advance(chrono::Duration::days(31));
    site.world.wechat.advance_clock(std::time::Duration::from_secs(31 * 24 * 60 * 60));
    site.world.push_ticket().await;
    site.answer(CLEAR, r#"{"errcode":0,"errmsg":"ok"}"#);
    assert!(site.post(CLEAR, "{}").await.is_ok());

    let trail = site.trail(&site.tenant).await;
    let asked = (Action::QuotaClearAsked, SHOP.to_owned());
    assert_eq!(trail.len(), 13);
    assert!(trail.iter().all(|entry| *entry == asked), "{trail:?}");
}

#[tokio::test]
async fn without_a_token_nothing_is_counted_anew_and_no_allowance_is_used() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::errcode(crate::world::COMPONENT_TOKEN, 40125));
    refusal(site.post(CLEAR, "{}").await);
    assert!(site.trail(&site.tenant).await.is_empty());
    assert!(site.world.wechat.calls_to(CLEAR).is_empty());
}
