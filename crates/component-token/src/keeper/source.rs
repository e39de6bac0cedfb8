//! Where tokens come from: what differs from one sort of token to the next.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lingpai_model::{
    Secret,
    token::{AccessToken, KeptToken, RefreshPolicy, TokenKey, TokenKind},
};
use lingpai_storage::{Db, TokenLease, Tx};
use tokio::time::Instant as Stopwatch;

use crate::{Ceiling, Error, LEASE_TTL, Reaction};

/// How old a lease may be when a call begins under it: the call takes ten seconds at most.
const YOUNG: Duration = Duration::from_secs(5);

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
    /// A token that must not come back: WeChat no longer takes it, or another is wanted.
    pub not: Option<&'a Secret<String>>,
}

/// Where tokens of one sort come from: how WeChat is asked, and what else is to be done.
pub trait Source: Debug + Send + Sync + Sized + 'static {
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

    /// Those of its tokens that workers look at.
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
    /// returns. Before each call the lease is to be held on to.
    fn obtain(
        &self,
        owner: &Self::Owner,
        wanted: Wanted<'_>,
        hold: &Hold<'_>,
    ) -> impl Future<Output = Result<Obtained, Self::Error>> + Send;

    /// What those may be told who only see the token: without what is somebody else's matter.
    fn told(&self, error: &Self::Error) -> String {
        error.to_string()
    }

    /// What follows a failure.
    fn reaction(&self, error: &Self::Error) -> Reaction;

    /// Whether the token was refreshed too often, so that nothing was asked.
    fn is_ceiling(&self, error: &Self::Error) -> bool;

    /// Does what may help against a failure. No lease is held. `round` counts from 0.
    fn cure(
        &self,
        _owner: &Self::Owner,
        _error: &Self::Error,
        _round: u32,
    ) -> impl Future<Output = Result<Cured<Self::Owner>, Self::Error>> + Send {
        async { Ok(Cured::No) }
    }

    /// Whether something has happened since `kept` failed that makes another attempt worth while. An
    /// error when something is still missing that is needed.
    fn is_reconsidered(
        &self,
        _owner: &Self::Owner,
        _kept: &KeptToken,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        async { Ok(false) }
    }

    /// Writes what else a refresh that went well means, in the transaction that stores the token.
    fn refreshed(
        &self,
        _tx: &Tx,
        _owner: &Self::Owner,
    ) -> impl Future<Output = lingpai_storage::Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Holds on to the lease of a refresh that may take more than one call.
#[derive(Debug)]
pub struct Hold<'a> {
    db: &'a Db,
    ceiling: &'a Ceiling,
    lease: &'a TokenLease,
    renewed: Mutex<Stopwatch>,
    is_counted: AtomicBool,
    salvaged: Mutex<Option<Secret<String>>>,
}

impl<'a> Hold<'a> {
    /// On a lease that was taken a moment ago.
    pub(super) fn of(db: &'a Db, ceiling: &'a Ceiling, lease: &'a TokenLease) -> Self {
        let (renewed, is_counted) = (Mutex::new(Stopwatch::now()), AtomicBool::new(false));
        Self { db, ceiling, lease, renewed, is_counted, salvaged: Mutex::default() }
    }

    /// Keeps a refresh token of an answer that is of no use otherwise: it may be the only one now.
    pub fn salvage(&self, refresh_token: Secret<String>) {
        *self.salvaged.lock().unwrap_or_else(PoisonError::into_inner) = Some(refresh_token);
    }

    /// What was salvaged, if anything.
    pub(super) fn salvaged(&self) -> Option<Secret<String>> {
        self.salvaged.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes sure that the lease is still ours and lasts for one more call; the first one is counted
    /// against the ceilings. While the lease is young it needs no word with the database.
    ///
    /// # Errors
    /// [`Error::Storage`]; fenced off, nothing more may be asked. [`Error::CeilingReached`].
    pub async fn on(&self) -> Result<(), Error> {
        if !self.is_counted.swap(true, Ordering::Relaxed) {
            self.ceiling.pass(self.lease.key()).await?;
        }
        if self.age() < YOUNG { Ok(()) } else { self.anew().await }
    }

    /// As [`Hold::on`], whatever the lease's age: for a call with something that somebody else may
    /// have brought.
    ///
    /// # Errors
    /// [`Error::Storage`]; fenced off, nothing more may be asked.
    pub async fn anew(&self) -> Result<(), Error> {
        self.db.renew_token(self.lease, LEASE_TTL).await?;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::now();
        Ok(())
    }

    fn age(&self) -> Duration {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
