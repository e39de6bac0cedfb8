//! Limits: how fast a tenant may call and how much at once, so that none starves another.
//!
//! Every process counts for itself, in memory, by its own stopwatch: no clock that somebody sets
//! can open or shut this door. What a tenant may do is read from its row, at most seconds old. What
//! changes something is counted once more: it costs of what all tenants share.

mod gates;
mod stopwatch;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::Quota;
use lingpai_model::{
    caller::Caller,
    id::{ApiKeyId, TenantId},
    tenant::TenantLimits,
};
use lingpai_storage::Db;

use self::{
    gates::{Gates, Seat},
    stopwatch::Stopwatch,
};
use crate::{Error, Result};

/// The highest rate that can be set for a tenant or key, in requests a second.
const MAX_RATE: u32 = 1_000_000;

/// The highest number of requests at once that a tenant can have: half of what is worked on of one kind
/// together, so that no tenant ever takes all.
pub const MAX_CONCURRENT_REQUESTS: u32 = 256;

/// Holds tenants and their keys to their limits. Clones count together.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    defaults: LimitDefaults,
    tenants: Gates<TenantId>,
    keys: Gates<ApiKeyId>,
    changes: Gates<TenantId>,
}

/// What holds for tenants of whom nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct LimitDefaults {
    /// Requests a second; any number if there is none.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that are being answered at the same time.
    pub concurrent_requests: u32,
    /// Requests a minute that may change something, all of them at once too. Each may cost a call of
    /// the quota that all tenants of a component share, and rows in the database.
    pub changes_per_minute: NonZeroU32,
}

/// A request that was let in.
#[derive(Debug)]
pub struct Admission {
    /// How much of its rate is left, of tenant or key the tighter one; `None` where there is no limit.
    pub rate: Option<RateState>,
    /// Counts among the tenant's requests at once until it is dropped.
    _seat: Seat,
}

/// How much of a rate is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// How many requests a second go on for ever. Twice as many may come at once.
    pub limit: u32,
    /// How many may come at once now.
    pub remaining: u32,
    /// After how many seconds without a request all may come at once again.
    pub reset_secs: u32,
}

/// What holds for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsInForce {
    /// Requests a second, over all keys of the tenant.
    pub requests_per_second: Option<u32>,
    /// Requests a second with the caller's key.
    pub key_requests_per_second: Option<u32>,
    /// Requests of the tenant that are being answered at the same time.
    pub concurrent_requests: u32,
}

impl Limits {
    /// Limits on tenants kept in `db`.
    #[must_use]
    pub fn new(db: Db, defaults: LimitDefaults) -> Self {
        Self::timed_by(Stopwatch::started(), db, defaults)
    }

    fn timed_by(stopwatch: Stopwatch, db: Db, defaults: LimitDefaults) -> Self {
        Self(Arc::new(Inner {
            db,
            defaults,
            tenants: Gates::new(stopwatch.clone()),
            keys: Gates::new(stopwatch.clone()),
            changes: Gates::new(stopwatch),
        }))
    }

    /// Lets a request of `caller` in, until the admission is dropped.
    ///
    /// # Errors
    /// [`Error::TooFast`], [`Error::TooManyAtOnce`]; [`Error::Storage`] when the database failed.
    pub async fn admit(&self, caller: &Caller) -> Result<Admission> {
        let limits = self.in_force(caller).await?;
        // The key first: what it sends too fast shall not use up what its tenant's others may send.
        let key_rate = match rate(limits.key_requests_per_second) {
            Some(rate) => {
                let gate = self.0.keys.gate(&caller.key_id, Some(quota(rate)));
                Some(pass(gate.pass(), rate)?)
            }
            None => None,
        };
        let rate = rate(limits.requests_per_second);
        let gate = self.0.tenants.gate(caller.scope.tenant_id(), rate.map(quota));
        let tenant_rate = match rate {
            Some(rate) => Some(pass(gate.pass(), rate)?),
            None => None,
        };
        let limit = limits.concurrent_requests;
        let seat = gate.take_seat(limit).ok_or(Error::TooManyAtOnce { limit })?;
        let rates = [key_rate, tenant_rate].into_iter().flatten();
        Ok(Admission { rate: rates.min_by_key(|rate| rate.remaining), _seat: seat })
    }

    /// Lets `caller` change something. To be asked before anything is written or sent.
    ///
    /// # Errors
    /// [`Error::TooManyChanges`].
    pub fn admit_change(&self, caller: &Caller) -> Result<()> {
        let limit = self.0.defaults.changes_per_minute;
        let gate = self.0.changes.gate(caller.scope.tenant_id(), Some(Quota::per_minute(limit)));
        let refused = |retry_after| Error::TooManyChanges { limit: limit.get(), retry_after };
        gate.pass().map(drop).map_err(refused)
    }

    /// What holds for `caller`.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn in_force(&self, caller: &Caller) -> Result<LimitsInForce> {
        let tenant = self.0.db.cached_tenant(caller.scope.tenant_id()).await?;
        let limits = tenant.map_or_else(TenantLimits::default, |tenant| tenant.limits);
        let defaults = &self.0.defaults;
        let default_rate = defaults.requests_per_second.map(NonZeroU32::get);
        let at_once = limits.concurrent_requests.unwrap_or(defaults.concurrent_requests);
        Ok(LimitsInForce {
            requests_per_second: limits.requests_per_second.or(default_rate),
            key_requests_per_second: caller.requests_per_second,
            // More was allowed once, and stands in rows.
            concurrent_requests: at_once.min(MAX_CONCURRENT_REQUESTS),
        })
    }
}

/// The rate as it can be held to. None is 0: that is refused where it is set.
fn rate(per_second: Option<u32>) -> Option<NonZeroU32> {
    per_second.map(|rate| NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN))
}

/// A rate with room for two seconds' worth at once.
fn quota(per_second: NonZeroU32) -> Quota {
    let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1));
    Quota::per_second(per_second).allow_burst(burst)
}

/// What is left of a rate after the gate let `remaining` more pass, or for how long it does not.
fn pass(passed: std::result::Result<u32, Duration>, rate: NonZeroU32) -> Result<RateState> {
    let limit = rate.get();
    let remaining = passed.map_err(|retry_after| Error::TooFast { limit, retry_after })?;
    let used = quota(rate).burst_size().get().saturating_sub(remaining);
    Ok(RateState { limit, remaining, reset_secs: used.div_ceil(limit) })
}

/// Whether a rate can be held to.
pub(crate) fn check_rate(per_second: Option<u32>) -> Result<()> {
    let reason = "1 to 1,000,000 requests a second, or none";
    check(per_second, MAX_RATE, "requests_per_second", reason)
}

/// Whether so many requests at once can be counted.
pub(crate) fn check_seats(at_once: Option<u32>) -> Result<()> {
    let reason = "1 to 256 requests at once, or none";
    check(at_once, MAX_CONCURRENT_REQUESTS, "concurrent_requests", reason)
}

fn check(number: Option<u32>, most: u32, field: &'static str, reason: &'static str) -> Result<()> {
    if number.is_none_or(|number| (1..=most).contains(&number)) {
        Ok(())
    } else {
        Err(Error::BadField { field, reason })
    }
}

#[cfg(test)]
mod tests;
