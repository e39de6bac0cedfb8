use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Semaphore;

/// So many owners are remembered before those that have nothing under way are forgotten.
const REMEMBERED: usize = 1_024;

/// How much each owner, a tenant or an endpoint, may have under way at once. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Seats<Owner> {
    each: usize,
    owners: Arc<Mutex<HashMap<Owner, Weak<Semaphore>>>>,
}

impl<Owner: Clone + Eq + Hash> Seats<Owner> {
    /// `each` for every owner.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, owners: Arc::default() }
    }

    /// The owner's seats. They are remembered as long as somebody holds one, or these.
    pub(crate) fn of(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seats) = owners.get(owner).and_then(Weak::upgrade) {
            return seats;
        }
        if owners.len() >= REMEMBERED {
            owners.retain(|_, seats| seats.strong_count() > 0);
        }
        let seats = Arc::new(Semaphore::new(self.each));
        owners.insert(owner.clone(), Arc::downgrade(&seats));
        seats
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Instant, clock::Entropy, id::TenantId};

    use super::*;

    fn tenant(seed: u64) -> TenantId {
        TenantId::new(Instant::UNIX_EPOCH, &Entropy::seeded(seed))
    }

    #[test]
    fn a_tenant_has_its_own_seats_and_no_more() {
        let seats = Seats::new(2);
        let (one, other) = (seats.of(&tenant(1)), seats.of(&tenant(2)));
        let taken = Arc::clone(&one).try_acquire_many_owned(2).expect("two are free");
        drop(one);
        assert!(seats.of(&tenant(1)).try_acquire().is_err(), "both are taken");
        assert!(other.try_acquire().is_ok());
        drop(taken);
        assert!(seats.of(&tenant(1)).try_acquire().is_ok());
    }

    #[test]
    fn idle_owners_are_forgotten() {
        let seats = Seats::new(1);
        let kept = seats.of(&tenant(0));
        for seed in 1..=u64::try_from(REMEMBERED).unwrap() {
            drop(seats.of(&tenant(seed)));
        }
        assert!(seats.owners.lock().unwrap().len() <= 2);
        assert!(Arc::ptr_eq(&kept, &seats.of(&tenant(0))));
    }
}
