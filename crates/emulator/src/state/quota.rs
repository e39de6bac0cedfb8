//! Calls per day and path.

use std::collections::{BTreeMap, HashMap};

use crate::refusal::{self, Refusal};

/// The number of a day.
///
/// Assumed: counts start anew at midnight in Beijing (#2).
pub(crate) fn beijing_day(now: i64) -> i64 {
    const BEIJING_AHEAD_MS: i64 = 8 * 3600 * 1000;
    const DAY_MS: i64 = 24 * 3600 * 1000;
    (now + BEIJING_AHEAD_MS).div_euclid(DAY_MS)
}

/// Counts calls per Beijing day.
pub(crate) struct Quota {
    limits: BTreeMap<String, u64>,
    used: HashMap<(String, String), (i64, u64)>,
}

impl Quota {
    pub(crate) fn new(limits: BTreeMap<String, u64>) -> Self {
        Self { limits, used: HashMap::new() }
    }

    /// Counts one call against the quota of an account, or of the component (no appid).
    pub(crate) fn spend(&mut self, path: &str, appid: &str, now: i64) -> Result<(), Refusal> {
        let Some(limit) = self.limits.get(path) else { return Ok(()) };
        let today = beijing_day(now);
        let whose = (path.to_owned(), appid.to_owned());
        let (day, used) = self.used.entry(whose).or_insert((today, 0));
        if *day != today {
            (*day, *used) = (today, 0);
        }
        if *used >= *limit {
            return Err(Refusal::new(refusal::QUOTA_USED_UP));
        }
        *used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_ends_and_comes_back_at_midnight_in_beijing() {
        const HOUR: i64 = 3_600_000;
        let mut quota = Quota::new(BTreeMap::from([("/a".to_owned(), 2)]));
        assert!(quota.spend("/a", "", 0).is_ok());
        assert!(quota.spend("/a", "", 15 * HOUR).is_ok());
        assert_eq!(quota.spend("/a", "", 16 * HOUR - 1).unwrap_err().errcode, 45009);
        assert!(quota.spend("/a", "", 16 * HOUR).is_ok());
        assert!(quota.spend("/b", "", 0).is_ok());
    }

    #[test]
    fn accounts_have_quotas_of_their_own() {
        let mut quota = Quota::new(BTreeMap::from([("/a".to_owned(), 1)]));
        assert!(quota.spend("/a", "wx1", 0).is_ok());
        assert!(quota.spend("/a", "wx2", 0).is_ok());
        assert_eq!(quota.spend("/a", "wx1", 0).unwrap_err().errcode, 45009);
    }
}
