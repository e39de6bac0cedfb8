//! Access tokens: who holds which, until when, and what replaced it.

use std::collections::HashMap;

use crate::refusal::{self, Refusal};

/// How long an access token lives.
///
/// Source: WeChat docs, "component_access_token" and "authorizer_access_token": `expires_in` 7200.
pub(crate) const TOKEN_LIFE_MS: i64 = 7200 * 1000;

/// How long a token lives on after a newer one was issued.
///
/// Source: WeChat docs, "access_token": "the old access_token stays usable for five minutes".
/// Assumed to hold for component and authorizer tokens too (#2).
pub(crate) const OVERLAP_MS: i64 = 300 * 1000;

/// How long an ended token is still told apart from one that never was.
const MEMORY_MS: i64 = 24 * 3600 * 1000;

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Component,
    Account(String),
}

/// All access tokens ever issued, except those long forgotten.
#[derive(Default)]
pub(crate) struct Tokens {
    entries: HashMap<String, Entry>,
    current: HashMap<Holder, String>,
}

struct Entry {
    holder: Holder,
    expires_at: i64,
    replaced: bool,
}

impl Tokens {
    /// Takes in a fresh token; the one before it lives on for the overlap.
    pub(crate) fn issue(&mut self, holder: Holder, value: String, now: i64) -> String {
        self.entries.retain(|_, entry| now < entry.expires_at + MEMORY_MS);
        if let Some(entry) = self.current.get(&holder).and_then(|old| self.entries.get_mut(old)) {
            entry.replaced = true;
            entry.expires_at = entry.expires_at.min(now + OVERLAP_MS);
        }
        let entry =
            Entry { holder: holder.clone(), expires_at: now + TOKEN_LIFE_MS, replaced: false };
        self.entries.insert(value.clone(), entry);
        self.current.insert(holder, value.clone());
        value
    }

    /// Whose token this is or was.
    pub(crate) fn holder_of(&self, value: &str) -> Option<&Holder> {
        self.entries.get(value).map(|entry| &entry.holder)
    }

    /// The newest token of a holder, if it still works.
    pub(crate) fn current(&self, holder: &Holder, now: i64) -> Option<(&str, i64)> {
        let value = self.current.get(holder)?;
        let entry = self.entries.get(value)?;
        (now < entry.expires_at).then_some((value.as_str(), entry.expires_at))
    }

    /// Whether the token works.
    ///
    /// One that ran out is 42001; one that was replaced and outlived the overlap, was killed or
    /// never existed is 40001.
    pub(crate) fn check(&self, value: &str, now: i64) -> Result<&Holder, Refusal> {
        match self.entries.get(value) {
            Some(entry) if now < entry.expires_at => Ok(&entry.holder),
            Some(entry) if !entry.replaced => Err(Refusal::new(refusal::TOKEN_EXPIRED)),
            Some(_) | None => Err(Refusal::new(refusal::WRONG_TOKEN)),
        }
    }

    /// Ends all tokens of a holder at once.
    pub(crate) fn kill(&mut self, holder: &Holder, now: i64) {
        for entry in self.entries.values_mut().filter(|entry| entry.holder == *holder) {
            entry.replaced = true;
            entry.expires_at = entry.expires_at.min(now);
        }
        self.current.remove(holder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(tokens: &mut Tokens, value: &str, now: i64) {
        tokens.issue(Holder::Component, value.to_owned(), now);
    }

    fn errcode(tokens: &Tokens, value: &str, now: i64) -> i64 {
        tokens.check(value, now).err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_token_expires_after_7200_seconds() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        assert_eq!(errcode(&tokens, "a", TOKEN_LIFE_MS - 1), 0);
        assert_eq!(errcode(&tokens, "a", TOKEN_LIFE_MS), 42001);
    }

    #[test]
    fn a_replaced_token_lives_five_minutes_longer() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        issue(&mut tokens, "b", 1000);
        assert_eq!(errcode(&tokens, "a", 1000 + OVERLAP_MS - 1), 0);
        assert_eq!(errcode(&tokens, "a", 1000 + OVERLAP_MS), 40001);
        assert_eq!(errcode(&tokens, "b", 1000 + OVERLAP_MS), 0);
    }

    #[test]
    fn the_overlap_does_not_lengthen_a_life() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        issue(&mut tokens, "b", TOKEN_LIFE_MS - 10);
        assert_ne!(errcode(&tokens, "a", TOKEN_LIFE_MS), 0);
    }

    #[test]
    fn killed_and_unknown_tokens_are_40001() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        tokens.kill(&Holder::Component, 5);
        assert_eq!(errcode(&tokens, "a", 5), 40001);
        assert_eq!(errcode(&tokens, "never", 5), 40001);
        assert!(tokens.current(&Holder::Component, 5).is_none());
    }

    #[test]
    fn killing_one_holder_spares_the_others() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        tokens.issue(Holder::Account("wx1".to_owned()), "b".to_owned(), 0);
        tokens.kill(&Holder::Component, 5);
        assert_eq!(errcode(&tokens, "b", 5), 0);
    }
}
