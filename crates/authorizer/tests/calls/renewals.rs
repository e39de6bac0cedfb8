//! Renewal links.

use chrono::Duration;
use lingpai_authorizer::Error;
use lingpai_emulator::Fault;
use lingpai_model::{
    audit::{Action, Actor},
    authorization::AuthorizationState,
    authorizer::Authorizer,
    caller::Via,
};

use crate::site::Site;

const PRE_AUTH_CODE: &str = "/cgi-bin/component/api_create_preauthcode";

fn text(site: &Site, authorizer: &Authorizer) -> String {
    let link = site.renewals.link(authorizer).expect("it has one");
    link.path().rsplit('/').next().expect("the last part").to_owned()
}

async fn refusal(site: &Site, text: &str) -> Error {
    site.authorizations.renew(text, Via::default()).await.map(|started| started.url).unwrap_err()
}

#[tokio::test]
async fn a_link_starts_an_authorization_in_the_owners_name() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    assert!(text.starts_with("r_") && text.len() == 80, "{text}");
    let via = Via { request_id: "req_1".to_owned(), peer: Some([192, 0, 2, 1].into()) };
    let started = site.authorizations.renew(&text, via.clone()).await.unwrap();
    assert_eq!(started.authorization.tenant_id, *site.tenant.scope.tenant_id());
    assert_eq!(started.authorization.appid, Some(site.shop.appid.clone()));
    assert!(started.authorization.category_ids.is_empty(), "the sets of the published platform");
    assert_eq!(started.authorization.state, AuthorizationState::Pending);

    let id = &started.authorization.id;
    let shown = site.authorizations.get(&site.tenant.scope, id).await.unwrap();
    assert_eq!(shown.id, *id);
    assert!(site.authorizations.get(&site.other.scope, id).await.is_err());
    let trail = site.whole_trail().await;
    assert_eq!(trail[0].action, Action::AuthorizationStarted);
    assert_eq!(trail[0].actor, Actor::Lingpai);
    assert_eq!(trail[0].tenant_id.as_ref(), Some(site.tenant.scope.tenant_id()));
    assert_eq!((trail[0].request_id.clone(), trail[0].peer), (Some(via.request_id), via.peer));
}

#[tokio::test]
async fn whoever_follows_a_link_within_the_minute_gets_what_the_first_has_started() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    let renew = async || site.authorizations.renew(&text, Via::default()).await.unwrap();
    let (preview, administrator) = tokio::join!(renew(), renew());
    site.world.clock.advance(Duration::seconds(59));
    let again = renew().await;
    assert_eq!(preview.url, administrator.url);
    assert_eq!(preview.url, again.url);
    assert_eq!(preview.authorization.id, again.authorization.id);
    assert_eq!(site.world.calls(PRE_AUTH_CODE), 1);
    assert_eq!(site.trail(&site.tenant).await.len(), 1);
    site.world.clock.advance(Duration::seconds(1));
    assert_ne!(renew().await.url, preview.url);
    assert_eq!(site.world.calls(PRE_AUTH_CODE), 2);
}

#[tokio::test]
async fn a_link_that_could_start_nothing_is_tried_once_a_minute() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    let fault = site.world.wechat.set_fault(Fault::errcode(PRE_AUTH_CODE, 45009));
    assert!(matches!(refusal(&site, &text).await, Error::Component(_)));
    site.world.wechat.clear_fault(fault);
    assert!(matches!(refusal(&site, &text).await, Error::RenewedJustNow { .. }));
    assert_eq!(site.world.calls(PRE_AUTH_CODE), 1);
    site.world.clock.advance(Duration::seconds(60));
    assert!(site.authorizations.renew(&text, Via::default()).await.is_ok());
}

#[tokio::test]
async fn a_link_ends_after_seven_days() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    site.world.clock.advance(Duration::days(7));
    assert!(matches!(refusal(&site, &text).await, Error::RenewalExpired));
}

#[tokio::test]
async fn a_link_that_was_changed_anywhere_is_none() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(matches!(refusal(&site, &changed).await, Error::LinkUnknown), "{changed}");
    }
    for junk in ["", "r_", "r__", "r_é", "r_é0000000_", &text[..79], &format!("{text}A")] {
        assert!(matches!(refusal(&site, junk).await, Error::LinkUnknown), "{junk}");
    }
    assert!(
        site.authorizations.renew(&text, Via::default()).await.is_ok(),
        "none of these counted"
    );
}

#[tokio::test]
async fn a_change_of_owner_voids_the_links_made_before() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    assert!(matches!(refusal(&site, &text).await, Error::LinkUnknown));
    let other = site.other.scope.tenant_id();
    let assigned = site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    assert!(matches!(refusal(&site, &text).await, Error::LinkUnknown));
    let started =
        site.authorizations.renew(&self::text(&site, &assigned), Via::default()).await.unwrap();
    assert_eq!(started.authorization.tenant_id, *other);
}

#[tokio::test]
async fn an_owner_who_has_the_account_again_has_none_of_its_links_from_before() {
    let site = Site::open().await;
    let text = text(&site, &site.shop);
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    let owner = site.tenant.scope.tenant_id();
    let back = site.claims.assign(&site.operator, &site.shop.id, owner).await.unwrap();
    assert!(matches!(refusal(&site, &text).await, Error::LinkUnknown));
    assert!(site.authorizations.renew(&self::text(&site, &back), Via::default()).await.is_ok());
}
