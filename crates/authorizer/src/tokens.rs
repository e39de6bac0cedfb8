//! The tokens with which WeChat is called for an account. The machine that keeps them is the
//! component token's; here stands how WeChat is asked, and what helps when it refuses.

mod delegated;
pub(crate) mod ordinary;

use lingpai_component_token::{
    self as component_token, ComponentTokens, Cured, Hold, Keeper, KeeperBase, Landed, Obtained,
    Reaction, Source, Wanted, patiently,
};
use lingpai_model::{
    Instant, Secret,
    authorizer::{Authorizer, AuthorizerState, Connection},
    clock::SharedClock,
    event::EventKind,
    token::{
        AccessToken, KeptToken, RefreshCause, RefreshPolicy, TokenHealth, TokenKey, TokenKind,
    },
};
use lingpai_storage::Tx;
use lingpai_wechat::{
    call::component::COMPONENT_TOKEN,
    client::{Client, ClientError},
    errcode::Errcode,
};

use self::{
    delegated::{Delegated, UsedUp},
    ordinary::Ordinary,
};
use crate::{Error, Grants, Reconciliations, Result, profiles::Profiles, stream::emit};

/// Hands out the tokens of accounts: `authorizer_access_token`s, and ordinary `access_token`s of
/// those that are connected by their own secret.
#[derive(Debug, Clone)]
pub struct AuthorizerTokens {
    keeper: Keeper<AccountSource>,
}

impl AuthorizerTokens {
    /// A service that calls `wechat`; lost refresh tokens are looked for by `reconciliations`, and
    /// withdrawals are made sure of by `grants`.
    #[must_use]
    pub fn new(
        base: KeeperBase,
        wechat: Client,
        component_tokens: ComponentTokens,
        grants: Grants,
        reconciliations: Reconciliations,
    ) -> Self {
        let source = AccountSource {
            profiles: Profiles {
                db: base.db.clone(),
                wechat: wechat.clone(),
                component_tokens: component_tokens.clone(),
                clock: SharedClock::clone(&base.clock),
            },
            base: base.clone(),
            wechat,
            component_tokens,
            grants,
            reconciliations,
            used_up: UsedUp::default(),
        };
        Self { keeper: Keeper::new(source, base) }
    }

    /// A token that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// [`Error::Revoked`] after the account withdrew its grant, [`Error::NeedsReauthorization`] when
    /// its refresh token is lost, [`Error::NoApiPermission`] when WeChat gave no tokens for it;
    /// otherwise what the refresh failed with.
    pub async fn get(&self, authorizer: &Authorizer) -> Result<AccessToken> {
        refuse_revoked(authorizer)?;
        self.explained(authorizer, self.keeper.get(authorizer).await).await
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
    ) -> Result<Landed> {
        let newer = self.keeper.after_rejection(authorizer, rejected.clone()).await;
        self.explained(authorizer, newer).await
    }

    /// A new token, whatever the present one is worth.
    ///
    /// # Errors
    /// As [`AuthorizerTokens::get`].
    pub async fn renew(&self, authorizer: &Authorizer) -> Result<AccessToken> {
        refuse_revoked(authorizer)?;
        let present = self.keeper.present(authorizer).await?;
        self.keeper.renew(authorizer, RefreshCause::Manual, present).await
    }

    /// Makes one of our own calls with the account's token, and again with a newer one when WeChat
    /// says that the first was stale: such a call was not executed. A busy WeChat is asked again.
    ///
    /// # Errors
    /// As [`AuthorizerTokens::get`], and what the call failed with.
    pub(crate) async fn call<T, F>(
        &self,
        authorizer: &Authorizer,
        call: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        self.call_under(None, authorizer, call).await
    }

    /// As [`AuthorizerTokens::call`], for a call that is part of a refresh under a lease.
    ///
    /// # Errors
    /// As [`AuthorizerTokens::call`]; [`Error::Component`] when the lease was lost.
    pub(crate) async fn call_under<T, F>(
        &self,
        hold: Option<&Hold<'_>>,
        authorizer: &Authorizer,
        call: impl Fn(Secret<String>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let (mut token, mut is_last) = (self.get(authorizer).await?.value, false);
        loop {
            match patiently(hold, || call(token.clone())).await {
                Err(error) if !is_last && error.errcode().is_some_and(Errcode::is_stale_token) => {
                    let landed = self.after_rejection(authorizer, &token).await?;
                    (token, is_last) = (landed.token.value, landed.is_new);
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// What follows when something failed that is got with the account's token.
    pub(crate) fn reaction(&self, error: &Error) -> Reaction {
        self.keeper.source().reaction(error)
    }

    /// What of such a failure those may be told who only see what is got with the token.
    pub(crate) fn told(&self, error: &Error) -> String {
        match error {
            Error::Shared(error) => self.told(error),
            error => self.keeper.source().told(error),
        }
    }

    /// Whether the account has got a token since `at`.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub(crate) async fn has_refreshed_since(
        &self,
        authorizer: &Authorizer,
        at: Instant,
    ) -> Result<bool> {
        let db = &self.keeper.source().base.db;
        let kept = db.cached_token(&authorizer.token_key()).await?;
        Ok(kept.is_some_and(|kept| kept.token.as_ref().is_some_and(|one| one.obtained_at > at)))
    }

    /// The whole seconds that are left of a token.
    pub(crate) fn seconds_left(&self, token: &AccessToken) -> u64 {
        let left = token.expires_at - self.keeper.source().base.clock.now();
        u64::try_from(left.num_seconds()).unwrap_or(0)
    }

    /// How the account's token stands, without the token.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn health(&self, authorizer: &Authorizer) -> Result<TokenHealth> {
        self.keeper.health(authorizer).await
    }

    /// Begins to refresh some of the tokens that are due; returns how many.
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

    /// While a token rests after a failure, the reason is told that callers can act on.
    async fn explained<T>(&self, authorizer: &Authorizer, outcome: Result<T>) -> Result<T> {
        match outcome {
            Err(error) if error.is_resting() => {
                let appid = authorizer.appid.clone();
                if matches!(authorizer.state, AuthorizerState::NeedsReauthorization { .. }) {
                    return Err(Error::NeedsReauthorization { appid });
                }
                let db = &self.keeper.source().base.db;
                let kept = db.cached_token(&authorizer.token_key()).await?;
                let is_delegated = authorizer.connection.component_id().is_some();
                let has_none = kept.is_none_or(|kept| kept.refresh_token.is_none());
                Err(if is_delegated && has_none { Error::NoApiPermission { appid } } else { error })
            }
            outcome => outcome,
        }
    }
}

pub(crate) fn refuse_revoked(authorizer: &Authorizer) -> Result<()> {
    match authorizer.state {
        AuthorizerState::Revoked { .. } => Err(Error::Revoked { appid: authorizer.appid.clone() }),
        AuthorizerState::Active | AuthorizerState::NeedsReauthorization { .. } => Ok(()),
    }
}

/// What tenants are told when the component's token cannot be had.
const OPERATORS_MATTER: &str =
    "the component's own token cannot be had now; the operator of this installation sees why";

/// How the token of an account is got: by how it is connected.
#[derive(Debug)]
struct AccountSource {
    base: KeeperBase,
    wechat: Client,
    component_tokens: ComponentTokens,
    profiles: Profiles,
    grants: Grants,
    reconciliations: Reconciliations,
    used_up: UsedUp,
}

impl Source for AccountSource {
    type Owner = Authorizer;
    type Error = Error;

    const KINDS: &'static [TokenKind] = &[TokenKind::Authorizer, TokenKind::Ordinary];

    fn key(&self, authorizer: &Authorizer) -> TokenKey {
        authorizer.token_key()
    }

    fn policy(&self, authorizer: &Authorizer) -> RefreshPolicy {
        match authorizer.connection {
            Connection::Component { .. } => RefreshPolicy::default(),
            Connection::Secret => ordinary::policy(),
        }
    }

    async fn owners(&self, keys: Vec<TokenKey>) -> Result<Vec<Authorizer>> {
        let mut ids = Vec::with_capacity(keys.len());
        for key in keys {
            if let TokenKey::Authorizer(id) | TokenKey::Ordinary(id) = key {
                ids.push(id);
            }
        }
        let mut authorizers = self.base.db.authorizers().system_list(&ids).await?;
        authorizers.retain(|one| refuse_revoked(one).is_ok() && one.refused_at.is_none());
        Ok(authorizers)
    }

    async fn obtain(
        &self,
        authorizer: &Authorizer,
        wanted: Wanted<'_>,
        hold: &Hold<'_>,
    ) -> Result<Obtained> {
        match authorizer.connection.component_id() {
            Some(component_id) => {
                Delegated { source: self, authorizer, component_id }.obtain(wanted, hold).await
            }
            None => Ordinary { source: self, authorizer }.obtain(wanted, hold).await,
        }
    }

    fn reaction(&self, error: &Error) -> Reaction {
        match error {
            Error::NoApiPermission { .. } => Reaction::RefreshToken,
            Error::Component(component_token::Error::Resting { until, .. }) => {
                Reaction::Until(*until)
            }
            Error::Shared(error) => self.reaction(error),
            Error::NoOtherToken { .. } => Reaction::Pause,
            error => error.wechat().map_or(Reaction::Pause, Reaction::to),
        }
    }

    async fn cure(
        &self,
        authorizer: &Authorizer,
        error: &Error,
        round: u32,
    ) -> Result<Cured<Authorizer>> {
        match authorizer.connection.component_id() {
            Some(component_id) => {
                Delegated { source: self, authorizer, component_id }.cure(error, round).await
            }
            None => Ok(Cured::No),
        }
    }

    /// The component's token was missing then, and is not any more. It is not what one lacks that
    /// was given up.
    async fn is_reconsidered(&self, authorizer: &Authorizer, kept: &KeptToken) -> Result<bool> {
        let Some(failure) = &kept.failure else { return Ok(false) };
        if matches!(authorizer.state, AuthorizerState::NeedsReauthorization { .. }) {
            return Ok(false);
        }
        let Some(component_id) = authorizer.connection.component_id() else { return Ok(false) };
        let component = self.base.db.components().get(component_id).await?;
        Ok(self.component_tokens.has_recovered_since(&component, failure.at).await?)
    }

    fn is_ceiling(&self, error: &Error) -> bool {
        error.is_ceiling()
    }

    /// What is wrong with the component's token is its operator's matter.
    fn told(&self, error: &Error) -> String {
        match error {
            Error::Component(component_token::Error::Resting { .. }) => OPERATORS_MATTER.to_owned(),
            error if error.is_refusal_of(COMPONENT_TOKEN) => OPERATORS_MATTER.to_owned(),
            error => error.to_string(),
        }
    }

    /// An authorizer that was given up is one again.
    async fn refreshed(&self, tx: &Tx, authorizer: &Authorizer) -> lingpai_storage::Result<()> {
        let (AuthorizerState::NeedsReauthorization { .. }, Some(component_id)) =
            (&authorizer.state, authorizer.connection.component_id())
        else {
            return Ok(());
        };
        let locked = tx.authorizers().system_lock(component_id, &authorizer.appid).await?;
        let Some(mut stored) = locked else { return Ok(()) };
        let Ok(recovered) = stored.state.recover() else { return Ok(()) };
        let now = self.base.clock.now();
        stored.state = recovered;
        stored.updated_at = now;
        tx.authorizers().system_update(&stored).await?;
        tracing::info!(authorizer.appid = %stored.appid, "{} is usable again", stored.appid);
        emit(tx, &self.base.entropy, &stored, EventKind::Authorized, now).await
    }
}
