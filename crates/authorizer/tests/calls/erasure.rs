//! What fans granted is erased when the tenant wants it.

use std::time::Duration;

use lingpai_authorizer::{Error, NewWebToken};
use lingpai_model::{
    Secret,
    authorizer::Authorizer,
    clock::Clock as _,
    token::{AccessToken, TokenKey},
    web_token::{WebGrant, WebTokenOwner},
};

use crate::{
    site::{Site, appid},
    world::{FLOWERS, SHOP},
};

const FAN: &str = "oLingPai000000000000000fan01";
const OTHER_FAN: &str = "oLingPai000000000000000fan02";

impl Site {
    async fn keeps(&self, account: &Authorizer, openid: &str, scope: &str) -> WebGrant {
        let owner = WebTokenOwner {
            authorizer_id: account.id.clone(),
            openid: openid.to_owned(),
            scope: scope.to_owned(),
        };
        let now = self.world.clock.now();
        let token = AccessToken::obtained(Secret::from("token"), now, Duration::from_secs(7200));
        let new =
            NewWebToken { owner, unionid: None, token, refresh_token: Secret::from("refresh") };
        self.web_tokens.keep(account, new).await.unwrap()
    }

    async fn is_kept(&self, grant: &WebGrant) -> bool {
        let found = self.db.web_tokens().system_find(&grant.owner).await.unwrap();
        let token = self.db.tokens().find(&TokenKey::Web(grant.id.clone())).await.unwrap();
        assert_eq!(found.is_some(), token.is_some(), "no token without its grant");
        found.is_some()
    }
}

#[tokio::test]
async fn one_fan_is_erased_at_one_account_in_every_scope() {
    let site = Site::open().await;
    let flowers = site.world.authorizer(FLOWERS).await;
    let gone = [
        site.keeps(&site.shop, FAN, "snsapi_base").await,
        site.keeps(&site.shop, FAN, "snsapi_userinfo").await,
    ];
    let stays = [
        site.keeps(&site.shop, OTHER_FAN, "snsapi_base").await,
        site.keeps(&flowers, FAN, "snsapi_base").await,
    ];
    let scope = &site.tenant.scope;
    assert_eq!(site.web_tokens.erase_fan(scope, &appid(SHOP), FAN).await.unwrap(), 2);
    for grant in &gone {
        assert!(!site.is_kept(grant).await);
    }
    for grant in &stays {
        assert!(site.is_kept(grant).await);
    }
    assert_eq!(site.web_tokens.erase_fan(scope, &appid(SHOP), FAN).await.unwrap(), 0);
}

#[tokio::test]
async fn all_fans_of_one_account_are_erased_however_many() {
    let site = Site::open().await;
    let flowers = site.world.authorizer(FLOWERS).await;
    let stays = site.keeps(&flowers, FAN, "snsapi_base").await;
    let mut gone = Vec::new();
    for number in 0..600 {
        gone.push(site.keeps(&site.shop, &format!("o{number}"), "snsapi_base").await);
    }
    let erased = site.web_tokens.erase_authorizer(&site.tenant.scope, &appid(SHOP)).await;
    assert_eq!(erased.unwrap(), 600);
    assert!(!site.is_kept(&gone[0]).await && !site.is_kept(&gone[599]).await);
    assert!(site.is_kept(&stays).await);
}

#[tokio::test]
async fn nobody_erases_what_is_kept_of_another_tenants_account() {
    let site = Site::open().await;
    let kept = site.keeps(&site.shop, FAN, "snsapi_base").await;
    let (scope, shop) = (&site.other.scope, appid(SHOP));
    for refused in [
        site.web_tokens.erase_fan(scope, &shop, FAN).await.unwrap_err(),
        site.web_tokens.erase_authorizer(scope, &shop).await.unwrap_err(),
        site.web_tokens.erase_fan(scope, &appid("wxnobody"), FAN).await.unwrap_err(),
    ] {
        assert!(matches!(refused, Error::AuthorizerNotFound { .. }), "{refused}");
    }
    assert!(site.is_kept(&kept).await);
}
