//! One refresh at a time: in this process by a shared task, in the cluster by a lease.
//!
//! A caller may vanish at any `await` (a reset connection does that), so the work between asking
//! WeChat and committing its answer belongs to a task of the server; callers only wait for it.
//! The lease alone decides between instances; the map here merely saves work.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use lingpai_storage::{Db, Lease, LeaseKey};
use tokio_util::task::TaskTracker;

use crate::Error;

/// How long a refresher may hold its lease: three times the timeout of a call to WeChat.
pub const LEASE_TTL: Duration = Duration::from_secs(30);

/// How long to wait before looking again at a lease that somebody else holds.
const LEASE_POLL: Duration = Duration::from_millis(100);

/// A refresh that any number of callers wait for.
pub type Flight<T, E> = Shared<BoxFuture<'static, Result<T, Arc<E>>>>;

/// The refreshes that are running in this process, by key.
#[derive(Debug)]
pub struct Flights<K, T, E> {
    running: Arc<Mutex<HashMap<K, Flight<T, E>>>>,
    tasks: TaskTracker,
}

impl<K, T, E> Flights<K, T, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// No refresh is running yet; those to come run on `tasks`, which shutdown waits for.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { running: Arc::default(), tasks }
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
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = running.get(&key) {
            return flight.clone();
        }
        let (work, list, landing_key) = (work(), Arc::clone(&self.running), key.clone());
        // The landing is made inside: a runtime that is closing drops the task at once, under the
        // lock that is held here.
        let task = self.tasks.spawn(async move {
            let _landing = Landing { running: list, key: landing_key };
            work.await
        });
        let flight = async {
            match task.await {
                Ok(result) => result.map_err(Arc::new),
                Err(died) => resume_unwind(died.into_panic()),
            }
        };
        let flight = flight.boxed().shared();
        running.insert(key, flight.clone());
        flight
    }
}

/// Takes a flight off the list when its work ends, however it ends.
struct Landing<K: Eq + Hash, T, E> {
    running: Arc<Mutex<HashMap<K, Flight<T, E>>>>,
    key: K,
}

impl<K: Eq + Hash, T, E> Drop for Landing<K, T, E> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// A piece of work that at most one instance does at a time.
pub trait LeasedWork: Sync {
    /// What it yields.
    type Outcome: Send;
    /// What it fails with.
    type Error: From<Error> + From<lingpai_storage::Error> + Send;

    /// The lease it is done under.
    fn lease_key(&self) -> LeaseKey;

    /// The outcome, if nothing is left to do.
    fn outcome(&self) -> impl Future<Output = Result<Option<Self::Outcome>, Self::Error>> + Send;

    /// Does the work, and ends the lease in the transaction that stores the result.
    fn perform(
        &self,
        lease: &Lease,
    ) -> impl Future<Output = Result<Self::Outcome, Self::Error>> + Send;
}

/// Does `work` under its lease, unless nothing is left to do.
///
/// The outcome is looked for before the lease is sought, while somebody else holds it, and once
/// more under it. Invariant: no transaction is open while this waits.
///
/// # Errors
/// [`Error::LeaseBusy`] when another instance holds the lease for longer than [`LEASE_TTL`];
/// otherwise what the work or the database failed with.
pub async fn under_lease<W: LeasedWork>(db: &Db, work: &W) -> Result<W::Outcome, W::Error> {
    let key = work.lease_key();
    let give_up = tokio::time::Instant::now() + LEASE_TTL + LEASE_POLL;
    loop {
        if let Some(outcome) = work.outcome().await? {
            return Ok(outcome);
        }
        if let Some(lease) = db.take_lease(&key, LEASE_TTL).await? {
            if let Some(outcome) = work.outcome().await? {
                db.release_lease(lease).await?;
                return Ok(outcome);
            }
            let done = work.perform(&lease).await;
            if done.is_err() {
                // Unless the work ended it: nobody shall wait for a lease that nothing is done under.
                db.release_lease(lease).await?;
            }
            return done;
        }
        if tokio::time::Instant::now() >= give_up {
            return Err(Error::LeaseBusy { what: key.to_string() }.into());
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
}
