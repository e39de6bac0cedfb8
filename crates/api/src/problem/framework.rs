//! Problems out of the framework's own errors, which would be answered in plain text.

use poem::{
    Error,
    error::{MethodNotAllowedError, NotFoundError},
    http::StatusCode,
};
use poem_openapi::error::{ContentTypeError, ParseParamError, ParseRequestPayloadError};

use super::{Code, Problem};

/// An error of the framework as it is written to the log.
#[derive(Debug, thiserror::Error)]
#[error("the framework refused: {0}")]
struct Framework(String);

impl Problem {
    /// Takes our own problems out of the framework's error, and makes problems of all others.
    pub(crate) fn of_framework(error: Error) -> Self {
        match error.downcast::<Self>() {
            Ok(problem) => problem,
            Err(error) => foreign(&error),
        }
    }
}

fn foreign(error: &Error) -> Problem {
    if error.is::<NotFoundError>() {
        return Problem::new(
            Code::RouteNotFound,
            "nothing is served under this path: /docs lists what is",
        );
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(
            Code::MethodNotAllowed,
            "the path does not take this method: /docs lists those that it takes",
        );
    }
    if let Some(fault) = error.downcast_ref::<ParseParamError>() {
        let detail =
            format!("the parameter {} cannot be read: /docs tells what it may be", fault.name);
        return Problem::invalid_field(fault.name, detail);
    }
    if error.is::<ContentTypeError>() {
        return Problem::unsupported_media_type();
    }
    if error.is::<ParseRequestPayloadError>() || error.status() == StatusCode::BAD_REQUEST {
        return Problem::invalid_request(
            "the request cannot be read: compare it with what /docs says of this path, and send it \
             again",
        );
    }
    Problem::internal().caused_by(Framework(error.to_string()))
}
