//! How fast tokens are refreshed, whatever any clock says.
//!
//! When a token is due is told by a clock, and clocks can be wrong. These limits go by the
//! process's own stopwatch, which nobody sets: should all clocks go mad, WeChat still sees no storm.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt::Display,
    hash::{BuildHasher as _, Hash},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant as Stopwatch;

use crate::{Error, Result};

/// The limits on refreshes.
#[derive(Debug, Clone, Copy)]
pub struct RefreshLimits {
    /// How many refreshes a second the workers begin, evenly.
    pub ahead_per_second: NonZeroU32,
    /// How many refreshes a second begin in all, also those that somebody waits for.
    pub all_per_second: NonZeroU32,
    /// How many refreshes of one token begin in an hour.
    pub per_token_hour: NonZeroU32,
}

impl Default for RefreshLimits {
    /// Enough for a million authorizers on one instance.
    fn default() -> Self {
        let limit = |number| NonZeroU32::new(number).expect("a fixed number that is not 0");
        Self {
            ahead_per_second: limit(200),
            all_per_second: limit(1000),
            per_token_hour: limit(60),
        }
    }
}

/// The window in which the refreshes of one token are counted.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How many tokens are counted. When more were refreshed, the counting begins anew.
const COUNTED: usize = 250_000;

/// Holds refreshes to their limits. Every process counts for itself.
pub struct Ceiling {
    ahead: DefaultDirectRateLimiter,
    all: DefaultDirectRateLimiter,
    ahead_per_second: u32,
    per_token: u32,
    counts: Mutex<Counts>,
}

struct Counts {
    since: Stopwatch,
    /// By hash: two tokens that share one also share their count, which is as rare as harmless.
    by_token: HashMap<u64, u32>,
    hasher: RandomState,
}

impl std::fmt::Debug for Ceiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceiling").finish_non_exhaustive()
    }
}

impl Ceiling {
    /// These limits, from now on.
    #[must_use]
    pub fn new(limits: RefreshLimits) -> Self {
        let evenly = |per_second| {
            let burst = NonZeroU32::new(1).expect("1 is not 0");
            RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst))
        };
        let counts = Counts {
            since: Stopwatch::now(),
            by_token: HashMap::new(),
            hasher: RandomState::new(),
        };
        Self {
            ahead: evenly(limits.ahead_per_second),
            all: RateLimiter::direct(Quota::per_second(limits.all_per_second)),
            ahead_per_second: limits.ahead_per_second.get(),
            per_token: limits.per_token_hour.get(),
            counts: Mutex::new(counts),
        }
    }

    /// How many refreshes a worker may take on at once: as many as begin within two seconds, so
    /// that no lease runs out before its turn comes.
    pub(crate) fn batch(&self) -> usize {
        usize::try_from(self.ahead_per_second).unwrap_or(usize::MAX).saturating_mul(2)
    }

    /// Waits until a worker may begin its next refresh.
    pub(crate) async fn pace(&self) {
        self.ahead.until_ready().await;
    }

    /// Waits until `what` may be got from WeChat: a refresh, or the first token of an account.
    ///
    /// # Errors
    /// [`Error::CeilingReached`] when this one was got too often.
    pub async fn pass<W: Hash + Display>(&self, what: &W) -> Result<()> {
        self.count(what)?;
        self.all.until_ready().await;
        Ok(())
    }

    fn count<W: Hash + Display>(&self, what: &W) -> Result<()> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.since.elapsed() >= WINDOW || counts.by_token.len() >= COUNTED {
            counts.since = Stopwatch::now();
            counts.by_token.clear();
        }
        let hash = counts.hasher.hash_one(what);
        let count = counts.by_token.entry(hash).or_default();
        if *count >= self.per_token {
            return Err(Error::CeilingReached { what: what.to_string() });
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Instant, clock::Entropy, id::ComponentId, token::TokenKey};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_token_is_held_to_its_hour_and_others_are_not() {
        let two = NonZeroU32::new(2).expect("not 0");
        let ceiling = Ceiling::new(RefreshLimits { per_token_hour: two, ..Default::default() });
        let entropy = Entropy::seeded(1);
        let key = || TokenKey::Component(ComponentId::new(Instant::UNIX_EPOCH, &entropy));
        let (token, other) = (key(), key());
        assert!(ceiling.pass(&token).await.is_ok());
        assert!(ceiling.pass(&token).await.is_ok());
        assert!(matches!(ceiling.pass(&token).await, Err(Error::CeilingReached { .. })));
        assert!(ceiling.pass(&other).await.is_ok());
        tokio::time::advance(WINDOW).await;
        assert!(ceiling.pass(&token).await.is_ok(), "an hour later");
    }
}
