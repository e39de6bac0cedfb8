//! Erasing what is kept of fans, wherever it is.

use std::time::Duration;

use lingpai_authorizer::NewWebToken;
use lingpai_callback::{Erasures, Error};
use lingpai_model::{
    Instant, Secret,
    audit::Action,
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    clock::Clock as _,
    id::{MiniProgramSessionId, TenantId},
    mini_program_session::MiniProgramSession,
    page::PageRequest,
    token::AccessToken,
    web_token::WebTokenOwner,
};
use lingpai_storage::{AuditFilter, Tx};
use lingpai_webhook::{Error as WebhookError, Events};

use crate::site::{FAN, SHOP, SHOP_NAME, Site, text};

impl Site {
    fn erasures(&self) -> Erasures {
        let clock = std::sync::Arc::new(self.clock.clone());
        let events = Events::new(self.db.clone(), clock, self.entropy.clone());
        Erasures::new(events, self.web_tokens.clone(), self.mini_programs.clone())
    }

    async fn acquaint(&self) {
        self.acquaint_with(1).await;
    }

    /// The fan has written, granted something on a web page, and logged in to a mini program.
    async fn acquaint_with(&self, msg_id: u64) {
        self.push(SHOP, &text(SHOP_NAME, msg_id, "hi")).await.unwrap();
        let owner = WebTokenOwner {
            authorizer_id: self.shop.id.clone(),
            openid: FAN.to_owned(),
            scope: "snsapi_base".to_owned(),
        };
        let token = AccessToken::obtained(
            Secret::from("token"),
            self.clock.now(),
            Duration::from_secs(7200),
        );
        let refresh_token = Secret::from("refresh token");
        let new = NewWebToken { owner, unionid: None, token, refresh_token };
        self.web_tokens.keep(&self.shop, new).await.unwrap();
        let session = MiniProgramSession {
            id: MiniProgramSessionId::new(self.clock.now(), &self.entropy),
            authorizer_id: self.shop.id.clone(),
            openid: FAN.to_owned(),
            unionid: None,
            session_key: Secret::from("session key"),
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
        };
        let keep =
            async |tx: &Tx| tx.mini_program_sessions().system_upsert(&session).await.unwrap();
        self.change(keep).await;
    }

    async fn is_logged_in(&self) -> bool {
        self.db.mini_program_sessions().system_find(&self.shop.id, FAN).await.unwrap().is_some()
    }

    async fn is_known(&self) -> bool {
        !self.db.web_tokens().system_list(&self.shop.id, FAN).await.unwrap().is_empty()
    }

    /// How many events there are, and whether the fan's grant and his session are there.
    async fn left(&self) -> (usize, bool, bool) {
        (self.events().await.len(), self.is_known().await, self.is_logged_in().await)
    }

    async fn erased(&self) -> Vec<Action> {
        let (filter, page) = (AuditFilter::default(), PageRequest::first());
        let entries = self.db.audit().system_list(&filter, &page).await.unwrap().items;
        let actions = entries.into_iter().map(|entry| entry.action);
        actions.filter(|it| matches!(it, Action::FanErased | Action::AuthorizerErased)).collect()
    }
}

#[tokio::test]
async fn events_web_tokens_and_sessions_go_together() {
    let site = Site::open().await;
    site.acquaint().await;
    assert_eq!(site.left().await, (1, true, true));
    let erased = site.erasures().erase_fan(&site.tenant, &site.shop.appid, FAN).await.unwrap();
    assert_eq!((erased, site.left().await), (1, (0, false, false)));
    assert_eq!(site.erased().await, [Action::FanErased]);
    // Entries of one millisecond have no order.
    site.clock.advance(chrono::Duration::seconds(1));
    site.acquaint_with(2).await;
    assert_eq!(site.left().await, (1, true, true));
    let erased = site.erasures().erase_authorizer(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!((erased, site.left().await), (1, (0, false, false)));
    assert_eq!(site.erased().await, [Action::AuthorizerErased, Action::FanErased]);
}

#[tokio::test]
async fn of_a_released_account_what_is_left_goes_and_the_rest_is_gone() {
    let site = Site::open().await;
    site.acquaint().await;
    let released = Authorizer { tenant_id: None, ..site.shop.clone() };
    site.change(async |tx| tx.authorizers().system_update(&released).await.unwrap()).await;
    let erased = site.erasures().erase_fan(&site.tenant, &site.shop.appid, FAN).await.unwrap();
    assert_eq!((erased, site.events().await.len()), (1, 0));
}

#[tokio::test]
async fn of_somebody_elses_account_nothing_goes_and_nothing_is_noted() {
    let site = Site::open().await;
    site.acquaint().await;
    let id = TenantId::new(site.clock.now(), &site.entropy);
    let stranger = Caller { scope: TenantScope::authenticated(id), ..site.tenant.clone() };
    let appid = &site.shop.appid;
    for refused in [
        site.erasures().erase_fan(&stranger, appid, FAN).await,
        site.erasures().erase_authorizer(&stranger, appid).await,
    ] {
        let is_unknown =
            matches!(refused, Err(Error::Webhook(WebhookError::AuthorizerUnknown { .. })));
        assert!(is_unknown, "{refused:?}");
    }
    assert_eq!(site.left().await, (1, true, true));
    assert_eq!(site.erased().await, []);
}

fn withdrawal(openid: &str, at: Instant) -> Vec<u8> {
    format!(
        "<xml><ToUserName>{SHOP_NAME}</ToUserName><FromUserName>oPLATFORM</FromUserName>\
         <CreateTime>{}</CreateTime><MsgType>event</MsgType>\
         <Event>user_authorization_revoke</Event><OpenID>{openid}</OpenID><AppID>{SHOP}</AppID></xml>",
        at.timestamp()
    )
    .into_bytes()
}

#[tokio::test]
async fn what_is_kept_of_a_fan_goes_with_his_consent_and_comes_back_with_the_next_login() {
    let site = Site::open().await;
    site.acquaint().await;
    let withdrawn_at = site.clock.now();
    site.push(SHOP, &withdrawal("oOTHER", withdrawn_at)).await.unwrap();
    assert!(site.is_known().await && site.is_logged_in().await, "another fan's consent");
    site.push(SHOP, &withdrawal(FAN, withdrawn_at)).await.unwrap();
    assert!(!site.is_known().await && !site.is_logged_in().await);

    site.clock.advance(chrono::Duration::hours(1));
    site.acquaint_with(2).await;
    site.push(SHOP, &withdrawal(FAN, withdrawn_at)).await.unwrap();
    assert!(site.is_known().await && site.is_logged_in().await, "an old push, once more");
}
