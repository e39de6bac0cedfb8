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

/// The endpoint in the examples.
pub(crate) const ENDPOINT_ID: &str = "end_01KAEXAMP1E000000000000006";

/// The event in the examples.
pub(crate) const EVENT_ID: &str = "evt_01KAEXAMP1E000000000000007";

/// The delivery in the examples.
pub(crate) const DELIVERY_ID: &str = "dlv_01KAEXAMP1E000000000000008";

/// The push in quarantine in the examples.
pub(crate) const PUSH_ID: &str = "psh_01KAEXAMP1E000000000000009";

/// The fan in the examples.
pub(crate) const OPENID: &str = "oabcdefghijklmnopqrstuvwxyz0";

/// The fan in the examples, across the accounts of one owner.
pub(crate) const UNIONID: &str = "o6_bmasdasdsad6_2sgVt7hMZOPf";

/// The code in the examples that a fan brings to a tenant.
pub(crate) const ONE_TIME_CODE: &str =
    "lpc_01KAEXAMP1E00000000000000AexampleExampleExampleExampleExampleExample1";

/// The original id of the account in the examples.
pub(crate) const USER_NAME: &str = "gh_eb5e3a772040";

/// The message of the fan in the examples, as WeChat pushes it.
pub(crate) const MESSAGE_XML: &str = "<xml><ToUserName><![CDATA[gh_eb5e3a772040]]></ToUserName>\
    <FromUserName><![CDATA[oabcdefghijklmnopqrstuvwxyz0]]></FromUserName>\
    <CreateTime>1795000000</CreateTime><MsgType><![CDATA[text]]></MsgType>\
    <Content><![CDATA[你好]]></Content><MsgId>23456789012345678</MsgId></xml>";

/// The verification file in the examples.
pub(crate) const FILE_NAME: &str = "MP_verify_0aB1cD2eF3gH4iJ5.txt";

/// When the examples happen.
pub(crate) fn instant() -> Instant {
    DateTime::from_timestamp(1_795_000_000, 0).expect("an instant in 2026")
}
