//! How fast fans of one account set out. Their link is public, and each who takes it is a row.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use lingpai_model::id::AuthorizerId;

/// How many fans of one account set out in a second, in the long run.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// How many set out at once after a quiet time.
const BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// Holds each account to that, by the process's own stopwatch. Every process counts for itself.
pub(super) type Pace<C = DefaultClock> = RateLimiter<
    AuthorizerId,
    HashMapStateStore<AuthorizerId>,
    C,
    NoOpMiddleware<<C as Clock>::Instant>,
>;

/// A pace that begins with a quiet time behind it.
pub(super) fn pace<C: Clock>(stopwatch: C) -> Pace<C> {
    RateLimiter::hashmap_with_clock(Quota::per_second(PER_SECOND).allow_burst(BURST), stopwatch)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use lingpai_model::{Instant, clock::Entropy};

    use super::*;

    #[test]
    fn each_account_has_a_pace_of_its_own() {
        let (stopwatch, entropy) = (FakeRelativeClock::default(), Entropy::seeded(1));
        let pace = pace(stopwatch.clone());
        let [one, other] = [(); 2].map(|()| AuthorizerId::new(Instant::UNIX_EPOCH, &entropy));
        let sent = |of: &AuthorizerId| (0..1000).filter(|_| pace.check_key(of).is_ok()).count();
        assert_eq!(sent(&one), 200);
        assert_eq!(sent(&other), 200, "whatever becomes of the others");
        stopwatch.advance(Duration::from_secs(1));
        assert_eq!(sent(&one), 50);
        stopwatch.advance(Duration::from_secs(60));
        pace.retain_recent();
        assert!(pace.is_empty(), "an account that rests is not remembered");
    }
}
