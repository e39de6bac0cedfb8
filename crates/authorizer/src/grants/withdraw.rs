//! Withdrawals: the push says so, WeChat confirms, and nothing is erased.

use chrono::Duration;
use lingpai_model::{Appid, Instant, component::Component};
use lingpai_wechat::errcode::Errcode;

use super::{Grants, Work};
use crate::{Error, Result, jssdk::erase_tickets, stream::tell_withdrawal};

/// How much older than the grant a withdrawal may seem and still be looked into: a grant that only
/// a browser told of carries our time, not WeChat's.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

impl Grants {
    /// Takes a pushed withdrawal. It counts only if it is newer than the present grant and WeChat
    /// confirms it; the refresh token stays in the history.
    ///
    /// # Errors
    /// What asking WeChat or the database failed with; to be tried again.
    pub async fn withdraw(
        &self,
        component: &Component,
        appid: &Appid,
        withdrawn_at: Instant,
    ) -> Result<()> {
        self.work.withdraw(component, appid, withdrawn_at).await
    }
}

impl Work {
    async fn withdraw(
        &self,
        component: &Component,
        appid: &Appid,
        withdrawn_at: Instant,
    ) -> Result<()> {
        let stored = self.db.authorizers().system_find(&component.id, appid).await?;
        let Some(stored) = stored else { return Ok(()) };
        let is_stale = withdrawn_at + CLOCK_TOLERANCE < stored.granted_at;
        if is_stale || self.grant_stands(component, appid).await? {
            return Ok(());
        }
        let tx = self.db.begin().await?;
        let Some(mut authorizer) = tx.authorizers().system_lock(&component.id, appid).await? else {
            return Ok(());
        };
        // A new grant may have come while WeChat was asked.
        if authorizer.generation != stored.generation {
            return Ok(());
        }
        let Ok(revoked) = authorizer.state.revoke(withdrawn_at) else { return Ok(()) };
        authorizer.state = revoked;
        let now = self.clock.now();
        authorizer.updated_at = now;
        tx.authorizers().system_update(&authorizer).await?;
        tx.tokens().retire(&authorizer.token_key()).await?;
        erase_tickets(&tx, &authorizer.id).await?;
        tell_withdrawal(&tx, &self.entropy, &authorizer, (withdrawn_at, now)).await?;
        tx.commit().await?;
        tracing::info!(authorizer.appid = %appid, "grant of {appid} withdrawn");
        Ok(())
    }

    /// Asks WeChat whether the account still grants.
    ///
    /// Source: WeChat docs, "api_get_authorizer_info": 61003 when the component is not authorized
    /// by this account.
    async fn grant_stands(&self, component: &Component, appid: &Appid) -> Result<bool> {
        match self.profiles.ask(component, appid).await {
            Ok(_) => Ok(true),
            Err(error) if is_withdrawn(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_withdrawn(error: &Error) -> bool {
    error.errcode() == Some(Errcode::NOT_AUTHORIZED_BY_ACCOUNT)
}
