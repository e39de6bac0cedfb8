//! The tokens that are kept alive: which there are, when they are refreshed, and how they stand.

use std::fmt;

use chrono::Duration;

use crate::{
    Instant, Secret,
    id::{AuthorizerId, ComponentId, WebTokenId},
};

/// How many refreshes of a token are remembered.
pub const REMEMBERED_REFRESHES: usize = 10;

/// One kept token: which kind, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenKey {
    /// The `component_access_token` of a component.
    Component(ComponentId),
    /// The `authorizer_access_token` of an account that granted rights to a component.
    Authorizer(AuthorizerId),
    /// The ordinary `access_token` of an account that is connected by its own secret.
    Ordinary(AuthorizerId),
    /// The web OAuth `access_token` of one fan.
    Web(WebTokenId),
    /// The `jsapi_ticket` of an account: with it the account's pages are signed for the JS-SDK.
    JsapiTicket(AuthorizerId),
    /// The ticket with which an account's cards and coupons (卡券) are signed for the JS-SDK.
    CardTicket(AuthorizerId),
}

/// The kinds of token, as the database writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `component_access_token`.
    Component,
    /// `authorizer_access_token`.
    Authorizer,
    /// The ordinary `access_token`.
    Ordinary,
    /// The web OAuth `access_token`.
    Web,
    /// `jsapi_ticket`.
    JsapiTicket,
    /// The ticket of cards and coupons.
    CardTicket,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Component,
        Self::Authorizer,
        Self::Ordinary,
        Self::Web,
        Self::JsapiTicket,
        Self::CardTicket,
    ];

    /// Those that workers refresh ahead of their end. The others are got when somebody asks: past their
    /// end they are nobody's lapse.
    pub const AHEAD: [Self; 3] = [Self::Component, Self::Authorizer, Self::Ordinary];

    /// As the database writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component_access_token",
            Self::Authorizer => "authorizer_access_token",
            Self::Ordinary => "access_token",
            Self::Web => "web_access_token",
            Self::JsapiTicket => "jsapi_ticket",
            Self::CardTicket => "card_ticket",
        }
    }
}

impl TokenKey {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        match self {
            Self::Component(_) => TokenKind::Component,
            Self::Authorizer(_) => TokenKind::Authorizer,
            Self::Ordinary(_) => TokenKind::Ordinary,
            Self::Web(_) => TokenKind::Web,
            Self::JsapiTicket(_) => TokenKind::JsapiTicket,
            Self::CardTicket(_) => TokenKind::CardTicket,
        }
    }

    /// The id of whose token it is.
    #[must_use]
    pub fn owner_id(&self) -> &str {
        match self {
            Self::Component(id) => id.as_str(),
            Self::Authorizer(id)
            | Self::Ordinary(id)
            | Self::JsapiTicket(id)
            | Self::CardTicket(id) => id.as_str(),
            Self::Web(id) => id.as_str(),
        }
    }

    /// Reads a key as the database keeps it; `None` when no such token can be.
    #[must_use]
    pub fn parse(kind: &str, owner_id: &str) -> Option<Self> {
        let kind = TokenKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        match kind {
            TokenKind::Component => ComponentId::parse(owner_id).ok().map(Self::Component),
            TokenKind::Authorizer => AuthorizerId::parse(owner_id).ok().map(Self::Authorizer),
            TokenKind::Ordinary => AuthorizerId::parse(owner_id).ok().map(Self::Ordinary),
            TokenKind::Web => WebTokenId::parse(owner_id).ok().map(Self::Web),
            TokenKind::JsapiTicket => AuthorizerId::parse(owner_id).ok().map(Self::JsapiTicket),
            TokenKind::CardTicket => AuthorizerId::parse(owner_id).ok().map(Self::CardTicket),
        }
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind().as_str(), self.owner_id())
    }
}

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
        at < self.expires_at - policy.margin(self.lifetime())
    }

    fn lifetime(&self) -> Duration {
        self.expires_at - self.obtained_at
    }
}

/// When a token is refreshed ahead of its end, and when again after a failure.
#[derive(Debug, Clone, Copy)]
pub struct RefreshPolicy {
    /// The most that a refresh must run ahead.
    pub longest_margin: Duration,
    /// The part of a token's life, in percent, that a refresh must run ahead at most.
    pub margin_percent: i32,
    /// The most that a worker, by chance, runs ahead of that: accounts that came together drift
    /// apart.
    pub longest_spread: Duration,
    /// The part of a token's life, in percent, that the spread has at most.
    pub spread_percent: i32,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            longest_margin: Duration::minutes(10),
            margin_percent: 20,
            longest_spread: Duration::minutes(10),
            spread_percent: 10,
        }
    }
}

/// How long a token rests after a refresh failed, by the number of failures in a row; the last one
/// for ever.
const PAUSES_SECS: [i64; 6] = [2, 5, 15, 60, 300, 900];

impl RefreshPolicy {
    /// How long before its end a token of this `lifetime` is refreshed at the latest.
    #[must_use]
    pub fn margin(&self, lifetime: Duration) -> Duration {
        (lifetime * self.margin_percent / 100).min(self.longest_margin)
    }

    /// When a worker is to refresh `token`: at the margin, or up to the spread before it, as
    /// `chance` has it.
    #[must_use]
    pub fn due_at(&self, token: &AccessToken, chance: u8) -> Instant {
        let lifetime = token.lifetime();
        let spread = (lifetime * self.spread_percent / 100).min(self.longest_spread);
        token.expires_at - self.margin(lifetime) - spread * i32::from(chance) / 255
    }

    /// How long nothing is tried after the `failures`th failure in a row.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        Duration::seconds(PAUSES_SECS[nth.min(PAUSES_SECS.len() - 1)])
    }
}

/// Why a refresh took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshCause {
    /// The account granted, and WeChat gave the token with the grant.
    Grant,
    /// A worker was ahead of the token's end.
    Ahead,
    /// Somebody asked, and no living token was there, or its end was near.
    Asked,
    /// WeChat had rejected the token before its end.
    Cured,
    /// Somebody wanted a new one.
    Manual,
    /// A reconciliation with WeChat's list of accounts brought a reason.
    Reconciliation,
}

impl RefreshCause {
    /// All causes.
    pub const ALL: [Self; 6] =
        [Self::Grant, Self::Ahead, Self::Asked, Self::Cured, Self::Manual, Self::Reconciliation];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Ahead => "ahead",
            Self::Asked => "asked",
            Self::Cured => "cured",
            Self::Manual => "manual",
            Self::Reconciliation => "reconciliation",
        }
    }
}

/// One refresh as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// When it ended.
    pub at: Instant,
    /// Why it took place.
    pub cause: RefreshCause,
    /// Why it failed, if it did; without secrets.
    pub failure: Option<String>,
}

/// Why the last refresh of a token failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFailure {
    /// When it failed.
    pub at: Instant,
    /// What was attempted and why it failed, without secrets.
    pub reason: String,
    /// How many refreshes in a row have failed; at least 1.
    pub in_a_row: u32,
}

/// A kept token: the present one, if there is one, what it is refreshed with, and how that went.
#[derive(Debug, Clone)]
pub struct KeptToken {
    /// Which token it is.
    pub key: TokenKey,
    /// Counts what it is refreshed with, for instance the grants of an account: what an older one
    /// brought never replaces what a newer one did.
    pub generation: i64,
    /// The present token.
    pub token: Option<AccessToken>,
    /// The refresh token, where the kind has one and it is known.
    pub refresh_token: Option<Secret<String>>,
    /// The last refresh, if it failed.
    pub failure: Option<TokenFailure>,
    /// When a worker looks at it next; `None` if never.
    pub due_at: Option<Instant>,
    /// Why it is due then, unless it is for its age or for a failure.
    pub due_cause: Option<RefreshCause>,
    /// The last refreshes, the newest first: at most [`REMEMBERED_REFRESHES`].
    pub refreshes: Vec<Refresh>,
}

impl KeptToken {
    /// A token of which nothing is known yet.
    #[must_use]
    pub fn unknown(key: TokenKey, generation: i64) -> Self {
        Self {
            key,
            generation,
            token: None,
            refresh_token: None,
            failure: None,
            due_at: None,
            due_cause: None,
            refreshes: Vec::new(),
        }
    }

    /// Remembers one more refresh, and forgets the oldest.
    pub fn remember(&mut self, refresh: Refresh) {
        self.refreshes.insert(0, refresh);
        self.refreshes.truncate(REMEMBERED_REFRESHES);
    }

    /// Until when nothing is tried, if the last refresh failed and its pause lasts at `at`.
    #[must_use]
    pub fn rests_until(&self, at: Instant) -> Option<Instant> {
        self.failure.as_ref()?;
        self.due_at.filter(|due_at| at < *due_at)
    }

    /// How the token stands at `at`.
    #[must_use]
    pub fn health(self, at: Instant, policy: &RefreshPolicy) -> TokenHealth {
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
            last_failure: self.failure,
            next_try_at: self.due_at,
            refreshes: self.refreshes,
        }
    }
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
    /// When a worker looks at it next.
    pub next_try_at: Option<Instant>,
    /// The last refreshes, the newest first.
    pub refreshes: Vec<Refresh>,
}

impl TokenHealth {
    /// Of a token that nobody keeps yet.
    #[must_use]
    pub fn missing() -> Self {
        Self {
            state: TokenState::Missing,
            expires_at: None,
            refreshed_at: None,
            last_failure: None,
            next_try_at: None,
            refreshes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Entropy;

    fn key() -> TokenKey {
        TokenKey::Component(ComponentId::new(Instant::UNIX_EPOCH, &Entropy::seeded(1)))
    }

    fn token(lifetime_secs: i64) -> AccessToken {
        let at = Instant::UNIX_EPOCH;
        AccessToken {
            value: Secret::from("t"),
            expires_at: at + Duration::seconds(lifetime_secs),
            obtained_at: at,
        }
    }

    fn kept() -> KeptToken {
        KeptToken { token: Some(token(7200)), ..KeptToken::unknown(key(), 1) }
    }

    #[test]
    fn the_margin_is_ten_minutes_or_a_fifth_of_the_life() {
        let policy = RefreshPolicy::default();
        assert_eq!(policy.margin(Duration::seconds(7200)), Duration::minutes(10));
        assert_eq!(policy.margin(Duration::seconds(100)), Duration::seconds(20));
    }

    #[test]
    fn a_worker_is_due_before_the_margin_by_up_to_the_spread() {
        let policy = RefreshPolicy::default();
        let due =
            |chance| (policy.due_at(&token(7200), chance) - Instant::UNIX_EPOCH).num_minutes();
        assert_eq!((due(0), due(255)), (110, 100));
        let short = policy.due_at(&token(100), 255) - Instant::UNIX_EPOCH;
        assert_eq!(short, Duration::seconds(70));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let policy = RefreshPolicy::default();
        let pauses = [0, 1, 2, 6, 1000].map(|failures| policy.pause(failures).num_seconds());
        assert_eq!(pauses, [2, 2, 5, 900, 900]);
    }

    #[test]
    fn a_token_rests_only_after_a_failure_and_only_until_its_next_try() {
        let at = Instant::UNIX_EPOCH;
        let due_at = Some(at + Duration::seconds(5));
        let healthy = KeptToken { due_at, ..kept() };
        assert_eq!(healthy.rests_until(at), None);
        let failure = TokenFailure { at, reason: "busy".to_owned(), in_a_row: 1 };
        let failed = KeptToken { failure: Some(failure), ..healthy };
        assert_eq!(failed.rests_until(at), due_at);
        assert_eq!(failed.rests_until(at + Duration::seconds(5)), None);
    }

    #[test]
    fn the_last_ten_refreshes_are_remembered_the_newest_first() {
        let mut kept = kept();
        for secs in 0..12 {
            let at = Instant::UNIX_EPOCH + Duration::seconds(secs);
            kept.remember(Refresh { at, cause: RefreshCause::Ahead, failure: None });
        }
        let secs: Vec<i64> = kept.refreshes.iter().map(|refresh| refresh.at.timestamp()).collect();
        assert_eq!(secs, (2..12).rev().collect::<Vec<_>>());
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let (at, entropy) = (Instant::UNIX_EPOCH, Entropy::seeded(2));
        for key in [
            TokenKey::Component(ComponentId::new(at, &entropy)),
            TokenKey::Authorizer(AuthorizerId::new(at, &entropy)),
            TokenKey::Ordinary(AuthorizerId::new(at, &entropy)),
            TokenKey::Web(WebTokenId::new(at, &entropy)),
            TokenKey::JsapiTicket(AuthorizerId::new(at, &entropy)),
            TokenKey::CardTicket(AuthorizerId::new(at, &entropy)),
        ] {
            assert_eq!(TokenKey::parse(key.kind().as_str(), key.owner_id()), Some(key));
        }
        assert_eq!(TokenKey::parse("access_token", "cmp_1"), None);
    }

    #[test]
    fn health_follows_the_clock() {
        let policy = RefreshPolicy::default();
        let state = |secs| {
            let at = Instant::UNIX_EPOCH + Duration::seconds(secs);
            kept().health(at, &policy).state
        };
        assert_eq!(state(0), TokenState::Fresh);
        assert_eq!(state(6599), TokenState::Fresh);
        assert_eq!(state(6600), TokenState::Due);
        assert_eq!(state(7200), TokenState::Expired);
        let none = KeptToken::unknown(key(), 1).health(Instant::UNIX_EPOCH, &policy);
        assert_eq!(none, TokenHealth::missing());
    }
}
