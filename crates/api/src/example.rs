//! What the examples in the documents share, so that they tell one story.

use chrono::DateTime;
use lingpai_model::Instant;

/// The appid of the component in the examples.
pub(crate) const COMPONENT_APPID: &str = "wx1f0e2d3c4b5a6978";

/// The appid of the account in the examples.
pub(crate) const AUTHORIZER_APPID: &str = "wx570bc396a51b8ff8";

/// The tenant in the examples.
pub(crate) const TENANT_ID: &str = "tnt_01KAEXAMP1E000000000000000";

/// The API key in the examples.
pub(crate) const API_KEY_ID: &str = "key_01KAEXAMP1E000000000000001";

/// The operator in the examples.
pub(crate) const OPERATOR_ID: &str = "opr_01KAEXAMP1E000000000000002";

/// The authorization in the examples.
pub(crate) const AUTHORIZATION_ID: &str = "atn_01KAEXAMP1E000000000000003";

/// The authorizer in the examples, as operators name it.
pub(crate) const AUTHORIZER_ID: &str = "aut_01KAEXAMP1E000000000000004";

/// The entry of the audit trail in the examples.
pub(crate) const AUDIT_ID: &str = "aud_01KAEXAMP1E000000000000005";

/// The verification file in the examples.
pub(crate) const FILE_NAME: &str = "MP_verify_0aB1cD2eF3gH4iJ5.txt";

/// When the examples happen.
pub(crate) fn instant() -> Instant {
    DateTime::from_timestamp(1_795_000_000, 0).expect("an instant in 2026")
}
