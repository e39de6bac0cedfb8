//! Web OAuth (网页授权): the tokens of one fan of one account.
//!
//! They have nothing to do with the account's own token. As with authorizers, each field is read on
//! its own: a refresh token is not lost because something beside it is odd.

use std::time::Duration;

use super::{Answer, AnswerError, Call, field::Fields, lifetime};
use crate::secret::Secret;

/// How long a web refresh token lives, counted from the fan's consent.
///
/// Source: WeChat docs, "Web page authorization", step 3: valid for 30 days.
/// Assumed: a refresh does not lengthen it; the docs do not say.
pub const WEB_REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Refreshes a fan's web token for an account that is connected with its own secret. GET, everything
/// in the query.
///
/// Source: WeChat docs, "Refresh the web page authorization token" (snsRefreshToken).
pub const REFRESH_WEB_TOKEN: Call =
    Call { name: "oauth2/refresh_token", path: "/sns/oauth2/refresh_token" };

/// The same for an account that granted to the component. GET, everything in the query.
///
/// Source: WeChat docs, "Web page authorization on behalf of official accounts"
/// (snsComponentRefreshToken).
pub const REFRESH_WEB_TOKEN_ON_BEHALF: Call =
    Call { name: "oauth2/component/refresh_token", path: "/sns/oauth2/component/refresh_token" };

/// The one `grant_type` of both calls.
///
/// Source: WeChat docs, the same two pages.
pub const REFRESH_GRANT_TYPE: &str = "refresh_token";

/// A fan's web access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAccessToken {
    /// The token.
    pub value: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

impl WebAccessToken {
    /// `None` when there is no token, or none whose lifetime can be believed.
    fn read(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            value: fields.token("access_token")?,
            expires_in: lifetime(fields.integer("expires_in")).ok()?,
        })
    }
}

/// Answer of [`REFRESH_WEB_TOKEN`] and of [`REFRESH_WEB_TOKEN_ON_BEHALF`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebToken {
    /// The access token; `None` when what came can be none or has an absurd lifetime.
    pub access_token: Option<WebAccessToken>,
    /// The refresh token, if one came. `None` never replaces the stored one.
    pub refresh_token: Option<Secret<String>>,
    /// The fan, as this account knows him.
    pub openid: Option<String>,
    /// What the fan consented to, joined with commas.
    pub scope: Option<String>,
    /// The fan across the accounts of one open-platform account, if there is such an account.
    pub unionid: Option<String>,
}

impl Answer for WebToken {
    const IS_SALVAGED: bool = true;

    /// Garbled only when there is neither token.
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = Fields::of(json).ok_or(AnswerError::Garbled("no JSON object"))?;
        let access_token = WebAccessToken::read(fields);
        let refresh_token = fields.token("refresh_token");
        if access_token.is_none() && refresh_token.is_none() {
            return Err(AnswerError::Garbled("no token that can be one, or an absurd expires_in"));
        }
        Ok(Self {
            access_token,
            refresh_token,
            openid: fields.word("openid"),
            scope: fields.word("scope"),
            unionid: fields.word("unionid"),
        })
    }
}
