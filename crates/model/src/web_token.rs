//! Web OAuth (网页授权): what a fan granted to an authorizer.

use crate::{
    Instant,
    id::{AuthorizerId, WebTokenId},
};

/// Whose a web OAuth token is: it is kept per authorizer, fan and scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebTokenOwner {
    /// The account that the fan granted to.
    pub authorizer_id: AuthorizerId,
    /// The fan.
    pub openid: String,
    /// What the fan granted, as WeChat writes it: `snsapi_base` or `snsapi_userinfo`.
    pub scope: String,
}

/// A fan's grant. Its tokens stand where all tokens do, under its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebGrant {
    /// Its id.
    pub id: WebTokenId,
    /// Whose it is.
    pub owner: WebTokenOwner,
    /// The fan across the accounts of one owner, where WeChat tells it.
    pub unionid: Option<String>,
    /// Until when WeChat takes the refresh token.
    pub refresh_until: Instant,
}
