//! Authorizations: what their pages tell of the outcome.

use lingpai_authorizer::{Return, StartAuthorization, Started};
use lingpai_emulator::Fault;
use lingpai_model::{
    Secret,
    audit::{Action, Actor},
    authorization::{AccountKind, Authorization, AuthorizationState, LinkToken},
    caller::Caller,
    clock::Clock as _,
    event::EventKind,
    exchange::{CodeOffer, CodeSource},
    id::EventId,
};
use url::Url;

use crate::{
    site::{Site, appid},
    world::{FLOWERS, SHOP},
};

const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";
const BACK: &str = "https://flowers.example/done";

pub(crate) async fn start(site: &Site, by: &Caller, category_ids: &[u32]) -> (Started, LinkToken) {
    let input = StartAuthorization {
        component_appid: site.world.component.appid.clone(),
        account_kind: AccountKind::Any,
        appid: None,
        category_ids: category_ids.to_vec(),
        return_url: None,
        reference: None,
        purpose: None,
    };
    let started = site.authorizations.start(by, input).await.unwrap();
    let link = LinkToken::parse(started.url.path().rsplit('/').next().unwrap()).unwrap();
    (started, link)
}

/// The administrator consents; gives the code and the state that come back.
pub(crate) async fn consent(site: &Site, link: &LinkToken, account: &str, sets: &[u32]) -> Return {
    let links = site.authorizations.open_visit(link).await.unwrap();
    let back = site.world.wechat.consent(links.desktop.as_str(), account, sets).await.unwrap();
    let back = Url::parse(&back).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "auth_code").unwrap().1.into_owned();
    let cookie = LinkToken::parse(links.state.expose_text()).unwrap();
    Return { state: links.state, cookie, authorization_code: Secret::new(code) }
}

/// WeChat's push brings the code.
async fn push(site: &Site, started: &Authorization, account: &str, code: Secret<String>) {
    site.grants.redeem(pushed(site, started, account, code)).await.unwrap();
}

/// What a push of this moment says.
fn pushed(
    site: &Site,
    started: &Authorization,
    account: &str,
    authorization_code: Secret<String>,
) -> CodeOffer {
    let digest = Authorization::pre_auth_code_digest(&started.pre_auth_code);
    let source = CodeSource::Push {
        authorizer_appid: appid(account),
        pre_auth_code_digest: Some(digest),
        granted_at: site.world.clock.now(),
    };
    let component_id = site.world.component.id.clone();
    CodeOffer { component_id, authorization_code, source }
}

#[tokio::test]
async fn whoever_starts_an_authorization_is_in_the_trail() {
    let site = Site::open().await;
    let (started, _) = start(&site, &site.tenant, &[]).await;
    let trail = site.whole_trail().await;
    assert_eq!(trail[0].actor, Actor::ApiKey(site.tenant.key_id.clone()));
    assert_eq!(trail[0].action, Action::AuthorizationStarted);
    assert_eq!(trail[0].subject, started.authorization.id.as_str());
    assert!(site.trail(&site.other).await.is_empty());
}

#[tokio::test]
async fn rights_that_were_asked_for_and_not_granted_are_told_with_a_link() {
    let site = Site::open().await;
    let (started, link) = start(&site, &site.tenant, &[1, 2, 15]).await;
    let before = site.authorizations.page(&link).await.unwrap();
    assert!(before.missing.is_empty() && before.renewal_url.is_none());
    assert_eq!(before.tenant_logo_url.as_deref(), Some("https://flowers.example/logo.png"));

    let brought = consent(&site, &link, FLOWERS, &[1, 2]).await;
    push(&site, &started.authorization, FLOWERS, brought.authorization_code).await;
    let page = site.authorizations.page(&link).await.unwrap();
    assert!(matches!(page.authorization.state, AuthorizationState::Finished { .. }));
    assert_eq!(page.missing, [15]);
    assert_eq!(page.authorizer_name.as_deref(), Some("令牌花房"));
    assert!(page.renewal_url.unwrap().path().starts_with("/sub/authorize/r_"));

    // Of an account that is the tenant's no more, its old page tells nothing.
    site.claims.release(&site.tenant, &appid(FLOWERS)).await.unwrap();
    let page = site.authorizations.page(&link).await.unwrap();
    assert!(page.missing.is_empty() && page.authorizer_name.is_none());
    assert!(page.renewal_url.is_none());
}

#[tokio::test]
async fn an_account_that_was_not_to_be_served_is_once_a_tenant_has_it_authorized() {
    let site = Site::open().await;
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    site.claims.refuse(&site.operator, &site.shop.id).await.unwrap();
    site.world.advance(std::time::Duration::from_secs(60));
    let (started, link) = start(&site, &site.other, &[]).await;
    let brought = consent(&site, &link, SHOP, &[1, 2]).await;
    push(&site, &started.authorization, SHOP, brought.authorization_code).await;
    let stored = site.stored().await;
    assert_eq!(stored.tenant_id.as_ref(), Some(site.other.scope.tenant_id()));
    assert_eq!(stored.refused_at, None);
}

#[tokio::test]
async fn an_account_that_is_not_on_the_test_list_is_refused_for_good_and_the_page_knows() {
    let site = Site::open().await;
    let (started, link) = start(&site, &site.tenant, &[]).await;
    let fault = site.world.wechat.set_fault(Fault::errcode(QUERY_AUTH, 61028));
    let brought = consent(&site, &link, FLOWERS, &[1]).await;
    assert!(site.authorizations.take_return(&link, brought).await.unwrap());
    let refused = AuthorizationState::Refused { errcode: 61028, at: site.world.clock.now() };
    assert_eq!(site.authorizations.page(&link).await.unwrap().authorization.state, refused);
    assert_eq!(site.grants.run_once().await.unwrap(), 0, "nothing is tried again");
    let shown = site.authorizations.get(&site.tenant.scope, &started.authorization.id).await;
    assert_eq!(shown.unwrap().state, refused);

    // Once the account is on the list, a code that comes for the same attempt still counts.
    site.world.wechat.clear_fault(fault);
    let (_, other_link) = start(&site, &site.tenant, &[]).await;
    let brought = consent(&site, &other_link, FLOWERS, &[1]).await;
    push(&site, &started.authorization, FLOWERS, brought.authorization_code).await;
    let state = site.authorizations.page(&link).await.unwrap().authorization.state;
    assert!(matches!(state, AuthorizationState::Finished { .. }), "{state:?}");
}

#[tokio::test]
async fn a_finished_authorization_is_not_undone_by_a_refusal() {
    let site = Site::open().await;
    let (started, link) = start(&site, &site.tenant, &[]).await;
    let brought = consent(&site, &link, FLOWERS, &[1]).await;
    push(&site, &started.authorization, FLOWERS, brought.authorization_code).await;
    site.world.wechat.set_fault(Fault::errcode(QUERY_AUTH, 61028));
    push(&site, &started.authorization, FLOWERS, Secret::from("another code")).await;
    let state = site.authorizations.page(&link).await.unwrap().authorization.state;
    assert!(matches!(state, AuthorizationState::Finished { .. }), "{state:?}");
}

#[tokio::test]
async fn a_return_url_that_is_registered_no_more_leads_nowhere() {
    let site = Site::open().await;
    let now = site.world.clock.now();
    let scope = &site.tenant.scope;
    site.world.change(async |tx| tx.redirect_uris().insert(scope, BACK, now).await.unwrap()).await;
    let input = StartAuthorization {
        component_appid: site.world.component.appid.clone(),
        account_kind: AccountKind::Any,
        appid: Some(site.shop.appid.clone()),
        category_ids: vec![],
        return_url: Some(BACK.to_owned()),
        reference: None,
        purpose: None,
    };
    let started = site.authorizations.start(&site.tenant, input).await.unwrap();
    let link = LinkToken::parse(started.url.path().rsplit('/').next().unwrap()).unwrap();
    let return_url = async || site.authorizations.page(&link).await.unwrap();
    assert_eq!(return_url().await.authorization.return_url.as_deref(), Some(BACK));
    site.world
        .change(async |tx| assert!(tx.redirect_uris().delete(scope, BACK).await.unwrap()))
        .await;
    assert_eq!(return_url().await.authorization.return_url, None);
}

#[tokio::test]
async fn a_grant_that_was_under_way_does_not_undo_a_release() {
    let site = Site::open().await;
    let (started, link) = start(&site, &site.tenant, &[]).await;
    let (other, other_link) = start(&site, &site.tenant, &[]).await;
    let brought = consent(&site, &link, SHOP, &[1]).await;
    let offer = pushed(&site, &started.authorization, SHOP, brought.authorization_code.clone());
    let fault = site.world.wechat.set_fault(Fault::errcode(QUERY_AUTH, 45009));
    site.grants.redeem(offer.clone()).await.unwrap_err();
    site.world.wechat.clear_fault(fault);
    site.a_moment_later();
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    let trail = site.trail(&site.tenant).await;

    site.grants.redeem(offer).await.unwrap();
    let stored = site.stored().await;
    assert_eq!(stored.tenant_id, None, "who gave it up does not get it back");
    assert_eq!(site.world.stored(&stored.token_key()).await.due_at, None, "its token rests");
    let state = site.authorizations.page(&link).await.unwrap().authorization.state;
    assert_eq!(state, AuthorizationState::Pending);
    assert_eq!(site.trail(&site.tenant).await, trail);

    // Nor does another code of that time, which comes late.
    let mut late = pushed(&site, &started.authorization, SHOP, Secret::from("another code"));
    if let CodeSource::Push { granted_at, .. } = &mut late.source {
        *granted_at -= chrono::Duration::seconds(1);
    }
    site.grants.redeem(late).await.unwrap();
    assert_eq!(site.stored().await.tenant_id, None);

    // What is granted from now on counts, also by a link from before.
    let brought = consent(&site, &other_link, SHOP, &[1]).await;
    push(&site, &other.authorization, SHOP, brought.authorization_code).await;
    let stored = site.stored().await;
    assert_eq!(stored.tenant_id.as_ref(), Some(site.tenant.scope.tenant_id()));
    assert!(site.world.stored(&stored.token_key()).await.due_at.is_some());
}

/// WeChat says when it happened; the stream goes by when we learnt of it, so that whoever follows it
/// finds it at its end.
#[tokio::test]
async fn a_withdrawal_that_is_told_late_comes_last_in_the_stream() {
    let site = Site::open().await;
    let withdrawn_at = site.world.clock.now();
    site.world.wechat.revoke(SHOP).await.unwrap();
    site.world.advance(std::time::Duration::from_secs(3600));
    site.grants.withdraw(&site.world.component, &site.shop.appid, withdrawn_at).await.unwrap();
    let events = site.events(&site.tenant).await;
    let told = events.last().unwrap();
    assert_eq!(told.event_type, EventKind::Unauthorized);
    assert_eq!(told.occurred_at, withdrawn_at);
    assert_eq!(told.received_at, site.world.clock.now());
    let later = EventId::new(told.received_at - chrono::Duration::milliseconds(1), &site.entropy);
    assert!(told.id > later, "its id goes by when we learnt of it");
}
