//! The ledger of calls: counted in memory as they are made, and written in batches.
//!
//! A call costs no word with the database. What was counted since the last flush is lost when the
//! process dies; a flush that fails loses nothing. Where WeChat says that a quota is used up, the
//! account's owner is told, once a day or hour, whichever process heard it.

mod book;
mod unknown_paths;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Duration;
use lingpai_model::{
    authorizer::Authorizer,
    caller::{Caller, TenantScope},
    clock::{Entropy, SharedClock},
    page::{Page, PageRequest},
    usage::{Granularity, UsageFigure, UsageKey},
};
use lingpai_storage::{Db, UsageFilter};
use lingpai_wechat::call::Call;

use self::book::{Book, Warning, in_order};
use crate::{JudgedPath, Result, stream::warn_of_quota};

/// Under which number calls are counted that WeChat did not answer, or with nothing usable: as the
/// API's problems number WeChat's silence. WeChat has no such number.
pub const UNANSWERED: i64 = 7_900_054;

/// How many counts are written in one transaction: others write too, pushes above all.
const BATCH: usize = 200;

/// How long figures by the hour are kept.
const HOURS_KEPT: Duration = Duration::days(90);

/// How long figures by the day are kept.
const DAYS_KEPT: Duration = Duration::days(400);

/// How long marks are kept: more than the longest month.
const MARKS_KEPT: Duration = Duration::days(62);

/// Counts calls by key, account, path and what WeChat answered. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    book: Arc<Mutex<Book>>,
}

impl Ledger {
    /// An empty ledger that is written to `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy, book: Arc::default() }
    }

    /// Counts one call of `path`. 0 is success; [`UNANSWERED`] where WeChat gave no answer.
    pub fn count(
        &self,
        caller: &Caller,
        authorizer: &Arc<Authorizer>,
        path: &JudgedPath,
        errcode: i64,
    ) {
        let owner = (caller.scope.tenant_id(), &caller.key_id);
        let now = self.clock.now();
        let mut book = self.book();
        let path = book.name(owner.0, (path, errcode), now);
        book.count(owner, &authorizer.appid, (path, errcode));
        if book::is_warning(errcode) {
            book.warn(authorizer, (path, errcode));
        }
    }

    /// Counts one of our own calls that was made for a caller, as [`Ledger::count`] counts the
    /// caller's.
    pub(crate) fn count_call(
        &self,
        caller: &Caller,
        authorizer: &Arc<Authorizer>,
        call: Call,
        errcode: i64,
    ) {
        let owner = (caller.scope.tenant_id(), &caller.key_id);
        let mut book = self.book();
        book.count(owner, &authorizer.appid, (call.path, errcode));
        if book::is_warning(errcode) {
            book.warn(authorizer, (call.path, errcode));
        }
    }

    /// Counts what came of one of our own calls for a caller, if it was made at all.
    pub(crate) fn count_outcome<T>(
        &self,
        caller: &Caller,
        authorizer: &Arc<Authorizer>,
        call: Call,
        outcome: &Result<T>,
    ) {
        let counted = match outcome {
            Ok(_) => Some(0),
            Err(error) if error.is_refusal_of(call) => error.upstream_errcode(),
            Err(error) => error.leaves_effect_open().then_some(UNANSWERED),
        };
        if let Some(errcode) = counted {
            self.count_call(caller, authorizer, call, errcode);
        }
    }

    /// Writes what was counted since the last flush, and tells owners of quotas that are used up;
    /// returns how many counts there were.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed; what was not written is kept for the next
    /// flush.
    pub async fn flush(&self) -> Result<usize> {
        let (counts, mut warnings) = self.book().take();
        let mut counts = in_order(counts);
        let flushed = counts.len();
        let written = self.write(&mut counts).await;
        let warned = self.warn(&mut warnings).await;
        self.book().put_back(counts, warnings);
        written.and(warned)?;
        Ok(flushed)
    }

    /// The tenant's figures, oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn figures(
        &self,
        scope: &TenantScope,
        granularity: Granularity,
        filter: &UsageFilter,
        page: &PageRequest,
    ) -> Result<Page<UsageFigure>> {
        Ok(self.db.usage().list(scope, granularity, filter, page).await?)
    }

    /// Erases figures and marks that are too old; returns how many there were.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn sweep(&self) -> Result<u64> {
        let now = self.clock.now();
        let mut swept = 0;
        loop {
            let tx = self.db.begin().await?;
            let hours = tx.usage().sweep(Granularity::Hour, now - HOURS_KEPT).await?;
            let days = tx.usage().sweep(Granularity::Day, now - DAYS_KEPT).await?;
            let marks = tx.quotas().sweep(now - MARKS_KEPT).await?;
            tx.commit().await?;
            swept += hours + days + marks;
            if hours + days + marks == 0 {
                return Ok(swept);
            }
        }
    }

    /// Writes counts batch by batch, in an order that is the same in every process, so that two of
    /// them never wait for each other in a circle; takes out what is written.
    async fn write(&self, counts: &mut Vec<(UsageKey, u64)>) -> Result<()> {
        let now = self.clock.now();
        while !counts.is_empty() {
            let batch = counts.len().min(BATCH);
            let tx = self.db.begin().await?;
            tx.usage().add(&counts[..batch], now).await?;
            tx.commit().await?;
            counts.drain(..batch);
        }
        Ok(())
    }

    /// Tells owners of used-up quotas, unless they were told; takes out what is told.
    async fn warn(&self, warnings: &mut Vec<Warning>) -> Result<()> {
        let Self { db, clock, entropy, .. } = self;
        while let Some(warning) = warnings.last() {
            let now = clock.now();
            let period = warning.period(now);
            if !self.book().has_told(warning, &period) {
                let Warning { authorizer, path, errcode } = warning;
                let tx = db.begin().await?;
                let subject = warning.subject();
                let marks = tx.quotas().mark(&authorizer.id, &subject, &period, now).await?;
                if marks == 1 {
                    warn_of_quota(&tx, entropy, authorizer, (path, *errcode), now).await?;
                    tx.commit().await?;
                }
                self.book().tell(warning, period);
            }
            warnings.pop();
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
