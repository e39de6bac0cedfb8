//! When a delivery that failed is tried again.

use std::time::Duration;

use lingpai_model::{
    Instant,
    clock::Entropy,
    delivery::{DeadReason, Next},
};

/// By how much of itself a pause may be shorter or longer, in per cent.
const JITTER_PER_CENT: u64 = 20;

/// The longest wish of an endpoint (`Retry-After`) that is granted. The later pauses are longer
/// anyway, and granting more would use up the three days without attempts.
const LONGEST_WISH: Duration = Duration::from_secs(60 * 60);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// When a delivery that failed is tried again, and when it is given up.
#[derive(Debug, Clone)]
pub struct RetrySchedule {
    /// The pauses between attempts, before chance makes them shorter or longer. There is one attempt
    /// more than pauses.
    pub pauses: Vec<Duration>,
    /// How long after it was made a delivery is tried for the last time. One that is older than that
    /// and still has attempts left, because its endpoint was paused, is tried at the usual pauses.
    pub lifetime: Duration,
}

/// An attempt that failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// Which one it was, from 1.
    pub attempt: u32,
    /// When the delivery was made.
    pub created_at: Instant,
    /// When the attempt ended.
    pub at: Instant,
    /// How long the endpoint wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Default for RetrySchedule {
    /// Eleven attempts over three days.
    fn default() -> Self {
        let pauses = [
            5,
            30,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            18 * HOUR,
            22 * HOUR,
        ];
        Self {
            pauses: pauses.map(Duration::from_secs).to_vec(),
            lifetime: Duration::from_secs(3 * 24 * HOUR),
        }
    }
}

impl RetrySchedule {
    /// How many attempts there are at most.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.pauses.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// How the delivery goes on: again at some time, or dead.
    #[must_use]
    pub fn after(&self, failed: Failed, entropy: &Entropy) -> Next {
        let made = usize::try_from(failed.attempt.max(1)).unwrap_or(usize::MAX);
        let Some(pause) = self.pauses.get(made - 1) else { return Next::Dead(DeadReason::GaveUp) };
        let wish = failed.retry_after.unwrap_or_default().min(LONGEST_WISH);
        let due = failed.at + jittered(*pause, entropy).max(wish);
        let end = failed.created_at + self.lifetime;
        Next::Again(if failed.at < end { due.min(end) } else { due })
    }
}

/// The pause, made shorter or longer by chance, so that what failed together is not tried together.
pub(crate) fn jittered(pause: Duration, entropy: &Entropy) -> Duration {
    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX / 1000);
    let spread = millis.saturating_mul(2 * JITTER_PER_CENT) / 100;
    let chance = u128::from(u32::from_be_bytes(entropy.bytes()));
    let above = u64::try_from((u128::from(spread) * chance) >> u32::BITS).unwrap_or_default();
    Duration::from_millis(millis - spread / 2 + above)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn start() -> Instant {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    /// How it goes on after a failure of a delivery that was made at the start.
    fn after(attempt: u32, at: Instant, wish: Option<Duration>, entropy: &Entropy) -> Next {
        let failed = Failed { attempt, created_at: start(), at, retry_after: wish };
        RetrySchedule::default().after(failed, entropy)
    }

    fn pause(next: Next, at: Instant) -> Duration {
        match next {
            Next::Again(due) => (due - at).to_std().unwrap(),
            other => panic!("it goes on, not {other:?}"),
        }
    }

    #[test]
    fn every_delivery_is_tried_for_almost_three_days_and_no_longer() {
        let day = Duration::from_secs(24 * HOUR);
        for seed in 0..200 {
            let entropy = Entropy::seeded(seed);
            let (mut at, mut attempts) = (start(), 1);
            while let Next::Again(due) = after(attempts, at, None, &entropy) {
                assert!(due > at);
                (at, attempts) = (due, attempts + 1);
            }
            assert_eq!(attempts, 11);
            let span = (at - start()).to_std().unwrap();
            assert!(span <= 3 * day && span > 2 * day, "{span:?}");
        }
    }

    #[test]
    fn pauses_differ_by_chance_within_a_fifth() {
        let hour = Duration::from_secs(HOUR);
        let drawn: Vec<Duration> =
            (0..500).map(|seed| jittered(hour, &Entropy::seeded(seed))).collect();
        assert!(drawn.iter().all(|pause| (hour * 4 / 5..=hour * 6 / 5).contains(pause)));
        assert!(drawn.iter().any(|pause| *pause < hour * 85 / 100));
        assert!(drawn.iter().any(|pause| *pause > hour * 115 / 100));
        assert_eq!(jittered(Duration::ZERO, &Entropy::seeded(1)), Duration::ZERO);
    }

    #[test]
    fn a_wish_to_be_left_alone_is_granted_up_to_an_hour() {
        let wish = |secs| {
            let wish = Some(Duration::from_secs(secs));
            pause(after(1, start(), wish, &Entropy::seeded(1)), start())
        };
        let unwished = Duration::from_secs(4)..=Duration::from_secs(6);
        assert!(unwished.contains(&wish(0)), "it makes no pause shorter");
        assert_eq!(wish(600), Duration::from_secs(600));
        assert_eq!(wish(u32::MAX.into()), LONGEST_WISH);
    }

    #[test]
    fn a_delivery_that_waited_for_its_endpoint_still_has_its_attempts() {
        let late = start() + chrono::Duration::days(10);
        let next = after(1, late, None, &Entropy::seeded(1));
        assert!(pause(next, late) >= Duration::from_secs(4));
    }

    #[test]
    fn it_ends_after_the_last_attempt() {
        for attempt in [11, 12, u32::MAX] {
            let next = after(attempt, start(), None, &Entropy::seeded(1));
            assert_eq!(next, Next::Dead(DeadReason::GaveUp));
        }
    }
}
