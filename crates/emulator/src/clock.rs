//! The emulator's own time: the machine's plus an offset that tests and people move.
//!
//! Every life time of a ticket, token or code is judged by this clock. Waiting (the ticket timer,
//! pauses between repeats, latencies) is done in real time, so moving the clock expires things
//! without letting new pushes arrive.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds, shifted by what was advanced so far.
#[derive(Debug, Default)]
pub(crate) struct VirtualClock {
    offset_ms: AtomicI64,
}

impl VirtualClock {
    /// The present instant in Unix milliseconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "WeChat does not share the service's clock; this is its one look at the machine's"
    )]
    pub(crate) fn now_ms(&self) -> i64 {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        i64::try_from(machine).unwrap_or(i64::MAX).saturating_add(self.offset_ms())
    }

    /// How far the hands stand ahead of the machine's clock, in milliseconds.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the hands forward; they never go back.
    pub(crate) fn advance(&self, by: Duration) {
        // A century is further than any test looks and keeps the sum far from overflow.
        const CENTURY_MS: i64 = 100 * 366 * 24 * 3600 * 1000;
        let by = i64::try_from(by.as_millis()).unwrap_or(CENTURY_MS).min(CENTURY_MS);
        let forward = self.offset_ms().saturating_add(by).min(CENTURY_MS);
        self.offset_ms.store(forward, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_now_and_stops_at_a_century() {
        let clock = VirtualClock::default();
        let before = clock.now_ms();
        clock.advance(Duration::from_secs(7200));
        assert!(clock.now_ms() >= before + 7_200_000);
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert!(clock.now_ms() < before + 101 * 366 * 24 * 3_600_000);
    }
}
