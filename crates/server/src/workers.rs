//! The loops around the domain's `run_once`.
//!
//! A worker takes turns until it finds nothing to do, then waits for its interval or for a wake-up,
//! whichever is first. A turn is never interrupted: at shutdown the running one finishes. A turn
//! that fails or panics is logged here, once, and the next one waits a little longer each time.
//! Intervals are stretched or shortened at random, so that instances do not march in step.

use std::{sync::Arc, time::Duration};

use lingpai_model::clock::Entropy;
use tokio::{
    sync::Notify,
    task::JoinError,
    time::{Instant as Stopwatch, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often a worker looks for work.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks when there was nothing to do.
    pub interval: Duration,
    /// After a look that found nothing, however often it is woken.
    pub breath: Duration,
    /// After the first failure; doubled with each further one.
    pub first_backoff: Duration,
    /// The longest wait after a failure.
    pub longest_backoff: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            breath: Duration::from_millis(10),
            first_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
        }
    }
}

impl Pace {
    /// The wait after the `failures`th failure in a row.
    fn backoff(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first_backoff.saturating_mul(doubled).min(self.longest_backoff)
    }
}

/// One loop.
#[derive(Debug)]
pub struct Worker {
    /// What it is called in the log.
    pub name: &'static str,
    /// How often it looks for work.
    pub pace: Pace,
    /// Notified when there is work; only saves waiting for the interval.
    pub wake: Arc<Notify>,
    /// Where the jitter comes from.
    pub entropy: Entropy,
    /// Where its turns run, so that shutdown waits for the last one.
    pub tasks: TaskTracker,
}

impl Worker {
    /// Takes turns until `stop`. A turn tells how many things it worked on.
    pub async fn run<F, E>(self, stop: CancellationToken, turn: impl Fn() -> F)
    where
        F: Future<Output = Result<usize, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let outcome = match self.tasks.spawn(turn()).await {
                Ok(outcome) => outcome.map_err(anyhow::Error::new),
                Err(died) => Err(anyhow::Error::msg(how_it_died(&died))),
            };
            let pause = match outcome {
                Ok(worked_on) => {
                    failures = 0;
                    if worked_on > 0 {
                        continue;
                    }
                    self.jittered(self.pace.interval)
                }
                Err(error) => {
                    failures += 1;
                    let pause = self.jittered(self.pace.backoff(failures));
                    let error = format!("{error:#}");
                    let pause_ms = pause.as_millis();
                    tracing::error!(worker = self.name, failures, pause_ms, error, "a turn failed");
                    pause
                }
            };
            let earliest_next = Stopwatch::now() + self.pace.breath;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.woken(earliest_next), if failures == 0 => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Returns when there is work, and not before `earliest`: what comes in great numbers wakes it for
    /// all of them at once.
    async fn woken(&self, earliest: Stopwatch) {
        self.wake.notified().await;
        sleep_until(earliest).await;
    }

    /// `pause`, give or take a quarter.
    fn jittered(&self, pause: Duration) -> Duration {
        let [chance] = self.entropy.bytes::<1>();
        pause.mul_f64(0.75 + f64::from(chance) / 512.0)
    }
}

/// Why a task has no outcome. `JoinError` itself quotes what the panic said, which may be a secret.
fn how_it_died(error: &JoinError) -> &'static str {
    if error.is_panic() { "a task panicked" } else { "a task was cancelled" }
}

/// What the loops of a process share.
pub(crate) struct Loops<'a> {
    /// Where the jitter comes from.
    pub(crate) entropy: Entropy,
    /// Where they run.
    pub(crate) tasks: &'a TaskTracker,
    /// Ends them.
    pub(crate) stop: &'a CancellationToken,
}

impl Loops<'_> {
    /// Starts a loop: its name, how often it looks for work, what wakes it before, and its turn.
    pub(crate) fn start<S, F, E>(
        &self,
        (name, interval): (&'static str, Duration),
        wake: Arc<Notify>,
        service: &S,
        turn: impl Fn(S) -> F + Send + Sync + 'static,
    ) where
        S: Clone + Send + Sync + 'static,
        F: Future<Output = Result<usize, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let worker = Worker {
            name,
            pace: Pace { interval, ..Pace::default() },
            wake,
            entropy: self.entropy.clone(),
            tasks: self.tasks.clone(),
        };
        let service = service.clone();
        self.tasks.spawn(worker.run(self.stop.clone(), move || turn(service.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;

    const NEVER: Pace = Pace {
        interval: Duration::from_secs(100_000),
        breath: Duration::ZERO,
        first_backoff: Duration::ZERO,
        longest_backoff: Duration::ZERO,
    };

    fn worker(pace: Pace) -> Worker {
        Worker {
            name: "test",
            pace,
            wake: Arc::default(),
            entropy: Entropy::seeded(1),
            tasks: TaskTracker::new(),
        }
    }

    #[tokio::test]
    async fn turns_follow_at_once_while_there_is_work_and_after_failures_and_panics() {
        let (turns, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (counted, stopped) = (Arc::clone(&turns), stop.clone());
        worker(NEVER)
            .run(stop, move || {
                let (turn, stop) = (counted.fetch_add(1, Ordering::SeqCst), stopped.clone());
                async move {
                    match turn {
                        0 => Ok(1),
                        1 => Err(io::Error::other("the database is away")),
                        2 => panic!("a bug"),
                        _ => {
                            stop.cancel();
                            Ok(0)
                        }
                    }
                }
            })
            .await;
        assert_eq!(turns.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn the_log_tells_that_a_turn_panicked_but_not_what_it_said() {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let writer = Mutex::new(log.reopen().expect("it was just made"));
        let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
        let _captured = tracing::subscriber::set_default(subscriber);
        let (turns, stop) = (AtomicUsize::new(0), CancellationToken::new());
        let stopped = stop.clone();
        worker(NEVER)
            .run(stop, move || {
                let (turn, stop) = (turns.fetch_add(1, Ordering::SeqCst), stopped.clone());
                async move {
                    assert!(turn > 0, "canary-of-a-secret");
                    stop.cancel();
                    Ok::<_, io::Error>(0)
                }
            })
            .await;
        let text = fs::read_to_string(log.path()).expect("text");
        assert!(text.contains("a task panicked"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }

    #[tokio::test]
    async fn a_cancelled_task_did_not_panic() {
        let task = TaskTracker::new().spawn(std::future::pending::<()>());
        task.abort();
        let died = task.await.expect_err("it never ends by itself");
        assert_eq!(how_it_died(&died), "a task was cancelled");
    }

    #[tokio::test]
    async fn a_wake_up_ends_the_wait() {
        let (turns, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let worker = worker(NEVER);
        let (wake, stopped, counted) = (Arc::clone(&worker.wake), stop.clone(), Arc::clone(&turns));
        worker
            .run(stop, move || {
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    wake.notify_one();
                } else {
                    stopped.cancel();
                }
                async { Ok::<_, io::Error>(0) }
            })
            .await;
        assert_eq!(turns.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_it_is_woken_it_takes_breath_after_a_look_in_vain() {
        let (looks, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let worker = worker(Pace { breath: Duration::from_millis(10), ..NEVER });
        let (wake, stopped, noted) = (Arc::clone(&worker.wake), stop.clone(), Arc::clone(&looks));
        worker
            .run(stop, move || {
                let mut looks = noted.lock().expect("nobody panicked");
                looks.push(Stopwatch::now());
                wake.notify_one();
                if looks.len() == 4 {
                    stopped.cancel();
                }
                // There is work once, after which it looks again at once.
                let worked_on = usize::from(looks.len() == 2);
                async move { Ok::<_, io::Error>(worked_on) }
            })
            .await;
        let looks = looks.lock().expect("nobody panicked");
        let waits: Vec<_> = looks.windows(2).map(|two| (two[1] - two[0]).as_millis()).collect();
        assert_eq!(waits, [10, 0, 10]);
    }

    #[test]
    fn waits_after_failures_double_up_to_a_bound() {
        let pace = Pace::default();
        let waits = [1, 2, 3, 7, 40].map(|failures| pace.backoff(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 60, 60]);
    }
}
