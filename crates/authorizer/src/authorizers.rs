use std::sync::Arc;

use lingpai_model::{
    Appid,
    authorizer::Authorizer,
    caller::TenantScope,
    page::{Page, PageRequest},
    token::{AccessToken, TokenHealth},
};
use lingpai_storage::{AuthorizerFilter, Db};

use crate::{AuthorizerTokens, Error, Result, error::found};

/// Reads authorizers and what WeChat tells of them.
#[derive(Debug, Clone)]
pub struct Authorizers {
    db: Db,
    tokens: AuthorizerTokens,
}

impl Authorizers {
    /// A service on `db`; `tokens` tells how they stand.
    #[must_use]
    pub fn new(db: Db, tokens: AuthorizerTokens) -> Self {
        Self { db, tokens }
    }

    /// One authorizer of the tenant, with the health of its token.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] when it is not there or not the tenant's: both look alike.
    pub async fn get(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<(Authorizer, TokenHealth)> {
        let read = self.db.authorizers().get(scope, appid).await;
        let authorizer = found(read, || Error::AuthorizerNotFound { appid: appid.clone() })?;
        let health = self.tokens.health(&authorizer).await?;
        Ok((authorizer, health))
    }

    /// The token with which WeChat is called for the tenant's authorizer, and the whole seconds that
    /// are left of it: what a central token server hands out.
    ///
    /// # Errors
    /// As [`Authorizers::get`] and [`AuthorizerTokens::get`].
    pub async fn access_token(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<(AccessToken, u64)> {
        let authorizer = self.cached(scope, appid).await?;
        let token = self.tokens.get(&authorizer).await?;
        let left = self.tokens.seconds_left(&token);
        Ok((token, left))
    }

    /// As [`Authorizers::access_token`], with a new token, whatever the present one is worth.
    ///
    /// # Errors
    /// As [`Authorizers::access_token`].
    pub async fn renew_access_token(
        &self,
        scope: &TenantScope,
        appid: &Appid,
    ) -> Result<(AccessToken, u64)> {
        let authorizer = self.cached(scope, appid).await?;
        let token = self.tokens.renew(&authorizer).await?;
        let left = self.tokens.seconds_left(&token);
        Ok((token, left))
    }

    async fn cached(&self, scope: &TenantScope, appid: &Appid) -> Result<Arc<Authorizer>> {
        let read = self.db.cached_authorizer(scope, appid).await;
        found(read, || Error::AuthorizerNotFound { appid: appid.clone() })
    }

    /// The tenant's authorizers, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        scope: &TenantScope,
        filter: &AuthorizerFilter,
        page: &PageRequest,
    ) -> Result<Page<Authorizer>> {
        Ok(self.db.authorizers().list(scope, filter, page).await?)
    }
}
