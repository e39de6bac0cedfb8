//! Calls of WeChat whose outcome is kept, whether or not their caller waits for it, and how many of
//! them there may be at once: with its caller such work loses the limits that the caller stood under.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// How many errands one service runs at once: each holds a connection to WeChat.
const AT_ONCE: usize = 128;

/// How often what WeChat gives once is written, if the database does not take it.
const KEEPS: u32 = 10;

/// How long to wait in between.
const KEEP_AGAIN: Duration = Duration::from_millis(200);

/// How long a caller waits for his turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// The errands of one service. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Errands {
    tasks: TaskTracker,
    turns: Arc<Semaphore>,
}

impl Errands {
    /// Errands that run as `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { tasks, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Does the work as a task of the server's: a caller who hangs up changes nothing, and until the
    /// work is done it counts.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is no turn soon: nothing is begun. Otherwise what the work failed
    /// with.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Busy)?.expect("nobody closes it");
        let errand = self.tasks.spawn(async move {
            let _turn = turn;
            work.await
        });
        match errand.await {
            Ok(done) => done,
            Err(died) => resume_unwind(died.into_panic()),
        }
    }
}

/// Keeps what WeChat gave for a code, which it gives once: as long as the database is away, or somebody
/// else is just keeping something of the same fan, it is tried again.
///
/// # Errors
/// What keeping it failed with for good, or the last time.
pub(crate) async fn persistently<T, F>(what: &str, keep: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut keeps = 0;
    loop {
        keeps += 1;
        match keep().await {
            Err(Error::Storage(error)) if keeps < KEEPS && is_worth_another_try(&error) => {
                tracing::warn!(%error, "{what} could not be stored; it is tried again");
                sleep(KEEP_AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether the same may be kept a little later: somebody else was faster, or the database is away.
fn is_worth_another_try(error: &lingpai_storage::Error) -> bool {
    use lingpai_storage::Error as E;
    matches!(error, E::AlreadyExists { .. } | E::Fenced { .. }) || error.is_transient()
}

#[cfg(test)]
mod tests {
    use futures_util::{future::join_all, poll};
    use tokio::{sync::Notify, task::yield_now};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_runs_for_callers_who_hung_up_counts_until_it_is_done() {
        let errands = Errands::new(TaskTracker::new());
        let gate = Arc::new(Notify::new());
        let waits = || {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Ok(())
            }
        };
        {
            let mut hanging_up = Box::pin(join_all((0..AT_ONCE).map(|_| errands.run(waits()))));
            while errands.tasks.len() < AT_ONCE {
                assert!(poll!(hanging_up.as_mut()).is_pending());
                yield_now().await;
            }
        }
        assert_eq!(errands.tasks.len(), AT_ONCE, "all of them run on");
        assert!(matches!(errands.run(async { Ok(()) }).await, Err(Error::Busy)));
        assert_eq!(errands.tasks.len(), AT_ONCE, "nothing was begun");
        gate.notify_one();
        assert!(errands.run(async { Ok(()) }).await.is_ok(), "one was done");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_database_does_not_take_is_tried_again_unless_that_is_for_nothing() {
        use lingpai_storage::Error as E;
        let tries = std::cell::Cell::new(0);
        let failing = async |times, error: fn() -> Error| {
            tries.set(0);
            let keep = || async {
                tries.set(tries.get() + 1);
                if tries.get() > times { Ok(()) } else { Err(error()) }
            };
            (persistently("it", keep).await.is_ok(), tries.get())
        };
        let taken = || E::AlreadyExists { what: "row" }.into();
        assert_eq!(failing(KEEPS - 1, taken).await, (true, KEEPS));
        assert_eq!(failing(KEEPS, taken).await, (false, KEEPS));
        let away = || E::CommitUnknown { source: Arc::new(std::fmt::Error) }.into();
        assert_eq!(failing(1, away).await, (true, 2));
        assert_eq!(failing(1, || E::RolledBack.into()).await, (false, 1));
        assert_eq!(failing(1, || Error::FanUnknown).await, (false, 1));
    }
}
