//! Authorizers: their profile read anew, and their token refreshed because somebody asks.

use lingpai_authorizer::{Error, NewAccount};
use lingpai_emulator::Fault;
use lingpai_model::{
    Secret,
    audit::Action,
    authorizer::{ProfileKind, TokenApi},
    event::EventKind,
};

use crate::{
    site::{Site, appid},
    world::{FLOWERS, SHOP},
};

const INFO: &str = "/cgi-bin/component/api_get_authorizer_info";

#[tokio::test]
async fn a_profile_is_read_anew_and_changed_rights_are_told() {
    let site = Site::open().await;
    site.world.wechat.grant(SHOP, &[1, 2, 15]).unwrap();
    let (shown, _) =
        site.authorizers.refresh_profile(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!(shown.profile.nick_name.as_deref(), Some("令牌小店"));
    assert_eq!(shown.profile.kind, Some(ProfileKind::OfficialAccount));
    assert_eq!(shown.func_info, [1, 2, 15]);
    assert_eq!(site.told(&site.tenant).await, [EventKind::Updated]);
    assert_eq!(site.stored().await.func_info, [1, 2, 15]);
    site.authorizers.refresh_profile(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!(site.told(&site.tenant).await.len(), 1, "nothing has changed since");
    let read = (Action::AuthorizerProfileRefreshed, SHOP.to_owned());
    assert_eq!(site.trail(&site.tenant).await, [read.clone(), read]);
}

#[tokio::test]
async fn a_profile_that_is_not_to_be_had_leaves_the_old_one() {
    let site = Site::open().await;
    let foreign = site.authorizers.refresh_profile(&site.other, &site.shop.appid).await;
    assert!(matches!(foreign, Err(Error::AuthorizerNotFound { .. })));
    assert!(site.world.wechat.calls_to(INFO).is_empty());
    site.world.wechat.set_fault(Fault::errcode(INFO, 40013));
    site.authorizers.refresh_profile(&site.tenant, &site.shop.appid).await.unwrap_err();
    assert_eq!(site.stored().await, site.shop);
    assert!(site.trail(&site.tenant).await.is_empty());

    let secret = site.world.wechat.account(FLOWERS).unwrap().appsecret.unwrap();
    let flowers = NewAccount {
        appid: appid(FLOWERS),
        appsecret: Secret::new(secret),
        token_api: TokenApi::StableToken,
        push_keys: None,
    };
    site.accounts.connect(&site.tenant, flowers).await.unwrap();
    let own = site.authorizers.refresh_profile(&site.tenant, &appid(FLOWERS)).await;
    assert!(matches!(own, Err(Error::NoProfile { .. })));
}

#[tokio::test]
async fn a_refresh_that_somebody_asks_for_is_in_the_trail_whatever_becomes_of_it() {
    let site = Site::open().await;
    site.authorizers.renew_access_token(&site.tenant, &site.shop.appid).await.unwrap();
    site.world.wechat.set_fault(Fault::errcode(crate::world::AUTHORIZER_TOKEN, -1));
    site.authorizers.renew_access_token(&site.tenant, &site.shop.appid).await.unwrap_err();
    let foreign = site.authorizers.renew_access_token(&site.other, &site.shop.appid).await;
    assert!(matches!(foreign, Err(Error::AuthorizerNotFound { .. })));
    let asked = (Action::AuthorizerTokenRefreshAsked, SHOP.to_owned());
    assert_eq!(site.trail(&site.tenant).await, [asked.clone(), asked]);
    assert!(site.trail(&site.other).await.is_empty());
}
