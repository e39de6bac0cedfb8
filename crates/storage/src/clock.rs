//! The clock that all instances share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant as Stopwatch,
};

use lingpai_model::{Instant, clock::Clock};

use crate::{db::Db, error::Result};

/// The database's clock: read from time to time, and carried on by the machine's stopwatch in
/// between. A machine whose own clock is wrong, or is set while we run, changes nothing.
#[derive(Debug)]
pub struct DatabaseClock {
    stopwatch: Stopwatch,
    /// What the database's clock showed when the stopwatch was started, in Unix milliseconds.
    started_at: AtomicI64,
}

impl DatabaseClock {
    /// A clock that shows what the database's does.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn of(db: &Db) -> Result<Arc<Self>> {
        let clock = Self { stopwatch: Stopwatch::now(), started_at: AtomicI64::new(0) };
        clock.set_by(db).await?;
        Ok(Arc::new(clock))
    }

    /// Reads the database's clock again: stopwatches drift, and stand still while a machine sleeps.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`]; the clock then goes on as it was.
    pub async fn set_by(&self, db: &Db) -> Result<()> {
        let asked = self.elapsed();
        let shown = db.now().await?.timestamp_millis();
        // The answer was true somewhere between question and receipt.
        let started_at = shown - i64::midpoint(asked, self.elapsed());
        self.started_at.store(started_at, Ordering::Release);
        Ok(())
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.stopwatch.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Instant {
        let millis = self.started_at.load(Ordering::Acquire) + self.elapsed();
        Instant::from_timestamp_millis(millis).unwrap_or_default()
    }
}
