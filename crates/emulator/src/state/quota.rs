//! Calls per day and path.

use std::collections::{BTreeMap, HashMap};

use crate::refusal::{self, Refusal};

/// Counts calls per Beijing day.
pub(crate) struct Quota {
    limits: BTreeMap<String, u64>,
    used: HashMap<String, (i64, u64)>,
}

impl Quota {
    pub(crate) fn new(limits: BTreeMap<String, u64>) -> Self {
        Self { limits, used: HashMap::new() }
    }

    /// Counts one call.
    ///
    /// Assumed: the count starts anew at midnight in Beijing (#2).
    pub(crate) fn spend(&mut self, path: &str, now: i64) -> Result<(), Refusal> {
        const BEIJING_AHEAD_MS: i64 = 8 * 3600 * 1000;
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let Some(limit) = self.limits.get(path) else { return Ok(()) };
        let today = (now + BEIJING_AHEAD_MS).div_euclid(DAY_MS);
        let (day, used) = self.used.entry(path.to_owned()).or_insert((today, 0));
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
        assert!(quota.spend("/a", 0).is_ok());
        assert!(quota.spend("/a", 15 * HOUR).is_ok());
        assert_eq!(quota.spend("/a", 16 * HOUR - 1).unwrap_err().errcode, 45009);
        assert!(quota.spend("/a", 16 * HOUR).is_ok());
        assert!(quota.spend("/b", 0).is_ok());
    }
}
