//! Codes before and after consent.

use std::collections::{HashMap, VecDeque};

use crate::refusal::{self, Refusal};
use crate::state::mint;

/// How long a `pre_auth_code` can be used.
///
/// Source: WeChat docs, "pre_auth_code": 1800 seconds (their examples show 600).
pub(crate) const PRE_AUTH_CODE_LIFE_MS: i64 = 1800 * 1000;

/// How long an `authorization_code` can be exchanged.
///
/// Source: WeChat docs, "authorization_code": `expires_in` of 600 to 3600 seconds seen.
pub(crate) const AUTHORIZATION_CODE_LIFE_MS: i64 = 3600 * 1000;

/// How long codes are remembered after their end.
const MEMORY_MS: i64 = 24 * 3600 * 1000;

/// Codes of both kinds.
#[derive(Default)]
pub(crate) struct Codes {
    before_consent: Remembered<()>,
    after_consent: Remembered<String>,
}

/// Codes of one kind, which all live equally long: the oldest is the first to be forgotten.
pub(super) struct Remembered<T> {
    pub(super) codes: HashMap<String, Code<T>>,
    ages: VecDeque<(String, i64)>,
}

pub(super) struct Code<T> {
    pub(super) expires_at: i64,
    pub(super) is_used: bool,
    pub(super) about: T,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { codes: HashMap::new(), ages: VecDeque::new() }
    }
}

impl<T> Remembered<T> {
    pub(super) fn insert(&mut self, value: String, code: Code<T>, now: i64) {
        while self.ages.front().is_some_and(|(_, expires_at)| now >= expires_at + MEMORY_MS) {
            if let Some((value, _)) = self.ages.pop_front() {
                self.codes.remove(&value);
            }
        }
        self.ages.push_back((value.clone(), code.expires_at));
        self.codes.insert(value, code);
    }
}

impl Codes {
    pub(crate) fn new_pre_auth_code(&mut self, now: i64) -> String {
        let value = mint::pre_auth_code();
        let code = Code { expires_at: now + PRE_AUTH_CODE_LIFE_MS, is_used: false, about: () };
        self.before_consent.insert(value.clone(), code, now);
        value
    }

    /// Whether a consent can still be given with this `pre_auth_code`.
    pub(crate) fn is_open(&self, pre_auth_code: &str, now: i64) -> bool {
        self.before_consent
            .codes
            .get(pre_auth_code)
            .is_some_and(|code| !code.is_used && now < code.expires_at)
    }

    /// Uses up a `pre_auth_code` and gives the code that the consent is exchanged by.
    ///
    /// Assumed: a successful authorization consumes the `pre_auth_code` (#2).
    pub(crate) fn consent(&mut self, pre_auth_code: &str, appid: &str, now: i64) -> String {
        if let Some(code) = self.before_consent.codes.get_mut(pre_auth_code) {
            code.is_used = true;
        }
        let value = mint::authorization_code();
        let code = Code {
            expires_at: now + AUTHORIZATION_CODE_LIFE_MS,
            is_used: false,
            about: appid.to_owned(),
        };
        self.after_consent.insert(value.clone(), code, now);
        value
    }

    /// Uses up an `authorization_code` and tells which account it is about.
    pub(crate) fn redeem(&mut self, code: &str, now: i64) -> Result<String, Refusal> {
        let code = self
            .after_consent
            .codes
            .get_mut(code)
            .filter(|code| !code.is_used)
            .ok_or_else(|| Refusal::new(refusal::WRONG_CODE))?;
        if now >= code.expires_at {
            return Err(Refusal::new(refusal::CODE_EXPIRED));
        }
        code.is_used = true;
        Ok(code.about.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_auth_code_is_good_for_one_consent_within_half_an_hour() {
        let mut codes = Codes::default();
        let code = codes.new_pre_auth_code(0);
        assert!(codes.is_open(&code, PRE_AUTH_CODE_LIFE_MS - 1));
        assert!(!codes.is_open(&code, PRE_AUTH_CODE_LIFE_MS));
        codes.consent(&code, "wx1", 1);
        assert!(!codes.is_open(&code, 2));
        assert!(!codes.is_open("preauthcode@@@other", 2));
    }

    #[test]
    fn an_authorization_code_is_redeemed_once() {
        let mut codes = Codes::default();
        let code = codes.consent("", "wx1", 0);
        assert_eq!(codes.redeem(&code, 1).unwrap(), "wx1");
        assert_eq!(codes.redeem(&code, 2).unwrap_err().errcode, 61009);
    }

    #[test]
    fn an_authorization_code_expires() {
        let mut codes = Codes::default();
        let code = codes.consent("", "wx1", 0);
        assert_eq!(codes.redeem(&code, AUTHORIZATION_CODE_LIFE_MS).unwrap_err().errcode, 61010);
        assert_eq!(codes.redeem("nonsense", 0).unwrap_err().errcode, 61009);
    }

    #[test]
    fn codes_are_forgotten_a_day_after_their_end() {
        let mut codes = Codes::default();
        codes.new_pre_auth_code(0);
        codes.new_pre_auth_code(PRE_AUTH_CODE_LIFE_MS + MEMORY_MS - 1);
        assert_eq!(codes.before_consent.codes.len(), 2);
        codes.new_pre_auth_code(PRE_AUTH_CODE_LIFE_MS + MEMORY_MS);
        assert_eq!(codes.before_consent.codes.len(), 2);
    }
}
