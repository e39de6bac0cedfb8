use std::sync::Arc;

use lingpai_component_token as component_token;
use lingpai_model::{Appid, Secret, id::AuthorizationId};
use lingpai_wechat::{call::Call, client::ClientError, crypt::CryptError, errcode::Errcode};

use crate::PathRefusal;

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
    /// The `EncodingAESKey` is not one.
    #[error("the encoding_aes_key is not usable")]
    BadEncodingAesKey(#[source] CryptError),
    /// The fan granted nothing of this kind to the account.
    #[error("the fan has not granted this")]
    FanUnknown,
    /// WeChat no longer refreshes what the fan granted.
    #[error("what the fan granted has ended; the fan must consent again")]
    FanGrantEnded,
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
            | Self::Revoked { .. }
            | Self::NeedsReauthorization { .. }
            | Self::NoApiPermission { .. }
            | Self::AccountElsewhere { .. }
            | Self::BadEncodingAesKey(_)
            | Self::FanUnknown
            | Self::FanGrantEnded
            | Self::PathRefused(_) => false,
            Self::NoAccessToken { .. } | Self::NoOtherToken { .. } => true,
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

    /// Whether WeChat refused this call, and not another that was made on the way.
    pub(crate) fn is_refusal_of(&self, refused: Call) -> bool {
        matches!(self.wechat(), Some(ClientError::Rejected { call, .. }) if *call == refused.name)
    }

    /// The number with which WeChat refused, if that is what failed.
    pub(crate) fn errcode(&self) -> Option<Errcode> {
        self.wechat().and_then(ClientError::errcode)
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
            | Self::Revoked { .. }
            | Self::NeedsReauthorization { .. }
            | Self::NoApiPermission { .. }
            | Self::AccountElsewhere { .. }
            | Self::BadEncodingAesKey(_)
            | Self::FanUnknown
            | Self::FanGrantEnded
            | Self::NoOtherToken { .. }
            | Self::NoAccessToken { .. }
            | Self::PathRefused(_)
            | Self::Storage(_) => None,
        }
    }
}
