//! What tenants learn of fans who granted: by the fan's own token and by the account's.

use std::time::Duration;

use lingpai_authorizer::{Error, FieldSource, KnownFan, Lang};
use lingpai_emulator::Fault;
use lingpai_model::{
    Secret,
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    clock::Clock as _,
    id::{MiniProgramSessionId, WebTokenId},
    mini_program_session::MiniProgramSession,
    token::{KeptToken, TokenKey},
    web_authorization::WebScope,
    web_token::{WebGrant, WebTokenOwner},
};
use serde_json::{Value, json};

use crate::{
    site::{Site, appid},
    web_authorizations::FAN,
    world::{LIFE, SHOP},
};

const USERINFO: &str = "/sns/userinfo";
const AUTH: &str = "/sns/auth";
const REFRESH: &str = "/sns/oauth2/component/refresh_token";
const USER_INFO: &str = "/cgi-bin/user/info";

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

impl Site {
    /// The calls that were counted for a tenant, but those by which codes are exchanged.
    async fn counted(&self, caller: &Caller) -> Vec<(String, i64, u64)> {
        self.ledger.flush().await.unwrap();
        let figures = self.figures(caller).await.into_iter();
        let mut counted: Vec<_> = figures
            .map(|one| (one.path, one.errcode, one.calls))
            .filter(|(path, _, _)| !path.ends_with("/access_token"))
            .collect();
        counted.sort();
        counted
    }

    async fn is_known(&self, scope: &TenantScope, id: &WebTokenId) -> bool {
        match self.web_tokens.fan(scope, id).await {
            Ok(_) => true,
            Err(Error::FanUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Fans have granted to an account and logged in there, just now.
    async fn has_fans(&self, account: &Authorizer, openids: &[String]) -> Vec<WebGrant> {
        let at = self.world.clock.now();
        let grant = |openid: &String| WebGrant {
            id: WebTokenId::new(at, &self.entropy),
            owner: WebTokenOwner {
                authorizer_id: account.id.clone(),
                openid: openid.clone(),
                scope: "snsapi_base".to_owned(),
            },
            unionid: None,
            refresh_until: at + MONTH,
        };
        let grants: Vec<WebGrant> = openids.iter().map(grant).collect();
        let keep = async |tx: &lingpai_storage::Tx| {
            for grant in &grants {
                tx.web_tokens().system_upsert(grant, at).await.unwrap();
                let key = TokenKey::Web(grant.id.clone());
                tx.tokens().replace(&KeptToken::unknown(key, 1)).await.unwrap();
                let session = MiniProgramSession {
                    id: MiniProgramSessionId::new(at, &self.entropy),
                    authorizer_id: account.id.clone(),
                    openid: grant.owner.openid.clone(),
                    unionid: None,
                    session_key: Secret::from("key"),
                    created_at: at,
                    updated_at: at,
                };
                tx.mini_program_sessions().system_upsert(&session).await.unwrap();
            }
        };
        self.world.change(keep).await;
        grants
    }

    async fn are_left(&self, grants: &[WebGrant]) -> usize {
        let mut left = 0;
        for grant in grants {
            let WebTokenOwner { authorizer_id, openid, .. } = &grant.owner;
            let token = self.db.tokens().find(&TokenKey::Web(grant.id.clone())).await.unwrap();
            let kept = self.db.web_tokens().system_find_by_id(&grant.id).await.unwrap();
            assert_eq!(token.is_some(), kept.is_some());
            let sessions = self.db.mini_program_sessions();
            let session = sessions.system_find(authorizer_id, openid).await.unwrap();
            left += usize::from(kept.is_some()) + usize::from(session.is_some());
        }
        left
    }
}

fn value_of<'a>(
    fields: &'a [(String, Value, FieldSource)],
    name: &str,
) -> Option<(&'a Value, FieldSource)> {
    let found = fields.iter().find(|(field, _, _)| field == name);
    found.map(|(_, value, source)| (value, *source))
}

#[tokio::test]
async fn a_fan_is_known_to_the_owner_of_the_account_only() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::UserInfo).await;
    let (id, shop) = (&fan.grant.id, appid(SHOP));
    let found = site.web_tokens.fan(&site.tenant.scope, id).await.unwrap();
    assert_eq!((&found.grant, &found.authorizer.id), (&fan.grant, &site.shop.id));
    let of = site.web_tokens.fan_of(&site.tenant.scope, &shop, FAN).await.unwrap();
    assert_eq!(of.grant, fan.grant);

    assert!(!site.is_known(&site.other.scope, id).await);
    let nobody = WebTokenId::new(site.world.clock.now(), &site.entropy);
    assert!(!site.is_known(&site.tenant.scope, &nobody).await);
    let foreign = site.web_tokens.fan_of(&site.other.scope, &shop, FAN).await.unwrap_err();
    assert!(matches!(foreign, Error::AuthorizerNotFound { .. }), "{foreign}");
    let stranger = site.web_tokens.fan_of(&site.tenant.scope, &shop, "oStranger").await;
    assert!(matches!(stranger, Err(Error::FanUnknown)));

    // Whoever hands in somebody else's fan gets nothing either.
    let (web_tokens, other) = (&site.web_tokens, &site.other);
    for refused in [
        web_tokens.make_sure(other, &fan).await.unwrap_err(),
        web_tokens.check(other, &fan).await.unwrap_err(),
        web_tokens.profile(other, &fan, Lang::ZhCn).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(refused, Error::FanUnknown), "{refused}");
    }
    assert_eq!(site.world.calls(USERINFO) + site.world.calls(AUTH), 0);
}

#[tokio::test]
async fn a_grant_of_the_openid_alone_tells_no_profile() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::Base).await;
    let of = site.web_tokens.fan_of(&site.tenant.scope, &site.shop.appid, FAN).await;
    assert!(matches!(of, Err(Error::FanUnknown)));
    let refused = site.web_tokens.profile(&site.tenant, &fan, Lang::ZhCn).await.unwrap_err();
    assert_eq!(refused.upstream_errcode(), Some(48001), "{refused}");
    let both = site.known_fan(WebScope::Both).await;
    let of = site.web_tokens.fan_of(&site.tenant.scope, &site.shop.appid, FAN).await.unwrap();
    assert_eq!(of.grant, both.grant);
}

#[tokio::test]
async fn what_fans_granted_goes_when_the_account_is_released() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::UserInfo).await;
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    assert!(site.db.web_tokens().system_find_by_id(&fan.grant.id).await.unwrap().is_none());
    assert!(site.world.find(&TokenKey::Web(fan.grant.id.clone())).await.is_none());
    let other = site.other.scope.tenant_id();
    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    assert!(!site.is_known(&site.tenant.scope, &fan.grant.id).await);
    assert!(!site.is_known(&site.other.scope, &fan.grant.id).await);
}

#[tokio::test]
async fn what_is_too_much_to_go_at_once_is_out_of_reach_and_swept() {
    let site = Site::for_fans().await;
    let openids: Vec<String> = (0..510).map(|number| format!("o{number}")).collect();
    let grants = site.has_fans(&site.shop, &openids).await;
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!(site.are_left(&grants).await, 20);
    let other = site.other.scope.tenant_id();
    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    let shop = site.stored().await;
    for grant in &grants {
        assert!(!site.is_known(&site.other.scope, &grant.id).await);
    }
    site.a_moment_later();
    let of_the_new_owner = site.has_fans(&shop, &["oNew".to_owned()]).await;
    assert_eq!(site.web_tokens.sweep().await.unwrap(), 10);
    assert_eq!(site.mini_programs.sweep().await.unwrap(), 10);
    assert_eq!(site.are_left(&grants).await, 0);
    assert_eq!(site.are_left(&of_the_new_owner).await, 2);
}

#[tokio::test]
async fn grants_that_ended_long_ago_are_swept() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::UserInfo).await;
    site.world.advance(MONTH);
    site.web_tokens.sweep().await.unwrap();
    let ended = site.web_tokens.make_sure(&site.tenant, &fan).await.unwrap_err();
    assert!(matches!(ended, Error::FanGrantEnded), "{ended}");
    site.world.advance(MONTH);
    site.web_tokens.sweep().await.unwrap();
    assert!(site.is_known(&site.tenant.scope, &fan.grant.id).await);
    site.world.advance(Duration::from_millis(1));
    assert_eq!(site.web_tokens.sweep().await.unwrap(), 1);
    assert!(!site.is_known(&site.tenant.scope, &fan.grant.id).await);
}

#[tokio::test]
async fn a_stale_token_of_a_fan_is_refreshed_once_and_the_call_made_again() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::UserInfo).await;
    site.world.wechat.kill_web_token(FAN);
    let profile = site.web_tokens.profile(&site.tenant, &fan, Lang::ZhCn).await.unwrap();
    assert_eq!(profile.fields()["nickname"], json!("小林"));
    assert_eq!((site.world.calls(USERINFO), site.world.calls(REFRESH)), (2, 1));
    site.world.wechat.kill_web_token(FAN);
    site.web_tokens.check(&site.tenant, &fan).await.unwrap();
    assert_eq!((site.world.calls(AUTH), site.world.calls(REFRESH)), (2, 2));
    let expected = [(AUTH.to_owned(), 0, 1), (USERINFO.to_owned(), 0, 1)];
    assert_eq!(site.counted(&site.tenant).await, expected, "each call of the tenant's once");

    // A token that is stale again right after its refresh helps nobody.
    site.world.wechat.kill_web_token(FAN);
    site.world.wechat.set_fault(Fault::errcode(USERINFO, 40001));
    let error = site.web_tokens.profile(&site.tenant, &fan, Lang::ZhCn).await.unwrap_err();
    assert_eq!(error.upstream_errcode(), Some(40001));
    assert_eq!((site.world.calls(USERINFO), site.world.calls(REFRESH)), (4, 3));
}

#[tokio::test]
async fn a_token_that_has_run_out_is_refreshed_when_asked_for_until_the_grant_ends() {
    let site = Site::for_fans().await;
    let fan = site.known_fan(WebScope::UserInfo).await;
    site.web_tokens.make_sure(&site.tenant, &fan).await.unwrap();
    assert_eq!(site.world.calls(REFRESH), 0);
    site.world.advance(LIFE);
    site.world.push_ticket().await;
    site.web_tokens.make_sure(&site.tenant, &fan).await.unwrap();
    assert_eq!(site.world.calls(REFRESH), 1);
    site.world.wechat.kill_web_token(FAN);
    site.world.wechat.set_fault(Fault::errcode(REFRESH, 42002));
    for _ in 0..2 {
        let ended = site.web_tokens.check(&site.tenant, &fan).await.unwrap_err();
        assert!(matches!(ended, Error::FanGrantEnded), "{ended}");
    }
    assert_eq!(site.world.calls(REFRESH), 2, "WeChat is not asked again");
}

#[tokio::test]
async fn both_ways_are_asked_at_once_and_joined_field_by_field() {
    let site = Site::for_fans().await;
    site.known_fan(WebScope::UserInfo).await;
    let (tenant, shop) = (&site.tenant, &site.shop.appid);
    let looked_up = site.fans.look_up(tenant, shop, FAN, Lang::En).await.unwrap();
    let fields = looked_up.joined();
    assert_eq!(value_of(&fields, "nickname"), Some((&json!("小林"), FieldSource::WebToken)));
    assert_eq!(value_of(&fields, "subscribe"), Some((&json!(1), FieldSource::AccountToken)));
    assert_eq!(value_of(&fields, "openid"), Some((&json!(FAN), FieldSource::WebToken)));
    assert!(value_of(&fields, "errcode").is_none());
    let expected = [(USER_INFO.to_owned(), 0, 1), (USERINFO.to_owned(), 0, 1)];
    assert_eq!(site.counted(tenant).await, expected);
}

#[tokio::test]
async fn one_way_that_fails_leaves_what_the_other_tells() {
    let site = Site::for_fans().await;
    let (tenant, shop) = (&site.tenant, &site.shop.appid);
    let stranger = site.fans.look_up(tenant, shop, FAN, Lang::ZhCn).await.unwrap();
    assert!(matches!(stranger.by_web_token, Err(Error::FanUnknown)));
    let fields = stranger.joined();
    assert_eq!(value_of(&fields, "subscribe"), Some((&json!(1), FieldSource::AccountToken)));

    site.known_fan(WebScope::UserInfo).await;
    site.world.wechat.set_fault(Fault::errcode(USER_INFO, 48001));
    let looked_up = site.fans.look_up(tenant, shop, FAN, Lang::ZhCn).await.unwrap();
    let error = looked_up.by_account_token.as_ref().unwrap_err();
    assert_eq!(error.upstream_errcode(), Some(48001));
    let fields = looked_up.joined();
    assert!(fields.iter().all(|(_, _, source)| *source == FieldSource::WebToken));
    assert_eq!(value_of(&fields, "nickname"), Some((&json!("小林"), FieldSource::WebToken)));
    let counted = site.counted(tenant).await;
    assert!(counted.contains(&(USER_INFO.to_owned(), 48001, 1)), "{counted:?}");

    let foreign = site.fans.look_up(&site.other, shop, FAN, Lang::ZhCn).await.unwrap_err();
    assert!(matches!(foreign, Error::AuthorizerNotFound { .. }), "{foreign}");
    assert!(site.counted(&site.other).await.is_empty());
}

#[tokio::test]
async fn a_profile_shows_nothing_in_a_log() {
    let site = Site::for_fans().await;
    let fan: KnownFan = site.known_fan(WebScope::UserInfo).await;
    let profile = site.web_tokens.profile(&site.tenant, &fan, Lang::ZhCn).await.unwrap();
    let looked_up = site.fans.look_up(&site.tenant, &site.shop.appid, FAN, Lang::ZhCn).await;
    for shown in [format!("{profile:?}"), format!("{looked_up:?}")] {
        assert!(!shown.contains("小林") && !shown.contains(FAN), "{shown}");
    }
}
