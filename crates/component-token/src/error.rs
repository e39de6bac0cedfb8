use std::sync::Arc;

use lingpai_model::{Appid, Instant};
use lingpai_wechat::{client::ClientError, crypt::CryptError, errcode::Errcode};

/// What can go wrong while keeping a component's tickets and token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such component is registered here.
    #[error("no component {appid} is registered")]
    ComponentNotFound {
        /// The appid that was asked for.
        appid: Appid,
    },
    /// A component of this appid is registered already.
    #[error("component {appid} is registered already")]
    ComponentExists {
        /// The appid that was to be registered.
        appid: Appid,
    },
    /// The 消息加解密Key is not one.
    #[error("the encoding_aes_key is not usable")]
    BadEncodingAesKey(#[source] CryptError),
    /// What proves pushes was changed a short while ago, and WeChat may still use what it was before.
    #[error(
        "the push token or encoding_aes_key of component {appid} was changed within the last day: \
         set the one before again, or wait until {until}"
    )]
    ChangeUnderWay {
        /// The component.
        appid: Appid,
        /// From when it can be changed.
        until: Instant,
    },
    /// No ticket is at hand that WeChat would still take.
    #[error("no component_verify_ticket of the last 12 hours is stored for component {appid}")]
    TicketMissing {
        /// The component without a ticket.
        appid: Appid,
    },
    /// Another instance holds the lease and did not finish in time.
    #[error("another instance is at work on {what} and has not finished")]
    LeaseBusy {
        /// The name of the lease.
        what: String,
    },
    /// A refresh failed a moment ago, and it is too early for the next one.
    #[error("{what} could not be refreshed ({reason}); it is tried again at {until}")]
    Resting {
        /// The token.
        what: String,
        /// Why the last refresh failed.
        reason: String,
        /// Until when nothing is tried.
        until: Instant,
    },
    /// The token was refreshed too often within the hour.
    #[error("{what} was refreshed too often within the hour")]
    CeilingReached {
        /// The token.
        what: String,
    },
    /// A refresh that several callers waited for failed.
    #[error(transparent)]
    Shared(#[from] Arc<Error>),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
    /// WeChat refused, stayed silent or spoke nonsense.
    #[error(transparent)]
    Wechat(#[from] ClientError),
}

/// How a call to WeChat went wrong, for those who answer for it without knowing the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamFault {
    /// WeChat did not answer in time.
    Silent,
    /// No connection could be made, or it broke.
    Unreachable,
    /// WeChat refused.
    Refused {
        /// Its number.
        errcode: i64,
        /// Its words, bounded and cleaned.
        errmsg: String,
        /// What the number means, if the table of codes knows it.
        meaning: Option<&'static str>,
    },
    /// WeChat's answer makes no sense.
    Garbled,
    /// A body is larger than we hold: an answer, or one that was to be passed on.
    TooLarge,
    /// Our own side is set up wrongly.
    Misconfigured,
}

impl From<&ClientError> for UpstreamFault {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::Timeout { .. } => Self::Silent,
            ClientError::Unreachable { .. } => Self::Unreachable,
            ClientError::Rejected { errcode, errmsg, .. } => Self::Refused {
                errcode: errcode.0,
                errmsg: errmsg.clone(),
                meaning: errcode.meaning_en(),
            },
            ClientError::Garbled { .. } => Self::Garbled,
            ClientError::TooLarge { .. } => Self::TooLarge,
            ClientError::Misconfigured { .. } => Self::Misconfigured,
        }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same attempt may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LeaseBusy { .. }
            | Self::TicketMissing { .. }
            | Self::Resting { .. }
            | Self::CeilingReached { .. } => true,
            Self::ComponentNotFound { .. }
            | Self::ComponentExists { .. }
            | Self::ChangeUnderWay { .. }
            | Self::BadEncodingAesKey(_) => false,
            Self::Shared(error) => error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            Self::Wechat(error) => error.is_transient(),
        }
    }

    /// The number with which WeChat refused, if that is what failed.
    #[must_use]
    pub fn errcode(&self) -> Option<Errcode> {
        self.wechat().and_then(ClientError::errcode)
    }

    /// What WeChat itself said, if that is what failed.
    #[must_use]
    pub fn wechat(&self) -> Option<&ClientError> {
        match self {
            Self::Wechat(error) => Some(error),
            Self::Shared(error) => error.wechat(),
            Self::ComponentNotFound { .. }
            | Self::ComponentExists { .. }
            | Self::ChangeUnderWay { .. }
            | Self::BadEncodingAesKey(_)
            | Self::TicketMissing { .. }
            | Self::LeaseBusy { .. }
            | Self::Resting { .. }
            | Self::CeilingReached { .. }
            | Self::Storage(_) => None,
        }
    }
}
