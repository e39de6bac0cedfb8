//! Grants: from an authorization code to a stored authorizer, and withdrawals.
//!
//! A code is good once and for minutes, so its exchange is a durable job. Push and browser hand in
//! the same code in either order; both meet in one exchange. Its steps, with a commit behind each:
//!
//! 1. the offer is stored, and then that the code is being sent;
//! 2. `api_query_auth` takes the code; the refresh token goes into the history;
//! 3. `api_get_authorizer_info` tells the account's profile;
//! 4. one transaction stores authorizer, tokens, outcome and event.
//!
//! Killed between any two of them, the job goes on where it was. If the code was used up by an
//! answer that never reached us, WeChat still tells the refresh token by account info or list.

mod recover;
mod settle;
mod withdraw;

use std::sync::Arc;

use futures_util::future::join_all;
use lingpai_component_token::{
    ComponentTokens, Flight, Flights, LEASE_TTL, LeasedWork, under_lease,
};
use lingpai_model::{
    Appid, Instant, Secret,
    authorization::{Authorization, AuthorizationState},
    authorizer::RefreshTokenSource,
    clock::{Entropy, SharedClock},
    component::Component,
    digest::Digest,
    exchange::{CodeOffer, Exchange, ExchangeState},
    token::AccessToken,
};
use lingpai_storage::{Db, Lease, LeaseKey, Tx};
use lingpai_wechat::{call::authorizer::QUERY_AUTH, client::Client, errcode::Errcode};
use tokio_util::task::TaskTracker;

use crate::{Error, Result, history::History, profiles::Profiles};

/// How long a failed exchange waits before it is tried again, by number of attempts; the last one
/// for ever, since what was granted can still be read back when codes are long void.
const RETRY_PAUSES: [std::time::Duration; 10] = [
    std::time::Duration::from_secs(1),
    std::time::Duration::from_secs(5),
    std::time::Duration::from_secs(30),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(300),
    std::time::Duration::from_secs(3600),
];

/// How often an exchange is gone through again for what was told meanwhile; the worker does the rest.
const ROUNDS: usize = 3;

/// How often WeChat must have said that the account does not grant before that is believed: the
/// word may come too early, right after a consent.
const DENIALS: u32 = 6;

/// How many open exchanges one turn of the worker takes on.
const BATCH: u64 = 16;

/// Exchanges authorization codes, in this one place only, and takes withdrawals.
#[derive(Debug, Clone)]
pub struct Grants {
    work: Arc<Work>,
    flights: Arc<Flights<Digest, ExchangeState, Error>>,
}

#[derive(Debug)]
struct Work {
    db: Db,
    wechat: Client,
    component_tokens: ComponentTokens,
    profiles: Profiles,
    clock: SharedClock,
    entropy: Entropy,
}

/// What is known of a grant once the code is exchanged or its loss is made good.
#[derive(Debug)]
struct Granted {
    appid: Appid,
    /// When the account granted.
    at: Instant,
    access_token: Option<AccessToken>,
    refresh_token: Option<Secret<String>>,
    func_info: Option<Vec<u32>>,
}

impl Granted {
    /// A grant of which only the account is known; WeChat tells the rest again.
    fn by(appid: Appid, at: Instant) -> Self {
        Self { appid, at, access_token: None, refresh_token: None, func_info: None }
    }
}

impl Grants {
    /// A service on `db` that calls `wechat`; exchanges run on `tasks`.
    #[must_use]
    pub fn new(
        db: Db,
        wechat: Client,
        component_tokens: ComponentTokens,
        (clock, entropy): (SharedClock, Entropy),
        tasks: TaskTracker,
    ) -> Self {
        let profiles = Profiles {
            db: db.clone(),
            wechat: wechat.clone(),
            component_tokens: component_tokens.clone(),
            clock: Arc::clone(&clock),
        };
        let work = Arc::new(Work { db, wechat, component_tokens, profiles, clock, entropy });
        Self { work, flights: Arc::new(Flights::new(tasks)) }
    }

    /// Hands in a code and waits for its exchange, which goes on when the caller does not.
    ///
    /// # Errors
    /// What the exchange failed with; unless the code is void it will be tried again.
    pub async fn redeem(&self, offer: CodeOffer) -> Result<()> {
        let tx = self.work.db.begin().await?;
        let exchange = tx.exchanges().offer(&offer, self.work.clock.now()).await?;
        tx.commit().await?;
        self.carry_through(exchange).await
    }

    /// Waits until an exchange is over, or until it has failed for now.
    pub(crate) async fn carry_through(&self, exchange: Exchange) -> Result<()> {
        let mut state = exchange.state;
        // A flight that was under way may have begun before it could know of the latest offer.
        for _ in 0..ROUNDS {
            if state.is_over() {
                break;
            }
            state = self.flight(exchange.key).await?;
        }
        Ok(())
    }

    /// Continues exchanges that were left open; returns how many it took on.
    ///
    /// # Errors
    /// [`Error::Storage`] when the list could not be read. A failing exchange is logged and tried
    /// again later; it does not hold up the others.
    pub async fn run_once(&self) -> Result<usize> {
        let open = self.work.db.exchanges().list_open(BATCH).await?;
        // Side by side: codes live for minutes, and one slow account must not hold up the others.
        for flown in join_all(open.iter().map(|exchange| self.flight(exchange.key))).await {
            if let Err(error) = flown {
                tracing::warn!(error = %Error::from(error), "an exchange failed and will be tried again");
            }
        }
        Ok(open.len())
    }

    /// Exchanges a code that WeChat's test account `account` sent as a message, and gives the token of
    /// that answer. It makes nobody an authorizer; the refresh token is kept like any other, also when
    /// the code was another account's: its own exchange recovers by it.
    ///
    /// # Errors
    /// What the exchange failed with; [`Error::NoAccessToken`] when the answer held none for `account`.
    pub(crate) async fn exchange_for_test(
        &self,
        component: &Component,
        account: &Appid,
        code: &Secret<String>,
    ) -> Result<Secret<String>> {
        let work = &self.work;
        let ask =
            |token| async move { work.wechat.query_auth(&token, &component.appid, code).await };
        let answer = work.component_tokens.call(component, ask).await?;
        let appid = answer.authorizer_appid;
        if let Some(value) = &answer.refresh_token {
            work.remember(component, &appid, value, RefreshTokenSource::QueryAuth).await?;
        }
        if appid != *account {
            tracing::warn!(
                component.appid = %component.appid,
                authorizer.appid = %appid,
                "{account} sent a code of {appid} as its own: it is not answered"
            );
        }
        let token = answer.access_token.filter(|_| appid == *account);
        let token = token.ok_or_else(|| Error::NoAccessToken { appid: account.clone() })?;
        Ok(token.value)
    }

    fn flight(&self, key: Digest) -> Flight<ExchangeState, Error> {
        let work = Arc::clone(&self.work);
        self.flights
            .join(key, || async move { under_lease(&OneExchange { work: &work, key }).await })
    }
}

/// The work on one exchange.
struct OneExchange<'a> {
    work: &'a Work,
    key: Digest,
}

impl LeasedWork for OneExchange<'_> {
    type Lease = Lease;
    type Outcome = ExchangeState;
    type Error = Error;

    fn name(&self) -> String {
        LeaseKey::exchange(&self.key).to_string()
    }

    async fn outcome(&self) -> Result<Option<ExchangeState>> {
        self.work.outcome(&self.key).await
    }

    async fn take(&self) -> Result<Option<Lease>> {
        Ok(self.work.db.take_lease(&LeaseKey::exchange(&self.key), LEASE_TTL).await?)
    }

    async fn perform(&self, lease: Lease) -> Result<ExchangeState> {
        let done = match self.outcome().await {
            Ok(None) => self.work.run(&self.key, &lease).await,
            Ok(Some(state)) => {
                self.work.db.release_lease(lease).await?;
                return Ok(state);
            }
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Unless the work ended it: nobody shall wait for a lease that nothing is done under.
            self.work.db.release_lease(lease).await?;
        }
        done
    }
}

impl Work {
    async fn outcome(&self, key: &Digest) -> Result<Option<ExchangeState>> {
        let exchange = self.db.exchanges().find(key).await?;
        Ok(exchange.map(|exchange| exchange.state).filter(|state| state.is_over()))
    }

    /// Drives one exchange to its end, or schedules the next attempt.
    async fn run(&self, key: &Digest, lease: &Lease) -> Result<ExchangeState> {
        let Some(exchange) = self.db.exchanges().find(key).await? else {
            return Ok(ExchangeState::Failed);
        };
        let component = self.db.components().get(&exchange.component_id).await?;
        match self.advance(&component, &exchange, lease).await {
            Ok(state) => Ok(state),
            Err(error) if is_unpublished(&error) => {
                tracing::error!(
                    component.appid = %component.appid,
                    %error,
                    "an account that is not on the test list cannot grant: the component is not \
                     published"
                );
                self.refuse(&exchange, Errcode::COMPONENT_NOT_PUBLISHED, lease).await
            }
            Err(error) if is_hopeless(&exchange, &error) => {
                tracing::error!(
                    component.appid = %component.appid,
                    %error,
                    "the exchange of an authorization code is given up"
                );
                self.give_up(key, lease).await
            }
            Err(error) => {
                let pause = RETRY_PAUSES[usize::try_from(exchange.attempts)
                    .unwrap_or(usize::MAX)
                    .min(RETRY_PAUSES.len() - 1)];
                let tx = self.db.begin().await?;
                tx.exchanges().schedule_retry(key, pause, &error.to_string()).await?;
                tx.finish_lease(lease).await?;
                tx.commit().await?;
                Err(error)
            }
        }
    }

    pub(super) async fn give_up(&self, key: &Digest, lease: &Lease) -> Result<ExchangeState> {
        let tx = self.db.begin().await?;
        tx.exchanges().set_state(key, ExchangeState::Failed).await?;
        tx.finish_lease(lease).await?;
        tx.commit().await?;
        Ok(ExchangeState::Failed)
    }

    /// Gives an exchange up that WeChat refuses for good, and tells the authorization that it came
    /// from. What was finished before stays so.
    async fn refuse(
        &self,
        exchange: &Exchange,
        errcode: Errcode,
        lease: &Lease,
    ) -> Result<ExchangeState> {
        let tx = self.db.begin().await?;
        if let Some(started) = self.started(&tx, exchange).await?
            && started.state == AuthorizationState::Pending
        {
            let (errcode, at) = (errcode.0, self.clock.now());
            let refused = AuthorizationState::Refused { errcode, at };
            tx.authorizations().system_set_state(&started.id, &refused).await?;
        }
        tx.exchanges().set_state(&exchange.key, ExchangeState::Failed).await?;
        tx.finish_lease(lease).await?;
        tx.commit().await?;
        Ok(ExchangeState::Failed)
    }

    /// The authorization that an exchange came from: the push tells it, or else the browser.
    async fn started(&self, tx: &Tx, exchange: &Exchange) -> Result<Option<Authorization>> {
        let authorizations = tx.authorizations();
        Ok(match (&exchange.pre_auth_code_digest, &exchange.returned_authorization_id) {
            (Some(digest), _) => {
                let id = &exchange.component_id;
                authorizations.system_find_by_pre_auth_code(id, digest).await?
            }
            (None, Some(id)) => authorizations.system_find(id).await?,
            (None, None) => None,
        })
    }

    async fn advance(
        &self,
        component: &Component,
        exchange: &Exchange,
        lease: &Lease,
    ) -> Result<ExchangeState> {
        let granted = match (exchange.state, &exchange.authorizer_appid) {
            (ExchangeState::Exchanged, Some(appid)) => {
                Granted::by(appid.clone(), exchange.granted_at)
            }
            _ => match self.exchange_code(component, exchange).await {
                Ok(granted) => granted,
                Err(error) if recover::is_void(&error) => {
                    return self.recover(component, exchange, lease).await;
                }
                Err(error) => return Err(error),
            },
        };
        self.settle(component, exchange, granted, lease).await
    }

    /// Step 2: WeChat takes the code, and its refresh token is stored before anything else.
    async fn exchange_code(&self, component: &Component, exchange: &Exchange) -> Result<Granted> {
        if exchange.state == ExchangeState::Offered {
            let tx = self.db.begin().await?;
            tx.exchanges().set_state(&exchange.key, ExchangeState::Sent).await?;
            tx.commit().await?;
        }
        let obtained_at = self.clock.now();
        let code = &exchange.authorization_code;
        let answer = self
            .component_tokens
            .call(component, |token| async move {
                self.wechat.query_auth(&token, &component.appid, code).await
            })
            .await?;
        let appid = answer.authorizer_appid;
        if let Some(value) = &answer.refresh_token {
            self.remember(component, &appid, value, RefreshTokenSource::QueryAuth).await?;
        }
        let tx = self.db.begin().await?;
        tx.exchanges().note_appid(&exchange.key, &appid).await?;
        tx.exchanges().set_state(&exchange.key, ExchangeState::Exchanged).await?;
        tx.commit().await?;
        let access_token = answer
            .access_token
            .map(|token| AccessToken::obtained(token.value, obtained_at, token.expires_in));
        Ok(Granted {
            appid,
            at: exchange.granted_at,
            access_token,
            refresh_token: answer.refresh_token,
            func_info: Some(answer.func_info),
        })
    }

    async fn remember(
        &self,
        component: &Component,
        appid: &Appid,
        value: &Secret<String>,
        source: RefreshTokenSource,
    ) -> Result<()> {
        let history = History { db: &self.db, component_id: &component.id, appid };
        history.remember(value, source, self.clock.now()).await
    }
}

/// Whether WeChat takes no code of this account at all.
///
/// Source: WeChat docs, "Return codes" (返回码): 61028 when the platform is not published to the whole
/// network and the account is not on its test list.
fn is_unpublished(error: &Error) -> bool {
    error.is_refusal_of(QUERY_AUTH) && error.errcode() == Some(Errcode::COMPONENT_NOT_PUBLISHED)
}

/// Whether trying again cannot help: WeChat keeps saying that the account does not grant.
fn is_hopeless(exchange: &Exchange, error: &Error) -> bool {
    error.errcode() == Some(Errcode::NOT_AUTHORIZED_BY_ACCOUNT) && exchange.attempts >= DENIALS
}
