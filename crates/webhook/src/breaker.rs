//! When an endpoint that fails is left alone for a while, and when for good.
//!
//! It spares a broken endpoint, and it spares us: an attempt at one that hangs takes a place in which
//! others could be served. Pure decisions over [`EndpointHealth`], which the database keeps.

use std::time::Duration;

use lingpai_model::{Instant, clock::Entropy, endpoint::EndpointHealth};

use crate::retry::jittered;

/// After how many failures in a row an endpoint is left alone for a while.
const FAILURES_BEFORE_BLOCK: u32 = 5;

/// How long it is left alone first; each further failure doubles that.
const FIRST_BLOCK: Duration = Duration::from_secs(10);

/// The longest that it is left alone, before chance makes that shorter or longer.
const LONGEST_BLOCK: Duration = Duration::from_secs(5 * 60);

/// How long an endpoint must have failed without a success to be disabled.
const FAILING_TOO_LONG: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How many failures in a row that takes at least: one with little to do gets its chances.
const FAILURES_BEFORE_DISABLING: u32 = 20;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Sending goes on, after the block if there is one.
    GoOn,
    /// The endpoint has failed for so long that it is to be disabled.
    Disable,
}

/// The health of an endpoint that took something at `at`.
#[must_use]
pub fn after_success(health: EndpointHealth, at: Instant) -> EndpointHealth {
    EndpointHealth {
        failures_in_row: 0,
        failing_since: None,
        blocked_until: None,
        last_success_at: Some(at),
        ..health
    }
}

/// The health of an endpoint after an attempt that failed at `at`, and what follows.
///
/// What fails while the endpoint is blocked had begun before, and tells nothing new: it neither counts
/// nor makes the block longer. Otherwise four attempts in flight would quadruple the first one.
#[must_use]
pub fn after_failure(
    mut health: EndpointHealth,
    at: Instant,
    why: &str,
    entropy: &Entropy,
) -> (EndpointHealth, Verdict) {
    if !health.is_blocked(at) {
        health.failures_in_row = health.failures_in_row.saturating_add(1);
        let block = block(health.failures_in_row);
        health.blocked_until = block.map(|block| at + jittered(block, entropy));
    }
    let failing_since = *health.failing_since.get_or_insert(at);
    health.last_failure_at = Some(at);
    health.last_failure = Some(why.to_owned());
    let is_too_long = at >= failing_since + FAILING_TOO_LONG
        && health.failures_in_row >= FAILURES_BEFORE_DISABLING;
    (health, if is_too_long { Verdict::Disable } else { Verdict::GoOn })
}

/// How long an endpoint is left alone after so many failures in a row.
fn block(failures_in_row: u32) -> Option<Duration> {
    let doublings = failures_in_row.checked_sub(FAILURES_BEFORE_BLOCK)?;
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    Some(FIRST_BLOCK.saturating_mul(factor).min(LONGEST_BLOCK))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn start() -> Instant {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn fail(health: EndpointHealth, at: Instant) -> (EndpointHealth, Verdict) {
        after_failure(health, at, "status 500", &Entropy::seeded(1))
    }

    /// The health after so many failures, each when the block before it had ended.
    fn failed(times: u32) -> (EndpointHealth, Instant) {
        let (mut health, mut at) = (EndpointHealth::default(), start());
        for _ in 0..times {
            at = health.blocked_until.unwrap_or(at);
            health = fail(health, at).0;
        }
        (health, at)
    }

    #[test]
    fn the_fifth_failure_in_a_row_blocks_and_each_further_one_for_longer() {
        assert_eq!(failed(4).0.blocked_until, None);
        for (times, secs) in [(5, 10), (6, 20), (7, 40), (8, 80), (9, 160), (10, 300), (60, 300)] {
            let (health, at) = failed(times);
            let block = (health.blocked_until.unwrap() - at).to_std().unwrap();
            let expected = Duration::from_secs(secs);
            assert!((expected * 4 / 5..=expected * 6 / 5).contains(&block), "{times}: {block:?}");
        }
    }

    #[test]
    fn what_fails_during_a_block_does_not_lengthen_it() {
        let (blocked, at) = failed(5);
        let (again, verdict) = fail(blocked.clone(), at + chrono::Duration::seconds(1));
        assert_eq!(verdict, Verdict::GoOn);
        assert_eq!(again.blocked_until, blocked.blocked_until);
        assert_eq!(again.failures_in_row, 5);
        assert_eq!(again.last_failure_at, Some(at + chrono::Duration::seconds(1)));
    }

    #[test]
    fn a_success_forgets_all_failures() {
        let (health, at) = failed(9);
        let health = after_success(health, at);
        assert_eq!(health.failures_in_row, 0);
        assert_eq!((health.failing_since, health.blocked_until), (None, None));
        assert_eq!(health.last_success_at, Some(at));
        assert!(health.last_failure.is_some(), "what it last failed by is still told");
    }

    #[test]
    fn three_days_without_a_success_disable_if_it_was_tried_often_enough() {
        let three_days = chrono::Duration::days(3);
        let since = |failures_in_row| EndpointHealth {
            failures_in_row,
            failing_since: Some(start()),
            ..EndpointHealth::default()
        };
        let at = |failures, at| fail(since(failures), at).1;
        assert_eq!(at(19, start() + three_days), Verdict::Disable);
        assert_eq!(at(18, start() + three_days), Verdict::GoOn);
        let a_little_before = start() + three_days - chrono::Duration::milliseconds(1);
        assert_eq!(at(500, a_little_before), Verdict::GoOn);
    }
}
