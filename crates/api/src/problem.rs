//! Problems: the one mapping from errors to what a client is told (RFC 9457).
//!
//! A problem travels as an error up to [`crate::middleware`], which knows the request id, writes the
//! answer and logs the cause of what is our fault. No `_ =>` over our own errors: a new variant does
//! not compile until it has its answer here.

mod answer;
mod code;
mod framework;

use std::{borrow::Cow, error::Error};

use chrono::SecondsFormat;
use lingpai_authorizer::PathRefusal;
use lingpai_component_token::UpstreamFault;
use lingpai_model::{Appid, Instant, api_key::Scope, page::InvalidPage, token::TokenKind};

pub use code::Code;

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    upstream: Option<Upstream>,
    /// When it makes sense to try again, where that differs from one occurrence to the next.
    retry_at: Option<Instant>,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
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
        let (field, upstream, retry_at, cause) = (None, None, None, None);
        Self { code, detail: detail.into(), field, upstream, retry_at, cause }
    }

    fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Which one it is.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Which field or parameter is not acceptable.
    #[cfg(test)]
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// No valid key was shown; what was wrong with it is not told.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            "send a valid key as `Authorization: Bearer …`: lpk_… for /v1, lpo_… for /admin/v1",
        )
    }

    /// The key lacks `scope`.
    pub(crate) fn scope_missing(scope: Scope) -> Self {
        let scope = scope.as_str();
        Self::new(
            Code::ScopeMissing,
            format!("the key lacks the scope {scope}: ask your operator for a key that has it"),
        )
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
        Self { retry_at: Some(until), ..Self::new(Code::RefreshResting, detail) }
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

    /// No such authorizer, or not the caller's: both look alike.
    pub(crate) fn authorizer_not_found() -> Self {
        Self::new(
            Code::AuthorizerNotFound,
            "no authorizer of yours has this appid: GET /v1/authorizers lists them, \
             POST /v1/authorizations adds one",
        )
    }

    /// No such authorization, or not the caller's: both look alike.
    pub(crate) fn authorization_not_found() -> Self {
        Self::new(
            Code::AuthorizationNotFound,
            "no authorization of yours has this id: GET /v1/authorizations lists them",
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

    /// No such tenant.
    pub(crate) fn tenant_not_found() -> Self {
        Self::new(Code::TenantNotFound, "no tenant has this id: GET /admin/v1/tenants lists them")
    }

    /// The tenant has no such API key.
    pub(crate) fn api_key_not_found() -> Self {
        Self::new(
            Code::ApiKeyNotFound,
            "the tenant has no API key of this id: GET /admin/v1/tenants/{id}/api-keys lists them",
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
                problem.upstream = Some(Upstream { errcode, errmsg });
                problem
            }
            UpstreamFault::Garbled | UpstreamFault::TooLarge => Self::upstream_garbled(),
            UpstreamFault::Misconfigured => Self::internal(),
        }
    }
}

/// What broke on our side.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

impl From<lingpai_tenant::Error> for Problem {
    fn from(error: lingpai_tenant::Error) -> Self {
        use lingpai_tenant::Error as E;
        let problem = match &error {
            E::Unauthenticated => Self::unauthenticated(),
            E::TenantNotFound { .. } => Self::tenant_not_found(),
            E::ApiKeyNotFound { .. } => Self::api_key_not_found(),
            E::BadRedirectUri { reason } => Self::invalid_field("uri", *reason),
            E::Storage(error) => Self::storage(error.is_transient()),
        };
        problem.caused_by(error)
    }
}

impl From<lingpai_component_token::Error> for Problem {
    fn from(error: lingpai_component_token::Error) -> Self {
        of_component(&error).caused_by(error)
    }
}

impl From<lingpai_authorizer::Error> for Problem {
    fn from(error: lingpai_authorizer::Error) -> Self {
        of_authorizer(&error).caused_by(error)
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

fn of_authorizer(error: &lingpai_authorizer::Error) -> Problem {
    use lingpai_authorizer::Error as E;
    use lingpai_component_token::Error as Component;
    match error {
        E::AuthorizationNotFound { .. } | E::LinkUnknown => Problem::authorization_not_found(),
        E::TooManyVisits { .. } => Problem::new(
            Code::LinkExhausted,
            "the start page was opened too often: start a new authorization",
        ),
        E::ReturnUrlUnregistered => Problem::invalid_field(
            "return_url",
            "register this exact address first, with POST /v1/redirect-uris",
        ),
        E::AuthorizerNotFound { .. } => Problem::authorizer_not_found(),
        E::Revoked { appid } => Problem::new(
            Code::AuthorizerRevoked,
            format!(
                "the administrator of {appid} withdrew the grant: start a new authorization with \
                 POST /v1/authorizations"
            ),
        ),
        E::NoApiPermission { appid } => no_api_permission(appid),
        E::NeedsReauthorization { appid } => needs_reauthorization(appid),
        E::AccountElsewhere { appid } => Problem::new(
            Code::AccountConnectedElsewhere,
            format!(
                "somebody else has connected {appid} by its secret: ask the operator who it is, or \
                 start an authorization with POST /v1/authorizations"
            ),
        ),
        E::BadEncodingAesKey(_) => Problem::bad_encoding_aes_key(),
        // No route asks for what a fan granted.
        E::FanUnknown | E::FanGrantEnded => Problem::internal(),
        E::NoAccessToken { .. } => Problem::upstream_garbled(),
        E::NoOtherToken { appid } => no_other_token(appid),
        E::RefreshTokensRefused { refusal, .. } => of_authorizer(refusal),
        // What is wrong with the component's token is its operator's matter.
        E::Component(Component::Resting { what, until, .. })
            if what.starts_with(TokenKind::Component.as_str()) =>
        {
            Problem::resting("the component's own token cannot be had now", *until)
        }
        E::PathRefused(refusal) => path_refused(*refusal),
        E::Component(error) => of_component(error),
        E::Shared(error) => of_authorizer(error),
        E::Storage(error) => Problem::storage(error.is_transient()),
        E::Wechat(error) => match UpstreamFault::from(error) {
            // The only body of this crate's calls that can be too large is the tenant's own.
            UpstreamFault::TooLarge => Problem::new(
                Code::BodyTooLarge,
                "WeChat takes no body without a Content-Length, and this one is too large to be \
                 collected here: send the header",
            ),
            fault => Problem::upstream(fault),
        },
    }
}

fn no_api_permission(appid: &Appid) -> Problem {
    Problem::new(
        Code::NoApiPermission,
        format!(
            "{appid} granted nothing that allows API calls: start a new authorization and have \
             the administrator grant the permission sets you need"
        ),
    )
}

fn needs_reauthorization(appid: &Appid) -> Problem {
    Problem::new(
        Code::NeedsReauthorization,
        format!(
            "WeChat takes no refresh token of {appid} any more: its administrator must authorize \
             again, by a new link from POST /v1/authorizations"
        ),
    )
}

fn no_other_token(appid: &Appid) -> Problem {
    Problem::new(
        Code::RefreshCeiling,
        format!(
            "WeChat gives the same token of {appid} again, though it does not take it, and gives no \
             other now: wait until it ends, or look for whoever fetches others"
        ),
    )
}

fn path_refused(refusal: PathRefusal) -> Problem {
    let way_out = match refusal {
        PathRefusal::Spelling => {
            "; send WeChat's path letter by letter as its documentation has it"
        }
        PathRefusal::ComponentInterface => "; lingpai calls it itself: /docs lists what it offers",
        PathRefusal::TokenEndpoint => {
            "; call the interface that you need a token for: the token is put in on the way"
        }
        PathRefusal::NotDelegable => {
            "; have it called with the account's own secret, by whoever keeps that"
        }
        // Their reason tells the way out itself.
        PathRefusal::CallRecord | PathRefusal::Method => "",
    };
    let detail = format!("this may not be called through lingpai: {refusal}{way_out}");
    Problem::new(Code::PathRefused, detail)
}

#[cfg(test)]
mod tests;
