//! Erasing what is kept of fans, wherever it is.

use std::time::Duration;

use lingpai_authorizer::{Error as AuthorizerError, NewWebToken};
use lingpai_callback::{Erasures, Error};
use lingpai_model::{
    Secret,
    audit::Action,
    caller::{Caller, TenantScope},
    clock::Clock as _,
    id::TenantId,
    page::PageRequest,
    token::AccessToken,
    web_token::WebTokenOwner,
};
use lingpai_storage::AuditFilter;
use lingpai_webhook::{Error as WebhookError, Events};

use crate::site::{FAN, SHOP, SHOP_NAME, Site, text};

impl Site {
    fn erasures(&self) -> Erasures {
        let clock = std::sync::Arc::new(self.clock.clone());
        let events = Events::new(self.db.clone(), clock, self.entropy.clone());
        Erasures::new(events, self.web_tokens.clone())
    }

    /// The fan has written, and granted something on a web page.
    async fn acquaint(&self) {
        self.push(SHOP, &text(SHOP_NAME, 1, "hi")).await.unwrap();
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
        self.web_tokens.keep(new).await.unwrap();
    }

    async fn is_known(&self) -> bool {
        match self.web_tokens.get(&self.shop, FAN, "snsapi_base").await {
            Ok(_) => true,
            Err(AuthorizerError::FanUnknown) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn erased(&self) -> Vec<Action> {
        let (filter, page) = (AuditFilter::default(), PageRequest::first());
        let entries = self.db.audit().system_list(&filter, &page).await.unwrap().items;
        let actions = entries.into_iter().map(|entry| entry.action);
        actions.filter(|it| matches!(it, Action::FanErased | Action::AuthorizerErased)).collect()
    }
}

#[tokio::test]
async fn events_and_web_tokens_go_together() {
    let site = Site::open().await;
    site.acquaint().await;
    assert_eq!((site.events().await.len(), site.is_known().await), (1, true));
    let erased = site.erasures().erase_fan(&site.tenant, &site.shop.appid, FAN).await.unwrap();
    assert_eq!((erased, site.events().await.len(), site.is_known().await), (1, 0, false));
    assert_eq!(site.erased().await, [Action::FanErased]);
    site.push(SHOP, &text(SHOP_NAME, 2, "hi")).await.unwrap();
    let erased = site.erasures().erase_authorizer(&site.tenant, &site.shop.appid).await.unwrap();
    assert_eq!((erased, site.events().await.len()), (1, 0));
    assert_eq!(site.erased().await, [Action::AuthorizerErased, Action::FanErased]);
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
    assert_eq!((site.events().await.len(), site.is_known().await), (1, true));
    assert_eq!(site.erased().await, []);
}
