//! The book of issues: every access token that was handed out, and what it replaced.
//!
//! Tests read off here whether a token was refreshed once per expiry and never while it had long
//! to live, whatever the service under test says of itself.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// How many issues are remembered; the oldest goes first.
const ISSUES_KEPT: usize = 200_000;

/// One access token that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Counts all issues from 1.
    pub number: u64,
    /// When, Unix milliseconds of the emulator's clock.
    pub at_ms: i64,
    /// The interface that was asked.
    pub path: &'static str,
    /// The component, or the account whose token it is.
    pub appid: String,
    /// What the token before it in the same line had left, in milliseconds: negative when it had
    /// run out, 0 when it was killed, `None` for the first of the line.
    pub previous_remaining_ms: Option<i64>,
    /// SHA-256 of the token, 64 lower-case hexadecimal digits.
    pub value_digest: String,
}

/// The interfaces whose issues are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssuedBy {
    ComponentToken,
    AuthorizerToken,
    Token,
    StableToken,
}

impl IssuedBy {
    fn path(self) -> &'static str {
        match self {
            Self::ComponentToken => "/cgi-bin/component/api_component_token",
            Self::AuthorizerToken => "/cgi-bin/component/api_authorizer_token",
            Self::Token => "/cgi-bin/token",
            Self::StableToken => "/cgi-bin/stable_token",
        }
    }
}

/// An issue as it is kept: without the texts that can be made again.
#[derive(Clone)]
pub(crate) struct KeptIssue {
    number: u64,
    at_ms: i64,
    by: IssuedBy,
    appid: Arc<str>,
    previous_remaining_ms: Option<i64>,
    value_digest: [u8; 32],
}

impl From<KeptIssue> for Issue {
    fn from(kept: KeptIssue) -> Self {
        Self {
            number: kept.number,
            at_ms: kept.at_ms,
            path: kept.by.path(),
            appid: kept.appid.to_string(),
            previous_remaining_ms: kept.previous_remaining_ms,
            value_digest: base16ct::lower::encode_string(&kept.value_digest),
        }
    }
}

/// The book.
#[derive(Default)]
pub(crate) struct Issues {
    last_number: u64,
    kept: VecDeque<KeptIssue>,
}

impl Issues {
    /// Writes an issue down.
    pub(crate) fn record(
        &mut self,
        by: IssuedBy,
        (appid, value): (&str, &str),
        previous_remaining_ms: Option<i64>,
        now: i64,
    ) {
        self.last_number += 1;
        if self.kept.len() == ISSUES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(KeptIssue {
            number: self.last_number,
            at_ms: now,
            by,
            appid: appid.into(),
            previous_remaining_ms,
            value_digest: Sha256::digest(value).into(),
        });
    }

    /// The remembered issues with a number above `number`, oldest first.
    pub(crate) fn since(&self, number: u64) -> Vec<KeptIssue> {
        let newer = usize::try_from(self.last_number.saturating_sub(number)).unwrap_or(usize::MAX);
        let first = self.kept.len().saturating_sub(newer);
        self.kept.range(first..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_told_by_its_number_and_digest() {
        let mut issues = Issues::default();
        issues.record(IssuedBy::Token, ("wx1", "abc"), None, 7);
        issues.record(IssuedBy::StableToken, ("wx2", "abd"), Some(-3), 8);
        let numbers = |since| issues.since(since).iter().map(|one| one.number).collect::<Vec<_>>();
        assert_eq!(numbers(0), [1, 2]);
        assert_eq!(numbers(1), [2]);
        assert!(numbers(2).is_empty() && numbers(u64::MAX).is_empty());
        let first = Issue::from(issues.since(0).remove(0));
        assert_eq!((first.path, first.appid.as_str(), first.at_ms), ("/cgi-bin/token", "wx1", 7));
        assert!(first.value_digest.starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn the_oldest_issues_leave_the_book() {
        let mut issues = Issues::default();
        for _ in 0..=ISSUES_KEPT {
            issues.record(IssuedBy::ComponentToken, ("wx1", ""), None, 0);
        }
        let kept = issues.since(0);
        assert_eq!((kept.len(), kept[0].number), (ISSUES_KEPT, 2));
    }
}
