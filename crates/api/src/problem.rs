//! Problems: the one mapping from errors to what a client is told (RFC 9457).
//!
//! A problem travels as an error up to [`crate::middleware`], which knows the request id, writes the
//! answer and logs the cause of what is our fault. No `_ =>` over our own errors: a new variant does
//! not compile until it has its answer here.

mod answer;
mod authorizer;
mod callback;
mod code;
mod fan;
mod framework;
mod tenant;
mod webhook;

use std::{borrow::Cow, error::Error, time::Duration};

use chrono::SecondsFormat;
use lingpai_authorizer::Errcode;
use lingpai_component_token::UpstreamFault;
use lingpai_model::{Instant, page::InvalidPage};

pub use code::Code;

use crate::middleware::RateHeaders;

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    upstream: Option<Box<Upstream>>,
    /// When it makes sense to try again, where that differs from one occurrence to the next.
    retry: Option<Retry>,
    /// What the caller is told of its rate, where that is what it met.
    rate: Option<Box<RateHeaders>>,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// When it makes sense to try again.
#[derive(Debug, Clone, Copy)]
enum Retry {
    At(Instant),
    In(Duration),
}

/// What WeChat said.
#[derive(Debug)]
struct Upstream {
    errcode: i64,
    errmsg: String,
}

/// The result of a route.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// A problem whose cause is the client's, or of no interest to anybody else.
    fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            field: None,
            upstream: None,
            retry: None,
            rate: None,
            cause: None,
        }
    }

    fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Which one it is.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// What happened this time, and what to do about it.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// What the caller is told of its rate.
    pub(crate) fn rate(&self) -> Option<&RateHeaders> {
        self.rate.as_deref()
    }

    /// Which field or parameter is not acceptable.
    #[cfg(test)]
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// One field or parameter is not acceptable. `detail` must not repeat its value.
    pub(crate) fn invalid_field(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut problem = Self::new(Code::InvalidField, detail);
        problem.field = Some(field.into());
        problem
    }

    /// The request cannot be read at all.
    pub(crate) fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// A message key that is none.
    fn bad_encoding_aes_key() -> Self {
        Self::invalid_field(
            "encoding_aes_key",
            "the 消息加解密Key is the 43 characters that WeChat's console shows",
        )
    }

    /// A refresh has failed because of `reason`; nothing is tried before `until`.
    fn resting(reason: &str, until: Instant) -> Self {
        let time = until.to_rfc3339_opts(SecondsFormat::Secs, true);
        let detail = format!(
            "the token could not be refreshed: {reason}; it is tried again at {time}, so wait until \
             then; if this goes on, tell the operator"
        );
        Self { retry: Some(Retry::At(until)), ..Self::new(Code::RefreshResting, detail) }
    }

    /// The body is not JSON by its own word.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(Code::UnsupportedMediaType, "send the body as `Content-Type: application/json`")
    }

    /// The body is larger than `limit` bytes.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(Code::BodyTooLarge, format!("a body here has at most {limit} bytes"))
    }

    /// The body did not come in time.
    pub(crate) fn body_timeout() -> Self {
        Self::new(Code::BodyTimeout, "the body did not arrive in time: send the request again")
    }

    /// More is asked at the same time than we take on.
    pub(crate) fn overloaded() -> Self {
        Self::new(
            Code::Overloaded,
            "more requests are under way than this instance takes on: try again in a few seconds",
        )
    }

    /// No such component.
    pub(crate) fn component_not_found() -> Self {
        Self::new(
            Code::ComponentNotFound,
            "no component of this appid is registered: an operator does so with \
             POST /admin/v1/components",
        )
    }

    /// A handler panicked. What it said is told to nobody: it may quote a value. The log names the
    /// place.
    pub(crate) fn panicked() -> Self {
        Self::internal().caused_by(Broken("a request handler panicked"))
    }

    /// A page could not be rendered.
    pub(crate) fn unrendered() -> Self {
        Self::internal().caused_by(Broken("a page could not be rendered"))
    }

    /// An answer could not be written down as a whole.
    pub(crate) fn unwritten() -> Self {
        Self::internal().caused_by(Broken("an answer of our own could not be collected"))
    }

    fn internal() -> Self {
        Self::new(
            Code::Internal,
            "something went wrong on our side: tell the operator the request id",
        )
    }

    fn unavailable() -> Self {
        Self::new(
            Code::Unavailable,
            "the database did not answer: try again in a few seconds, and look first whether a \
             change was made after all",
        )
    }

    /// What a failure of the database means, whichever crate it comes through.
    fn storage(is_transient: bool) -> Self {
        if is_transient { Self::unavailable() } else { Self::internal() }
    }

    fn upstream_garbled() -> Self {
        Self::new(
            Code::UpstreamGarbled,
            "WeChat answered something that is not documented: try again, and tell the operator \
             the request id if this goes on",
        )
    }

    /// What a failed call to WeChat means.
    fn upstream(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::Silent => Self::new(
                Code::UpstreamTimeout,
                "WeChat did not answer in time: the call may have had its effect, so check before \
                 you repeat it",
            ),
            UpstreamFault::Unreachable => Self::new(
                Code::UpstreamUnreachable,
                "the connection to WeChat failed: the call may have had its effect, so check \
                 before you repeat it; if this goes on, tell the operator",
            ),
            UpstreamFault::Refused { errcode, errmsg, meaning } => {
                let meaning = meaning.unwrap_or("no published meaning");
                let detail = format!("WeChat refused with {errcode} ({meaning}): {errmsg}");
                let mut problem = Self::new(Code::UpstreamRejected, detail);
                problem.upstream = Some(Box::new(Upstream { errcode, errmsg }));
                problem
            }
            UpstreamFault::Garbled | UpstreamFault::TooLarge => Self::upstream_garbled(),
            UpstreamFault::Misconfigured => Self::internal(),
        }
    }
}

impl Problem {
    /// The same as a fault of a field, if WeChat refused with a number that blames it.
    pub(crate) fn blaming(mut self, fields: &[(Errcode, &'static str)]) -> Self {
        let said = self.upstream.as_ref().map(|upstream| upstream.errcode);
        if let Some((_, field)) = fields.iter().find(|(errcode, _)| Some(errcode.0) == said) {
            self.code = Code::InvalidField;
            self.field = Some((*field).into());
        }
        self
    }
}

/// What broke on our side.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

impl From<lingpai_component_token::Error> for Problem {
    fn from(error: lingpai_component_token::Error) -> Self {
        of_component(&error).caused_by(error)
    }
}

impl From<InvalidPage> for Problem {
    fn from(error: InvalidPage) -> Self {
        let parameter = match error {
            InvalidPage::Limit => "limit",
            InvalidPage::Cursor => "cursor",
        };
        Self::invalid_field(parameter, error.to_string())
    }
}

fn of_component(error: &lingpai_component_token::Error) -> Problem {
    use lingpai_component_token::Error as E;
    match error {
        E::ComponentNotFound { .. } => Problem::component_not_found(),
        E::ComponentExists { .. } => Problem::new(
            Code::ComponentExists,
            "a component of this appid is registered already: GET /admin/v1/components/{appid} \
             shows it",
        ),
        E::ChangeUnderWay { until, .. } => change_under_way(*until),
        E::BadEncodingAesKey(_) => Problem::bad_encoding_aes_key(),
        E::TicketMissing { appid } => Problem::new(
            Code::TicketMissing,
            format!(
                "WeChat has pushed no usable component_verify_ticket to component {appid} yet. It \
                 pushes one every ten minutes, so wait up to ten minutes; or an operator asks for \
                 it with POST /admin/v1/components/{appid}/ticket-push. If none comes, compare the \
                 event URL (授权事件接收URL), token and key in WeChat's console with what is \
                 registered here"
            ),
        ),
        E::LeaseBusy { .. } => Problem::new(
            Code::LeaseBusy,
            "another instance is at work on this: try again in a few seconds",
        ),
        E::Resting { reason, until, .. } => Problem::resting(reason, *until),
        E::CeilingReached { .. } => Problem::new(
            Code::RefreshCeiling,
            "the token was refreshed too often within the hour: use the one that you have, and look \
             for whoever ends tokens by fetching others",
        ),
        E::Shared(error) => of_component(error),
        E::Storage(error) => Problem::storage(error.is_transient()),
        E::Wechat(error) => Problem::upstream(UpstreamFault::from(error)),
    }
}

fn change_under_way(until: Instant) -> Problem {
    let until = until.format("%Y-%m-%d %H:%M:%S UTC");
    Problem::new(
        Code::ComponentChangeUnderWay,
        format!(
            "the push token or the message key was changed within the last day, and WeChat may \
             still use what it was before: set that one again, which is always allowed, or wait \
             until {until}. WeChat's console takes the present one at any time"
        ),
    )
}

#[cfg(test)]
mod tests;
