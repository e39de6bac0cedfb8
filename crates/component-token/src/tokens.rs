use std::sync::Arc;

use lingpai_model::{
    Secret,
    clock::SharedClock,
    component::Component,
    id::ComponentId,
    token::{AccessToken, RefreshPolicy, TokenFailure, TokenHealth},
};
use lingpai_storage::{Db, Lease, LeaseKey};
use lingpai_wechat::{
    client::{Client, ClientError},
    errcode::Errcode,
};
use tokio_util::task::TaskTracker;

pub use lingpai_wechat::call::component::PreAuthCode;

use crate::{Error, Flight, Flights, LeasedWork, Result, Tickets, under_lease};

/// Hands out `component_access_token`s: the stored one while it lives, a new one before it ends.
#[derive(Debug, Clone)]
pub struct ComponentTokens {
    keeper: Arc<Keeper>,
    flights: Arc<Flights<ComponentId, AccessToken, Error>>,
}

#[derive(Debug)]
struct Keeper {
    db: Db,
    wechat: Client,
    tickets: Tickets,
    clock: SharedClock,
    policy: RefreshPolicy,
}

impl ComponentTokens {
    /// A service on `db` that calls `wechat`; refreshes run on `tasks`.
    #[must_use]
    pub fn new(db: Db, wechat: Client, clock: SharedClock, tasks: TaskTracker) -> Self {
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let policy = RefreshPolicy::default();
        let keeper = Arc::new(Keeper { db, wechat, tickets, clock, policy });
        Self { keeper, flights: Arc::new(Flights::new(tasks)) }
    }

    /// A `component_access_token` that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// [`Error::TicketMissing`] before the first ticket; otherwise what the refresh failed with.
    pub async fn get(&self, component: &Component) -> Result<Secret<String>> {
        let now = self.keeper.clock.now();
        let stored = self.keeper.db.component_tokens().find(&component.id).await?.token;
        match stored {
            Some(token) if token.is_fresh(now, &self.keeper.policy) => Ok(token.value),
            Some(token) if token.is_alive(now) => {
                drop(self.refresh(component, None));
                Ok(token.value)
            }
            Some(_) | None => Ok(self.refresh(component, None).await?.value),
        }
    }

    /// Makes one call with the component's token, and once more with a newer token when WeChat
    /// says that the first was stale: such a call was not executed.
    ///
    /// # Errors
    /// As [`ComponentTokens::get`], and what the call failed with.
    pub async fn call<T, F>(
        &self,
        component: &Component,
        call: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let token = self.get(component).await?;
        match call(token.clone()).await {
            Err(error) if error.errcode().is_some_and(Errcode::is_stale_token) => {
                let newer = self.after_rejection(component, token).await?;
                Ok(call(newer).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// A token other than `rejected`, which WeChat no longer takes. If that is no longer the stored
    /// one, nothing is refreshed.
    ///
    /// # Errors
    /// As [`ComponentTokens::get`].
    pub async fn after_rejection(
        &self,
        component: &Component,
        rejected: Secret<String>,
    ) -> Result<Secret<String>> {
        Ok(self.refresh(component, Some(rejected)).await?.value)
    }

    /// A new `pre_auth_code` for one authorization.
    ///
    /// # Errors
    /// As [`ComponentTokens::call`].
    pub async fn pre_auth_code(&self, component: &Component) -> Result<PreAuthCode> {
        let wechat = &self.keeper.wechat;
        self.call(component, |token| async move {
            wechat.create_preauthcode(&token, &component.appid).await
        })
        .await
    }

    /// Asks WeChat to push tickets to this component (again).
    ///
    /// # Errors
    /// [`Error::Wechat`] when it refused or could not be reached.
    pub async fn start_push_ticket(&self, component: &Component) -> Result<()> {
        let wechat = &self.keeper.wechat;
        Ok(wechat.start_push_ticket(&component.appid, &component.appsecret).await?)
    }

    /// How the component's token stands, without the token.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn health(&self, component: &Component) -> Result<TokenHealth> {
        let kept = self.keeper.db.component_tokens().find(&component.id).await?;
        Ok(kept.health(self.keeper.clock.now(), &self.keeper.policy))
    }

    /// Joins or starts the refresh. `rejected` is a token that WeChat no longer takes: it is not
    /// handed out again, and if it is no longer the stored one, nothing is refreshed.
    fn refresh(
        &self,
        component: &Component,
        rejected: Option<Secret<String>>,
    ) -> impl Future<Output = Result<AccessToken>> + use<> {
        let (tokens, component) = (self.clone(), component.clone());
        let first = tokens.flight(&component, rejected.clone());
        async move {
            let token = first.await?;
            // The flight that was joined may have begun before anybody rejected this token.
            if rejected.as_ref() == Some(&token.value) {
                return Ok(tokens.flight(&component, rejected).await?);
            }
            Ok(token)
        }
    }

    fn flight(
        &self,
        component: &Component,
        rejected: Option<Secret<String>>,
    ) -> Flight<AccessToken, Error> {
        let (keeper, component) = (Arc::clone(&self.keeper), component.clone());
        self.flights.join(component.id.clone(), || async move {
            let refresh = Refresh { keeper: &keeper, component: &component, rejected };
            under_lease(&keeper.db, &refresh).await
        })
    }
}

/// One refresh of one component's token.
struct Refresh<'a> {
    keeper: &'a Keeper,
    component: &'a Component,
    /// A token that WeChat no longer takes, should it still be the stored one.
    rejected: Option<Secret<String>>,
}

impl LeasedWork for Refresh<'_> {
    type Outcome = AccessToken;
    type Error = Error;

    fn lease_key(&self) -> LeaseKey {
        LeaseKey::component_token(&self.component.id)
    }

    async fn outcome(&self) -> Result<Option<AccessToken>> {
        self.keeper.usable(self.component, self.rejected.as_ref()).await
    }

    async fn perform(&self, lease: &Lease) -> Result<AccessToken> {
        self.keeper.obtain(self.component, lease).await
    }
}

impl Keeper {
    /// The stored token, unless it is due or the one that WeChat rejected.
    async fn usable(
        &self,
        component: &Component,
        rejected: Option<&Secret<String>>,
    ) -> Result<Option<AccessToken>> {
        let stored = self.db.component_tokens().find(&component.id).await?.token;
        Ok(stored
            .filter(|token| token.is_fresh(self.clock.now(), &self.policy))
            .filter(|token| Some(&token.value) != rejected))
    }

    /// Exchanges the newest ticket for a token and stores it in the transaction that ends the lease.
    async fn obtain(&self, component: &Component, lease: &Lease) -> Result<AccessToken> {
        match self.ask(component).await {
            Ok(token) => {
                let tx = self.db.begin().await?;
                tx.component_tokens().save(&component.id, &token).await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                tracing::info!(
                    component.appid = %component.appid,
                    "component_access_token of {} refreshed",
                    component.appid
                );
                Ok(token)
            }
            Err(error) => {
                let failure = TokenFailure { at: self.clock.now(), reason: error.to_string() };
                let tx = self.db.begin().await?;
                tx.component_tokens().mark_failed(&component.id, &failure).await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                Err(error)
            }
        }
    }

    async fn ask(&self, component: &Component) -> Result<AccessToken> {
        let ticket = self.tickets.newest(component).await?;
        let obtained_at = self.clock.now();
        let answer = self
            .wechat
            .component_token(&component.appid, &component.appsecret, &ticket.value)
            .await?;
        let value = answer.component_access_token;
        Ok(AccessToken::obtained(value, obtained_at, answer.expires_in))
    }
}
