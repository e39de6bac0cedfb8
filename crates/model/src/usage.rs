//! Usage: how often which key called what for whom, and what WeChat said to it.

use chrono::{DurationRound as _, TimeDelta};

use crate::{
    Appid, Instant,
    id::{ApiKeyId, TenantId},
};

/// What calls are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsageKey {
    /// Whose calls they are.
    pub tenant_id: TenantId,
    /// The key that was shown.
    pub key_id: ApiKeyId,
    /// The account that was called for.
    pub authorizer_appid: Appid,
    /// The path that was called.
    pub path: String,
    /// What WeChat answered; 0 when it did what was asked.
    pub errcode: i64,
}

/// How long the spans are that calls are added up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// By the hour.
    Hour,
    /// By the day, of UTC.
    Day,
}

impl Granularity {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// When the span began that `at` is in.
    #[must_use]
    pub fn start_of(self, at: Instant) -> Instant {
        let span = match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        };
        // It fails only for instants some 290 years away, which no clock of ours shows.
        at.duration_trunc(span).unwrap_or(at)
    }
}

/// How often something was called in one span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFigure {
    /// When the span began.
    pub starts_at: Instant,
    /// The key that was shown.
    pub key_id: ApiKeyId,
    /// The account that was called for.
    pub authorizer_appid: Appid,
    /// The path that was called.
    pub path: String,
    /// What WeChat answered; 0 when it did what was asked.
    pub errcode: i64,
    /// How often.
    pub calls: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_on_the_hour_and_at_midnight_of_utc() {
        let at = Instant::UNIX_EPOCH + TimeDelta::days(3) + TimeDelta::minutes(5 * 60 + 59);
        let hours = |granularity: Granularity| {
            (granularity.start_of(at) - Instant::UNIX_EPOCH).num_minutes() / 60
        };
        assert_eq!(Granularity::ALL.map(hours), [3 * 24 + 5, 3 * 24]);
        let start = Granularity::Hour.start_of(at);
        assert_eq!(Granularity::Hour.start_of(start), start);
    }
}
