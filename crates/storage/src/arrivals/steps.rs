//! Where the steps of commits run.

use std::{io, sync::mpsc, thread};

use tokio::{
    runtime::{Builder, Handle},
    task::JoinHandle,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// What the thread is called.
const NAME: &str = "arrivals";

/// Runs the steps of commits.
pub(super) struct Steps {
    /// Where they run.
    runtime: Handle,
    /// Those that have not ended.
    running: TaskTracker,
    /// Ends the thread, if there is one.
    _end: Option<DropGuard>,
}

impl Steps {
    /// On the runtime of the caller. Right where a step waits for a server, whose answers come to that
    /// runtime anyway.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current(), running: TaskTracker::new(), _end: None }
    }

    /// On a thread that does nothing else. Right for SQLite, which has a thread of its own as well: each
    /// statement goes there and back, and among requests it would stand in line every time, while
    /// nobody else can write.
    ///
    /// The thread ends when this is dropped and the last step has ended.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn on_a_thread() -> io::Result<Self> {
        let (end, running) = (CancellationToken::new(), TaskTracker::new());
        let (ended, unfinished) = (end.clone(), running.clone());
        let (tell, told) = mpsc::channel();
        thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            // Built here, since it must not be dropped where others are at work.
            let runtime = match Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            drop(tell.send(Ok(runtime.handle().clone())));
            runtime.block_on(async move {
                ended.cancelled().await;
                unfinished.close();
                unfinished.wait().await;
            });
        })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, running, _end: Some(end.drop_guard()) })
    }

    /// Begins a step. It runs to its end, whoever waits for it.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.running.spawn_on(step, &self.runtime)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_thread_stays_until_the_last_step_has_ended() {
        let steps = Steps::on_a_thread().expect("a thread");
        let (go_on, told) = oneshot::channel();
        let step = steps.begin(async move {
            told.await.expect("it is told");
            thread::current().name().map(str::to_owned)
        });
        drop(steps);
        go_on.send(()).expect("the step waits");
        assert_eq!(step.await.expect("it ends").as_deref(), Some(NAME));
    }
}
