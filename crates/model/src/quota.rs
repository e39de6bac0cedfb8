//! The days and months by which WeChat counts calls.

use chrono::{DateTime, FixedOffset};

use crate::Instant;

/// The hour of Beijing, eight ahead of UTC all year: by it WeChat counts, and administrators live.
pub const BEIJING: FixedOffset =
    FixedOffset::east_opt(8 * 60 * 60).expect("eight hours are an offset");

/// The day in Beijing, as in `2026-11-20`.
///
/// Assumed: WeChat counts a day's calls anew at midnight in Beijing; its pages do not say (#3).
#[must_use]
pub fn beijing_day(at: Instant) -> String {
    in_beijing(at).format("%Y-%m-%d").to_string()
}

/// The month in Beijing, as in `2026-11`.
///
/// Assumed: a month's allowance is counted anew at the same hour as a day's (#3).
#[must_use]
pub fn beijing_month(at: Instant) -> String {
    in_beijing(at).format("%Y-%m").to_string()
}

/// `at` as clocks in Beijing show it, by which WeChat and the administrators of accounts live.
#[must_use]
pub fn in_beijing(at: Instant) -> DateTime<FixedOffset> {
    at.with_timezone(&BEIJING)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn day_and_month_begin_at_four_in_the_afternoon_of_utc() {
        let last = Instant::UNIX_EPOCH + TimeDelta::days(31) - TimeDelta::hours(8);
        let before = last - TimeDelta::milliseconds(1);
        assert_eq!([beijing_day(before), beijing_month(before)], ["1970-01-31", "1970-01"]);
        assert_eq!([beijing_day(last), beijing_month(last)], ["1970-02-01", "1970-02"]);
    }
}
