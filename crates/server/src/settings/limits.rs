//! Section `[limits]`: what one tenant may ask of this process.

use std::num::NonZeroU32;

use lingpai_tenant::{LimitDefaults, MAX_CONCURRENT_REQUESTS};

use super::reader::Reader;

/// What one tenant may ask of this process, unless an operator gave it limits of its own.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For tenants without limits of their own.
    pub defaults: LimitDefaults,
}

impl Limits {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let per_second = reader.number("limits.requests_per_second", 0..=1_000_000);
        let at_once = 1..=u64::from(MAX_CONCURRENT_REQUESTS);
        let concurrent = reader.number("limits.concurrent_requests", at_once);
        let changes = reader.number("limits.changes_per_minute", 1..=1_000_000);
        let number = |number: u64| u32::try_from(number).expect("the ranges above fit");
        let defaults = LimitDefaults {
            requests_per_second: NonZeroU32::new(number(per_second?)),
            concurrent_requests: number(concurrent?),
            changes_per_minute: NonZeroU32::new(number(changes?)).expect("the range begins at 1"),
        };
        Some(Self { defaults })
    }
}
