//! What is told of a kept token, in both APIs: everything but the token.

use lingpai_model::{
    Instant,
    token::{Refresh, RefreshCause, TokenHealth, TokenState},
};
use poem_openapi::{Enum, Object, types::Example};

use crate::example;

/// Whether a kept token can be used. One that is `due` can: it is refreshed ahead of its end.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "TokenState", rename_all = "snake_case", remote = "TokenState")]
enum TokenStateView {
    /// None was obtained yet.
    Missing,
    /// Usable, and no refresh is due.
    Fresh,
    /// Usable, and a refresh is due.
    Due,
    /// Past its end.
    Expired,
}

/// Why a token was refreshed.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "RefreshCause", rename_all = "snake_case", remote = "RefreshCause")]
enum RefreshCauseView {
    /// The account granted, or was connected, and the token came with that.
    Grant,
    /// A worker was ahead of the token's end.
    Ahead,
    /// Somebody asked, and no living token was there, or its end was near.
    Asked,
    /// WeChat had rejected the token before its end.
    Cured,
    /// Somebody wanted a new one.
    Manual,
    /// A comparison with WeChat's list of accounts brought a reason.
    Reconciliation,
}

/// One refresh of a token as it went.
#[derive(Debug, Object)]
#[oai(rename = "Refresh", example)]
struct RefreshView {
    /// When it ended.
    at: Instant,
    /// Why it took place.
    cause: RefreshCauseView,
    /// Why it failed; null if it did not.
    #[oai(nullable)]
    error: Option<String>,
}

impl Example for RefreshView {
    fn example() -> Self {
        Self { at: example::instant(), cause: RefreshCauseView::Ahead, error: None }
    }
}

impl From<Refresh> for RefreshView {
    fn from(refresh: Refresh) -> Self {
        Self { at: refresh.at, cause: refresh.cause.into(), error: refresh.failure }
    }
}

/// How a kept token stands, without the token.
#[derive(Debug, Object)]
#[oai(rename = "TokenHealth", example)]
pub(crate) struct TokenHealthView {
    /// Whether it can be used.
    state: TokenStateView,
    /// When it ends.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// When it was obtained.
    #[oai(nullable)]
    refreshed_at: Option<Instant>,
    /// Seconds since it was obtained.
    #[oai(nullable)]
    age_secs: Option<u64>,
    /// Why the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error: Option<String>,
    /// When the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error_at: Option<Instant>,
    /// How many refreshes in a row have failed.
    failures: u32,
    /// When it is refreshed next without anybody asking; null if it is not.
    #[oai(nullable)]
    next_try_at: Option<Instant>,
    /// The last refreshes, at most ten, the newest first.
    refreshes: Vec<RefreshView>,
}

impl Example for TokenHealthView {
    fn example() -> Self {
        let refreshed_at = example::instant();
        Self {
            state: TokenStateView::Fresh,
            expires_at: Some(refreshed_at + chrono::Duration::hours(2)),
            refreshed_at: Some(refreshed_at),
            age_secs: Some(1800),
            last_error: None,
            last_error_at: None,
            failures: 0,
            next_try_at: Some(refreshed_at + chrono::Duration::minutes(105)),
            refreshes: vec![RefreshView::example()],
        }
    }
}

impl TokenHealthView {
    /// `health` as it is told at `now`.
    pub(crate) fn of(health: TokenHealth, now: Instant) -> Self {
        let failures = health.last_failure.as_ref().map_or(0, |failure| failure.in_a_row);
        let (last_error, last_error_at) =
            health.last_failure.map(|failure| (failure.reason, failure.at)).unzip();
        let age = |at: Instant| u64::try_from((now - at).num_seconds()).unwrap_or(0);
        Self {
            state: health.state.into(),
            expires_at: health.expires_at,
            refreshed_at: health.refreshed_at,
            age_secs: health.refreshed_at.map(age),
            last_error,
            last_error_at,
            failures,
            next_try_at: health.next_try_at,
            refreshes: health.refreshes.into_iter().map(RefreshView::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use lingpai_model::token::TokenFailure;
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn states_and_causes_are_written_as_the_model_writes_them() {
        let all = [TokenState::Missing, TokenState::Fresh, TokenState::Due, TokenState::Expired];
        for state in all {
            assert_eq!(TokenStateView::from(state).to_json(), Some(state.as_str().into()));
        }
        for cause in RefreshCause::ALL {
            assert_eq!(RefreshCauseView::from(cause).to_json(), Some(cause.as_str().into()));
        }
    }

    #[test]
    fn a_token_that_cannot_be_refreshed_tells_why_how_often_and_when_next() {
        let at = example::instant();
        let failed_at = at + Duration::seconds(60);
        let reason = || "WeChat is busy".to_owned();
        let health = TokenHealth {
            state: TokenState::Due,
            expires_at: Some(at + Duration::hours(2)),
            refreshed_at: Some(at),
            last_failure: Some(TokenFailure { at: failed_at, reason: reason(), in_a_row: 3 }),
            next_try_at: Some(failed_at + Duration::seconds(15)),
            refreshes: vec![
                Refresh { at: failed_at, cause: RefreshCause::Ahead, failure: Some(reason()) },
                Refresh { at, cause: RefreshCause::Cured, failure: None },
            ],
        };
        let json = TokenHealthView::of(health, failed_at).to_json().unwrap();
        assert_eq!((&json["age_secs"], &json["failures"]), (&json!(60), &json!(3)));
        assert_eq!(json["last_error"], "WeChat is busy");
        assert_eq!(json["last_error_at"], failed_at.to_json().unwrap());
        assert_eq!(json["next_try_at"], (failed_at + Duration::seconds(15)).to_json().unwrap());
        let refreshes = json["refreshes"].as_array().unwrap();
        let told: Vec<_> = refreshes.iter().map(|one| (&one["cause"], &one["error"])).collect();
        assert_eq!(
            told,
            [(&json!("ahead"), &json!("WeChat is busy")), (&json!("cured"), &json!(null))]
        );
    }

    #[test]
    fn a_token_from_a_clock_ahead_of_ours_is_of_age_zero_and_a_missing_one_of_none() {
        let at = example::instant();
        let ahead = TokenHealth { refreshed_at: Some(at), ..TokenHealth::missing() };
        let view = |health| TokenHealthView::of(health, at - Duration::minutes(1));
        assert_eq!(view(ahead).age_secs, Some(0));
        assert_eq!(view(TokenHealth::missing()).to_json().unwrap()["age_secs"], json!(null));
    }
}
