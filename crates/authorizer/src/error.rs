use std::sync::Arc;

use lingpai_component_token as component_token;
use lingpai_model::{
    Appid, Secret,
    api_key::Scope,
    authorizer::Authorizer,
    caller::TenantScope,
    id::{AuthorizationId, AuthorizerId, TenantId},
    web_authorization::WebAuthorizationRefusal,
};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::{Call, oauth},
    client::ClientError,
    crypt::CryptError,
    errcode::Errcode,
    jssdk::PageUrlError,
    mini_program::MiniProgramError,
};

use crate::PathRefusal;

/// The interfaces of web OAuth (网页授权).
const WEB_OAUTH_CALLS: [Call; 6] = [
    oauth::EXCHANGE_WEB_CODE,
    oauth::EXCHANGE_WEB_CODE_ON_BEHALF,
    oauth::REFRESH_WEB_TOKEN,
    oauth::REFRESH_WEB_TOKEN_ON_BEHALF,
    oauth::GET_FAN_PROFILE,
    oauth::CHECK_WEB_TOKEN,
];

/// What can go wrong with authorizations, authorizers and calls on their behalf.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such authorization.
    #[error("there is no authorization {id}")]
    AuthorizationNotFound {
        /// The id that was asked for.
        id: AuthorizationId,
    },
    /// No authorization has this link.
    #[error("the link belongs to no authorization")]
    LinkUnknown,
    /// The start page was opened too often.
    #[error("the start page of authorization {id} was opened too often")]
    TooManyVisits {
        /// The authorization.
        id: AuthorizationId,
    },
    /// The return URL is not one that the tenant registered.
    #[error("the return URL is not registered for this tenant")]
    ReturnUrlUnregistered,
    /// The tenant has no such authorizer.
    #[error("there is no authorizer {appid}")]
    AuthorizerNotFound {
        /// The appid that was asked for.
        appid: Appid,
    },
    /// There is no such authorizer, or none that this can be done to.
    #[error("there is no authorizer {id}")]
    AuthorizerAbsent {
        /// The id that was asked for.
        id: AuthorizerId,
    },
    /// The authorizer has an owner already.
    #[error("authorizer {id} belongs to a tenant already")]
    AuthorizerClaimed {
        /// The authorizer.
        id: AuthorizerId,
    },
    /// There is no such tenant.
    #[error("there is no tenant {id}")]
    TenantNotFound {
        /// The id that was asked for.
        id: TenantId,
    },
    /// The account withdrew its grant.
    #[error("authorizer {appid} has withdrawn its grant")]
    Revoked {
        /// The account.
        appid: Appid,
    },
    /// WeChat takes no refresh token of the account any more, and none could be recovered.
    #[error("authorizer {appid} must be authorized again by its administrator")]
    NeedsReauthorization {
        /// The account.
        appid: Appid,
    },
    /// WeChat has given no refresh token for the account: it granted no API permission.
    #[error(
        "WeChat has given no refresh token for authorizer {appid}: it grants no API permission"
    )]
    NoApiPermission {
        /// The account.
        appid: Appid,
    },
    /// WeChat takes none of the refresh tokens that were tried.
    #[error("{refusal}")]
    RefreshTokensRefused {
        /// Those that were tried.
        tried: Vec<Secret<String>>,
        /// What WeChat said of the last of them.
        refusal: Box<Error>,
    },
    /// WeChat gave a token again that it does not take, and no other.
    #[error("WeChat gives the same token of {appid} again and does not take it")]
    NoOtherToken {
        /// The account.
        appid: Appid,
    },
    /// Somebody else has connected this account by its secret.
    #[error("account {appid} is connected already")]
    AccountElsewhere {
        /// The account.
        appid: Appid,
    },
    /// The account is connected by its own secret, and WeChat tells such a one's profile to nobody.
    #[error("WeChat tells the profile of {appid} to nobody: it is connected by its own secret")]
    NoProfile {
        /// The account.
        appid: Appid,
    },
    /// A renewal link is past its end.
    #[error("the renewal link has expired; ask for a new one")]
    RenewalExpired,
    /// A renewal link of this account was opened a moment ago, and nothing came of it.
    #[error(
        "a renewal link of {appid} was opened within the last minute and could start nothing; try \
         again in a minute"
    )]
    RenewedJustNow {
        /// The account.
        appid: Appid,
    },
    /// The key lacks a scope that this call needs beside the scope for calls.
    #[error("the key lacks the scope {}", scope.as_str())]
    ScopeMissing {
        /// The scope.
        scope: Scope,
    },
    /// The account's calls were counted anew as often as a month allows.
    #[error("the {allowance} times that {month} allows are used up; wait for the next month")]
    AllowanceUsedUp {
        /// How often a month allows it.
        allowance: u64,
        /// The month in Beijing, as in `2026-11`.
        month: String,
    },
    /// The `EncodingAESKey` is not one.
    #[error("the encoding_aes_key is not usable")]
    BadEncodingAesKey(#[source] CryptError),
    /// The fan granted nothing of this kind to the account.
    #[error("the fan has not granted this")]
    FanUnknown,
    /// WeChat no longer refreshes what the fan granted.
    #[error("what the fan granted has ended; the fan must consent again")]
    FanGrantEnded,
    /// No account of a tenant's may send fans to WeChat with this appid and this redirect URI.
    #[error(
        "no account with this appid is connected here whose tenant registered this redirect URI"
    )]
    WebLinkUnknown,
    /// More fans of one account set out than are sent.
    #[error("too many fans of this account set out at once; they may try again in a moment")]
    TooManyFans,
    /// A fan came back whom nobody sent out, or too long ago.
    #[error("no web authorization has this state")]
    WebAuthorizationUnknown,
    /// A fan's attempt does not go on.
    #[error(transparent)]
    WebAuthorizationRefused(#[from] WebAuthorizationRefusal),
    /// The one-time code is none of ours, or not for this tenant or account.
    #[error(
        "the code is unknown here: each is good once, for a minute, for the tenant it was made for"
    )]
    OneTimeCodeUnknown,
    /// The address of a page cannot be signed.
    #[error("the page's address cannot be signed")]
    BadPageUrl(#[from] PageUrlError),
    /// Nobody with this openid has logged in to the mini program.
    #[error("no fan with this openid has logged in to {appid} through lingpai")]
    MiniProgramSessionNotFound {
        /// The mini program.
        appid: Appid,
    },
    /// What the mini program sent cannot be read with the fan's session key.
    #[error("the data cannot be read")]
    MiniProgramData(#[from] MiniProgramError),
    /// WeChat is being asked about as many fans as may be at once, and nobody has got an answer in time.
    #[error("WeChat is being asked about too many fans at once; try again in a moment")]
    Busy,
    /// WeChat answered a refresh without a token that could be one.
    #[error("WeChat's answer held no usable access token for {appid}")]
    NoAccessToken {
        /// The account.
        appid: Appid,
    },
    /// The path may not go upstream.
    #[error("the path may not be called through lingpai: {0}")]
    PathRefused(#[from] PathRefusal),
    /// The component's part failed.
    #[error(transparent)]
    Component(#[from] lingpai_component_token::Error),
    /// A piece of work that several callers waited for failed.
    #[error(transparent)]
    Shared(#[from] Arc<Error>),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
    /// WeChat refused, stayed silent or spoke nonsense.
    #[error(transparent)]
    Wechat(#[from] ClientError),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was read, or `absent` when there is no such row in the caller's scope.
pub(crate) fn found<T>(
    read: lingpai_storage::Result<T>,
    absent: impl FnOnce() -> Error,
) -> Result<T> {
    match read {
        Err(lingpai_storage::Error::NotFound { .. }) => Err(absent()),
        read => Ok(read?),
    }
}

/// The tenant's authorizer, as it is remembered.
///
/// # Errors
/// [`Error::AuthorizerNotFound`] when it is not there or not the tenant's: both look alike.
pub(crate) async fn cached(db: &Db, scope: &TenantScope, appid: &Appid) -> Result<Arc<Authorizer>> {
    let read = db.cached_authorizer(scope, appid).await;
    found(read, || Error::AuthorizerNotFound { appid: appid.clone() })
}

impl Error {
    /// Whether the same attempt may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::AuthorizationNotFound { .. }
            | Self::LinkUnknown
            | Self::TooManyVisits { .. }
            | Self::ReturnUrlUnregistered
            | Self::AuthorizerNotFound { .. }
            | Self::AuthorizerAbsent { .. }
            | Self::AuthorizerClaimed { .. }
            | Self::TenantNotFound { .. }
            | Self::Revoked { .. }
            | Self::NeedsReauthorization { .. }
            | Self::NoApiPermission { .. }
            | Self::AccountElsewhere { .. }
            | Self::NoProfile { .. }
            | Self::RenewalExpired
            | Self::ScopeMissing { .. }
            | Self::AllowanceUsedUp { .. }
            | Self::BadEncodingAesKey(_)
            | Self::FanUnknown
            | Self::FanGrantEnded
            | Self::WebLinkUnknown
            | Self::WebAuthorizationUnknown
            | Self::WebAuthorizationRefused(_)
            | Self::OneTimeCodeUnknown
            | Self::BadPageUrl(_)
            | Self::MiniProgramSessionNotFound { .. }
            | Self::MiniProgramData(_)
            | Self::PathRefused(_) => false,
            Self::RenewedJustNow { .. }
            | Self::TooManyFans
            | Self::Busy
            | Self::NoAccessToken { .. }
            | Self::NoOtherToken { .. } => true,
            Self::RefreshTokensRefused { refusal, .. } => refusal.is_transient(),
            Self::Component(error) => error.is_transient(),
            Self::Shared(error) => error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            Self::Wechat(error) => error.is_transient(),
        }
    }

    /// Whether a refresh has just failed, and it is too early for the next one.
    pub(crate) fn is_resting(&self) -> bool {
        match self {
            Self::Component(component_token::Error::Resting { .. }) => true,
            Self::Shared(error) => error.is_resting(),
            _ => false,
        }
    }

    /// Whether the token was refreshed too often to be refreshed again now.
    pub(crate) fn is_ceiling(&self) -> bool {
        match self {
            Self::Component(component_token::Error::CeilingReached { .. }) => true,
            Self::Shared(error) => error.is_ceiling(),
            _ => false,
        }
    }

    /// Whether the call itself went out and nothing usable came back, so that it may have had its
    /// effect. What failed on the way to it comes as [`Error::Shared`]: a refresh that it waited for.
    #[must_use]
    pub fn leaves_effect_open(&self) -> bool {
        match self {
            Self::Wechat(error) | Self::Component(component_token::Error::Wechat(error)) => {
                error.may_have_had_effect()
            }
            _ => false,
        }
    }

    /// Whether WeChat refused this call, and not another that was made on the way.
    pub(crate) fn is_refusal_of(&self, refused: Call) -> bool {
        matches!(self.wechat(), Some(ClientError::Rejected { call, .. }) if *call == refused.name)
    }

    /// The number with which WeChat refused, if that is what failed.
    pub(crate) fn errcode(&self) -> Option<Errcode> {
        self.wechat().and_then(ClientError::errcode)
    }

    /// The number with which WeChat refused, for a log that keeps it.
    #[must_use]
    pub fn upstream_errcode(&self) -> Option<i64> {
        self.errcode().map(|errcode| errcode.0)
    }

    /// The number with which WeChat refused one of its interfaces of web OAuth itself, and not a call
    /// that was made on the way there, such as for the component's token.
    #[must_use]
    pub fn web_oauth_errcode(&self) -> Option<i64> {
        match self.wechat() {
            Some(ClientError::Rejected { call, errcode, .. }) => {
                WEB_OAUTH_CALLS.iter().any(|fans| fans.name == *call).then_some(errcode.0)
            }
            Some(_) | None => None,
        }
    }

    /// What WeChat itself said, if that is what failed.
    pub(crate) fn wechat(&self) -> Option<&ClientError> {
        match self {
            Self::Wechat(error) => Some(error),
            Self::Component(error) => error.wechat(),
            Self::Shared(error) => error.wechat(),
            Self::RefreshTokensRefused { refusal, .. } => refusal.wechat(),
            Self::AuthorizationNotFound { .. }
            | Self::LinkUnknown
            | Self::TooManyVisits { .. }
            | Self::ReturnUrlUnregistered
            | Self::AuthorizerNotFound { .. }
            | Self::AuthorizerAbsent { .. }
            | Self::AuthorizerClaimed { .. }
            | Self::TenantNotFound { .. }
            | Self::Revoked { .. }
            | Self::NeedsReauthorization { .. }
            | Self::NoApiPermission { .. }
            | Self::AccountElsewhere { .. }
            | Self::NoProfile { .. }
            | Self::RenewalExpired
            | Self::RenewedJustNow { .. }
            | Self::ScopeMissing { .. }
            | Self::AllowanceUsedUp { .. }
            | Self::BadEncodingAesKey(_)
            | Self::FanUnknown
            | Self::FanGrantEnded
            | Self::WebLinkUnknown
            | Self::TooManyFans
            | Self::WebAuthorizationUnknown
            | Self::WebAuthorizationRefused(_)
            | Self::OneTimeCodeUnknown
            | Self::BadPageUrl(_)
            | Self::MiniProgramSessionNotFound { .. }
            | Self::MiniProgramData(_)
            | Self::Busy
            | Self::NoOtherToken { .. }
            | Self::NoAccessToken { .. }
            | Self::PathRefused(_)
            | Self::Storage(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::call::{authorizer, component};

    use super::*;

    fn rejected(call: Call) -> ClientError {
        let (errcode, errmsg) = (Errcode::INVALID_CREDENTIAL, "invalid credential".to_owned());
        ClientError::Rejected { call: call.name, errcode, errmsg }
    }

    #[test]
    fn a_refusal_is_of_web_oauth_only_if_one_of_its_interfaces_refused() {
        for call in WEB_OAUTH_CALLS {
            assert_eq!(Error::from(rejected(call)).web_oauth_errcode(), Some(40001), "{call:?}");
            let on_behalf = component_token::Error::from(rejected(call));
            let shared = Error::Shared(Arc::new(on_behalf.into()));
            assert_eq!(shared.web_oauth_errcode(), Some(40001), "{call:?}");
        }
        // A component's secret that is wrong must not seem to be the tenant's.
        for call in [component::COMPONENT_TOKEN, authorizer::AUTHORIZER_TOKEN] {
            let error = Error::from(component_token::Error::from(rejected(call)));
            assert_eq!(error.web_oauth_errcode(), None, "{call:?}");
        }
        assert_eq!(Error::FanUnknown.web_oauth_errcode(), None);
        let silent = ClientError::Timeout { call: WEB_OAUTH_CALLS[0].name };
        assert_eq!(Error::from(silent).web_oauth_errcode(), None);
    }
}
