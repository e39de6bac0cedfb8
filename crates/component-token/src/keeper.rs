//! The machine that keeps every refreshable token alive. What differs from token to token is in
//! [`Source`]; all else is here, once:
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

mod attempt;
mod source;

use std::{collections::HashMap, sync::Arc};

use chrono::Duration;
use futures_util::future::join_all;
use lingpai_model::{
    Secret,
    clock::{Entropy, SharedClock},
    token::{AccessToken, KeptToken, RefreshCause, TokenHealth, TokenKey, TokenKind},
};
use lingpai_storage::{Db, LeasedToken};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::attempt::Attempt;
pub use self::source::{Cured, Hold, Obtained, Source, Wanted};
use crate::{Ceiling, Flight, Flights, LEASE_TTL, LeasedWork as _, under_lease};

/// How many refreshes the workers have under way at most, for each machine.
const SEATS: usize = 128;

/// How long a token is left alone whose owner cannot be read: the next start may have the key.
const UNREADABLE_PAUSE: Duration = Duration::minutes(15);

/// How long a token is left alone that somebody is at work on.
const UNDER_WAY_PAUSE: Duration = Duration::seconds(30);

/// How often a lost refresh is looked for before its loss is believed.
const ROUNDS: u32 = 3;

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct KeeperBase {
    /// Where tokens are kept.
    pub db: Db,
    /// By which they age.
    pub clock: SharedClock,
    /// Spreads what is due.
    pub entropy: Entropy,
    /// How fast they are refreshed. One for all machines of a process.
    pub ceiling: Arc<Ceiling>,
    /// Where refreshes run; shutdown waits for them.
    pub tasks: TaskTracker,
}

/// Keeps the tokens of one kind alive. Clones share it.
#[derive(Debug)]
pub struct Keeper<S: Source> {
    machine: Arc<Machine<S>>,
}

impl<S: Source> Clone for Keeper<S> {
    fn clone(&self) -> Self {
        Self { machine: Arc::clone(&self.machine) }
    }
}

#[derive(Debug)]
struct Machine<S: Source> {
    source: S,
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    ceiling: Arc<Ceiling>,
    flights: Flights<TokenKey, Landed, S::Error>,
    /// For the refreshes that workers begin; callers need none.
    seats: Arc<Semaphore>,
}

/// What a flight brought home.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The token.
    pub token: AccessToken,
    /// Whether WeChat gave it for this flight. If not, it was the stored one.
    pub is_new: bool,
}

impl Landed {
    fn stored(token: AccessToken) -> Self {
        Self { token, is_new: false }
    }
}

/// Why a refresh is wanted.
#[derive(Debug, Clone)]
struct Wish {
    cause: RefreshCause,
    /// A token that must not be the outcome: it is due, WeChat no longer takes it, or somebody
    /// wants another.
    not: Option<Secret<String>>,
    /// Whether no caller waits for it.
    is_a_workers: bool,
}

impl Wish {
    fn of(cause: RefreshCause, not: Option<Secret<String>>) -> Self {
        Self { cause, not, is_a_workers: false }
    }

    /// Whether a rest after a failure counts for nothing.
    fn is_pressing(&self) -> bool {
        matches!(self.cause, RefreshCause::Manual | RefreshCause::Reconciliation)
    }
}

impl<S: Source> Keeper<S> {
    /// A machine for tokens of this kind.
    #[must_use]
    pub fn new(source: S, base: KeeperBase) -> Self {
        let KeeperBase { db, clock, entropy, ceiling, tasks } = base;
        let (flights, seats) = (Flights::new(tasks), Arc::new(Semaphore::new(SEATS)));
        Self { machine: Arc::new(Machine { source, db, clock, entropy, ceiling, flights, seats }) }
    }

    /// Where its tokens come from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.machine.source
    }

    /// A token that WeChat honours now.
    ///
    /// While the stored one lives it is returned at once, even when a refresh is due: that one then
    /// runs in the background. Without a living token the caller waits for the refresh.
    ///
    /// # Errors
    /// What the refresh failed with; [`crate::Error::Resting`] when one has just failed.
    pub async fn get(&self, owner: &S::Owner) -> Result<AccessToken, S::Error> {
        let machine = &self.machine;
        let now = machine.clock.now();
        let kept = machine.db.cached_token(&machine.source.key(owner)).await?;
        let stored = kept.as_ref().and_then(|kept| kept.token.clone());
        let wish = Wish::of(RefreshCause::Asked, None);
        match stored {
            Some(token) if token.is_fresh(now, &machine.source.policy(owner)) => Ok(token),
            Some(token) if token.is_alive(now) => {
                if kept.is_some_and(|kept| kept.rests_until(now).is_none()) {
                    drop(self.flight(owner, wish));
                }
                Ok(token)
            }
            Some(_) | None => Ok(self.flight(owner, wish).await?.token),
        }
    }

    /// A token other than `rejected`, which WeChat no longer takes. If that is no longer the stored
    /// one, nothing is refreshed.
    ///
    /// # Errors
    /// As [`Keeper::get`].
    pub async fn after_rejection(
        &self,
        owner: &S::Owner,
        rejected: Secret<String>,
    ) -> Result<Landed, S::Error> {
        // Another instance may have refreshed it: then what is remembered here is out of date.
        self.machine.db.forget_token(&self.machine.source.key(owner)).await;
        self.another(owner, Wish::of(RefreshCause::Cured, Some(rejected))).await
    }

    /// The stored token's value, whatever it is worth.
    ///
    /// # Errors
    /// [`lingpai_storage::Error`] when the database failed.
    pub async fn present(&self, owner: &S::Owner) -> Result<Option<Secret<String>>, S::Error> {
        let kept = self.machine.db.tokens().find(&self.machine.source.key(owner)).await?;
        Ok(kept.and_then(|kept| kept.token).map(|token| token.value))
    }

    /// A token other than the one that was [present](Keeper::present) when somebody asked for a new
    /// one. If that is no longer the stored one, nothing is refreshed.
    ///
    /// # Errors
    /// As [`Keeper::get`].
    pub async fn renew(
        &self,
        owner: &S::Owner,
        cause: RefreshCause,
        present: Option<Secret<String>>,
    ) -> Result<AccessToken, S::Error> {
        Ok(self.another(owner, Wish::of(cause, present)).await?.token)
    }

    /// How the token stands, without the token.
    ///
    /// # Errors
    /// [`lingpai_storage::Error`] when the database failed.
    pub async fn health(&self, owner: &S::Owner) -> Result<TokenHealth, S::Error> {
        let machine = &self.machine;
        let kept = machine.db.tokens().find(&machine.source.key(owner)).await?;
        Ok(kept.map_or_else(TokenHealth::missing, |kept| {
            kept.health(machine.clock.now(), &machine.source.policy(owner))
        }))
    }

    /// Begins to refresh some of the tokens that are due, at the pace of the workers; returns how
    /// many it has begun. It does not wait for them to end.
    ///
    /// # Errors
    /// [`lingpai_storage::Error`] when the claims could not be made.
    pub async fn run_once(&self) -> Result<usize, S::Error> {
        let mut begun = 0;
        for kind in S::KINDS {
            let room = self.free_seats().await.min(self.machine.ceiling.batch());
            let claimed = self.claim(*kind, room).await?;
            begun += self.begin(claimed).await?;
        }
        Ok(begun)
    }

    /// How many more refreshes the workers may begin; waits until it is one at least.
    async fn free_seats(&self) -> usize {
        drop(self.machine.seats.acquire().await);
        self.machine.seats.available_permits().max(1)
    }

    /// Waits until no refresh is under way in this process.
    pub async fn settled(&self) {
        join_all(self.machine.flights.running()).await;
    }

    async fn claim(&self, kind: TokenKind, room: usize) -> Result<Vec<LeasedToken>, S::Error> {
        let now = self.machine.clock.now();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let tx = self.machine.db.begin().await?;
        let claimed = tx.tokens().claim_due(kind, now, limit, LEASE_TTL).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn begin(&self, claimed: Vec<LeasedToken>) -> Result<usize, S::Error> {
        let mut begun = 0;
        let keys = claimed.iter().map(|leased| leased.kept.key.clone()).collect();
        let mut owners = self.owners(keys).await;
        for leased in claimed {
            match owners.remove(&leased.kept.key) {
                Some(Ok(owner)) => {
                    self.machine.ceiling.pace().await;
                    begun += usize::from(self.fly_with(owner, leased).await?);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the owner of {} cannot be read", leased.kept.key);
                    self.put_off(&leased, UNREADABLE_PAUSE).await?;
                }
                // Nobody owns it any more.
                None => {
                    let tx = self.machine.db.begin().await?;
                    tx.tokens().retire_claimed(&leased.lease).await?;
                    tx.commit().await?;
                }
            }
        }
        Ok(begun)
    }

    /// The owners of these tokens. One that cannot be read holds up none of the others.
    async fn owners(&self, keys: Vec<TokenKey>) -> HashMap<TokenKey, Result<S::Owner, S::Error>> {
        let source = &self.machine.source;
        if let Ok(owners) = source.owners(keys.clone()).await {
            return owners.into_iter().map(|owner| (source.key(&owner), Ok(owner))).collect();
        }
        let mut owners = HashMap::with_capacity(keys.len());
        for key in keys {
            match source.owners(vec![key.clone()]).await {
                Ok(owner) => owners.extend(owner.into_iter().map(|owner| (key.clone(), Ok(owner)))),
                Err(error) => drop(owners.insert(key, Err(error))),
            }
        }
        owners
    }

    /// Starts the flight of a claimed token; returns whether it did. If one is under way already,
    /// that one goes on: it may be waiting for a cure.
    async fn fly_with(&self, owner: S::Owner, leased: LeasedToken) -> Result<bool, S::Error> {
        let wish = Wish {
            cause: leased.kept.due_cause.unwrap_or(RefreshCause::Ahead),
            not: leased.kept.token.as_ref().map(|token| token.value.clone()),
            is_a_workers: true,
        };
        let seat = Arc::clone(&self.machine.seats).acquire_owned().await;
        let (machine, mut given) = (Arc::clone(&self.machine), Some(leased));
        let key = machine.source.key(&owner);
        let flight = self.machine.flights.join(key, || {
            let leased = given.take();
            async move {
                let _seat = seat;
                machine.fly(owner, wish, leased).await
            }
        });
        drop(flight);
        match given {
            None => Ok(true),
            Some(leased) => self.put_off(&leased, UNDER_WAY_PAUSE).await.map(|()| false),
        }
    }

    /// Gives a claimed token back, to be looked at in a while.
    async fn put_off(&self, leased: &LeasedToken, pause: Duration) -> Result<(), S::Error> {
        let KeptToken { key, due_cause, .. } = &leased.kept;
        let later = self.machine.clock.now() + pause;
        let tx = self.machine.db.begin().await?;
        tx.tokens().set_due(key, later, *due_cause).await?;
        tx.commit().await?;
        Ok(self.machine.db.release_token(&leased.lease).await?)
    }

    async fn another(&self, owner: &S::Owner, wish: Wish) -> Result<Landed, S::Error> {
        let landed = self.flight(owner, wish.clone()).await?;
        // The flight that was joined may have begun before anybody wanted another token.
        if wish.not.as_ref() == Some(&landed.token.value) {
            return Ok(self.flight(owner, wish).await?);
        }
        Ok(landed)
    }

    fn flight(&self, owner: &S::Owner, wish: Wish) -> Flight<Landed, S::Error> {
        let (machine, owner) = (Arc::clone(&self.machine), owner.clone());
        let key = machine.source.key(&owner);
        self.machine.flights.join(key, || async move { machine.fly(owner, wish, None).await })
    }
}

impl<S: Source> Machine<S> {
    /// Refreshes once, and again as long as there is a cure.
    async fn fly(
        &self,
        mut owner: S::Owner,
        wish: Wish,
        mut leased: Option<LeasedToken>,
    ) -> Result<Landed, S::Error> {
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
            match self.source.cure(&owner, &error, round).await? {
                Cured::TryAgain(cured) => owner = cured,
                Cured::No => return Err(error),
            }
            round += 1;
        }
    }
}
