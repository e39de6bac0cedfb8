//! Access tokens: who holds which, until when, and what replaced it.
//!
//! Each step costs the same however many accounts and tokens there are: a holder knows his living
//! tokens, and what ended long ago is forgotten a little at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::config::Switches;
use crate::refusal::{self, Refusal};

/// How long a token lives on after a newer one was issued, at most.
///
/// Source: WeChat docs, "access_token": "the old access_token stays usable for five minutes".
/// Assumed to hold for component and authorizer tokens too (#2).
pub(crate) const OVERLAP_MS: i64 = 300 * 1000;

/// How long an ended token is still told apart from one that never was.
const MEMORY_MS: i64 = 24 * 3600 * 1000;

/// How many tokens are remembered; beyond it those that ended are forgotten sooner.
const REMEMBERED: usize = 300_000;

/// How long the tokens live that are issued from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    ms: i64,
    overlap_ms: i64,
}

/// Whose token it is. Each holder has one line of tokens, in which the next replaces the last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The platform's `component_access_token`.
    Component,
    /// An account's `authorizer_access_token`.
    Account(String),
    /// An account's ordinary token by `/cgi-bin/token`.
    Ordinary(String),
    /// An account's ordinary token by `/cgi-bin/stable_token`.
    Stable(String),
}

/// All access tokens ever issued, except those forgotten.
#[derive(Default)]
pub(crate) struct Tokens {
    entries: HashMap<Arc<str>, Entry>,
    lines: HashMap<Holder, Line>,
    /// Every entry once; what is due to be forgotten is looked for at the front.
    ages: VecDeque<Arc<str>>,
}

struct Entry {
    holder: Holder,
    expires_at: i64,
    replaced: bool,
}

/// The tokens of one holder.
#[derive(Default)]
struct Line {
    /// Those that may still work, the newest last.
    living: VecDeque<Arc<str>>,
    newest: Newest,
}

#[derive(Clone, Copy, Default)]
enum Newest {
    #[default]
    Never,
    Until(i64),
    Killed,
}

impl Life {
    /// A life of so many seconds. The overlap of old and new is never more than a quarter of it,
    /// so that a test with short lives sees tokens end.
    pub(crate) fn of_secs(secs: u64) -> Self {
        // A century is further than any test looks and keeps the sums far from overflow.
        const CENTURY_SECS: i64 = 100 * 366 * 24 * 3600;
        let secs = i64::try_from(secs).unwrap_or(CENTURY_SECS).min(CENTURY_SECS);
        let ms = secs * 1000;
        Self { ms, overlap_ms: OVERLAP_MS.min(ms / 4) }
    }

    /// The same life, for a token whose predecessor ends at once.
    pub(crate) fn without_overlap(self) -> Self {
        Self { overlap_ms: 0, ..self }
    }

    pub(crate) fn ms(self) -> i64 {
        self.ms
    }

    /// What `expires_in` tells of a new token.
    pub(crate) fn secs(self) -> i64 {
        self.ms / 1000
    }

    /// How long a replaced token lives on, in milliseconds.
    pub(crate) fn overlap_ms(self) -> i64 {
        self.overlap_ms
    }
}

impl Switches {
    /// How long tokens live that are issued now.
    pub(crate) fn life(&self) -> Life {
        Life::of_secs(self.token_life_secs)
    }
}

impl Holder {
    /// The account, unless it is the component.
    pub(crate) fn appid(&self) -> Option<&str> {
        match self {
            Self::Component => None,
            Self::Account(appid) | Self::Ordinary(appid) | Self::Stable(appid) => Some(appid),
        }
    }
}

impl Line {
    /// What the newest token has left: negative when it ran out, 0 when it was killed.
    fn left_ms(&self, now: i64) -> Option<i64> {
        match self.newest {
            Newest::Never => None,
            Newest::Until(expires_at) => Some(expires_at - now),
            Newest::Killed => Some(0),
        }
    }
}

impl Tokens {
    /// Takes in a fresh token; the one before it lives on for the overlap. Gives what that one had
    /// left in milliseconds, see `Issue::previous_remaining_ms`.
    pub(crate) fn issue(
        &mut self,
        holder: Holder,
        value: &str,
        life: Life,
        now: i64,
    ) -> Option<i64> {
        self.forget(now);
        let value: Arc<str> = value.into();
        let line = self.lines.entry(holder.clone()).or_default();
        let left_ms = line.left_ms(now);
        if let Some(entry) = line.living.back().and_then(|last| self.entries.get_mut(last)) {
            entry.replaced = true;
            entry.expires_at = entry.expires_at.min(now + life.overlap_ms);
        }
        let ended = |value: &Arc<str>| self.entries.get(value).is_none_or(|e| now >= e.expires_at);
        while line.living.front().is_some_and(ended) {
            line.living.pop_front();
        }
        let expires_at = now + life.ms;
        line.living.push_back(Arc::clone(&value));
        line.newest = Newest::Until(expires_at);
        self.ages.push_back(Arc::clone(&value));
        self.entries.insert(value, Entry { holder, expires_at, replaced: false });
        left_ms
    }

    /// Whose token this is or was.
    pub(crate) fn holder_of(&self, value: &str) -> Option<&Holder> {
        self.entries.get(value).map(|entry| &entry.holder)
    }

    /// The newest token of a holder and its end, if it still works.
    pub(crate) fn current(&self, holder: &Holder, now: i64) -> Option<(&str, i64)> {
        let value = self.lines.get(holder)?.living.back()?;
        let entry = self.entries.get(value)?;
        (now < entry.expires_at).then_some((&**value, entry.expires_at))
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
        let Some(line) = self.lines.get_mut(holder) else { return };
        for value in line.living.drain(..) {
            if let Some(entry) = self.entries.get_mut(&value) {
                entry.replaced = true;
                entry.expires_at = entry.expires_at.min(now);
            }
        }
        line.newest = Newest::Killed;
    }

    /// Ends the authorizer tokens of all accounts at once.
    pub(crate) fn kill_all_of_accounts(&mut self, now: i64) {
        let holders = self.lines.keys().filter(|holder| matches!(holder, Holder::Account(_)));
        for holder in holders.cloned().collect::<Vec<_>>() {
            self.kill(&holder, now);
        }
    }

    /// Looks at two of the oldest and forgets what ended long ago. One is added for two looked at,
    /// so the memory stays within a fixed share of what has to be remembered.
    fn forget(&mut self, now: i64) {
        for _ in 0..2 {
            let Some(value) = self.ages.pop_front() else { return };
            let memory_ms = if self.entries.len() > REMEMBERED { 0 } else { MEMORY_MS };
            match self.entries.get(&value) {
                Some(entry) if now < entry.expires_at + memory_ms => self.ages.push_back(value),
                Some(_) | None => drop(self.entries.remove(&value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: Life = Life { ms: 7200 * 1000, overlap_ms: OVERLAP_MS };

    fn issue(tokens: &mut Tokens, value: &str, now: i64) -> Option<i64> {
        tokens.issue(Holder::Component, value, HOURS, now)
    }

    fn errcode(tokens: &Tokens, value: &str, now: i64) -> i64 {
        tokens.check(value, now).err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_token_expires_after_7200_seconds() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        assert_eq!(errcode(&tokens, "a", HOURS.ms - 1), 0);
        assert_eq!(errcode(&tokens, "a", HOURS.ms), 42001);
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
        issue(&mut tokens, "b", HOURS.ms - 10);
        assert_ne!(errcode(&tokens, "a", HOURS.ms), 0);
    }

    #[test]
    fn with_short_lives_the_overlap_is_a_quarter_of_them() {
        assert_eq!(Life::of_secs(7200), HOURS);
        let short = Life::of_secs(8);
        assert_eq!((short.secs(), short.overlap_ms()), (8, 2000));
        let mut tokens = Tokens::default();
        tokens.issue(Holder::Component, "a", short, 0);
        tokens.issue(Holder::Component, "b", short, 1000);
        assert_eq!(errcode(&tokens, "a", 2999), 0);
        assert_eq!(errcode(&tokens, "a", 3000), 40001);
        assert_eq!(errcode(&tokens, "b", 9000), 42001);
    }

    #[test]
    fn a_life_beyond_all_bounds_is_a_century() {
        let mut tokens = Tokens::default();
        tokens.issue(Holder::Component, "a", Life::of_secs(u64::MAX), 1 << 50);
        assert_eq!(errcode(&tokens, "a", 1 << 50), 0);
    }

    #[test]
    fn killed_and_unknown_tokens_are_40001() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        issue(&mut tokens, "b", 1);
        tokens.kill(&Holder::Component, 5);
        assert_eq!((errcode(&tokens, "a", 5), errcode(&tokens, "b", 5)), (40001, 40001));
        assert_eq!(errcode(&tokens, "never", 5), 40001);
        assert!(tokens.current(&Holder::Component, 5).is_none());
    }

    #[test]
    fn killing_one_holder_spares_the_others() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", 0);
        tokens.issue(Holder::Account("wx1".to_owned()), "b", HOURS, 0);
        tokens.issue(Holder::Ordinary("wx1".to_owned()), "c", HOURS, 0);
        tokens.issue(Holder::Stable("wx1".to_owned()), "d", HOURS, 0);
        tokens.kill(&Holder::Component, 5);
        assert_eq!(errcode(&tokens, "b", 5), 0);
        tokens.kill_all_of_accounts(5);
        assert_eq!(errcode(&tokens, "b", 5), 40001);
        assert_eq!((errcode(&tokens, "c", 5), errcode(&tokens, "d", 5)), (0, 0));
    }

    #[test]
    fn an_issue_tells_what_the_token_before_had_left() {
        let mut tokens = Tokens::default();
        assert_eq!(issue(&mut tokens, "a", 0), None);
        assert_eq!(issue(&mut tokens, "b", HOURS.ms - 7), Some(7));
        assert_eq!(issue(&mut tokens, "c", 2 * HOURS.ms), Some(-7));
        tokens.kill(&Holder::Component, 2 * HOURS.ms + 1);
        assert_eq!(issue(&mut tokens, "d", 9 * HOURS.ms), Some(0));
    }

    #[test]
    fn ended_tokens_are_forgotten_after_a_day_and_living_ones_are_not() {
        let mut tokens = Tokens::default();
        tokens.issue(Holder::Account("wx1".to_owned()), "long", Life::of_secs(30 * 24 * 3600), 0);
        for number in 0..100 {
            issue(&mut tokens, &format!("early{number}"), 0);
        }
        assert_eq!(errcode(&tokens, "early99", HOURS.ms), 42001);
        let later = HOURS.ms + MEMORY_MS;
        for number in 0..100 {
            issue(&mut tokens, &format!("late{number}"), later);
        }
        assert!(tokens.entries.len() <= 110, "{} are remembered", tokens.entries.len());
        assert_eq!(tokens.entries.len(), tokens.ages.len());
        assert_eq!(errcode(&tokens, "long", later), 0);
        assert_eq!(errcode(&tokens, "late0", later), 0);
    }
}
