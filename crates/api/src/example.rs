//! What the examples in the documents share, so that they tell one story.

use chrono::DateTime;
use lingpai_model::Instant;

/// The appid of the component in the examples.
pub(crate) const COMPONENT_APPID: &str = "wx1f0e2d3c4b5a6978";

/// The appid of the account in the examples.
pub(crate) const AUTHORIZER_APPID: &str = "wx570bc396a51b8ff8";

/// When the examples happen.
pub(crate) fn instant() -> Instant {
    DateTime::from_timestamp(1_795_000_000, 0).expect("an instant in 2026")
}
