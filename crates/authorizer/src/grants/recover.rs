//! When a code is void: it was used by an answer that never reached us, or it came too late.
//!
//! The grant itself stands, and WeChat tells its refresh token again: by account info if the push
//! named the account, by the account list otherwise.

use chrono::{DateTime, Duration};
use lingpai_model::{
    Appid, Instant,
    authorizer::RefreshTokenSource,
    component::Component,
    exchange::{Exchange, ExchangeState},
};
use lingpai_storage::Lease;
use lingpai_wechat::{call::authorizer::MAX_LIST_COUNT, errcode::Errcode};

use super::{Granted, Work};
use crate::{Error, Result};

/// How far before the code reached us the account may have granted.
///
/// Observed: `expires_in` of 600 to 3600 seconds.
const CODE_LIFETIME: Duration = Duration::hours(1);

/// Whether WeChat will never take this code again.
///
/// Source: WeChat docs, "api_query_auth": 61009 when it is invalid or used, 61010 when it expired.
pub(super) fn is_void(error: &Error) -> bool {
    matches!(
        error.errcode(),
        Some(Errcode::AUTHORIZATION_CODE_INVALID | Errcode::AUTHORIZATION_CODE_EXPIRED)
    )
}

/// How many pages of the list are looked through: those are 10,000 accounts.
const MAX_PAGES: u32 = 20;

impl Work {
    /// Finds out what the lost answer said, and settles with that.
    ///
    /// Security invariant: a code that nobody vouches for must not touch anybody's account. Only a
    /// code whose answer may have been lost is looked up in the list, and only a grant that is news
    /// to us counts.
    pub(super) async fn recover(
        &self,
        component: &Component,
        exchange: &Exchange,
        lease: &Lease,
    ) -> Result<ExchangeState> {
        let granted = match (&exchange.authorizer_appid, exchange.state) {
            (Some(appid), _) => Some(Granted::by(appid.clone(), exchange.granted_at)),
            (None, ExchangeState::Sent) => self.newest_grant(component, exchange).await?,
            (None, _) => None,
        };
        let Some(granted) = granted else {
            tracing::warn!(
                component.appid = %component.appid,
                "an authorization code is void and nobody knows whose it was; it is given up"
            );
            return self.give_up(&exchange.key, lease).await;
        };
        self.settle(component, exchange, granted, lease).await
    }

    /// The newest grant that is news to us and that the code can have been for, by WeChat's list.
    async fn newest_grant(
        &self,
        component: &Component,
        exchange: &Exchange,
    ) -> Result<Option<Granted>> {
        let since = exchange.created_at - CODE_LIFETIME;
        let mut newest: Option<Granted> = None;
        let mut offset = 0;
        for _ in 0..MAX_PAGES {
            let page = self
                .component_tokens
                .call(component, |token| async move {
                    let appid = &component.appid;
                    self.wechat.get_authorizer_list(&token, appid, offset, MAX_LIST_COUNT).await
                })
                .await?;
            offset += page.listed;
            let is_last = page.listed == 0 || offset >= page.total_count;
            for account in page.list {
                let at = account.auth_time.and_then(|secs| DateTime::from_timestamp(secs, 0));
                let Some(at) = at.filter(|at| *at >= since) else { continue };
                let is_newest = newest.as_ref().is_none_or(|newest| at > newest.at);
                if is_newest && self.is_news(component, &account.authorizer_appid, at).await? {
                    let refresh_token = account.refresh_token;
                    let appid = account.authorizer_appid;
                    newest = Some(Granted { refresh_token, ..Granted::by(appid, at) });
                }
            }
            if is_last {
                break;
            }
        }
        if let Some(Granted { appid, refresh_token: Some(value), .. }) = &newest {
            self.remember(component, appid, value, RefreshTokenSource::AuthorizerList).await?;
        }
        Ok(newest)
    }

    async fn is_news(&self, component: &Component, appid: &Appid, at: Instant) -> Result<bool> {
        let stored = self.db.authorizers().system_find(&component.id, appid).await?;
        Ok(stored.is_none_or(|authorizer| at > authorizer.granted_at))
    }
}
