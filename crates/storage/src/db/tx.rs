//! A transaction: written together, committed together, or not at all.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use sea_orm::DatabaseTransaction;
use tokio::sync::OwnedSemaphorePermit;

use super::{Db, Handle};
use crate::{
    cache::Changed,
    error::{Error, Result, cause, lost},
    lease::{self, Lease},
};

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx {
    // Rolled back by its own drop, which must come before that of the pools in `db`.
    tx: DatabaseTransaction,
    db: Db,
    notes: Notes,
    /// What others wait for, until this one has ended.
    turn: Option<OwnedSemaphorePermit>,
}

/// What a transaction remembers until its end.
#[derive(Default)]
pub(crate) struct Notes {
    /// A statement failed: PostgreSQL would answer the commit with a silent rollback, and MySQL may
    /// have rolled back already, so nothing of it may be called committed.
    failed: AtomicBool,
    changed: Mutex<Vec<Changed>>,
}

impl Notes {
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn changed(&self, what: Changed) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

impl Tx {
    pub(super) fn new(db: Db, tx: DatabaseTransaction) -> Self {
        Self { tx, db, notes: Notes::default(), turn: None }
    }

    pub(super) fn until_its_end(self, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { turn, ..self }
    }

    /// Commits. The commit runs to its end even if the caller is dropped meanwhile.
    ///
    /// # Errors
    /// [`Error::CommitUnknown`] when the database did not confirm it: it may have happened or not.
    /// [`Error::RolledBack`] when an earlier statement had failed and that was not heeded.
    pub async fn commit(self) -> Result<()> {
        let Self { tx, db, notes, turn } = self;
        if notes.failed.load(Ordering::Acquire) {
            return Err(Error::RolledBack);
        }
        let changed = notes.changed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let caches = Arc::clone(db.caches());
        let task = db.background().spawn(async move {
            let outcome = tx.commit().await;
            drop(turn);
            // Also when the outcome is unknown: it may well have happened.
            caches.forget(&changed).await;
            outcome
        });
        match task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::CommitUnknown { source: cause(&error) }),
            Err(task) => Err(Error::CommitUnknown { source: lost(&task) }),
        }
    }

    /// Gives a lease back as part of the transaction that writes what was done under it. This is
    /// the fence: call it in every such transaction.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody else took the lease meanwhile. Drop the transaction then.
    pub async fn finish_lease(&self, lease: &Lease) -> Result<()> {
        lease::finish(&self.handle(), lease).await
    }

    pub(crate) fn handle(&self) -> Handle<'_> {
        Handle::within(&self.tx, self.db.keys(), Some(&self.notes))
    }
}
