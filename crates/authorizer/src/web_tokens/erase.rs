//! What fans granted is erased: by the fan's own will, by the tenant's, and when nobody can use it
//! any more.

use chrono::Duration;
use lingpai_model::{
    Appid, Instant, caller::TenantScope, id::AuthorizerId, token::TokenKey, web_token::WebGrant,
};
use lingpai_storage::Tx;
use lingpai_wechat::call::oauth::WEB_REFRESH_TOKEN_LIFETIME;

use super::{WebTokens, granted_at};
use crate::{Result, error::cached};

/// How much later than a withdrawal a grant may seem to be and still be meant by it: the one carries
/// WeChat's time, the other ours.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

/// How many grants are erased in one transaction: those who write wait meanwhile.
const ERASED_AT_ONCE: u64 = 500;

/// How long a grant that has ended is kept: whoever asks for the fan is told so.
const ENDED_KEPT: Duration = Duration::days(30);

impl WebTokens {
    /// Erases what the fan had granted to the authorizer when he withdrew it; what he has granted
    /// since stays.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn erase(
        &self,
        authorizer: &AuthorizerId,
        openid: &str,
        withdrawn_at: Instant,
    ) -> Result<()> {
        let tx = self.keeper.source().base.db.begin().await?;
        let mut grants = tx.web_tokens().system_list(authorizer, openid).await?;
        grants.retain(|grant| granted_at(grant) <= withdrawn_at + CLOCK_TOLERANCE);
        erase_grants(&tx, &grants).await?;
        Ok(tx.commit().await?)
    }

    /// Erases all that one fan granted to the tenant's account, because the tenant wants nothing of him
    /// kept; returns how many grants there were.
    ///
    /// # Errors
    /// [`crate::Error::AuthorizerNotFound`] for an account that is not the tenant's;
    /// [`crate::Error::Storage`].
    pub async fn erase_fan(&self, scope: &TenantScope, appid: &Appid, openid: &str) -> Result<u64> {
        let db = &self.keeper.source().base.db;
        let authorizer = cached(db, scope, appid).await?;
        let tx = db.begin().await?;
        let grants = tx.web_tokens().system_list(&authorizer.id, openid).await?;
        erase_grants(&tx, &grants).await?;
        tx.commit().await?;
        Ok(count(&grants))
    }

    /// Erases all that any fan granted to the tenant's account; returns how many grants there were.
    ///
    /// # Errors
    /// As [`WebTokens::erase_fan`].
    pub async fn erase_authorizer(&self, scope: &TenantScope, appid: &Appid) -> Result<u64> {
        let db = &self.keeper.source().base.db;
        let authorizer = cached(db, scope, appid).await?;
        let mut erased = 0;
        loop {
            let tx = db.begin().await?;
            let grants = tx.web_tokens().system_list_some(&authorizer.id, ERASED_AT_ONCE).await?;
            erase_grants(&tx, &grants).await?;
            tx.commit().await?;
            erased += count(&grants);
            if count(&grants) < ERASED_AT_ONCE {
                return Ok(erased);
            }
        }
    }

    /// Erases what nobody can use any more: grants of before their account was released, and those that
    /// ended a month ago. Returns how many there were.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn sweep(&self) -> Result<u64> {
        let base = &self.keeper.source().base;
        let (life, before) = (WEB_REFRESH_TOKEN_LIFETIME, base.clock.now() - ENDED_KEPT);
        let mut swept = 0;
        loop {
            let grants = base.db.web_tokens();
            let given_up = grants.system_list_given_up(life, ERASED_AT_ONCE).await?;
            let mut over = grants.system_list_ended(before, ERASED_AT_ONCE).await?;
            over.extend(given_up);
            let erased = self.erase_over(&over).await?;
            if erased == 0 {
                return Ok(swept);
            }
            swept += erased;
        }
    }

    /// Erases those of the grants that no fan has renewed since they were read; returns how many.
    async fn erase_over(&self, grants: &[WebGrant]) -> Result<u64> {
        if grants.is_empty() {
            return Ok(0);
        }
        let mut erased = 0;
        let tx = self.keeper.source().base.db.begin_patiently().await?;
        for grant in grants {
            if tx.web_tokens().system_erase_if(&grant.id, grant.refresh_until).await? {
                tx.tokens().erase(&TokenKey::Web(grant.id.clone())).await?;
                erased += 1;
            }
        }
        tx.commit().await?;
        Ok(erased)
    }
}

/// Erases what fans granted to an account that is being released, as much as one transaction may. The
/// rest is out of everybody's reach by the time of the release, until a sweep has erased it.
pub(crate) async fn erase_grants_of(tx: &Tx, authorizer: &AuthorizerId) -> Result<()> {
    let grants = tx.web_tokens().system_list_some(authorizer, ERASED_AT_ONCE).await?;
    erase_grants(tx, &grants).await
}

pub(super) async fn erase_grants(tx: &Tx, grants: &[WebGrant]) -> Result<()> {
    for grant in grants {
        // In the order in which they are kept, or the one would wait for the other in a circle.
        tx.web_tokens().system_erase(&grant.id).await?;
        tx.tokens().erase(&TokenKey::Web(grant.id.clone())).await?;
    }
    Ok(())
}

fn count(grants: &[WebGrant]) -> u64 {
    u64::try_from(grants.len()).unwrap_or(u64::MAX)
}
