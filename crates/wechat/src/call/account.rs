//! Calls of an account that is connected with its own secret: its ordinary access token.
//!
//! A component never has the secret of an account that granted to it, so none of this is for those.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Answer, AnswerError, Call, field, lifetime, needed_token, parse};
use crate::secret::Secret;

/// Gets a new access token each time. GET, everything in the query.
///
/// Source: WeChat docs, "Get interface call credentials" (getAccessToken).
pub const TOKEN: Call = Call { name: "token", path: "/cgi-bin/token" };

/// Gets the stable access token, which has nothing to do with the one of [`TOKEN`].
///
/// Source: WeChat docs, "Get stable version interface call credentials" (getStableAccessToken).
pub const STABLE_TOKEN: Call = Call { name: "stable_token", path: "/cgi-bin/stable_token" };

/// The one `grant_type` of both calls.
///
/// Source: WeChat docs, the same two pages.
pub const GRANT_TYPE: &str = "client_credential";

/// Whether [`STABLE_TOKEN`] may tell a living token again.
///
/// Source: WeChat docs, "Get stable version interface call credentials" (getStableAccessToken).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StableTokenMode {
    /// It tells the living token with what is left of its life, and makes a new one in the last five
    /// minutes of that.
    Normal,
    /// It makes a new one and kills the one before. At most 20 a day; within 30 s of the last time it
    /// changes nothing.
    Forced,
}

/// Body of [`STABLE_TOKEN`].
#[derive(Serialize)]
pub struct StableTokenRequest<'a> {
    /// Always [`GRANT_TYPE`].
    pub grant_type: &'a str,
    /// The account.
    pub appid: &'a str,
    /// Its app secret.
    pub secret: &'a str,
    /// Whether a new token is made although one lives.
    pub force_refresh: bool,
}

/// Answer of [`TOKEN`] and of [`STABLE_TOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdinaryAccessToken {
    /// The token.
    pub access_token: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

impl Answer for OrdinaryAccessToken {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            access_token: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            expires_in: Option<i64>,
        }
        let wire: Wire = parse(json)?;
        Ok(Self {
            access_token: needed_token(wire.access_token)?,
            expires_in: lifetime(wire.expires_in)?,
        })
    }
}
