//! Access tokens and what is known about their health.

use chrono::Duration;

use crate::{Instant, Secret};

/// An access token of any kind and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The token itself.
    pub value: Secret<String>,
    /// When WeChat stops honouring it.
    pub expires_at: Instant,
    /// When we got it.
    pub obtained_at: Instant,
}

impl AccessToken {
    /// A token that was obtained at `obtained_at` and lives for `expires_in`.
    #[must_use]
    pub fn obtained(
        value: Secret<String>,
        obtained_at: Instant,
        expires_in: std::time::Duration,
    ) -> Self {
        Self { value, expires_at: obtained_at + expires_in, obtained_at }
    }

    /// Whether it will still be honoured at `at`.
    #[must_use]
    pub fn is_alive(&self, at: Instant) -> bool {
        at < self.expires_at
    }

    /// Whether it is far enough from its end that nobody needs to refresh it.
    #[must_use]
    pub fn is_fresh(&self, at: Instant, policy: &RefreshPolicy) -> bool {
        at < self.expires_at - policy.margin(self.expires_at - self.obtained_at)
    }
}

/// When a token is refreshed ahead of its end.
#[derive(Debug, Clone, Copy)]
pub struct RefreshPolicy {
    /// The most that a refresh runs ahead.
    pub longest_margin: Duration,
    /// The part of a token's life, in percent, that a refresh may run ahead at most.
    pub margin_percent: i32,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self { longest_margin: Duration::minutes(10), margin_percent: 20 }
    }
}

impl RefreshPolicy {
    /// How long before its end a token of this `lifetime` is refreshed.
    #[must_use]
    pub fn margin(&self, lifetime: Duration) -> Duration {
        (lifetime * self.margin_percent / 100).min(self.longest_margin)
    }
}

/// Why the last refresh of a token failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFailure {
    /// When it failed.
    pub at: Instant,
    /// What was attempted and why it failed, without secrets.
    pub reason: String,
}

/// A kept token: the present one, if there is one, and how the last refresh went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptToken {
    /// The present token.
    pub token: Option<AccessToken>,
    /// The last refresh, if it failed.
    pub failure: Option<TokenFailure>,
}

/// The state of a kept token in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// None was obtained yet.
    Missing,
    /// Usable, and no refresh is due.
    Fresh,
    /// Usable, and a refresh is due.
    Due,
    /// Past its end.
    Expired,
}

impl TokenState {
    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Fresh => "fresh",
            Self::Due => "due",
            Self::Expired => "expired",
        }
    }
}

/// What may be told about a kept token: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHealth {
    /// Its state in one word.
    pub state: TokenState,
    /// When it ends.
    pub expires_at: Option<Instant>,
    /// When it was obtained.
    pub refreshed_at: Option<Instant>,
    /// The last refresh, if it failed.
    pub last_failure: Option<TokenFailure>,
}

impl KeptToken {
    /// How the token stands at `at`.
    #[must_use]
    pub fn health(&self, at: Instant, policy: &RefreshPolicy) -> TokenHealth {
        let state = match &self.token {
            None => TokenState::Missing,
            Some(token) if token.is_fresh(at, policy) => TokenState::Fresh,
            Some(token) if token.is_alive(at) => TokenState::Due,
            Some(_) => TokenState::Expired,
        };
        TokenHealth {
            state,
            expires_at: self.token.as_ref().map(|token| token.expires_at),
            refreshed_at: self.token.as_ref().map(|token| token.obtained_at),
            last_failure: self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(lifetime_secs: i64) -> KeptToken {
        let at = Instant::UNIX_EPOCH;
        let token = AccessToken {
            value: Secret::from("t"),
            expires_at: at + Duration::seconds(lifetime_secs),
            obtained_at: at,
        };
        KeptToken { token: Some(token), failure: None }
    }

    #[test]
    fn the_margin_is_ten_minutes_or_a_fifth_of_the_life() {
        let policy = RefreshPolicy::default();
        assert_eq!(policy.margin(Duration::seconds(7200)), Duration::minutes(10));
        assert_eq!(policy.margin(Duration::seconds(100)), Duration::seconds(20));
    }

    #[test]
    fn health_follows_the_clock() {
        let policy = RefreshPolicy::default();
        let state = |secs| {
            let at = Instant::UNIX_EPOCH + Duration::seconds(secs);
            token(7200).health(at, &policy).state
        };
        assert_eq!(state(0), TokenState::Fresh);
        assert_eq!(state(6599), TokenState::Fresh);
        assert_eq!(state(6600), TokenState::Due);
        assert_eq!(state(7200), TokenState::Expired);
        let none = KeptToken::default().health(Instant::UNIX_EPOCH, &policy);
        assert_eq!(none.state, TokenState::Missing);
    }
}
