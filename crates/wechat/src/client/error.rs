//! Why a call to WeChat failed, without anything that must not be told.

use std::error::Error;

use crate::errcode::{Action, Errcode};

/// Why a call to WeChat failed. No variant holds an address, a body or a secret.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// WeChat did not answer in time. The call may have had its effect.
    #[error("{call}: WeChat did not answer in time")]
    Timeout {
        /// The call.
        call: &'static str,
    },
    /// The connection could not be made, or broke. The call may have had its effect.
    #[error("{call}: WeChat could not be reached")]
    Unreachable {
        /// The call.
        call: &'static str,
        /// What went wrong, freed from the address.
        source: Box<dyn Error + Send + Sync>,
    },
    /// WeChat refused.
    #[error("{call}: WeChat refused with {errcode}: {errmsg}")]
    Rejected {
        /// The call.
        call: &'static str,
        /// Its number.
        errcode: Errcode,
        /// Its words: at most 256 characters, without control characters, `rid` kept.
        errmsg: String,
    },
    /// WeChat answered something that is not documented.
    #[error("{call}: the answer is garbled: {what}")]
    Garbled {
        /// The call.
        call: &'static str,
        /// What was wrong with it.
        what: String,
    },
    /// An answer, or a body without a length that was to be passed on, is larger than we hold.
    #[error("{call}: a body is too large")]
    TooLarge {
        /// The call.
        call: &'static str,
    },
    /// The client cannot work like this.
    #[error("the client towards WeChat is misconfigured: {what}")]
    Misconfigured {
        /// What is wrong.
        what: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Garbled { .. } => true,
            Self::Rejected { errcode, .. } => {
                matches!(errcode.action(), Some(Action::Retry | Action::Quota))
            }
            Self::TooLarge { .. } | Self::Misconfigured { .. } => false,
        }
    }

    /// Whether the call may have had its effect, though nothing usable came back.
    #[must_use]
    pub fn may_have_had_effect(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Garbled { .. } => true,
            Self::Rejected { .. } | Self::TooLarge { .. } | Self::Misconfigured { .. } => false,
        }
    }

    /// WeChat's number, if it refused.
    #[must_use]
    pub fn errcode(&self) -> Option<Errcode> {
        match self {
            Self::Rejected { errcode, .. } => Some(*errcode),
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Garbled { .. }
            | Self::TooLarge { .. }
            | Self::Misconfigured { .. } => None,
        }
    }

    pub(super) fn garbled(call: &'static str, what: impl Into<String>) -> Self {
        Self::Garbled { call, what: what.into() }
    }

    /// Wraps the client library's error; its text would name the address with the token in it.
    pub(super) fn from_transport(call: &'static str, error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout { call }
        } else {
            Self::Unreachable { call, source: Box::new(error.without_url()) }
        }
    }
}
