//! Fans of mini programs: logged in, and what is sealed with their session keys.

use std::time::Duration;

use lingpai_authorizer::{EncryptedData, Error, LoggedInFan, SignedData, UNANSWERED};
use lingpai_emulator::{Fault, FaultKind, TokenKind};
use lingpai_model::{
    Secret,
    authorizer::{Authorizer, AuthorizerState},
    caller::Caller,
    clock::Clock as _,
    mini_program_session::MiniProgramSession,
};
use lingpai_wechat::mini_program::MiniProgramError;
use serde_json::json;

use crate::{
    claims::connect,
    site::Site,
    world::{COMPONENT_TOKEN, FLOWERS},
};

const DIRECT: &str = "/sns/jscode2session";
const ON_BEHALF: &str = "/sns/component/jscode2session";

/// A mini program of the emulator.
const MINI: &str = "wxb1c2d3e4f5061728";

const FAN: &str = "oLingPai000000000000000fan01";
const OTHER_FAN: &str = "oLingPai000000000000000fan02";

/// The bytes 0 to 15, and what is made with them: the data and the signature by other programs than
/// ours.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
const IV: &str = "EBESExQVFhcYGRobHB0eHw==";
const PHONE: &str = "aLhedzo+Z6es5zW+YHo9smEvRgiSSj2JubGFJQlb/d/8m5yd/ZMdyiLw2GGvutj4rYXT2tjuVkEzvF2GfTHXsBGY\
     E9r8CD8s0T3MfiTv/05VCqwtdeY5oVym964V/aTf";
const RAW: &str = r#"{"nickName":"小林"}"#;
const SIGNATURE: &str = "574bde53a080ce29fb3e6204eea7865b5bda5916";
const OTHER_KEY: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";

impl Site {
    /// WeChat knows every code from now on, as this fan's.
    fn fan(&self, path: &str, openid: &str, session_key: &str) -> u64 {
        let body = json!({ "openid": openid, "session_key": session_key, "unionid": "oUnion" });
        self.answer(path, &body.to_string())
    }

    async fn log_in(&self) -> Result<LoggedInFan, Error> {
        self.log_in_as(&self.tenant).await
    }

    async fn log_in_as(&self, caller: &Caller) -> Result<LoggedInFan, Error> {
        let code = Secret::from("js code");
        self.mini_programs.log_in(caller, &self.shop.appid, &code).await
    }

    async fn is_signed(&self, caller: &Caller, signature: &str) -> Result<bool, Error> {
        let data = SignedData { raw_data: RAW, signature };
        let (scope, appid) = (&caller.scope, &self.shop.appid);
        self.mini_programs.check_signature(scope, appid, FAN, data).await
    }

    async fn phone(&self, caller: &Caller) -> Result<String, Error> {
        let data = EncryptedData { encrypted_data: PHONE, iv: IV };
        let (scope, appid) = (&caller.scope, &self.shop.appid);
        let fields = self.mini_programs.decrypt(scope, appid, FAN, data).await?;
        Ok(fields["phoneNumber"].as_str().unwrap().to_owned())
    }

    async fn session(&self, account: &Authorizer, openid: &str) -> Option<MiniProgramSession> {
        self.db.mini_program_sessions().system_find(&account.id, openid).await.unwrap()
    }

    async fn counts(&self) -> Vec<(String, i64, u64)> {
        self.ledger.flush().await.unwrap();
        let figures = self.figures(&self.tenant).await;
        let mut counts: Vec<_> =
            figures.into_iter().map(|one| (one.path, one.errcode, one.calls)).collect();
        counts.sort_unstable();
        counts
    }
}

/// One more account that granted to the component, and is the tenant's.
async fn owned(site: &Site, appid: &str) -> Authorizer {
    let tenant_id = Some(site.tenant.scope.tenant_id().clone());
    let owned = Authorizer { tenant_id, ..site.world.authorizer(appid).await };
    site.world.change(async |tx| tx.authorizers().system_update(&owned).await.unwrap()).await;
    owned
}

#[tokio::test]
async fn a_fan_is_logged_in_on_behalf_and_his_session_key_stays() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    let logged_in = site.log_in().await.unwrap();
    let unionid = Some("oUnion".to_owned());
    assert_eq!(logged_in, LoggedInFan { openid: FAN.to_owned(), unionid: unionid.clone() });
    let session = site.session(&site.shop, FAN).await.unwrap();
    assert_eq!((session.session_key, session.unionid), (Secret::from(KEY), unionid));
    let tokens: Vec<TokenKind> =
        site.world.wechat.calls_to(ON_BEHALF).iter().map(|call| call.token).collect();
    assert_eq!(tokens, [TokenKind::Component]);
    assert_eq!(site.counts().await, [(ON_BEHALF.to_owned(), 0, 1)]);
    assert!(site.figures(&site.other).await.is_empty());
}

#[tokio::test]
async fn a_fan_of_an_account_with_a_secret_of_its_own_is_logged_in_with_that() {
    let site = Site::open().await;
    site.fan(DIRECT, FAN, KEY);
    let flowers = connect(&site).await;
    let code = Secret::from("js code");
    let logged_in = site.mini_programs.log_in(&site.tenant, &flowers.appid, &code).await;
    assert_eq!(logged_in.unwrap().openid, FAN);
    assert!(site.session(&flowers, FAN).await.is_some());
    assert_eq!((site.world.calls(DIRECT), site.world.calls(ON_BEHALF)), (1, 0));
    assert_eq!(site.counts().await, [(DIRECT.to_owned(), 0, 1)]);
}

#[tokio::test]
async fn what_is_sealed_is_checked_and_read_with_the_newest_session_only() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    site.log_in().await.unwrap();
    let first = site.session(&site.shop, FAN).await.unwrap();
    assert!(site.is_signed(&site.tenant, SIGNATURE).await.unwrap());
    assert!(!site.is_signed(&site.tenant, &SIGNATURE.replace('5', "6")).await.unwrap());
    assert!(!site.is_signed(&site.tenant, "").await.unwrap());
    assert_eq!(site.phone(&site.tenant).await.unwrap(), "13580006666");

    site.a_moment_later();
    site.fan(ON_BEHALF, FAN, OTHER_KEY);
    site.log_in().await.unwrap();
    assert!(!site.is_signed(&site.tenant, SIGNATURE).await.unwrap());
    let error = site.phone(&site.tenant).await.unwrap_err();
    assert!(matches!(error, Error::MiniProgramData(MiniProgramError::WrongKey)), "{error}");
    let second = site.session(&site.shop, FAN).await.unwrap();
    assert_eq!((second.id, second.created_at), (first.id, first.created_at));
    assert!(second.updated_at > first.updated_at);
}

#[tokio::test]
async fn data_for_another_mini_program_are_not_read() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    let code = Secret::from("js code");
    let flowers = owned(&site, FLOWERS).await;
    site.mini_programs.log_in(&site.tenant, &flowers.appid, &code).await.unwrap();
    let data = EncryptedData { encrypted_data: PHONE, iv: IV };
    let scope = &site.tenant.scope;
    let read = site.mini_programs.decrypt(scope, &flowers.appid, FAN, data).await;
    assert!(matches!(read, Err(Error::MiniProgramData(MiniProgramError::OtherAppid))));
}

#[tokio::test]
async fn of_somebody_elses_mini_program_nothing_is_asked_told_or_erased() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    site.log_in().await.unwrap();
    let (scope, appid) = (&site.other.scope, &site.shop.appid);
    for refused in [
        site.log_in_as(&site.other).await.map(drop),
        site.is_signed(&site.other, SIGNATURE).await.map(drop),
        site.phone(&site.other).await.map(drop),
        site.mini_programs.erase_fan(scope, appid, FAN).await.map(drop),
        site.mini_programs.erase_authorizer(scope, appid).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::AuthorizerNotFound { .. })), "{refused:?}");
    }
    assert_eq!(site.world.calls(ON_BEHALF), 1);
    assert!(site.session(&site.shop, FAN).await.is_some());
}

#[tokio::test]
async fn who_never_logged_in_has_no_session() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, OTHER_FAN, KEY);
    site.log_in().await.unwrap();
    for refused in [
        site.is_signed(&site.tenant, SIGNATURE).await.map(drop),
        site.phone(&site.tenant).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::MiniProgramSessionNotFound { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_counted_and_a_trouble_of_our_own_is_not_counted() {
    let site = Site::open().await;
    let refused = async |path: &str, errcode: i64| {
        let fault = site.world.wechat.set_fault(Fault::errcode(path, errcode));
        let error = site.log_in().await.unwrap_err();
        site.world.wechat.clear_fault(fault);
        error
    };
    assert!(refused(COMPONENT_TOKEN, 45011).await.upstream_errcode() == Some(45011));
    assert!(site.counts().await.is_empty());
    site.world.advance(Duration::from_secs(120));
    assert_eq!(refused(ON_BEHALF, 40029).await.upstream_errcode(), Some(40029));
    site.world.wechat.set_fault(Fault::new(ON_BEHALF, FaultKind::LoseAnswer).times(1));
    site.log_in().await.unwrap_err();
    site.fan(ON_BEHALF, FAN, "too short");
    site.log_in().await.unwrap_err();
    let path = || ON_BEHALF.to_owned();
    assert_eq!(site.counts().await, [(path(), 40029, 1), (path(), UNANSWERED, 2)]);
    assert!(site.session(&site.shop, FAN).await.is_none());
}

#[tokio::test]
async fn a_caller_that_hangs_up_loses_no_login() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    site.world.hold_next(ON_BEHALF);
    tokio::select! {
        biased;
        early = site.log_in() => panic!("{early:?}"),
        () = site.world.held() => {}
    }
    site.world.wechat.release(None);
    site.tasks.close();
    site.tasks.wait().await;
    assert!(site.session(&site.shop, FAN).await.is_some());
}

#[tokio::test]
async fn a_login_that_comes_back_after_the_release_is_kept_for_nobody() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    site.world.hold_next(ON_BEHALF);
    let mut login = std::pin::pin!(site.log_in());
    tokio::select! {
        biased;
        early = &mut login => panic!("{early:?}"),
        () = site.world.held() => {}
    }
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    site.world.wechat.release(None);
    assert!(matches!(login.await, Err(Error::AuthorizerNotFound { .. })));
    assert!(site.session(&site.shop, FAN).await.is_none());
}

#[tokio::test]
async fn who_logged_in_for_the_owner_before_is_unknown_to_the_next() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    site.log_in().await.unwrap();
    let kept = site.session(&site.shop, FAN).await.unwrap();
    site.a_moment_later();
    site.claims.release(&site.tenant, &site.shop.appid).await.unwrap();
    site.a_moment_later();
    let other = site.other.scope.tenant_id();
    site.claims.assign(&site.operator, &site.shop.id, other).await.unwrap();
    // As if its erasure were still to come.
    let change = async |tx: &lingpai_storage::Tx| {
        tx.mini_program_sessions().system_upsert(&kept).await.unwrap();
    };
    site.world.change(change).await;
    let refused = site.phone(&site.other).await;
    assert!(matches!(refused, Err(Error::MiniProgramSessionNotFound { .. })), "{refused:?}");
    site.log_in_as(&site.other).await.unwrap();
    assert!(site.phone(&site.other).await.is_ok());
}

#[tokio::test]
async fn a_mini_program_that_withdrew_logs_nobody_in() {
    let site = Site::open().await;
    site.fan(ON_BEHALF, FAN, KEY);
    let at = site.world.clock.now();
    let revoked = Authorizer { state: AuthorizerState::Revoked { at }, ..site.shop.clone() };
    site.world.change(async |tx| tx.authorizers().system_update(&revoked).await.unwrap()).await;
    assert!(matches!(site.log_in().await, Err(Error::Revoked { .. })));
    assert_eq!(site.world.calls(ON_BEHALF), 0);
}

#[tokio::test]
async fn sessions_are_erased_of_one_fan_or_of_all() {
    let site = Site::open().await;
    let (scope, appid) = (&site.tenant.scope, &site.shop.appid);
    for openid in [FAN, OTHER_FAN] {
        let fault = site.fan(ON_BEHALF, openid, KEY);
        site.log_in().await.unwrap();
        site.world.wechat.clear_fault(fault);
    }
    assert_eq!(site.mini_programs.erase_fan(scope, appid, FAN).await.unwrap(), 1);
    assert_eq!(site.mini_programs.erase_fan(scope, appid, FAN).await.unwrap(), 0);
    assert!(site.session(&site.shop, FAN).await.is_none());
    assert!(site.session(&site.shop, OTHER_FAN).await.is_some());
    assert_eq!(site.mini_programs.erase_authorizer(scope, appid).await.unwrap(), 1);
    assert!(site.session(&site.shop, OTHER_FAN).await.is_none());
}

#[tokio::test]
async fn what_wechat_sealed_for_a_fan_is_read_and_his_code_is_good_once() {
    let site = Site::open().await;
    let (mini, wechat) = (owned(&site, MINI).await, &site.world.wechat);
    let (scope, appid) = (&site.tenant.scope, &mini.appid);
    let code = Secret::new(wechat.mint_js_code(MINI, FAN));
    let log_in = || site.mini_programs.log_in(&site.tenant, appid, &code);
    assert_eq!(log_in().await.unwrap().openid, FAN);
    assert_eq!(log_in().await.unwrap_err().upstream_errcode(), Some(40029));
    let signature = &wechat.sign_for_fan(MINI, FAN, RAW);
    let data = SignedData { raw_data: RAW, signature };
    assert!(site.mini_programs.check_signature(scope, appid, FAN, data).await.unwrap());
    let (encrypted, iv) = wechat.encrypt_for_fan(MINI, FAN, &json!({ "nickName": "小林" }));
    let data = EncryptedData { encrypted_data: &encrypted, iv: &iv };
    let fields = site.mini_programs.decrypt(scope, appid, FAN, data).await.unwrap();
    assert_eq!(fields["nickName"], "小林");
}

#[tokio::test]
async fn a_session_goes_a_month_after_the_last_login() {
    let site = Site::open().await;
    let fault = site.fan(ON_BEHALF, FAN, KEY);
    site.log_in().await.unwrap();
    site.world.wechat.clear_fault(fault);
    site.a_moment_later();
    site.fan(ON_BEHALF, OTHER_FAN, KEY);
    site.log_in().await.unwrap();
    site.world.advance(Duration::from_secs(30 * 86_400 - 1));
    assert_eq!(site.mini_programs.sweep().await.unwrap(), 0);
    site.world.advance(Duration::from_millis(1));
    assert_eq!(site.mini_programs.sweep().await.unwrap(), 1);
    assert!(site.session(&site.shop, FAN).await.is_none());
    assert!(site.session(&site.shop, OTHER_FAN).await.is_some());
}

#[tokio::test]
async fn an_account_whose_secret_vanished_is_none_of_the_tenants() {
    let site = Site::open().await;
    let flowers = connect(&site).await;
    let change = async |tx: &lingpai_storage::Tx| {
        tx.account_secrets().system_erase(&flowers.id).await.unwrap();
    };
    site.world.change(change).await;
    let code = Secret::from("js code");
    let refused = site.mini_programs.log_in(&site.tenant, &flowers.appid, &code).await;
    assert!(matches!(refused, Err(Error::AuthorizerNotFound { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_login_that_was_asked_last_counts_whichever_is_kept_last() {
    let site = Site::open().await;
    let first = site.fan(ON_BEHALF, FAN, KEY);
    site.world.hold_next(ON_BEHALF);
    let mut early = std::pin::pin!(site.log_in());
    tokio::select! {
        biased;
        told = &mut early => panic!("{told:?}"),
        () = site.world.held() => {}
    }
    site.world.wechat.clear_fault(first);
    site.a_moment_later();
    let second = site.fan(ON_BEHALF, FAN, OTHER_KEY);
    site.log_in().await.unwrap();
    site.world.wechat.clear_fault(second);
    site.fan(ON_BEHALF, FAN, KEY);
    site.world.wechat.release(None);
    early.await.unwrap();
    let kept = site.session(&site.shop, FAN).await.unwrap();
    assert_eq!(kept.session_key, Secret::from(OTHER_KEY));
}
