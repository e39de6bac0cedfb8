//! Signatures for the JS-SDK, and the tickets behind them.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use lingpai_authorizer::{CardSignature, CardToSign, Error, PageConfig, SystemHealth};
use lingpai_component_token::{self as component_token, RefreshLimits};
use lingpai_emulator::{Fault, FaultKind, PageSignature, TokenKind};
use lingpai_model::{
    Secret,
    authorizer::{Authorizer, AuthorizerState},
    clock::Clock as _,
    token::TokenKey,
};
use lingpai_wechat::jssdk::{PageUrl, sign_card, sign_page};

use crate::{
    claims::connect,
    site::Site,
    world::{AUTHORIZER_TOKEN, LIFE, SHOP, cause},
};

const TICKET: &str = "/cgi-bin/ticket/getticket";
const PAGE: &str = "https://flowers.example/shop?id=1&from=singlemessage#/cart";
const STALE: &str = r#"{"errcode":42001,"errmsg":"access_token expired"}"#;

/// How long before its end a ticket signs nothing more.
const REACH: Duration = Duration::from_secs(60);

impl Site {
    /// WeChat gives this ticket from now on.
    fn ticket(&self, ticket: &str) -> u64 {
        let body =
            format!(r#"{{"errcode":0,"errmsg":"ok","ticket":"{ticket}","expires_in":7200}}"#);
        self.answer(TICKET, &body)
    }

    async fn page(&self) -> Result<PageConfig, Error> {
        self.jssdk.sign_page(&self.tenant.scope, &self.shop.appid, PAGE).await
    }

    async fn card(&self, card: CardToSign) -> Result<CardSignature, Error> {
        self.jssdk.sign_card(&self.tenant.scope, &self.shop.appid, card).await
    }

    fn asked(&self) -> usize {
        self.world.calls(TICKET)
    }

    fn jsapi_key(&self) -> TokenKey {
        TokenKey::JsapiTicket(self.shop.id.clone())
    }
}

fn is_signed_with(ticket: &str, page: &PageConfig) -> bool {
    let url = PageUrl::parse("https://flowers.example/shop?id=1&from=singlemessage").unwrap();
    page.signature == sign_page(&Secret::from(ticket), &page.nonce, page.timestamp, &url)
}

fn is_resting(error: &Error) -> bool {
    matches!(cause(error), Error::Component(component_token::Error::Resting { .. }))
}

#[tokio::test]
async fn a_page_is_signed_up_to_its_fragment_with_a_nonce_of_its_own() {
    let site = Site::open().await;
    site.ticket("one");
    let pages = [site.page().await.unwrap(), site.page().await.unwrap()];
    for page in &pages {
        assert!(is_signed_with("one", page));
        assert_eq!(page.appid, site.shop.appid);
        assert_eq!(page.timestamp, site.world.clock.now().timestamp());
        let is_hex = page.nonce.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(page.nonce.len() == 32 && is_hex, "{}", page.nonce);
    }
    assert_ne!(pages[0].nonce, pages[1].nonce);
    let tokens: Vec<TokenKind> =
        site.world.wechat.calls_to(TICKET).iter().map(|call| call.token).collect();
    assert_eq!(tokens, [TokenKind::Authorizer]);
}

#[tokio::test]
async fn fifty_cold_callers_cause_one_call_for_each_kind_of_ticket() {
    let site = Site::open().await;
    site.ticket("one");
    let pages = join_all((0..50).map(|_| site.page())).await;
    let nonces: HashSet<String> = pages.into_iter().map(|page| page.unwrap().nonce).collect();
    assert_eq!((nonces.len(), site.asked()), (50, 1));
    let cards = join_all((0..50).map(|_| site.card(CardToSign::default()))).await;
    assert!(cards.iter().all(Result::is_ok));
    assert_eq!((site.asked(), site.world.calls(AUTHORIZER_TOKEN)), (2, 1));
}

#[tokio::test]
async fn a_card_is_signed_over_what_is_told_of_it() {
    let site = Site::open().await;
    site.ticket("card");
    let text = |text: &str| Some(text.to_owned());
    for (card, parts) in [
        (CardToSign::default(), vec![]),
        (CardToSign { card_id: text("pCard"), ..Default::default() }, vec!["pCard"]),
        (
            CardToSign { card_id: text("pCard"), code: text("77"), openid: text("oFan") },
            vec!["pCard", "77", "oFan"],
        ),
    ] {
        let signed = site.card(card).await.unwrap();
        let signed_at = signed.timestamp.to_string();
        let values = [vec![signed_at.as_str(), &signed.nonce], parts].concat();
        assert_eq!(signed.signature, sign_card(&Secret::from("card"), &values));
    }
}

#[tokio::test]
async fn a_ticket_signs_while_it_lives_and_the_next_is_got_behind_it() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    site.world.advance(LIFE - REACH - Duration::from_secs(601));
    site.ticket("two");
    assert!(is_signed_with("one", &site.page().await.unwrap()));
    site.jssdk.settled().await;
    assert_eq!(site.asked(), 1, "the end is far");
    site.world.advance(Duration::from_secs(2));
    assert!(is_signed_with("one", &site.page().await.unwrap()));
    site.jssdk.settled().await;
    assert_eq!(site.asked(), 2);
    assert!(is_signed_with("two", &site.page().await.unwrap()));

    site.ticket("three");
    site.world.advance(LIFE - REACH);
    let page = site.page().await.unwrap();
    assert!(is_signed_with("three", &page), "WeChat looks at the page a little later");
}

#[tokio::test]
async fn a_stale_token_of_the_account_is_cured() {
    let site = Site::open().await;
    site.ticket("one");
    site.answer_once(TICKET, STALE);
    assert!(is_signed_with("one", &site.page().await.unwrap()));
    assert_eq!((site.asked(), site.world.calls(AUTHORIZER_TOKEN)), (2, 2));
}

#[tokio::test]
async fn a_refusal_is_told_and_rests_until_the_account_has_a_newer_token() {
    let site = Site::open().await;
    let refusal = site.world.wechat.set_fault(Fault::errcode(TICKET, 48001));
    let error = site.page().await.unwrap_err();
    assert_eq!(error.upstream_errcode(), Some(48001), "{error}");
    assert!(is_resting(&site.page().await.unwrap_err()));
    assert_eq!(site.asked(), 1);
    // The account grants what was missing.
    site.world.wechat.clear_fault(refusal);
    site.ticket("one");
    site.a_moment_later();
    site.tokens.renew(&site.shop).await.unwrap();
    assert!(is_signed_with("one", &site.page().await.unwrap()));
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn tickets_are_held_to_the_ceiling_of_tokens() {
    let site = Site::open().await;
    let ceiling = RefreshLimits::default().per_token_hour.get() as usize;
    site.world.wechat.set_fault(Fault::errcode(TICKET, 48001));
    for _ in 0..ceiling {
        assert_eq!(site.page().await.unwrap_err().upstream_errcode(), Some(48001));
        site.world.advance(Duration::from_secs(601));
    }
    let error = site.page().await.unwrap_err();
    let is_ceiling =
        matches!(cause(&error), Error::Component(component_token::Error::CeilingReached { .. }));
    assert!(is_ceiling, "{error}");
    assert_eq!(site.asked(), ceiling);
}

#[tokio::test]
async fn an_odd_answer_or_none_replaces_no_good_ticket() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    let before = site.world.stored(&site.jsapi_key()).await.token;
    site.world.advance(LIFE - REACH - Duration::from_secs(500));
    for body in [
        "{}",
        "[]",
        r#"{"errcode":0,"ticket":"","expires_in":7200}"#,
        r#"{"errcode":0,"ticket":"two","expires_in":0}"#,
        r#"{"errcode":0,"ticket":"two"}"#,
    ] {
        site.answer_once(TICKET, body);
        let asked = site.asked();
        assert!(is_signed_with("one", &site.page().await.unwrap()), "{body}");
        site.jssdk.settled().await;
        assert_eq!(site.asked(), asked + 1, "{body}");
        let stored = site.world.stored(&site.jsapi_key()).await;
        assert_eq!(stored.token, before, "{body}");
        site.world.clock.advance(stored.due_at.unwrap() - site.world.clock.now());
    }
    site.world.wechat.set_fault(Fault::new(TICKET, FaultKind::LoseAnswer).times(1));
    assert!(is_signed_with("one", &site.page().await.unwrap()));
    site.jssdk.settled().await;
    assert_eq!(site.world.stored(&site.jsapi_key()).await.token, before);
}

#[tokio::test]
async fn what_is_not_the_tenants_or_no_page_asks_for_nothing() {
    let site = Site::open().await;
    site.ticket("one");
    let (appid, other) = (&site.shop.appid, &site.other.scope);
    let page = site.jssdk.sign_page(other, appid, PAGE).await;
    assert!(matches!(page, Err(Error::AuthorizerNotFound { .. })));
    let card = site.jssdk.sign_card(other, appid, CardToSign::default()).await;
    assert!(matches!(card, Err(Error::AuthorizerNotFound { .. })));
    for url in ["", "flowers.example/shop", "javascript:alert(1)", "https://a.example/\n"] {
        let page = site.jssdk.sign_page(&site.tenant.scope, appid, url).await;
        assert!(matches!(page, Err(Error::BadPageUrl(_))), "{url:?}");
    }
    assert_eq!((site.asked(), site.world.calls(AUTHORIZER_TOKEN)), (0, 0));
}

#[tokio::test]
async fn a_living_ticket_signs_nothing_after_the_grant_has_ended() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    let at = site.world.clock.now();
    let revoked = Authorizer {
        state: AuthorizerState::Revoked { at },
        ..site.world.reload(&site.shop).await
    };
    let tx = site.db.begin().await.unwrap();
    tx.authorizers().system_update(&revoked).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(site.page().await, Err(Error::Revoked { .. })));
}

#[tokio::test]
async fn without_a_token_of_the_account_its_trouble_is_told_and_no_ticket_rests() {
    let site = Site::open().await;
    site.ticket("one");
    let refusal = site.world.wechat.set_fault(Fault::errcode(AUTHORIZER_TOKEN, 45011));
    let error = site.page().await.unwrap_err();
    assert_eq!(error.upstream_errcode(), Some(45011), "{error}");
    assert!(site.world.find(&site.jsapi_key()).await.is_none());
    site.world.wechat.clear_fault(refusal);
    site.world.advance(Duration::from_secs(120));
    assert!(site.page().await.is_ok());
}

#[tokio::test]
async fn a_released_accounts_tickets_go_also_one_that_comes_later() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    let flowers = connect(&site).await;
    let config = || site.jssdk.sign_page(&site.tenant.scope, &flowers.appid, PAGE);
    site.world.hold_next(TICKET);
    {
        let mut waiting = std::pin::pin!(config());
        tokio::select! {
            biased;
            early = &mut waiting => panic!("{early:?}"),
            () = site.world.held() => {}
        }
        site.claims.release(&site.tenant, &flowers.appid).await.unwrap();
        site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
        site.world.wechat.release(None);
        waiting.await.unwrap_err();
    }
    for id in [&flowers.id, &site.shop.id] {
        for key in [TokenKey::JsapiTicket(id.clone()), TokenKey::CardTicket(id.clone())] {
            assert!(site.world.find(&key).await.is_none_or(|kept| kept.token.is_none()), "{key}");
        }
    }
}

#[tokio::test]
async fn with_a_new_secret_an_accounts_tickets_are_got_anew() {
    let site = Site::open().await;
    site.ticket("one");
    let flowers = connect(&site).await;
    let config = || site.jssdk.sign_page(&site.tenant.scope, &flowers.appid, PAGE);
    assert!(is_signed_with("one", &config().await.unwrap()));
    site.a_moment_later();
    connect(&site).await;
    site.ticket("two");
    assert!(is_signed_with("two", &config().await.unwrap()));
}

#[tokio::test]
async fn a_ticket_that_nobody_asked_for_again_is_no_lapse() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    site.world.advance(LIFE * 2);
    assert_eq!(site.tokens.run_once().await.unwrap(), 1);
    site.tokens.settled().await;
    let clock = std::sync::Arc::new(site.world.clock.clone());
    let report = SystemHealth::new(site.db.clone(), clock).look().await.unwrap();
    assert_eq!(report.overdue_tokens, 0);
}

#[tokio::test]
async fn an_account_that_withdrew_and_grants_again_gets_its_tickets_anew() {
    let site = Site::open().await;
    site.ticket("one");
    site.page().await.unwrap();
    let withdrawn_at = site.world.clock.now();
    site.world.wechat.revoke(SHOP).await.unwrap();
    site.grants.withdraw(&site.world.component, &site.shop.appid, withdrawn_at).await.unwrap();
    assert!(matches!(site.stored().await.state, AuthorizerState::Revoked { .. }));
    assert!(site.world.find(&site.jsapi_key()).await.is_none());
}

#[tokio::test]
async fn wechat_takes_what_was_signed() {
    let site = Site::open().await;
    let page = site.page().await.unwrap();
    let PageConfig { timestamp, nonce, signature, .. } = &page;
    let (wechat, url) = (&site.world.wechat, PAGE.split('#').next().unwrap());
    let timestamp = &timestamp.to_string();
    assert!(wechat.verify_page(SHOP, &PageSignature { url, timestamp, nonce, signature }));
    let url = "https://flowers.example/shop?id=2&from=singlemessage";
    assert!(!wechat.verify_page(SHOP, &PageSignature { url, timestamp, nonce, signature }));
    let card = CardToSign { card_id: Some("pCard".to_owned()), ..Default::default() };
    let CardSignature { timestamp, nonce, signature } = site.card(card).await.unwrap();
    let signed_at = timestamp.to_string();
    assert!(wechat.verify_card(SHOP, &[&signed_at, &nonce, "pCard"], &signature));
}

#[tokio::test]
async fn while_wechat_gives_the_same_ticket_again_it_is_asked_a_handful_of_times() {
    let site = Site::open().await;
    for _ in 0..7200 / 5 {
        site.page().await.unwrap();
        site.jssdk.settled().await;
        site.world.advance(Duration::from_secs(5));
    }
    let asked = site.asked();
    assert!((2..=5).contains(&asked), "{asked}");
    assert_eq!(site.world.wechat.jssdk_ticket(SHOP, "jsapi"), None, "its end has come");
    site.page().await.unwrap();
    assert_eq!(site.asked(), asked + 1);
}
