use std::sync::Arc;

use chrono::Duration;
use lingpai_component_token::{ComponentTokens, Flight, Flights, LeasedWork, under_lease};
use lingpai_model::{
    Secret,
    authorizer::{Authorizer, AuthorizerState, ReceivedRefreshToken, RefreshTokenSource},
    clock::SharedClock,
    id::AuthorizerId,
    token::{AccessToken, RefreshPolicy, TokenFailure},
};
use lingpai_storage::{Db, Lease, LeaseKey};
use lingpai_wechat::{call::authorizer::RefreshedToken, client::Client};
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// Hands out `authorizer_access_token`s: the stored one while it lives, a new one before it ends.
#[derive(Debug, Clone)]
pub struct AuthorizerTokens {
    keeper: Arc<Keeper>,
    flights: Arc<Flights<AuthorizerId, AccessToken, Error>>,
}

#[derive(Debug)]
struct Keeper {
    db: Db,
    wechat: Client,
    component_tokens: ComponentTokens,
    clock: SharedClock,
    policy: RefreshPolicy,
}

impl AuthorizerTokens {
    /// A service on `db` that calls `wechat`; refreshes run on `tasks`.
    #[must_use]
    pub fn new(
        db: Db,
        wechat: Client,
        component_tokens: ComponentTokens,
        clock: SharedClock,
        tasks: TaskTracker,
    ) -> Self {
        let policy = RefreshPolicy::default();
        let keeper = Arc::new(Keeper { db, wechat, component_tokens, clock, policy });
        Self { keeper, flights: Arc::new(Flights::new(tasks)) }
    }

    /// An `authorizer_access_token` that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// [`Error::Revoked`] after the account withdrew its grant, [`Error::NoApiPermission`] when
    /// WeChat gave no tokens for it; otherwise what the refresh failed with.
    pub async fn get(&self, authorizer: &Authorizer) -> Result<Secret<String>> {
        if let AuthorizerState::Revoked { .. } = authorizer.state {
            return Err(Error::Revoked { appid: authorizer.appid.clone() });
        }
        let now = self.keeper.clock.now();
        let stored = self.keeper.db.cached_authorizer_tokens(&authorizer.id).await?;
        match stored.and_then(|tokens| tokens.access.token.clone()) {
            Some(token) if token.is_fresh(now, &self.keeper.policy) => Ok(token.value),
            Some(token) if token.is_alive(now) => {
                drop(self.flight(authorizer, None));
                Ok(token.value)
            }
            Some(_) | None => Ok(self.flight(authorizer, None).await?.value),
        }
    }

    /// A token other than `rejected`, which WeChat no longer takes. If that is no longer the stored
    /// one, nothing is refreshed.
    ///
    /// # Errors
    /// As [`AuthorizerTokens::get`].
    pub async fn after_rejection(
        &self,
        authorizer: &Authorizer,
        rejected: &Secret<String>,
    ) -> Result<Secret<String>> {
        let token = self.flight(authorizer, Some(rejected.clone())).await?;
        // The flight that was joined may have begun before anybody rejected this token.
        if token.value == *rejected {
            return Ok(self.flight(authorizer, Some(rejected.clone())).await?.value);
        }
        Ok(token.value)
    }

    fn flight(
        &self,
        authorizer: &Authorizer,
        rejected: Option<Secret<String>>,
    ) -> Flight<AccessToken, Error> {
        let (keeper, authorizer) = (Arc::clone(&self.keeper), authorizer.clone());
        self.flights.join(authorizer.id.clone(), || async move {
            let refresh = Refresh { keeper: &keeper, authorizer: &authorizer, rejected };
            under_lease(&keeper.db, &refresh).await
        })
    }
}

/// One refresh of one authorizer's token.
struct Refresh<'a> {
    keeper: &'a Keeper,
    authorizer: &'a Authorizer,
    /// A token that WeChat no longer takes, should it still be the stored one.
    rejected: Option<Secret<String>>,
}

impl LeasedWork for Refresh<'_> {
    type Outcome = AccessToken;
    type Error = Error;

    fn lease_key(&self) -> LeaseKey {
        LeaseKey::authorizer_tokens(&self.authorizer.id)
    }

    async fn outcome(&self) -> Result<Option<AccessToken>> {
        self.keeper.usable(&self.authorizer.id, self.rejected.as_ref()).await
    }

    async fn perform(&self, lease: &Lease) -> Result<AccessToken> {
        self.keeper.obtain(self.authorizer, lease).await
    }
}

impl Keeper {
    /// The stored token, unless it is due or the one that WeChat rejected.
    async fn usable(
        &self,
        id: &AuthorizerId,
        rejected: Option<&Secret<String>>,
    ) -> Result<Option<AccessToken>> {
        let stored = self.db.authorizer_tokens().system_find(id).await?;
        Ok(stored
            .and_then(|tokens| tokens.access.token)
            .filter(|token| token.is_fresh(self.clock.now(), &self.policy))
            .filter(|token| Some(&token.value) != rejected))
    }

    /// Refreshes and stores the answer in the transaction that ends the lease: the new refresh
    /// token is in the history before anything else is.
    async fn obtain(&self, authorizer: &Authorizer, lease: &Lease) -> Result<AccessToken> {
        match self.ask(authorizer).await {
            Ok((generation, obtained, refresh_token)) => {
                if let Some(value) = &refresh_token {
                    self.remember(authorizer, value).await?;
                }
                let tx = self.db.begin().await?;
                tx.authorizer_tokens()
                    .system_save_refreshed(
                        &authorizer.id,
                        generation,
                        &obtained,
                        refresh_token.as_ref(),
                    )
                    .await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                tracing::info!(
                    authorizer.appid = %authorizer.appid,
                    "authorizer_access_token of {} refreshed",
                    authorizer.appid
                );
                Ok(obtained)
            }
            Err(error) => {
                let failure = TokenFailure { at: self.clock.now(), reason: error.to_string() };
                let tx = self.db.begin().await?;
                tx.authorizer_tokens().system_mark_failed(&authorizer.id, &failure).await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                Err(error)
            }
        }
    }

    /// Appends a received refresh token to the history, in a commit of its own: should the answer
    /// be fenced off afterwards, the token is still known.
    async fn remember(&self, authorizer: &Authorizer, value: &Secret<String>) -> Result<()> {
        let received = ReceivedRefreshToken {
            component_id: authorizer.component_id.clone(),
            authorizer_appid: authorizer.appid.clone(),
            value: value.clone(),
            source: RefreshTokenSource::AuthorizerToken,
            received_at: self.clock.now(),
        };
        let tx = self.db.begin().await?;
        tx.refresh_tokens().append(&received).await?;
        Ok(tx.commit().await?)
    }

    async fn ask(
        &self,
        authorizer: &Authorizer,
    ) -> Result<(i64, AccessToken, Option<Secret<String>>)> {
        let missing = || Error::NoApiPermission { appid: authorizer.appid.clone() };
        let stored = self.db.authorizer_tokens().system_find(&authorizer.id).await?;
        let stored = stored.ok_or_else(missing)?;
        let refresh_token = stored.refresh_token.ok_or_else(missing)?;
        let component = self.db.components().get(&authorizer.component_id).await?;
        let obtained_at = self.clock.now();
        let answer: RefreshedToken = self
            .component_tokens
            .call(&component, |token| {
                let (component, account) = (&component.appid, &authorizer.appid);
                let refresh_token = &refresh_token;
                async move {
                    self.wechat.authorizer_token(&token, component, account, refresh_token).await
                }
            })
            .await?;
        let obtained = AccessToken {
            value: answer.access_token,
            expires_at: obtained_at + Duration::from_std(answer.expires_in).unwrap_or_default(),
            obtained_at,
        };
        Ok((stored.generation, obtained, answer.refresh_token))
    }
}
