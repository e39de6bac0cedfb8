//! Who owns an account.

use lingpai_authorizer::{Claim, Error, NewAccount, SystemAuthorizerFilter};
use lingpai_model::{
    Appid, Secret,
    audit::{Action, Actor},
    authorizer::{Authorizer, AuthorizerState, TokenApi},
    clock::Clock as _,
    event::EventKind,
    id::{AuthorizerId, TenantId},
    page::PageRequest,
};

use crate::{
    site::{Site, USER_GET},
    world::{AUTHORIZER_TOKEN, FLOWERS, SHOP},
};

async fn unclaimed(site: &Site) -> Vec<Appid> {
    let page = PageRequest::new(100, None).unwrap();
    let filter = SystemAuthorizerFilter { claim: Some(Claim::Unclaimed), ..Default::default() };
    let found = site.claims.list(&filter, &page).await.unwrap();
    found.items.into_iter().map(|one| one.appid).collect()
}

/// The tenant connects one more account by its own secret.
pub(crate) async fn connect(site: &Site) -> Authorizer {
    let secret = site.world.wechat.account(FLOWERS).unwrap().appsecret.unwrap();
    let new = NewAccount {
        appid: Appid::parse(FLOWERS).unwrap(),
        appsecret: Secret::new(secret),
        token_api: TokenApi::StableToken,
        push_keys: None,
    };
    site.accounts.connect(&site.tenant, new).await.unwrap()
}

#[tokio::test]
async fn a_released_account_is_absent_for_its_old_owner_and_waits_for_a_new_one() {
    let site = Site::open().await;
    site.get(USER_GET).await.unwrap();
    let before = site.world.stored(&site.shop.token_key()).await;
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();

    let error = site.get(USER_GET).await.map(|answered| answered.response.status).unwrap_err();
    assert!(matches!(error, Error::AuthorizerNotFound { .. }));
    let absent = site.authorizers.get(&site.tenant.scope, &site.shop.appid).await.unwrap_err();
    let unknown = site.authorizers.get(&site.other.scope, &site.shop.appid).await.unwrap_err();
    assert_eq!(absent.to_string(), unknown.to_string());
    let again = site.claims.release(&site.tenant, &site.shop.appid).await;
    assert!(matches!(again, Err(Error::AuthorizerNotFound { .. })));

    // Nothing is erased, and no worker refreshes it.
    let kept = site.world.stored(&site.shop.token_key()).await;
    assert_eq!(kept.refresh_token, before.refresh_token);
    assert_eq!(kept.due_at, None);
    assert_eq!(site.stored().await.state, AuthorizerState::Active);
    site.world.advance(crate::world::LIFE);
    assert_eq!(site.tokens.run_once().await.unwrap(), 0);
    assert_eq!(unclaimed(&site).await, vec![site.shop.appid.clone()]);
    assert_eq!(site.trail(&site.tenant).await, [(Action::AuthorizerReleased, SHOP.to_owned())]);
    assert_eq!(site.told(&site.tenant).await, [], "it did so itself");
}

#[tokio::test]
async fn a_refresh_that_is_under_way_does_not_make_a_released_account_due_again() {
    let site = Site::open().await;
    site.world.hold_next(AUTHORIZER_TOKEN);
    assert_eq!(site.tokens.run_once().await.unwrap(), 1);
    site.world.held().await;
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    site.world.wechat.release(None);
    site.tokens.settled().await;
    assert_eq!(site.world.stored(&site.shop.token_key()).await.due_at, None);
}

#[tokio::test]
async fn an_account_is_released_by_its_owner_or_the_operator_only() {
    let site = Site::open().await;
    let foreign = site.claims.release(&site.other, &site.shop.appid).await;
    assert!(matches!(foreign, Err(Error::AuthorizerNotFound { .. })));
    assert!(site.get(USER_GET).await.is_ok());

    let released = site.claims.release_for(&site.operator, &site.shop.id).await.unwrap();
    assert_eq!(released.tenant_id, None);
    site.get(USER_GET).await.map(|answered| answered.response.status).unwrap_err();
    let trail = site.whole_trail().await;
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].actor, Actor::Operator(site.operator.id.clone()));
    assert_eq!(trail[0].tenant_id.as_ref(), Some(site.tenant.scope.tenant_id()));
    // Who has no owner stays as it is.
    site.claims.release_for(&site.operator, &site.shop.id).await.unwrap();
    assert_eq!(site.whole_trail().await.len(), 1);
    let nobody = AuthorizerId::new(site.world.clock.now(), &site.entropy);
    let absent = site.claims.release_for(&site.operator, &nobody).await;
    assert!(matches!(absent, Err(Error::AuthorizerAbsent { .. })));
}

#[tokio::test]
async fn an_unclaimed_account_is_assigned_and_its_new_owner_is_told() {
    let site = Site::open().await;
    let other = site.other.scope.tenant_id();
    let claimed = site.claims.assign(&site.operator, &site.shop.id, other).await;
    assert!(matches!(claimed, Err(Error::AuthorizerClaimed { .. })));
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    let nobody = TenantId::new(site.world.clock.now(), &site.entropy);
    let unknown = site.claims.assign(&site.operator, &site.shop.id, &nobody).await;
    assert!(matches!(unknown, Err(Error::TenantNotFound { .. })));

    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    assert_eq!(site.told(&site.other).await, [EventKind::Authorized]);
    assert_eq!(site.trail(&site.other).await, [(Action::AuthorizerAssigned, SHOP.to_owned())]);
    assert_eq!(site.tokens.run_once().await.unwrap(), 1, "its token is refreshed at once");
    site.tokens.settled().await;
    let (shown, _) = site.authorizers.get(&site.other.scope, &site.shop.appid).await.unwrap();
    assert_eq!(shown.id, site.shop.id);
    assert!(unclaimed(&site).await.is_empty());
    site.get(USER_GET).await.map(|answered| answered.response.status).unwrap_err();
}

#[tokio::test]
async fn a_withdrawn_account_is_not_assigned_and_one_that_must_authorize_again_says_so() {
    let site = Site::open().await;
    let other = site.other.scope.tenant_id();
    let now = site.world.clock.now();
    let stored = Authorizer { tenant_id: None, ..site.shop.clone() };
    let become_ = async |state: AuthorizerState| {
        let changed = Authorizer { state, ..stored.clone() };
        site.world.change(async |tx| tx.authorizers().system_update(&changed).await.unwrap()).await;
    };
    become_(AuthorizerState::Revoked { at: now }).await;
    let withdrawn = site.claims.assign(&site.operator, &site.shop.id, other).await;
    assert!(matches!(withdrawn, Err(Error::Revoked { .. })));
    let since = now - chrono::Duration::days(9);
    become_(AuthorizerState::NeedsReauthorization { since }).await;
    // Every time: events of one millisecond would come in any order.
    for round in 1..=8 {
        site.a_moment_later();
        site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
        let told = site.told(&site.other).await;
        let in_order = [EventKind::Authorized, EventKind::NeedsReauthorization];
        assert_eq!(told, in_order.repeat(round), "the news of the account come second");
        become_(AuthorizerState::NeedsReauthorization { since }).await;
    }
}

#[tokio::test]
async fn a_refused_account_waits_no_more_and_may_still_be_assigned() {
    let site = Site::open().await;
    let claimed = site.claims.refuse(&site.operator, &site.shop.id).await;
    assert!(matches!(claimed, Err(Error::AuthorizerClaimed { .. })));
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    site.a_moment_later();
    let refused = site.claims.refuse(&site.operator, &site.shop.id).await.unwrap();
    assert_eq!(refused.refused_at, Some(site.world.clock.now()));
    assert!(unclaimed(&site).await.is_empty());
    let filter = SystemAuthorizerFilter { claim: Some(Claim::Refused), ..Default::default() };
    let page = PageRequest::new(100, None).unwrap();
    let listed = site.claims.list(&filter, &page).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    site.claims.refuse(&site.operator, &site.shop.id).await.unwrap();
    let trail = site.whole_trail().await;
    let actions: Vec<Action> = trail.iter().map(|entry| entry.action.clone()).collect();
    assert_eq!(actions, [Action::AuthorizerRefused, Action::AuthorizerReleased]);

    let other = site.other.scope.tenant_id();
    let assigned = site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    assert_eq!(assigned.refused_at, None);
}

#[tokio::test]
async fn an_account_with_a_secret_of_its_own_loses_it_and_can_be_connected_again() {
    let site = Site::open().await;
    let first = connect(&site).await;
    site.a_moment_later();
    site.claims.release(&site.tenant, &first.appid).await.unwrap();
    assert!(site.db.account_secrets().system_find(&first.appid).await.unwrap().is_none());
    assert!(site.world.find(&first.token_key()).await.is_none());
    let kept = site.world.reload(&first).await;
    assert!(matches!(kept.state, AuthorizerState::Revoked { .. }));
    assert!(unclaimed(&site).await.is_empty(), "there is nothing to be claimed");
    let other = site.other.scope.tenant_id();
    let gone = site.claims.assign(&site.operator, &first.id, other).await;
    assert!(matches!(gone, Err(Error::Revoked { .. })));

    site.a_moment_later();
    let second = connect(&site).await;
    assert_ne!(second.id, first.id);
    let connected = (Action::AccountConnected, FLOWERS.to_owned());
    let released = (Action::AuthorizerReleased, FLOWERS.to_owned());
    assert_eq!(site.trail(&site.tenant).await, [connected.clone(), released, connected]);
}
