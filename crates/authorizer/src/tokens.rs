use std::{sync::Arc, time::Duration};

use lingpai_component_token::{ComponentTokens, Flight, Flights, LeasedWork, under_lease};
use lingpai_model::{
    Secret,
    authorizer::{Authorizer, AuthorizerState, ReceivedRefreshToken, RefreshTokenSource},
    clock::SharedClock,
    component::Component,
    id::AuthorizerId,
    token::{AccessToken, RefreshPolicy, TokenFailure},
};
use lingpai_storage::{Db, Lease, LeaseKey};
use lingpai_wechat::{client::Client, errcode::Errcode};
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
            let component = keeper.db.components().get(&authorizer.component_id).await?;
            // Ready before the lease is taken: under it there is time for one call to WeChat.
            let component_token = keeper.component_tokens.get(&component).await?;
            let mut refresh = Refresh {
                keeper: &keeper,
                component: &component,
                authorizer: &authorizer,
                component_token,
                rejected,
            };
            match under_lease(&keeper.db, &refresh).await {
                Err(error) if error.errcode().is_some_and(Errcode::is_stale_token) => {
                    let stale = refresh.component_token;
                    refresh.component_token =
                        keeper.component_tokens.after_rejection(&component, stale).await?;
                    under_lease(&keeper.db, &refresh).await
                }
                refreshed => refreshed,
            }
        })
    }
}

/// One refresh of one authorizer's token.
struct Refresh<'a> {
    keeper: &'a Keeper,
    component: &'a Component,
    authorizer: &'a Authorizer,
    /// The `component_access_token` to ask with.
    component_token: Secret<String>,
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

    /// Refreshes, and stores the answer in the transaction that ends the lease.
    async fn perform(&self, lease: &Lease) -> Result<AccessToken> {
        let (keeper, authorizer) = (self.keeper, self.authorizer);
        match self.ask().await {
            Ok((generation, obtained, refresh_token)) => {
                let tx = keeper.db.begin().await?;
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
                let failure = TokenFailure { at: keeper.clock.now(), reason: error.to_string() };
                let tx = keeper.db.begin().await?;
                tx.authorizer_tokens().system_mark_failed(&authorizer.id, &failure).await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                Err(error)
            }
        }
    }
}

impl Refresh<'_> {
    /// Asks WeChat once. A refresh token in the answer is in the history before the answer is judged.
    async fn ask(&self) -> Result<(i64, AccessToken, Option<Secret<String>>)> {
        let (keeper, authorizer) = (self.keeper, self.authorizer);
        let missing = || Error::NoApiPermission { appid: authorizer.appid.clone() };
        let stored = keeper.db.authorizer_tokens().system_find(&authorizer.id).await?;
        let stored = stored.ok_or_else(missing)?;
        let refresh_token = stored.refresh_token.ok_or_else(missing)?;
        let obtained_at = keeper.clock.now();
        let (component_appid, appid) = (&self.component.appid, &authorizer.appid);
        let answer = keeper
            .wechat
            .authorizer_token(&self.component_token, component_appid, appid, &refresh_token)
            .await?;
        if let Some(value) = &answer.refresh_token {
            let received = ReceivedRefreshToken {
                component_id: authorizer.component_id.clone(),
                authorizer_appid: authorizer.appid.clone(),
                value: value.clone(),
                source: RefreshTokenSource::AuthorizerToken,
                received_at: obtained_at,
            };
            remember(&keeper.db, &received).await?;
        }
        let usable = answer.access_token;
        let token = usable.ok_or_else(|| Error::NoAccessToken { appid: appid.clone() })?;
        let obtained = AccessToken::obtained(token.value, obtained_at, token.expires_in);
        Ok((stored.generation, obtained, answer.refresh_token))
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
}

/// How long to wait before a refresh token is written again that the database did not take.
const REMEMBER_AGAIN: Duration = Duration::from_secs(1);

/// Appends a received refresh token to the history, in a commit of its own: should what follows
/// fail or be fenced off, the token is still known. As long as the database is away this waits: the
/// answer of WeChat's that is in hand may be the only one that tells it.
///
/// # Errors
/// [`Error::Storage`] when the database refuses it for good.
pub(crate) async fn remember(db: &Db, received: &ReceivedRefreshToken) -> Result<()> {
    loop {
        match append(db, received).await {
            Err(error) if error.is_transient() => {
                tracing::error!(
                    authorizer.appid = %received.authorizer_appid,
                    %error,
                    "a received refresh token could not be stored; it is tried again"
                );
                tokio::time::sleep(REMEMBER_AGAIN).await;
            }
            appended => return Ok(appended?),
        }
    }
}

async fn append(db: &Db, received: &ReceivedRefreshToken) -> lingpai_storage::Result<()> {
    let tx = db.begin().await?;
    tx.refresh_tokens().append(received).await?;
    tx.commit().await
}
