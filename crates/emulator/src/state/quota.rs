//! How often paths may be called: per day, and within a short while.
//!
//! Source: WeChat docs, "API quota" (openApi管理) and "API call limits" (接口调用频次限制): an
//! account's calls are counted per path, whoever makes them; a platform's own calls are its own.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike as _};
use serde::{Deserialize, Serialize};

use crate::refusal::{self, Refusal};

/// What `openapi/quota/get` tells of a path that has no limit.
const UNLIMITED: u64 = 10_000_000;

/// How many (path, appid) pairs are counted; beyond it those of earlier days are forgotten.
const COUNTED: usize = 200_000;

/// How often the quotas of one account may be cleared in a month.
///
/// Source: WeChat docs, "Reset API call count" (clear_quota): ten times a month.
const CLEARINGS: u64 = 10;

/// How often single paths of one account may be cleared in a month.
///
/// Assumed (#2): fifty times, as one page says.
const PATH_CLEARINGS: u64 = 50;

const BEIJING_AHEAD_MS: i64 = 8 * 3600 * 1000;

/// What clearing a single path is counted as.
const ONE_PATH: &str = "one path";

/// What clearing all paths is counted as.
const ALL_PATHS: &str = "all paths";

/// How often a path may be called within a short while; beyond it errcode 45011.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// So many calls.
    pub calls: u64,
    /// In so many seconds.
    pub per_secs: u64,
}

/// What is told of one path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) daily_limit: u64,
    pub(crate) used: u64,
    pub(crate) rate: Option<Rate>,
}

/// Counts calls of the component (no appid) and of each account.
#[derive(Default)]
pub(crate) struct Quota {
    daily: BTreeMap<String, u64>,
    rates: BTreeMap<String, Rate>,
    used: Counts,
    recent: Counts,
    clearings: Counts,
}

/// Counts by what is counted and by appid.
#[derive(Default)]
struct Counts(HashMap<String, HashMap<String, Count>>);

/// A count that begins anew with each period.
#[derive(Clone, Copy, Default)]
struct Count {
    period: i64,
    number: u64,
}

/// The number of a day.
///
/// Assumed: counts start anew at midnight in Beijing (#2).
pub(crate) fn beijing_day(now: i64) -> i64 {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    (now + BEIJING_AHEAD_MS).div_euclid(DAY_MS)
}

/// The number of a month, likewise.
fn beijing_month(now: i64) -> i64 {
    let date = DateTime::from_timestamp_millis(now + BEIJING_AHEAD_MS).unwrap_or_default();
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

impl Counts {
    /// How many there are in this period.
    fn number(&self, what: &str, appid: &str, period: i64) -> u64 {
        let count = self.0.get(what).and_then(|of| of.get(appid)).copied().unwrap_or_default();
        if count.period == period { count.number } else { 0 }
    }

    /// Counts one more.
    fn add(&mut self, what: &str, appid: &str, period: i64) {
        if !self.0.contains_key(what) {
            self.0.insert(what.to_owned(), HashMap::new());
        }
        let Some(of) = self.0.get_mut(what) else { return };
        if let Some(count) = of.get_mut(appid) {
            let number = if count.period == period { count.number } else { 0 };
            *count = Count { period, number: number + 1 };
            return;
        }
        if of.len() >= COUNTED {
            of.retain(|_, count| count.period == period);
        }
        of.insert(appid.to_owned(), Count { period, number: 1 });
    }

    fn forget(&mut self, what: &str, appid: &str) {
        if let Some(of) = self.0.get_mut(what) {
            of.remove(appid);
        }
    }

    fn forget_all_of(&mut self, appid: &str) {
        for of in self.0.values_mut() {
            of.remove(appid);
        }
    }
}

impl Quota {
    pub(crate) fn new(daily: BTreeMap<String, u64>, rates: BTreeMap<String, Rate>) -> Self {
        Self { daily, rates, ..Self::default() }
    }

    /// Limits the calls of a path per day; `None`: not at all.
    pub(crate) fn set_daily(&mut self, path: &str, limit: Option<u64>) {
        match limit {
            Some(limit) => drop(self.daily.insert(path.to_owned(), limit)),
            None => drop(self.daily.remove(path)),
        }
    }

    /// Limits the calls of a path within a short while; `None`: not at all.
    pub(crate) fn set_rate(&mut self, path: &str, rate: Option<Rate>) {
        match rate {
            Some(rate) => drop(self.rates.insert(path.to_owned(), rate)),
            None => drop(self.rates.remove(path)),
        }
    }

    /// Counts one call against the quotas of an account, or of the component (no appid).
    pub(crate) fn spend(&mut self, path: &str, appid: &str, now: i64) -> Result<(), Refusal> {
        let today = beijing_day(now);
        if let Some(limit) = self.daily.get(path)
            && self.used.number(path, appid, today) >= *limit
        {
            return Err(Refusal::new(refusal::QUOTA_USED_UP));
        }
        if let Some(rate) = self.rates.get(path) {
            let window = rate.window(now);
            if self.recent.number(path, appid, window) >= rate.calls {
                return Err(Refusal::new(refusal::TOO_FAST));
            }
            self.recent.add(path, appid, window);
        }
        self.used.add(path, appid, today);
        Ok(())
    }

    /// What an account has left of a path, or the component.
    pub(crate) fn figures(&self, path: &str, appid: &str, now: i64) -> Figures {
        Figures {
            daily_limit: self.daily.get(path).copied().unwrap_or(UNLIMITED),
            used: self.used.number(path, appid, beijing_day(now)),
            rate: self.rates.get(path).copied(),
        }
    }

    /// Clears the daily counts of an account, or of the component.
    pub(crate) fn clear(&mut self, appid: &str, now: i64) -> Result<(), Refusal> {
        self.spend_clearing(ALL_PATHS, CLEARINGS, appid, now)?;
        self.used.forget_all_of(appid);
        Ok(())
    }

    /// Clears the daily count of one path.
    pub(crate) fn clear_path(&mut self, path: &str, appid: &str, now: i64) -> Result<(), Refusal> {
        self.spend_clearing(ONE_PATH, PATH_CLEARINGS, appid, now)?;
        self.used.forget(path, appid);
        Ok(())
    }

    fn spend_clearing(
        &mut self,
        what: &str,
        allowance: u64,
        appid: &str,
        now: i64,
    ) -> Result<(), Refusal> {
        let month = beijing_month(now);
        if self.clearings.number(what, appid, month) >= allowance {
            return Err(Refusal::new(refusal::CLEARINGS_USED_UP));
        }
        self.clearings.add(what, appid, month);
        Ok(())
    }
}

impl Rate {
    /// The number of the window; counts start anew with each.
    fn window(self, now: i64) -> i64 {
        let secs = i64::try_from(self.per_secs).unwrap_or(i64::MAX / 1000).max(1);
        now.div_euclid(secs.saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn daily(limit: u64) -> Quota {
        Quota::new(BTreeMap::from([("/a".to_owned(), limit)]), BTreeMap::new())
    }

    fn errcode(result: Result<(), Refusal>) -> i64 {
        result.err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_quota_ends_and_comes_back_at_midnight_in_beijing() {
        let mut quota = daily(2);
        assert!(quota.spend("/a", "", 0).is_ok());
        assert!(quota.spend("/a", "", 15 * HOUR).is_ok());
        assert_eq!(errcode(quota.spend("/a", "", 16 * HOUR - 1)), 45009);
        assert!(quota.spend("/a", "", 16 * HOUR).is_ok());
        assert!(quota.spend("/b", "", 0).is_ok());
    }

    #[test]
    fn accounts_have_quotas_of_their_own() {
        let mut quota = daily(1);
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        assert!(quota.spend("/a", "wx2", 0).is_ok());
        assert_eq!(errcode(quota.spend("/a", "wx1", 0)), 45009);
    }

    #[test]
    fn a_rate_ends_and_comes_back_with_the_next_window() {
        let mut quota = Quota::default();
        quota.set_rate("/a", Some(Rate { calls: 1, per_secs: 60 }));
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        assert_eq!(errcode(quota.spend("/a", "wx1", 59_999)), 45011);
        assert!(quota.spend("/a", "wx1", 60_000).is_ok());
        assert_eq!(quota.figures("/a", "wx1", 60_000).used, 2, "a refused call is not counted");
        quota.set_rate("/a", None);
        assert!(quota.spend("/a", "wx1", 60_000).is_ok());
    }

    #[test]
    fn figures_tell_what_is_left() {
        let mut quota = daily(3);
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        let figures = |quota: &Quota, path| {
            let figures = quota.figures(path, "wx1", 0);
            (figures.daily_limit, figures.used)
        };
        assert_eq!(figures(&quota, "/a"), (3, 1));
        assert_eq!(figures(&quota, "/b"), (UNLIMITED, 0));
        quota.set_daily("/a", None);
        assert_eq!(figures(&quota, "/a"), (UNLIMITED, 1));
    }

    #[test]
    fn ten_clearings_a_month_and_not_one_more() {
        let mut quota = daily(1);
        for _ in 0..10 {
            assert!(quota.spend("/a", "wx1", 0).is_ok());
            assert_eq!(errcode(quota.clear("wx1", 0)), 0);
        }
        assert_eq!(errcode(quota.clear("wx1", 0)), 48006);
        assert_eq!(errcode(quota.clear("wx2", 0)), 0);
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        // 1 February 1970 began in Beijing when 31 days less eight hours had passed.
        let february = 31 * DAY - 8 * HOUR;
        assert_eq!(errcode(quota.clear("wx1", february - 1)), 48006);
        assert_eq!(errcode(quota.clear("wx1", february)), 0);
    }

    #[test]
    fn one_path_is_cleared_fifty_times_a_month_and_spares_the_others() {
        let mut quota = daily(1);
        assert!(quota.spend("/a", "wx1", 0).is_ok() && quota.spend("/b", "wx1", 0).is_ok());
        for _ in 0..50 {
            assert_eq!(errcode(quota.clear_path("/a", "wx1", 0)), 0);
        }
        assert_eq!(errcode(quota.clear_path("/a", "wx1", 0)), 48006);
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        assert_eq!(quota.figures("/b", "wx1", 0).used, 1);
    }
}
