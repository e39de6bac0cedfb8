//! Why sending failed, in words that a tenant may read.

use std::{error::Error, io, time::Duration};

use super::{MAX_ANSWER_BYTES, destination::Refusal, names::Unresolved};

/// The most characters of a foreign library's or a peer's words that are kept.
const MAX_REASON_CHARS: usize = 200;

/// Why sending failed. No variant holds a path, a query or a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may not be reached. Nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection came about. Nothing was sent.
    #[error("no connection could be made: {reason}")]
    Connect {
        /// Why, in at most 200 characters.
        reason: String,
    },
    /// There was no whole answer in time; what was sent may have been taken.
    #[error("there was no whole answer within {} s", after.as_secs_f32())]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The answer is larger than [`MAX_ANSWER_BYTES`]; what was sent may have been taken.
    #[error("the answer (status {status}) is larger than {} KiB", MAX_ANSWER_BYTES / 1024)]
    AnswerTooLarge {
        /// Its HTTP status.
        status: u16,
    },
    /// The answer began, and did not come to its end in time or at all; what was sent may have been
    /// taken.
    #[error("the answer (status {status}) did not come to its end")]
    AnswerCut {
        /// Its HTTP status.
        status: u16,
    },
    /// The connection broke, or what came was no HTTP; what was sent may have been taken.
    #[error("the exchange broke off: {reason}")]
    Broken {
        /// Why, in at most 200 characters.
        reason: String,
    },
}

impl SendError {
    /// The HTTP status, if that much of an answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::AnswerTooLarge { status } | Self::AnswerCut { status } => Some(*status),
            Self::Refused(_)
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => None,
        }
    }

    /// The library's own text names the URL with its query: only the innermost cause is told.
    pub(super) fn from_transport(error: reqwest::Error, connect_timeout: Duration) -> Self {
        let error = error.without_url();
        if let Some(refusal) = cause::<Refusal>(&error) {
            return Self::Refused(*refusal);
        }
        if error.is_timeout() {
            return Self::Timeout { after: connect_timeout };
        }
        let reason = match cause::<Unresolved>(&error) {
            Some(unresolved) => cleaned(&unresolved.to_string()),
            None => innermost(&error),
        };
        if error.is_connect() { Self::Connect { reason } } else { Self::Broken { reason } }
    }
}

/// The first cause of this type.
fn cause<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn innermost(error: &reqwest::Error) -> String {
    let last = causes(error).last();
    // TLS wraps its own error into one of input and output, which does not count it as its source.
    let inner = last.and_then(|last| last.downcast_ref::<io::Error>()?.get_ref());
    match (inner, last) {
        (Some(inner), _) => cleaned(&inner.to_string()),
        (None, Some(last)) => cleaned(&last.to_string()),
        (None, None) => cleaned(&error.to_string()),
    }
}

/// A peer can put words in there (the names in its certificate): short, and on one line.
fn cleaned(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON_CHARS).collect()
}
