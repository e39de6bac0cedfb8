use std::time::Duration;

use lingpai_model::{
    Instant, Secret,
    caller::{Caller, OperatorCaller},
    clock::SharedClock,
    digest::Digest,
};
use lingpai_storage::{Db, IdempotencyEntry, IdempotencyState};

use crate::{Error, Result};

/// How long the answer to a request is kept at least for those who repeat it.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that is not answered after this time is taken to have broken off.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// The longest idempotency key.
const MAX_LEN: usize = 255;

/// Remembers what requests with an `Idempotency-Key` were answered, so that repeating one has no
/// second effect.
#[derive(Debug, Clone)]
pub struct IdempotencyKeys {
    db: Db,
    clock: SharedClock,
}

/// Whose idempotency keys: those of one API key or operator, since another key of the same tenant
/// may not be allowed to see what this one was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyOwner(String);

impl From<&Caller> for IdempotencyOwner {
    fn from(caller: &Caller) -> Self {
        Self(caller.key_id.to_string())
    }
}

impl From<&OperatorCaller> for IdempotencyOwner {
    fn from(caller: &OperatorCaller) -> Self {
        Self(caller.id.to_string())
    }
}

/// What becomes of a request with an idempotency key.
#[derive(Debug)]
pub enum Begun {
    /// It is the first: do it, and finish or abandon the claim.
    First(Claim),
    /// It was answered before: this was the answer.
    Again(StoredAnswer),
}

/// The right to answer a request for the first time. If it is dropped, nobody knows later whether
/// the request had its effect.
#[derive(Debug)]
#[must_use = "finish it with the answer, or abandon it when there was no effect"]
pub struct Claim {
    id: Digest,
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// What kind of body it is.
    pub content_type: String,
    /// The body, which may hold what is shown only once.
    pub body: Secret<Vec<u8>>,
}

impl IdempotencyKeys {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Begins the request of which `request` is the digest, with the owner's idempotency `key`.
    ///
    /// # Errors
    /// [`Error::BadIdempotencyKey`]; [`Error::IdempotencyMismatch`] when the key was used for
    /// another request; [`Error::IdempotencyUnderWay`] while the first one is not answered, and
    /// [`Error::IdempotencyInterrupted`] when it will not be any more.
    pub async fn begin(
        &self,
        owner: IdempotencyOwner,
        key: &str,
        request: Digest,
    ) -> Result<Begun> {
        if key.len() > MAX_LEN || key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::BadIdempotencyKey);
        }
        let id = Digest::of(&[b"idempotency", owner.0.as_bytes(), key.as_bytes()]);
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut is_first = tx.idempotency().insert(&id, &request, now).await?;
        if !is_first {
            if let Some(entry) = tx.idempotency().find(&id).await? {
                return recall(entry, &request, now);
            }
            // Abandoned or swept since we looked.
            is_first = tx.idempotency().insert(&id, &request, now).await?;
        }
        tx.commit().await?;
        if is_first { Ok(Begun::First(Claim { id })) } else { Err(Error::IdempotencyUnderWay) }
    }

    /// Keeps the answer to the first request for those who repeat it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed: who repeats the request is then told that it
    /// broke off.
    pub async fn finish(&self, claim: Claim, answer: StoredAnswer) -> Result<()> {
        let StoredAnswer { status, content_type, body } = &answer;
        let tx = self.db.begin().await?;
        tx.idempotency().finish(&claim.id, *status, content_type, body).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets a request that had no effect, so that it can be repeated with the same key.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed: who repeats the request is then told that it
    /// broke off.
    pub async fn abandon(&self, claim: Claim) -> Result<()> {
        let tx = self.db.begin().await?;
        tx.idempotency().delete(&claim.id).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets the requests that began more than a day ago, and returns how many: their keys are new
    /// then. For a worker.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn sweep(&self) -> Result<u64> {
        let before = self.clock.now() - KEPT;
        let mut swept = 0;
        loop {
            let tx = self.db.begin().await?;
            let some = tx.idempotency().sweep(before).await?;
            tx.commit().await?;
            if some == 0 {
                return Ok(swept);
            }
            swept += some;
        }
    }
}

/// What a request is told whose key was used before.
fn recall(entry: IdempotencyEntry, request: &Digest, now: Instant) -> Result<Begun> {
    if entry.request != *request {
        return Err(Error::IdempotencyMismatch);
    }
    match entry.state {
        IdempotencyState::Done { status, content_type, body } => {
            Ok(Begun::Again(StoredAnswer { status, content_type, body }))
        }
        IdempotencyState::UnderWay if now < entry.created_at + UNDER_WAY => {
            Err(Error::IdempotencyUnderWay)
        }
        IdempotencyState::UnderWay => Err(Error::IdempotencyInterrupted),
    }
}
