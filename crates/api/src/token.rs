//! What is told of a kept token, in both APIs: everything but the token.

use lingpai_model::{
    Instant,
    token::{TokenHealth, TokenState},
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
    /// Why the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error: Option<String>,
    /// When the last refresh failed; null if it did not.
    #[oai(nullable)]
    last_error_at: Option<Instant>,
}

impl Example for TokenHealthView {
    fn example() -> Self {
        let refreshed_at = example::instant();
        Self {
            state: TokenStateView::Fresh,
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
            state: health.state.into(),
            expires_at: health.expires_at,
            refreshed_at: health.refreshed_at,
            last_error,
            last_error_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn states_are_written_as_the_model_writes_them() {
        let all = [TokenState::Missing, TokenState::Fresh, TokenState::Due, TokenState::Expired];
        for state in all {
            assert_eq!(TokenStateView::from(state).to_json(), Some(state.as_str().into()));
        }
    }
}
