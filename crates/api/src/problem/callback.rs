//! Problems with what WeChat pushed and could not be taken, and with its publish test.

use lingpai_callback::Error;

use super::{Code, Problem};

impl Problem {
    /// No such push is in quarantine.
    pub(crate) fn quarantine_not_found() -> Self {
        Self::new(
            Code::QuarantineNotFound,
            "no push of this id is in quarantine: GET /admin/v1/quarantine lists those that are",
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            // They know their own answers, and bring their own causes.
            Error::Authorizer(error) => error.into(),
            Error::Webhook(error) => error.into(),
            error => of(&error).caused_by(error),
        }
    }
}

fn of(error: &Error) -> Problem {
    match error {
        Error::QuarantineNotFound { .. } => Problem::quarantine_not_found(),
        Error::StillQuarantined { why, .. } => {
            Problem::new(Code::StillUnreadable, format!("the push stays where it is: {why}"))
        }
        Error::ComponentNotFound { .. } => Problem::component_not_found(),
        // Only workers read what was recorded.
        Error::Unreadable { .. } | Error::Authorizer(_) | Error::Webhook(_) => Problem::internal(),
        Error::Storage(error) => Problem::storage(error.is_transient()),
    }
}
