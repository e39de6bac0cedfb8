//! The session of a fan in a mini program (小程序登录态).

use crate::{
    Instant, Secret,
    id::{AuthorizerId, MiniProgramSessionId},
};

/// The newest login of one fan in one mini program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiniProgramSession {
    /// Its id.
    pub id: MiniProgramSessionId,
    /// The mini program.
    pub authorizer_id: AuthorizerId,
    /// The fan.
    pub openid: String,
    /// The fan across the accounts of one owner, where WeChat tells it.
    pub unionid: Option<String>,
    /// What the mini program signs and encrypts with for its server, as WeChat gave it: Base64 of 16
    /// bytes. It is never handed out.
    ///
    /// Source: WeChat docs, "Mini program login" (小程序登录): a developer's server must not hand the
    /// `session_key` to the mini program or to anybody outside.
    pub session_key: Secret<String>,
    /// When the fan logged in for the first time.
    pub created_at: Instant,
    /// When he logged in last.
    pub updated_at: Instant,
}
