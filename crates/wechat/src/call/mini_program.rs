//! The login to a mini program (小程序登录): who the fan is, and the key of his session.

use super::{Answer, AnswerError, Call, field::Fields};
use crate::{mini_program::is_session_key, secret::Secret};

/// Logs a fan in to a mini program that is connected with its own secret. GET, everything in the
/// query.
///
/// Source: WeChat docs, "Mini program login" (code2Session): a `js_code` is good once, for 5 minutes;
/// 40029 for any other, 45011 when one fan logs in too often, 40226 for one who is judged risky.
pub const LOG_IN_FAN: Call = Call { name: "jscode2session", path: "/sns/jscode2session" };

/// The same for a mini program that granted to the component. GET, everything in the query.
///
/// Source: WeChat docs, "Mini program login on behalf" (thirdpartyCode2Session).
pub const LOG_IN_FAN_ON_BEHALF: Call =
    Call { name: "component/jscode2session", path: "/sns/component/jscode2session" };

/// Answer of [`LOG_IN_FAN`] and of [`LOG_IN_FAN_ON_BEHALF`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSession {
    /// The fan, as this mini program knows him.
    pub openid: String,
    /// What the mini program signs and encrypts with for its server: Base64 of 16 bytes.
    pub session_key: Secret<String>,
    /// The fan across the accounts of one open-platform account, if there is such an account.
    pub unionid: Option<String>,
}

impl Answer for CodeSession {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = Fields::of(json).ok_or(AnswerError::Garbled("no JSON object"))?;
        Ok(Self {
            openid: fields
                .word("openid")
                .ok_or(AnswerError::Garbled("no openid that can be one"))?,
            session_key: fields
                .token("session_key")
                .filter(is_session_key)
                .ok_or(AnswerError::Garbled("no session_key of 16 bytes"))?,
            unionid: fields.word("unionid"),
        })
    }
}
