//! Brings deliveries to endpoints, in turns.
//!
//! A turn belongs to one endpoint and holds its lease, so that one process in the cluster sends to it
//! at a time and the bound on requests in flight is a bound. Which endpoints have something due is
//! asked of the database, the one whose last turn is longest ago first; an endpoint with a long queue
//! gives way after [`turn::LONGEST`]. An endpoint that hangs costs its own turn and nobody else's.
//!
//! The alternative, one queue of all deliveries in order of time, lets the backlog of one endpoint
//! stand before everybody else's work.

mod turn;

use std::sync::Arc;

use lingpai_model::id::TenantId;
use lingpai_storage::EndpointLease;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use self::turn::Turn;
use crate::{Result, WebhookBase, seats::Seats};

/// How many turns there are at once in one process.
const TURNS: usize = 512;

/// How many deliveries of one tenant are under way at once in one process.
const IN_FLIGHT_PER_TENANT: usize = 16;

/// The worker that brings deliveries to endpoints. Clones share its turns.
#[derive(Debug, Clone)]
pub struct Deliverer {
    base: WebhookBase,
    turns: Arc<Semaphore>,
    seats: Seats<TenantId>,
    running: TaskTracker,
}

impl Deliverer {
    /// A worker that has nothing under way.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        let running = TaskTracker::new();
        // It can be waited for all the time; more can begin all the same.
        running.close();
        let turns = Arc::new(Semaphore::new(TURNS));
        Self { base, turns, seats: Seats::new(IN_FLIGHT_PER_TENANT), running }
    }

    /// Begins a turn for endpoints with deliveries due, as many as there is room for; returns how
    /// many it has begun. It does not wait for them to end.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn run_once(&self) -> Result<usize> {
        drop(self.turns.acquire().await);
        let room = u64::try_from(self.turns.available_permits().max(1)).unwrap_or(u64::MAX);
        let due = self.base.db.endpoints().due(self.base.clock.now(), room).await?;
        let mut begun = 0;
        for id in due {
            let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() else { break };
            if let Some(lease) = self.base.db.lease_endpoint(&id, turn::LEASE).await? {
                self.begin(lease, permit);
                begun += 1;
            }
        }
        Ok(begun)
    }

    /// Waits until no turn is under way in this process.
    pub async fn settled(&self) {
        self.running.wait().await;
    }

    fn begin(&self, lease: EndpointLease, permit: OwnedSemaphorePermit) {
        let turn = Turn::new(self.base.clone(), lease, self.seats.clone());
        let turn = async move {
            let _permit = permit;
            turn.run().await;
        };
        self.base.tasks.spawn(self.running.track_future(turn));
    }
}
