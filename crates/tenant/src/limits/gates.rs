//! Gates: one per tenant or key that is calling, and never more than are in use.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock as _,
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::stopwatch::Stopwatch;

/// How many gates are kept. When more are in use, those are dropped that hold no request; who had
/// one of them begins anew with a full burst.
pub(super) const MOST: usize = 10_000;

/// How long a gate is kept that nobody uses: after this time every rate is whole again.
pub(super) const KEPT: Duration = Duration::from_secs(60);

type Limiter = RateLimiter<NotKeyed, InMemoryState, Stopwatch, StateInformationMiddleware>;

/// The gates of one kind.
pub(super) struct Gates<K> {
    stopwatch: Stopwatch,
    gates: RwLock<Kept<K>>,
}

struct Kept<K> {
    by_key: HashMap<K, Arc<Gate>>,
    swept_at: Duration,
}

impl<K> fmt::Debug for Gates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> Gates<K> {
    pub(super) fn new(stopwatch: Stopwatch) -> Self {
        let kept = Kept { by_key: HashMap::new(), swept_at: stopwatch.now() };
        Self { stopwatch, gates: RwLock::new(kept) }
    }

    /// The gate of `key`, which holds to `quota`. A gate that held to another one is replaced;
    /// whoever is inside still counts.
    pub(super) fn gate(&self, key: &K, quota: Option<Quota>) -> Arc<Gate> {
        let now = self.stopwatch.now();
        let known = {
            let kept = self.gates.read().unwrap_or_else(PoisonError::into_inner);
            kept.by_key.get(key).filter(|gate| gate.quota == quota).cloned()
        };
        if let Some(gate) = known {
            gate.touch(now);
            return gate;
        }
        let mut kept = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        kept.make_room(now);
        let old = kept.by_key.get(key);
        // Somebody may have put it there while we waited.
        if let Some(gate) = old.filter(|gate| gate.quota == quota) {
            return Arc::clone(gate);
        }
        let seats = old.map(|gate| Arc::clone(&gate.seats)).unwrap_or_default();
        let gate = Arc::new(Gate::new(quota, seats, &self.stopwatch));
        kept.by_key.insert(key.clone(), Arc::clone(&gate));
        gate
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.gates.read().expect("no test panics in here").by_key.len()
    }
}

impl<K: Eq + Hash> Kept<K> {
    /// Drops the gates that nobody uses, from time to time and before there are too many.
    fn make_room(&mut self, now: Duration) {
        let is_full = self.by_key.len() >= MOST;
        if is_full || now.saturating_sub(self.swept_at) >= KEPT {
            self.by_key.retain(|_, gate| gate.is_held() || gate.was_used_within(KEPT, now));
            self.swept_at = now;
        }
        if self.by_key.len() >= MOST {
            self.by_key.retain(|_, gate| gate.is_held());
        }
    }
}

/// What one tenant or key has to pass.
pub(super) struct Gate {
    quota: Option<Quota>,
    limiter: Option<Limiter>,
    /// How many requests are inside.
    seats: Arc<AtomicU32>,
    /// When it was last asked for, in milliseconds of the stopwatch.
    used_at: AtomicU64,
    stopwatch: Stopwatch,
}

impl Gate {
    fn new(quota: Option<Quota>, seats: Arc<AtomicU32>, stopwatch: &Stopwatch) -> Self {
        let limiter = quota.map(|quota| {
            let limiter = RateLimiter::direct_with_clock(quota, stopwatch.clone());
            limiter.with_middleware::<StateInformationMiddleware>()
        });
        let used_at = AtomicU64::new(millis(stopwatch.now()));
        Self { quota, limiter, seats, used_at, stopwatch: stopwatch.clone() }
    }

    /// Passes once and tells how often one could pass again at once; or for how long one cannot.
    pub(super) fn pass(&self) -> Result<u32, Duration> {
        let Some(limiter) = &self.limiter else { return Ok(u32::MAX) };
        match limiter.check() {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(not_until) => Err(not_until.wait_time_from(self.stopwatch.now())),
        }
    }

    /// Takes one of `limit` seats, if one is free.
    pub(super) fn take_seat(&self, limit: u32) -> Option<Seat> {
        let one_more = |taken: u32| (taken < limit).then(|| taken + 1);
        let taken = self.seats.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.is_ok().then(|| Seat(Arc::clone(&self.seats)))
    }

    fn touch(&self, now: Duration) {
        self.used_at.store(millis(now), Ordering::Release);
    }

    fn was_used_within(&self, time: Duration, now: Duration) -> bool {
        millis(now).saturating_sub(self.used_at.load(Ordering::Acquire)) < millis(time)
    }

    /// Whether anybody is inside, or on the way in.
    fn is_held(self: &Arc<Self>) -> bool {
        self.seats.load(Ordering::Acquire) > 0 || Arc::strong_count(self) > 1
    }
}

/// A request that is inside. Dropping it gives the place to the next one.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicU32>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
