//! What is told of a kept token, in both APIs: everything but the token.

use lingpai_model::{Instant, token::TokenHealth};
use poem_openapi::{Object, types::Example};

/// How a kept token stands, without the token.
#[derive(Debug, Object)]
#[oai(rename = "TokenHealth", example)]
pub(crate) struct TokenHealthView {
    /// `missing`, `fresh`, `due` (usable, a refresh is due) or `expired`.
    state: String,
    /// When it ends.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// When it was obtained.
    #[oai(nullable)]
    refreshed_at: Option<Instant>,
    /// Why the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error: Option<String>,
    /// When the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error_at: Option<Instant>,
}

impl Example for TokenHealthView {
    fn example() -> Self {
        let refreshed_at = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        Self {
            state: "fresh".to_owned(),
            expires_at: Some(refreshed_at + chrono::Duration::hours(2)),
            refreshed_at: Some(refreshed_at),
            last_error: None,
            last_error_at: None,
        }
    }
}

impl From<TokenHealth> for TokenHealthView {
    fn from(health: TokenHealth) -> Self {
        let (last_error, last_error_at) =
            health.last_failure.map(|failure| (failure.reason, failure.at)).unzip();
        Self {
            state: health.state.as_str().to_owned(),
            expires_at: health.expires_at,
            refreshed_at: health.refreshed_at,
            last_error,
            last_error_at,
        }
    }
}
