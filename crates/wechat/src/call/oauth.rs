//! Web OAuth (网页授权): the tokens of one fan of one account.
//!
//! They have nothing to do with the account's own token. As with authorizers, each field is read on
//! its own: a refresh token is not lost because something beside it is odd.

use std::time::Duration;

use super::{Answer, AnswerError, Call, done, field::Fields, lifetime};
use crate::secret::Secret;

/// How long a web refresh token lives, counted from the fan's consent.
///
/// Source: WeChat docs, "Web page authorization", step 3: valid for 30 days.
/// Assumed: a refresh does not lengthen it; the docs do not say.
pub const WEB_REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Exchanges a fan's code for his tokens, for an account that is connected with its own secret. GET,
/// everything in the query.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 2 (snsAccessToken): a code is good
/// once, for 5 minutes; 40163 for a used one, 40029 for an unknown one.
pub const EXCHANGE_WEB_CODE: Call =
    Call { name: "oauth2/access_token", path: "/sns/oauth2/access_token" };

/// The same for an account that granted to the component. GET, everything in the query.
///
/// Source: WeChat docs, "Web page authorization on behalf of official accounts", step 2
/// (snsComponentAccessToken).
pub const EXCHANGE_WEB_CODE_ON_BEHALF: Call =
    Call { name: "oauth2/component/access_token", path: "/sns/oauth2/component/access_token" };

/// The one `grant_type` of both exchanges, and of both logins to a mini program.
///
/// Source: WeChat docs, the same two pages, and "Mini program login" (code2Session).
pub const CODE_GRANT_TYPE: &str = "authorization_code";

/// Tells the profile that a fan consented to. GET, everything in the query; the same for either
/// connection of the account, since the fan's own web token goes along.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), step 4 (snsUserInfo): needs the scope
/// `snsapi_userinfo`.
pub const GET_FAN_PROFILE: Call = Call { name: "sns/userinfo", path: "/sns/userinfo" };

/// Tells whether a fan's web access token is good. GET, everything in the query.
///
/// Source: WeChat docs, "Web page authorization" (网页授权), appendix (snsAuth): 40003 when the openid
/// is not the token's.
pub const CHECK_WEB_TOKEN: Call = Call { name: "sns/auth", path: "/sns/auth" };

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

/// The one `grant_type` of both refreshes.
///
/// Source: WeChat docs, the pages of the two refreshes.
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

/// Answer of both exchanges and of both refreshes.
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
    /// Whether this is no fan but a stand-in: WeChat shows the page as a snapshot (快照页) to somebody
    /// who has not consented yet, under an openid and a profile that are nobody's.
    ///
    /// Source: WeChat docs, "Web page authorization" (网页授权), step 2: `is_snapshotuser` is 1 then,
    /// and missing otherwise.
    pub is_snapshot_user: bool,
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
            is_snapshot_user: fields.integer("is_snapshotuser") == Some(1),
        })
    }
}

/// Answer of [`CHECK_WEB_TOKEN`]: the token is good, and it is this fan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebTokenGood;

impl Answer for WebTokenGood {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        done(json).map(|()| Self)
    }
}
