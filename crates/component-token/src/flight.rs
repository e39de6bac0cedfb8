//! One piece of work at a time: in this process by a shared task, in the cluster by a lease.
//!
//! A caller may vanish at any `await` (a reset connection does that), so the work between asking
//! WeChat and committing its answer belongs to a task of the server; callers only wait for it.
//! The lease alone decides between instances; the map here merely saves work.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant as Stopwatch;
use tokio_util::task::TaskTracker;

use crate::Error;

/// How long a worker may hold its lease: three times the timeout of a call to WeChat.
pub const LEASE_TTL: Duration = Duration::from_secs(30);

/// How long to wait before looking again at a lease that somebody else holds.
const LEASE_POLL: Duration = Duration::from_millis(100);

/// How old a flight may be that is still joined. One that a dead connection holds up goes on by
/// itself; its lease has long ended, and what it writes is fenced off.
const OLDEST_JOINED: Duration = Duration::from_secs(90);

/// A piece of work that any number of callers wait for.
pub type Flight<T, E> = Shared<BoxFuture<'static, Result<T, Arc<E>>>>;

/// The pieces of work that are running in this process, by key.
#[derive(Debug)]
pub struct Flights<K, T, E> {
    running: Arc<Mutex<Running<K, T, E>>>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Running<K, T, E> {
    last_number: u64,
    flights: HashMap<K, Entry<T, E>>,
}

#[derive(Debug)]
struct Entry<T, E> {
    number: u64,
    started: Stopwatch,
    flight: Flight<T, E>,
}

impl<K, T, E> Flights<K, T, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Nothing is running yet; what is to come runs on `tasks`, which shutdown waits for.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        let running = Running { last_number: 0, flights: HashMap::new() };
        Self { running: Arc::new(Mutex::new(running)), tasks }
    }

    /// Joins the flight of `key`, or starts it with `work` when there is none.
    ///
    /// The flight goes on when the returned future is dropped.
    ///
    /// # Errors
    /// What `work` failed with, shared by all who waited.
    ///
    /// # Panics
    /// When `work` does.
    pub fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Flight<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut running = lock(&self.running);
        if let Some(entry) = running.flights.get(&key)
            && entry.started.elapsed() < OLDEST_JOINED
        {
            return entry.flight.clone();
        }
        running.last_number += 1;
        let number = running.last_number;
        let landing = (Arc::clone(&self.running), key.clone());
        let work = work();
        // The landing is made inside: a runtime that is closing drops the task at once, under the
        // lock that is held here.
        let task = self.tasks.spawn(async move {
            let (running, key) = landing;
            let _landing = Landing { running, key, number };
            work.await
        });
        let flight = async {
            match task.await {
                Ok(result) => result.map_err(Arc::new),
                Err(died) => resume_unwind(died.into_panic()),
            }
        };
        let flight = flight.boxed().shared();
        let started = Stopwatch::now();
        running.flights.insert(key, Entry { number, started, flight: flight.clone() });
        flight
    }

    /// Those that are running now.
    #[must_use]
    pub fn running(&self) -> Vec<Flight<T, E>> {
        lock(&self.running).flights.values().map(|entry| entry.flight.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a flight off the list when its work ends, however it ends.
struct Landing<K: Eq + Hash, T, E> {
    running: Arc<Mutex<Running<K, T, E>>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T, E> Drop for Landing<K, T, E> {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        if running.flights.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            running.flights.remove(&self.key);
        }
    }
}

/// A piece of work that at most one instance does at a time.
pub trait LeasedWork: Sync {
    /// The right to do it.
    type Lease: Send;
    /// What it yields.
    type Outcome: Send;
    /// What it fails with.
    type Error: From<Error> + Send;

    /// What is worked on, for errors.
    fn name(&self) -> String;

    /// The outcome, if nothing is left to do.
    fn outcome(&self) -> impl Future<Output = Result<Option<Self::Outcome>, Self::Error>> + Send;

    /// Takes the lease; `None` while another instance holds it.
    fn take(&self) -> impl Future<Output = Result<Option<Self::Lease>, Self::Error>> + Send;

    /// Looks once more whether anything is left to do, does it, and ends the lease: in the
    /// transaction that stores the result if there is one, and whatever happens.
    fn perform(
        &self,
        lease: Self::Lease,
    ) -> impl Future<Output = Result<Self::Outcome, Self::Error>> + Send;
}

/// Does `work` under its lease, unless nothing is left to do.
///
/// The outcome is looked for before the lease is sought and while somebody else holds it.
/// Invariant: no transaction is open while this waits.
///
/// # Errors
/// [`Error::LeaseBusy`] when another instance holds the lease for longer than [`LEASE_TTL`];
/// otherwise what the work failed with.
pub async fn under_lease<W: LeasedWork>(work: &W) -> Result<W::Outcome, W::Error> {
    let give_up = Stopwatch::now() + LEASE_TTL + LEASE_POLL;
    loop {
        if let Some(outcome) = work.outcome().await? {
            return Ok(outcome);
        }
        if let Some(lease) = work.take().await? {
            return work.perform(lease).await;
        }
        if Stopwatch::now() >= give_up {
            return Err(Error::LeaseBusy { what: work.name() }.into());
        }
        tokio::time::sleep(LEASE_POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn fifty_callers_share_one_flight() {
        let flights = Arc::new(Flights::<u8, usize, String>::new(TaskTracker::new()));
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
                flights.join(1, || async move {
                    gate.notified().await;
                    Ok(runs.fetch_add(1, Ordering::SeqCst) + 1)
                })
            })
            .collect();
        gate.notify_one();
        for flight in waiting {
            assert_eq!(flight.await, Ok(1));
        }
        let again = flights.join(1, || async { Err("the next one is a new flight".to_owned()) });
        assert!(again.await.is_err());
        assert_eq!(flights.running().len(), 0, "whoever landed is off the list");
    }

    #[tokio::test]
    async fn a_flight_outlives_its_caller() {
        let tasks = TaskTracker::new();
        let flights = Flights::<u8, (), String>::new(tasks.clone());
        let (done, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (work_done, work_gate) = (Arc::clone(&done), Arc::clone(&gate));
        drop(flights.join(1, || async move {
            work_gate.notified().await;
            work_done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
        gate.notify_one();
        tasks.close();
        tasks.wait().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_that_hangs_is_left_behind_and_does_not_take_its_successor_down() {
        let flights = Flights::<u8, u8, String>::new(TaskTracker::new());
        let gate = Arc::new(Notify::new());
        let hung = Arc::clone(&gate);
        let old = flights.join(1, || async move {
            hung.notified().await;
            Ok(1)
        });
        tokio::time::advance(OLDEST_JOINED).await;
        let next = Arc::new(Notify::new());
        let waits = Arc::clone(&next);
        let new = flights.join(1, || async move {
            waits.notified().await;
            Ok(2)
        });
        gate.notify_one();
        assert_eq!(old.await, Ok(1));
        assert_eq!(flights.running().len(), 1, "the newer one is still under way");
        next.notify_one();
        assert_eq!(new.await, Ok(2));
    }
}
