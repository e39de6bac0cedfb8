//! Section `[tokens]`: how fast tokens are refreshed.

use std::num::NonZeroU32;

use lingpai_component_token::RefreshLimits;

use super::reader::Reader;

/// How fast tokens are refreshed.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// The limits on refreshes, for this process.
    pub limits: RefreshLimits,
}

impl Tokens {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut limit = |key, most| reader.number(key, 1..=most).and_then(non_zero);
        let ahead_per_second = limit("tokens.refreshes_per_second", 100_000);
        let all_per_second = limit("tokens.ceiling_per_second", 100_000);
        let per_token_hour = limit("tokens.refreshes_per_token_hour", 1_000_000);
        let limits = RefreshLimits {
            ahead_per_second: ahead_per_second?,
            all_per_second: all_per_second?,
            per_token_hour: per_token_hour?,
        };
        Some(Self { limits })
    }
}

fn non_zero(number: u64) -> Option<NonZeroU32> {
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}
