//! The machine that keeps every refreshable token alive. What differs from kind to kind is in
//! [`Kind`]; all else is here, once:
//!
//! - readers get the stored token while it lives and wait for nothing;
//! - workers refresh ahead of the end, spread by chance and held to a pace;
//! - one refresh at a time: a flight in the process, a lease in the cluster, in the token's own row;
//! - what was obtained is written only under the lease's epoch and the row's generation, so a holder
//!   that slept changes nothing;
//! - a refresh that failed rests, for as long as the failure asks for;
//! - a rejected token that is no longer the stored one causes no refresh.
//!
//! The alternative, a lock in memory or in a second store, decides nothing when its holder sleeps.

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use futures_util::future::{join_all, select_all};
use lingpai_model::{
    Instant, Secret,
    clock::{Entropy, SharedClock},
    token::{
        AccessToken, KeptToken, Refresh, RefreshCause, RefreshPolicy, TokenFailure, TokenHealth,
        TokenKey, TokenKind,
    },
};
use lingpai_storage::{Db, LeasedToken, TokenLease, Tx};
use tokio_util::task::TaskTracker;

use crate::{
    Error, Flight, Flights, LEASE_TTL, LeasedWork, Reaction,
    ceiling::{Ceiling, RefreshLimits},
    under_lease,
};

/// How many refreshes of one kind the workers of a process have under way at most.
const UNDER_WAY: usize = 64;

/// How often a lost refresh is looked for before its loss is believed.
const ROUNDS: u32 = 3;

/// How long to wait before a token is written again that the database did not take.
const SAVE_AGAIN: Duration = Duration::from_millis(500);

/// How often that is tried: until the lease has ended anyway.
const SAVES: u32 = 50;

/// A new token, as WeChat gave it.
#[derive(Debug)]
pub struct Obtained {
    /// The token.
    pub token: AccessToken,
    /// The refresh token that came along.
    pub refresh_token: Option<Secret<String>>,
}

/// What was done about a refresh that failed.
#[derive(Debug)]
pub enum Cured<Owner> {
    /// Another attempt may go well.
    TryAgain(Owner),
    /// Nothing helps for now.
    No,
}

/// What is wanted from WeChat, and what is known.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The token as it stands.
    pub kept: &'a KeptToken,
    /// A token that WeChat no longer takes.
    pub rejected: Option<&'a Secret<String>>,
    /// How often a cure was tried before this attempt.
    pub round: u32,
}

/// What differs between kinds of token: how WeChat is asked, and what else is to be done.
pub trait Kind: Debug + Send + Sync + Sized + 'static {
    /// Whose token it is, with what is needed to ask for it.
    type Owner: Debug + Clone + Send + Sync + 'static;
    /// What can go wrong.
    type Error: std::error::Error
        + From<Error>
        + From<lingpai_storage::Error>
        + From<Arc<Self::Error>>
        + Send
        + Sync
        + 'static;

    /// The kinds of row that the workers of this machine look at.
    const KINDS: &'static [TokenKind];

    /// Which token it is.
    fn key(&self, owner: &Self::Owner) -> TokenKey;

    /// When it is refreshed.
    fn policy(&self, _owner: &Self::Owner) -> RefreshPolicy {
        RefreshPolicy::default()
    }

    /// The owners of these tokens, in no order; one that is gone is left out.
    fn owners(
        &self,
        keys: Vec<TokenKey>,
    ) -> impl Future<Output = Result<Vec<Self::Owner>, Self::Error>> + Send;

    /// Asks WeChat for a new token. A refresh token in an answer is in the history before this
    /// returns. Before each call but the first the lease is to be held on to.
    fn obtain(
        &self,
        owner: &Self::Owner,
        wanted: Wanted<'_>,
        hold: &Hold<'_>,
    ) -> impl Future<Output = Result<Obtained, Self::Error>> + Send;

    /// What follows a failure.
    fn reaction(&self, error: &Self::Error) -> Reaction;

    /// Does what may help against a failure. No lease is held. `round` counts from 0.
    fn cure(
        &self,
        _owner: &Self::Owner,
        _error: &Self::Error,
        _round: u32,
    ) -> impl Future<Output = Result<Cured<Self::Owner>, Self::Error>> + Send {
        async { Ok(Cured::No) }
    }

    /// Whether something has happened since `failed_at` that makes another attempt worth while.
    fn is_reconsidered(
        &self,
        _owner: &Self::Owner,
        _failed_at: Instant,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        async { Ok(false) }
    }

    /// Writes what else a refresh that went well means, in the transaction that stores the token.
    fn refreshed(
        &self,
        _tx: &Tx,
        _owner: &Self::Owner,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }
}

/// Holds on to the lease of a refresh that takes more than one call.
#[derive(Debug)]
pub struct Hold<'a> {
    db: &'a Db,
    lease: &'a TokenLease,
}

impl Hold<'_> {
    /// Makes sure that the lease is still ours and lasts for one more call.
    ///
    /// # Errors
    /// [`Error::Storage`]; fenced off, nothing more may be asked.
    pub async fn on(&self) -> Result<(), Error> {
        Ok(self.db.renew_token(self.lease, LEASE_TTL).await?)
    }
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct KeeperBase {
    /// Where tokens are kept.
    pub db: Db,
    /// By which they age.
    pub clock: SharedClock,
    /// Spreads what is due.
    pub entropy: Entropy,
    /// How fast they are refreshed.
    pub limits: RefreshLimits,
    /// Where refreshes run; shutdown waits for them.
    pub tasks: TaskTracker,
}

/// Keeps the tokens of one kind alive. Clones share it.
#[derive(Debug)]
pub struct Keeper<K: Kind> {
    machine: Arc<Machine<K>>,
}

impl<K: Kind> Clone for Keeper<K> {
    fn clone(&self) -> Self {
        Self { machine: Arc::clone(&self.machine) }
    }
}

#[derive(Debug)]
struct Machine<K: Kind> {
    kind: K,
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    ceiling: Ceiling,
    flights: Flights<TokenKey, AccessToken, K::Error>,
}

/// A token that was had in the place of a rejected one.
#[derive(Debug, Clone)]
pub struct Newer {
    /// The token.
    pub value: Secret<String>,
    /// Whether it was obtained for that. If not, it may have been rejected before as well.
    pub is_new: bool,
}

/// Why a refresh is wanted.
#[derive(Debug, Clone)]
struct Wish {
    cause: RefreshCause,
    /// A token that must not be the outcome: WeChat no longer takes it, or somebody wants another.
    not: Option<Secret<String>>,
}

impl Wish {
    fn of(cause: RefreshCause) -> Self {
        Self { cause, not: None }
    }

    /// Whether a rest after a failure counts for nothing.
    fn is_pressing(&self) -> bool {
        matches!(self.cause, RefreshCause::Manual | RefreshCause::Reconciliation)
    }
}

impl<K: Kind> Keeper<K> {
    /// A machine for tokens of this kind.
    #[must_use]
    pub fn new(kind: K, base: KeeperBase) -> Self {
        let KeeperBase { db, clock, entropy, limits, tasks } = base;
        let (ceiling, flights) = (Ceiling::new(limits), Flights::new(tasks));
        Self { machine: Arc::new(Machine { kind, db, clock, entropy, ceiling, flights }) }
    }

    /// What makes this kind.
    #[must_use]
    pub fn kind(&self) -> &K {
        &self.machine.kind
    }

    /// A token that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// What the refresh failed with; [`Error::Resting`] when one has just failed.
    pub async fn get(&self, owner: &K::Owner) -> Result<AccessToken, K::Error> {
        let machine = &self.machine;
        let now = machine.clock.now();
        let kept = machine.db.cached_token(&machine.kind.key(owner)).await?;
        let stored = kept.as_ref().and_then(|kept| kept.token.clone());
        let wish = Wish::of(RefreshCause::Asked);
        match stored {
            Some(token) if token.is_fresh(now, &machine.kind.policy(owner)) => Ok(token),
            Some(token) if token.is_alive(now) => {
                if kept.is_some_and(|kept| kept.rests_until(now).is_none()) {
                    drop(self.flight(owner, wish));
                }
                Ok(token)
            }
            Some(_) | None => Ok(self.flight(owner, wish).await?),
        }
    }

    /// A token other than `rejected`, which WeChat no longer takes. If that is no longer the stored
    /// one, nothing is refreshed.
    ///
    /// # Errors
    /// As [`Keeper::get`].
    pub async fn after_rejection(
        &self,
        owner: &K::Owner,
        rejected: Secret<String>,
    ) -> Result<Newer, K::Error> {
        let asked_at = self.machine.clock.now();
        // Another instance may have refreshed it: then what is remembered here is out of date.
        self.machine.db.forget_token(&self.machine.kind.key(owner)).await;
        let wish = Wish { cause: RefreshCause::Cured, not: Some(rejected) };
        let token = self.another(owner, wish).await?;
        Ok(Newer { is_new: token.obtained_at >= asked_at, value: token.value })
    }

    /// A new token, whatever the present one is worth.
    ///
    /// # Errors
    /// As [`Keeper::get`].
    pub async fn renew(
        &self,
        owner: &K::Owner,
        cause: RefreshCause,
    ) -> Result<AccessToken, K::Error> {
        let kept = self.machine.db.tokens().find(&self.machine.kind.key(owner)).await?;
        let present = kept.and_then(|kept| kept.token).map(|token| token.value);
        self.another(owner, Wish { cause, not: present }).await
    }

    /// How the token stands, without the token.
    ///
    /// # Errors
    /// [`lingpai_storage::Error`] when the database failed.
    pub async fn health(&self, owner: &K::Owner) -> Result<TokenHealth, K::Error> {
        let machine = &self.machine;
        let kept = machine.db.tokens().find(&machine.kind.key(owner)).await?;
        Ok(kept.map_or_else(TokenHealth::missing, |kept| {
            kept.health(machine.clock.now(), &machine.kind.policy(owner))
        }))
    }

    /// Begins to refresh some of the tokens that are due, at the pace of the workers; returns how
    /// many it has begun. It does not wait for them to end.
    ///
    /// # Errors
    /// [`lingpai_storage::Error`] when the claims could not be made.
    pub async fn run_once(&self) -> Result<usize, K::Error> {
        let mut begun = 0;
        for kind in K::KINDS {
            let room = self.room().await.min(self.machine.ceiling.batch());
            let claimed = self.claim(*kind, room).await?;
            begun += self.begin(claimed).await?;
        }
        Ok(begun)
    }

    /// How many more refreshes may be under way; waits until there is room for one.
    async fn room(&self) -> usize {
        loop {
            let under_way = self.machine.flights.running();
            if under_way.len() < UNDER_WAY {
                return UNDER_WAY - under_way.len();
            }
            drop(select_all(under_way).await);
        }
    }

    /// Waits until no refresh is under way in this process.
    pub async fn settled(&self) {
        join_all(self.machine.flights.running()).await;
    }

    async fn claim(&self, kind: TokenKind, room: usize) -> Result<Vec<LeasedToken>, K::Error> {
        let now = self.machine.clock.now();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let tx = self.machine.db.begin().await?;
        let claimed = tx.tokens().claim_due(kind, now, limit, LEASE_TTL).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn begin(&self, claimed: Vec<LeasedToken>) -> Result<usize, K::Error> {
        if claimed.is_empty() {
            return Ok(0);
        }
        let count = claimed.len();
        let machine = &self.machine;
        let keys = claimed.iter().map(|leased| leased.kept.key.clone()).collect();
        let owners = machine.kind.owners(keys).await?;
        let mut owners: HashMap<TokenKey, K::Owner> =
            owners.into_iter().map(|owner| (machine.kind.key(&owner), owner)).collect();
        for leased in claimed {
            match owners.remove(&leased.kept.key) {
                Some(owner) => {
                    machine.ceiling.pace().await;
                    self.fly_with(owner, leased).await?;
                }
                None => self.retire(&leased.kept.key).await?,
            }
        }
        Ok(count)
    }

    /// Starts the flight of a claimed token. If one is under way already, it takes the lease.
    async fn fly_with(&self, owner: K::Owner, leased: LeasedToken) -> Result<(), K::Error> {
        let lease = leased.lease.clone();
        let present = leased.kept.token.as_ref().map(|token| token.value.clone());
        let wish = Wish { cause: RefreshCause::Ahead, not: present };
        let (machine, mut given) = (Arc::clone(&self.machine), Some(leased));
        let key = machine.kind.key(&owner);
        let flight = self.machine.flights.join(key, || {
            let leased = given.take();
            async move { machine.fly(owner, wish, leased).await }
        });
        drop(flight);
        if given.is_some() {
            self.machine.db.release_token(&lease).await?;
        }
        Ok(())
    }

    /// Nobody owns this token any more.
    async fn retire(&self, key: &TokenKey) -> Result<(), K::Error> {
        let tx = self.machine.db.begin().await?;
        tx.tokens().retire(key).await?;
        Ok(tx.commit().await?)
    }

    async fn another(&self, owner: &K::Owner, wish: Wish) -> Result<AccessToken, K::Error> {
        let token = self.flight(owner, wish.clone()).await?;
        // The flight that was joined may have begun before anybody wanted another token.
        if wish.not.as_ref() == Some(&token.value) {
            return Ok(self.flight(owner, wish).await?);
        }
        Ok(token)
    }

    fn flight(&self, owner: &K::Owner, wish: Wish) -> Flight<AccessToken, K::Error> {
        let (machine, owner) = (Arc::clone(&self.machine), owner.clone());
        let key = machine.kind.key(&owner);
        self.machine.flights.join(key, || async move { machine.fly(owner, wish, None).await })
    }
}

impl<K: Kind> Machine<K> {
    /// Refreshes once, and again as long as there is a cure.
    async fn fly(
        &self,
        mut owner: K::Owner,
        wish: Wish,
        mut leased: Option<LeasedToken>,
    ) -> Result<AccessToken, K::Error> {
        let mut round = 0;
        loop {
            let attempt = Attempt { machine: self, owner: &owner, wish: &wish, round };
            let outcome = match leased.take() {
                Some(leased) => attempt.perform(leased).await,
                None => under_lease(&attempt).await,
            };
            let Err(error) = outcome else { return outcome };
            if round == ROUNDS {
                return Err(error);
            }
            match self.kind.cure(&owner, &error, round).await? {
                Cured::TryAgain(cured) => owner = cured,
                Cured::No => return Err(error),
            }
            round += 1;
        }
    }
}

/// One attempt to refresh one token.
struct Attempt<'a, K: Kind> {
    machine: &'a Machine<K>,
    owner: &'a K::Owner,
    wish: &'a Wish,
    round: u32,
}

impl<K: Kind> LeasedWork for Attempt<'_, K> {
    type Lease = LeasedToken;
    type Outcome = AccessToken;
    type Error = K::Error;

    fn name(&self) -> String {
        self.machine.kind.key(self.owner).to_string()
    }

    async fn outcome(&self) -> Result<Option<AccessToken>, K::Error> {
        let key = self.machine.kind.key(self.owner);
        match self.machine.db.tokens().find(&key).await? {
            Some(kept) => self.judge(&kept).await,
            None => Ok(None),
        }
    }

    async fn take(&self) -> Result<Option<LeasedToken>, K::Error> {
        let key = self.machine.kind.key(self.owner);
        Ok(self.machine.db.take_token(&key, LEASE_TTL).await?)
    }

    async fn perform(&self, leased: LeasedToken) -> Result<AccessToken, K::Error> {
        let LeasedToken { kept, lease } = leased;
        let judged = self.judge(&kept).await;
        if let Some(outcome) = judged.transpose() {
            self.machine.db.release_token(&lease).await?;
            return outcome;
        }
        if let Err(error) = self.machine.ceiling.pass(&kept.key).await {
            return self.put_off(kept, lease, error.into()).await;
        }
        let hold = Hold { db: &self.machine.db, lease: &lease };
        let wanted = Wanted { kept: &kept, rejected: self.wish.not.as_ref(), round: self.round };
        match self.machine.kind.obtain(self.owner, wanted, &hold).await {
            Ok(obtained) => self.keep(kept, &lease, obtained).await,
            Err(error) => {
                self.note(kept, &lease, &error).await;
                Err(error)
            }
        }
    }
}

impl<K: Kind> Attempt<'_, K> {
    /// The stored token, unless it is due or not wanted. An error while the token rests.
    async fn judge(&self, kept: &KeptToken) -> Result<Option<AccessToken>, K::Error> {
        let machine = self.machine;
        let now = machine.clock.now();
        let is_wanted = |token: &AccessToken| {
            token.is_fresh(now, &machine.kind.policy(self.owner))
                && self.wish.not.as_ref() != Some(&token.value)
        };
        if let Some(token) = kept.token.as_ref().filter(|token| is_wanted(token)) {
            return Ok(Some(token.clone()));
        }
        if self.round > 0 || self.wish.is_pressing() {
            return Ok(None);
        }
        let (Some(until), Some(failure)) = (kept.rests_until(now), &kept.failure) else {
            return Ok(None);
        };
        if machine.kind.is_reconsidered(self.owner, failure.at).await? {
            return Ok(None);
        }
        let (what, reason) = (kept.key.to_string(), failure.reason.clone());
        Err(Error::Resting { what, reason, until }.into())
    }

    /// Ends the lease of a token that was refreshed too often. A worker looks at it later; callers
    /// are told each time.
    async fn put_off(
        &self,
        kept: KeptToken,
        lease: TokenLease,
        error: K::Error,
    ) -> Result<AccessToken, K::Error> {
        match self.wish.cause {
            RefreshCause::Ahead => self.note(kept, &lease, &error).await,
            _ => self.machine.db.release_token(&lease).await?,
        }
        Err(error)
    }

    /// Stores what was obtained, in the transaction that ends the lease.
    async fn keep(
        &self,
        mut kept: KeptToken,
        lease: &TokenLease,
        obtained: Obtained,
    ) -> Result<AccessToken, K::Error> {
        let machine = self.machine;
        let [chance] = machine.entropy.bytes();
        let now = machine.clock.now();
        kept.due_at = Some(machine.kind.policy(self.owner).due_at(&obtained.token, chance));
        kept.token = Some(obtained.token.clone());
        kept.refresh_token = obtained.refresh_token;
        kept.failure = None;
        kept.remember(Refresh { at: now, cause: self.wish.cause, failure: None });
        for _ in 0..SAVES {
            match self.save(&kept, lease).await {
                Ok(()) => {
                    let cause = self.wish.cause.as_str();
                    tracing::info!(cause, "{} refreshed", kept.key);
                    return Ok(obtained.token);
                }
                // Either somebody else was faster, or an earlier commit has happened after all.
                Err(Failed::Storage(lingpai_storage::Error::Fenced { .. })) => {
                    return self.after_fence(&kept.key, obtained.token).await;
                }
                Err(Failed::Storage(error)) if error.is_transient() => {
                    tracing::error!(%error, "{} could not be stored; it is tried again", kept.key);
                    tokio::time::sleep(SAVE_AGAIN).await;
                }
                Err(Failed::Storage(error)) => return Err(error.into()),
                Err(Failed::Kind(error)) => return Err(error),
            }
        }
        Err(Error::LeaseBusy { what: kept.key.to_string() }.into())
    }

    async fn save(&self, kept: &KeptToken, lease: &TokenLease) -> Result<(), Failed<K::Error>> {
        let tx = self.machine.db.begin().await?;
        tx.tokens().save(lease, kept).await?;
        self.machine.kind.refreshed(&tx, self.owner).await.map_err(Failed::Kind)?;
        Ok(tx.commit().await?)
    }

    /// The token to go on with when ours could not be stored: the stored one, whoever stored it.
    async fn after_fence(
        &self,
        key: &TokenKey,
        ours: AccessToken,
    ) -> Result<AccessToken, K::Error> {
        let stored = self.machine.db.tokens().find(key).await?.and_then(|kept| kept.token);
        let now = self.machine.clock.now();
        match stored.filter(|token| token.is_alive(now)) {
            Some(token) if token.value == ours.value => Ok(token),
            Some(token) => {
                tracing::warn!("{key} was refreshed by somebody else meanwhile; ours is dropped");
                Ok(token)
            }
            None => Err(lingpai_storage::Error::Fenced { key: key.to_string() }.into()),
        }
    }

    /// Notes that the refresh failed, and when it is tried again; ends the lease.
    async fn note(&self, mut kept: KeptToken, lease: &TokenLease, error: &K::Error) {
        let machine = self.machine;
        let now = machine.clock.now();
        let in_a_row = kept.failure.as_ref().map_or(0, |failure| failure.in_a_row) + 1;
        let [chance] = machine.entropy.bytes();
        let policy = machine.kind.policy(self.owner);
        let reaction = machine.kind.reaction(error);
        let reason = error.to_string();
        kept.due_at = Some(reaction.next_try_at((now, in_a_row), &policy, chance));
        kept.remember(Refresh { at: now, cause: self.wish.cause, failure: Some(reason.clone()) });
        tracing::warn!(error = reason, in_a_row, "{} could not be refreshed", kept.key);
        kept.failure = Some(TokenFailure { at: now, reason, in_a_row });
        // It stays as it was; the stored one is not touched.
        kept.refresh_token = None;
        let noted = async {
            let tx = machine.db.begin().await?;
            tx.tokens().save(lease, &kept).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "that {} could not be refreshed could not be noted", kept.key);
        }
    }
}

/// Why a token could not be stored.
enum Failed<E> {
    Storage(lingpai_storage::Error),
    Kind(E),
}

impl<E> From<lingpai_storage::Error> for Failed<E> {
    fn from(error: lingpai_storage::Error) -> Self {
        Self::Storage(error)
    }
}
