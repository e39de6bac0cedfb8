//! Where time and randomness come from.
//!
//! Both are passed in, never taken, so that a test can hold the clock and replay a run. Leases do
//! not use this clock: they compare with the database's own, which all instances share.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Duration, SubsecRound as _, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::Instant;

/// Tells the time. Shared by every service.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The present instant, cut to whole milliseconds, which is what the database keeps.
    fn now(&self) -> Instant;
}

/// A clock that any number of services share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Instant {
        Utc::now().trunc_subsecs(3)
    }
}

/// A clock that stands still until it is moved; for tests and simulations.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Instant>>);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at.trunc_subsecs(3))))
    }

    /// Moves the hands forward, or back with a negative duration.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source of every random byte: ids, keys, links, nonces.
#[derive(Clone)]
pub struct Entropy(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Entropy {
    /// The operating system's generator: the only one fit for keys.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable generator for tests and simulations.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => from_the_machine(&mut bytes),
            Source::Seeded(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
            }
        }
        bytes
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
fn from_the_machine(bytes: &mut [u8]) {
    rand::rng().fill(bytes);
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_bytes() {
        let [a, b] = [Entropy::seeded(7), Entropy::seeded(7)];
        assert_eq!(a.bytes::<16>(), b.bytes::<16>());
        assert_ne!(Entropy::system().bytes::<16>(), Entropy::system().bytes::<16>());
    }
}
