//! How many streams are open at the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lingpai_model::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, Result};

/// The most streams of one tenant.
pub(super) const OF_ONE_TENANT: usize = 8;

/// The most streams of all: each asks the database twice a second.
const OF_ALL: usize = 256;

/// The seats of those who follow.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Taken,
}

/// How many seats each tenant has taken, if it has any.
type Taken = Arc<Mutex<HashMap<TenantId, usize>>>;

/// One seat, given back with the end of the stream.
#[derive(Debug)]
pub(super) struct Seat {
    tenant: TenantId,
    taken: Taken,
    _of_all: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self::of(OF_ALL)
    }

    fn of(all: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(all)), taken: Taken::default() }
    }

    /// A seat for `tenant`, at once or not at all: who has one keeps it for hours.
    ///
    /// # Errors
    /// A problem `too_many_streams` or `overloaded`.
    pub(super) fn take(&self, tenant: &TenantId) -> Result<Seat> {
        let mut taken = lock(&self.taken);
        if taken.get(tenant).is_some_and(|count| *count >= OF_ONE_TENANT) {
            return Err(Problem::too_many_streams(OF_ONE_TENANT));
        }
        let free = Arc::clone(&self.free).try_acquire_owned();
        let of_all = free.map_err(|_| Problem::overloaded())?;
        *taken.entry(tenant.clone()).or_default() += 1;
        Ok(Seat { tenant: tenant.clone(), taken: Arc::clone(&self.taken), _of_all: of_all })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<TenantId, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use lingpai_model::clock::Entropy;

    use super::*;
    use crate::{example, problem::Code};

    fn tenant(seed: u64) -> TenantId {
        TenantId::new(example::instant(), &Entropy::seeded(seed))
    }

    fn refused(seats: &Seats, tenant: &TenantId) -> Code {
        seats.take(tenant).expect_err("none is left").code()
    }

    #[test]
    fn a_tenant_has_eight_and_leaves_the_rest_to_others() {
        let (seats, one) = (Seats::new(), tenant(1));
        let mut held: Vec<_> = (0..8).map(|_| seats.take(&one).unwrap()).collect();
        assert_eq!(refused(&seats, &one), Code::TooManyStreams);
        assert!(seats.take(&tenant(2)).is_ok());
        held.pop();
        held.push(seats.take(&one).expect("one was given back"));
        held.clear();
        assert!(lock(&seats.taken).is_empty(), "who follows nothing is forgotten");
    }

    #[test]
    fn all_together_have_so_many_and_no_more() {
        let seats = Seats::of(2);
        let held = [seats.take(&tenant(1)).unwrap(), seats.take(&tenant(2)).unwrap()];
        assert_eq!(refused(&seats, &tenant(3)), Code::Overloaded);
        drop(held);
        assert!(seats.take(&tenant(3)).is_ok());
    }
}
