//! Quotas: looked up, and counted anew.

use lingpai_authorizer::{Cleared, Error, PathRefusal, QuotaFigures, RateFigures};
use lingpai_component_token as component_token;
use lingpai_emulator::{Fault, FaultKind, TokenKind};
use lingpai_model::{api_key::Scope, audit::Action};

use crate::{
    site::{Site, USER_GET, appid, with_scopes},
    world::{AUTHORIZER_TOKEN, SHOP},
};

const GET: &str = "/cgi-bin/openapi/quota/get";
const CLEAR: &str = "/cgi-bin/clear_quota";
const FIGURES: &str = r#"{"errcode":0,"quota":{"daily_limit":10,"used":4,"remain":6},
    "rate_limit":{"call_count":100,"refresh_second":60}}"#;
const DONE: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

#[tokio::test]
async fn a_quota_is_asked_for_with_the_accounts_own_token() {
    let site = Site::open().await;
    site.answer(GET, FIGURES);
    let figures = site.quotas.get(&site.tenant.scope, &site.shop.appid, USER_GET).await.unwrap();
    let expected = QuotaFigures {
        daily_limit: 10,
        used: 4,
        remain: 6,
        rate_limit: Some(RateFigures { call_count: 100, refresh_second: 60 }),
        component_rate_limit: None,
    };
    assert_eq!(figures, expected);
    let component = site.quotas.of_component(&site.world.component.appid, USER_GET).await;
    assert_eq!(component.unwrap(), expected);
    let tokens: Vec<TokenKind> =
        site.world.wechat.calls_to(GET).iter().map(|call| call.token).collect();
    assert_eq!(tokens, [TokenKind::Authorizer, TokenKind::Component]);
}

#[tokio::test]
async fn a_stale_token_is_cured_and_a_refusal_is_told() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::errcode(GET, 42001).times(1));
    let of = |path: &'static str| site.quotas.get(&site.tenant.scope, &site.shop.appid, path);
    assert!(of(USER_GET).await.is_ok());
    assert_eq!(site.world.wechat.calls_to(GET).len(), 2);
    site.world.wechat.clear_faults();
    site.world.wechat.set_fault(Fault::errcode(GET, 76021));
    let Err(Error::Component(component_token::Error::Wechat(refusal))) = of("/cgi-bin/x").await
    else {
        panic!("WeChat does not know it")
    };
    assert_eq!(refusal.errcode().map(|code| code.0), Some(76021));
}

#[tokio::test]
async fn what_is_not_the_tenants_or_no_path_is_not_asked_about() {
    let site = Site::open().await;
    let foreign = site.quotas.get(&site.other.scope, &site.shop.appid, USER_GET).await;
    assert!(matches!(foreign, Err(Error::AuthorizerNotFound { .. })));
    for path in ["", "cgi-bin/user/get", "/cgi-bin/user/get?x", "https://h/x", "/a//b"] {
        let outcome = site.quotas.get(&site.tenant.scope, &site.shop.appid, path).await;
        assert!(matches!(outcome, Err(Error::PathRefused(PathRefusal::Spelling))), "{path}");
    }
    let unknown = site.quotas.of_component(&appid("wxnobody"), USER_GET).await;
    let absent = component_token::Error::ComponentNotFound { appid: appid("wxnobody") };
    assert_eq!(unknown.unwrap_err().to_string(), absent.to_string());
    assert!(site.world.wechat.calls_to(GET).is_empty());
}

#[tokio::test]
async fn counting_anew_uses_up_one_of_ten_times_a_month() {
    let site = Site::open().await;
    site.answer(CLEAR, DONE);
    for used_this_month in 1..=10 {
        let cleared = site.quotas.clear(&site.tenant, &site.shop.appid).await.unwrap();
        assert_eq!(cleared, Cleared { used_this_month, allowance: 10 });
    }
    let used_up = site.quotas.clear(&site.tenant, &site.shop.appid).await;
    assert!(matches!(used_up, Err(Error::AllowanceUsedUp { allowance: 10, .. })));
    assert_eq!(site.world.wechat.calls_to(CLEAR).len(), 10);
    let trail = site.trail(&site.tenant).await;
    assert_eq!(trail, vec![(Action::QuotaClearAsked, SHOP.to_owned()); 10]);
    assert!(site.trail(&site.other).await.is_empty());
}

#[tokio::test]
async fn a_refusal_gives_the_time_back_and_silence_does_not() {
    let site = Site::open().await;
    let clear = || site.quotas.clear(&site.tenant, &site.shop.appid);
    for errcode in [48006, 40001, 48001] {
        let fault = site.world.wechat.set_fault(Fault::errcode(CLEAR, errcode));
        clear().await.unwrap_err();
        site.world.wechat.clear_fault(fault);
    }
    let lost = site.world.wechat.set_fault(Fault::new(CLEAR, FaultKind::LoseAnswer));
    clear().await.unwrap_err();
    site.world.wechat.clear_fault(lost);
    site.answer(CLEAR, DONE);
    assert_eq!(clear().await.unwrap().used_this_month, 2);
}

#[tokio::test]
async fn a_refresh_that_is_not_answered_uses_up_nothing() {
    let site = Site::open().await;
    site.world.wechat.set_fault(Fault::errcode(CLEAR, 42001).times(1));
    site.world.wechat.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::LoseAnswer).times(1));
    let error = site.quotas.clear(&site.tenant, &site.shop.appid).await.unwrap_err();
    assert!(matches!(error, Error::Shared(_)), "it is the refresh that failed: {error}");
    site.world.advance(std::time::Duration::from_secs(60));
    site.answer(CLEAR, DONE);
    let cleared = site.quotas.clear(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!(cleared.used_this_month, 1);
}

#[tokio::test]
async fn counting_anew_needs_the_scope_and_the_account() {
    let site = Site::open().await;
    site.answer(CLEAR, DONE);
    let caller = with_scopes(&site.tenant, &[Scope::WechatCall, Scope::AuthorizerWrite]);
    let refused = site.quotas.clear(&caller, &site.shop.appid).await;
    assert!(matches!(refused, Err(Error::ScopeMissing { scope: Scope::QuotaClear })));
    let foreign = site.quotas.clear(&site.other, &site.shop.appid).await;
    assert!(matches!(foreign, Err(Error::AuthorizerNotFound { .. })));
    assert!(site.world.wechat.calls_to(CLEAR).is_empty());
}
