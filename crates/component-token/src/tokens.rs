//! `component_access_token`: how it is got, and handed out.

use lingpai_model::{
    Instant, Secret,
    audit::{Action, AuditEntry},
    caller::OperatorCaller,
    component::Component,
    id::ComponentId,
    token::{AccessToken, KeptToken, RefreshCause, TokenHealth, TokenKey, TokenKind},
};
use lingpai_wechat::{
    client::{Client, ClientError},
    errcode::Errcode,
};

pub use lingpai_wechat::call::component::PreAuthCode;

use crate::{
    Error, Result, TicketWatch, Tickets,
    keeper::{Cured, Hold, Keeper, KeeperBase, Landed, Obtained, Source, Wanted},
    patience::patiently,
    reaction::Reaction,
    trail::keep_entry,
};

/// How many tickets are tried when WeChat does not take the newest.
const TRIED_TICKETS: usize = 3;

/// Hands out `component_access_token`s: the stored one while it lives, a new one before it ends.
#[derive(Debug, Clone)]
pub struct ComponentTokens {
    keeper: Keeper<ComponentSource>,
}

impl ComponentTokens {
    /// A service that calls `wechat` with `tickets`; when none is taken, `watch` asks for one.
    #[must_use]
    pub fn new(base: KeeperBase, wechat: Client, tickets: Tickets, watch: TicketWatch) -> Self {
        let source = ComponentSource { base: base.clone(), wechat, tickets, watch };
        Self { keeper: Keeper::new(source, base) }
    }

    /// A `component_access_token` that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// [`Error::TicketMissing`] before the first ticket; [`Error::Resting`] after a failure;
    /// otherwise what the refresh failed with.
    pub async fn get(&self, component: &Component) -> Result<Secret<String>> {
        Ok(self.keeper.get(component).await?.value)
    }

    /// Makes one call with the component's token, and again with a newer one when WeChat says that
    /// the first was stale: such a call was not executed. A newer one that only was remembered
    /// elsewhere may be stale too; a new one is the last. A busy WeChat is asked again.
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
        self.call_under(None, component, call).await
    }

    /// As [`ComponentTokens::call`], for a call that is part of a refresh under a lease.
    ///
    /// # Errors
    /// As [`ComponentTokens::call`]; [`Error::Storage`] when the lease was lost.
    pub async fn call_under<T, F>(
        &self,
        hold: Option<&Hold<'_>>,
        component: &Component,
        call: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut token = self.get(component).await?;
        let mut is_last = false;
        loop {
            match patiently(hold, || call(token.clone())).await {
                Err(error) if !is_last && error.errcode().is_some_and(Errcode::is_stale_token) => {
                    let landed = self.after_rejection(component, token).await?;
                    (token, is_last) = (landed.token.value, landed.is_new);
                }
                answer => return answer,
            }
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
    ) -> Result<Landed> {
        self.keeper.after_rejection(component, rejected).await
    }

    /// Gets a new token now because an operator asks for it, and tells how it stands then.
    ///
    /// # Errors
    /// As [`ComponentTokens::get`].
    pub async fn renew(&self, by: &OperatorCaller, component: &Component) -> Result<TokenHealth> {
        let KeeperBase { db, clock, entropy, .. } = &self.keeper.source().base;
        let present = self.keeper.present(component).await?;
        let (act, asked) = (by.act(), Action::ComponentTokenRefreshAsked);
        let entry = AuditEntry::of(&act, asked, component.appid.as_str(), (clock.now(), entropy));
        keep_entry(db, &entry).await?;
        self.keeper.renew(component, RefreshCause::Manual, present).await?;
        self.health(component).await
    }

    /// A new `pre_auth_code` for one authorization.
    ///
    /// # Errors
    /// As [`ComponentTokens::call`].
    pub async fn pre_auth_code(&self, component: &Component) -> Result<PreAuthCode> {
        let wechat = &self.keeper.source().wechat;
        self.call(component, |token| async move {
            wechat.create_preauthcode(&token, &component.appid).await
        })
        .await
    }

    /// How the component's token stands, without the token.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn health(&self, component: &Component) -> Result<TokenHealth> {
        self.keeper.health(component).await
    }

    /// Whether the component's token was obtained since `failed_at`, or may be now though it was not
    /// then: what failed for want of it is worth another attempt.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn has_recovered_since(
        &self,
        component: &Component,
        failed_at: Instant,
    ) -> Result<bool> {
        let source = self.keeper.source();
        let Some(kept) = source.base.db.tokens().find(&source.key(component)).await? else {
            return Ok(false);
        };
        if kept.token.as_ref().is_some_and(|token| token.obtained_at > failed_at) {
            return Ok(true);
        }
        source.is_reconsidered(component, &kept).await
    }

    /// Begins to refresh the tokens that are due; returns how many.
    ///
    /// # Errors
    /// [`Error::Storage`] when the claims could not be made.
    pub async fn run_once(&self) -> Result<usize> {
        self.keeper.run_once().await
    }

    /// Waits until no refresh is under way in this process.
    pub async fn settled(&self) {
        self.keeper.settled().await;
    }
}

/// How a component's token is got: a ticket and the component's secret are exchanged for it.
#[derive(Debug)]
struct ComponentSource {
    base: KeeperBase,
    wechat: Client,
    tickets: Tickets,
    watch: TicketWatch,
}

impl Source for ComponentSource {
    type Owner = Component;
    type Error = Error;

    const KINDS: &'static [TokenKind] = &[TokenKind::Component];

    fn key(&self, component: &Component) -> TokenKey {
        TokenKey::Component(component.id.clone())
    }

    async fn owners(&self, keys: Vec<TokenKey>) -> Result<Vec<Component>> {
        let mut components = Vec::with_capacity(keys.len());
        for key in keys {
            let TokenKey::Component(id) = key else { continue };
            components.extend(self.component(&id).await?);
        }
        Ok(components)
    }

    /// The newest ticket is sent; when WeChat does not take it, the ones before it. The secret is read
    /// under the lease: once it is changed, what was got with the one before is not stored.
    async fn obtain(
        &self,
        component: &Component,
        _: Wanted<'_>,
        hold: &Hold<'_>,
    ) -> Result<Obtained> {
        let component = &self.base.db.components().get(&component.id).await?;
        let tickets = self.tickets.usable(component).await?;
        let mut refused = Error::TicketMissing { appid: component.appid.clone() };
        for ticket in tickets.iter().take(TRIED_TICKETS) {
            let obtained_at = self.base.clock.now();
            let (appid, secret) = (&component.appid, &component.appsecret);
            let ask = || self.wechat.component_token(appid, secret, &ticket.value);
            match patiently(Some(hold), ask).await {
                Ok(answer) => {
                    let value = answer.component_access_token;
                    let token = AccessToken::obtained(value, obtained_at, answer.expires_in);
                    return Ok(Obtained { token, refresh_token: None });
                }
                Err(error) if self.reaction(&error) == Reaction::Ticket => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    fn reaction(&self, error: &Error) -> Reaction {
        match error {
            Error::TicketMissing { .. } => Reaction::Ticket,
            error => error.wechat().map_or(Reaction::Pause, Reaction::to),
        }
    }

    /// No ticket of ours is taken: WeChat is asked for a new one, which takes a while to come.
    async fn cure(&self, component: &Component, error: &Error, _: u32) -> Result<Cured<Component>> {
        let is_refused = error.wechat().is_some() && self.reaction(error) == Reaction::Ticket;
        if is_refused && let Err(error) = self.watch.ask(component).await {
            tracing::warn!(%error, "WeChat could not be asked for a ticket");
        }
        Ok(Cured::No)
    }

    /// It failed for want of a ticket, and one has come since. Nobody is let through as long as none
    /// is there.
    async fn is_reconsidered(&self, component: &Component, kept: &KeptToken) -> Result<bool> {
        let Some(failure) = &kept.failure else { return Ok(false) };
        let policy = self.policy(component);
        let ticket_rest = Reaction::Ticket.next_try_at(failure.at, failure.in_a_row, &policy, 0);
        if kept.due_at != Some(ticket_rest) {
            return Ok(false);
        }
        Ok(self.tickets.newest(component).await?.received_at >= failure.at)
    }

    fn is_ceiling(&self, error: &Error) -> bool {
        matches!(error, Error::CeilingReached { .. })
    }
}

impl ComponentSource {
    async fn component(&self, id: &ComponentId) -> Result<Option<Component>> {
        match self.base.db.components().get(id).await {
            Ok(component) => Ok(Some(component)),
            Err(lingpai_storage::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
