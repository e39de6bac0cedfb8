//! When a code is void: it was used by an answer that never reached us, or it came too late.
//!
//! The grant itself stands, and WeChat tells its refresh token again: by account info if the push
//! named the account, by the account list otherwise.

use chrono::{DateTime, Duration};
use lingpai_model::{
    Appid,
    authorizer::RefreshTokenSource,
    component::Component,
    exchange::{Exchange, ExchangeState},
};
use lingpai_storage::Lease;
use lingpai_wechat::errcode::Errcode;

use super::{Granted, Work};
use crate::{Error, Result};

/// How far before the code reached us the account may have granted.
///
/// Assumed: codes of up to an hour were seen (`expires_in` 600 to 3600).
const CODE_LIFETIME: Duration = Duration::hours(1);

/// How many accounts one call of the list names.
///
/// Source: WeChat docs, "api_get_authorizer_list": `count` is at most 500.
const LIST_PAGE: u32 = 500;

/// Whether WeChat will never take this code again.
///
/// Source: WeChat docs, "api_query_auth": 61009 invalid or used, 61010 expired, 61011 is another
/// component's.
pub(super) fn is_void(error: &Error) -> bool {
    matches!(error.errcode(), Some(Errcode(61009 | 61010)))
}

impl Work {
    /// Finds out what the lost answer said, and settles with that.
    pub(super) async fn recover(
        &self,
        component: &Component,
        exchange: &Exchange,
        lease: &Lease,
    ) -> Result<ExchangeState> {
        let appid = match &exchange.authorizer_appid {
            Some(appid) => Some(appid.clone()),
            None => self.account_that_just_granted(component, exchange).await?,
        };
        let Some(appid) = appid else {
            tracing::warn!(
                component.appid = %component.appid,
                "an authorization code is void and no account granted recently; it is given up"
            );
            return self.give_up(&exchange.key, lease).await;
        };
        self.settle(component, exchange, Granted::by(appid), lease).await
    }

    /// The account with the newest grant since the code can have been made, by WeChat's list.
    async fn account_that_just_granted(
        &self,
        component: &Component,
        exchange: &Exchange,
    ) -> Result<Option<Appid>> {
        let since = exchange.created_at - CODE_LIFETIME;
        let mut newest: Option<(i64, Appid)> = None;
        let mut offset = 0;
        loop {
            let page = self
                .component_tokens
                .call(component, |token| async move {
                    let appid = &component.appid;
                    self.wechat.get_authorizer_list(&token, appid, offset, LIST_PAGE).await
                })
                .await?;
            let count = u32::try_from(page.list.len()).unwrap_or(LIST_PAGE);
            for account in page.list {
                let Some(granted) =
                    account.auth_time.and_then(|at| DateTime::from_timestamp(at, 0))
                else {
                    continue;
                };
                if granted < since {
                    continue;
                }
                if let Some(value) = &account.refresh_token {
                    let source = RefreshTokenSource::AuthorizerList;
                    self.remember(component, &account.authorizer_appid, value, source).await?;
                }
                let candidate = (granted.timestamp(), account.authorizer_appid);
                newest = newest.max(Some(candidate));
            }
            offset += count;
            if count < LIST_PAGE {
                return Ok(newest.map(|(_, appid)| appid));
            }
        }
    }
}
