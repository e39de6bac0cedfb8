//! How a problem is written, in the answer and in the documents.

use std::{error::Error, fmt::Write as _};

use lingpai_model::Instant;
use poem::{
    Response,
    error::ResponseError,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use super::{Code, Problem, Retry};
use crate::middleware::{Cause, RequestId, whole_secs};

const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not fulfilled (RFC 9457). `errcode` and `errmsg` are for clients written for
/// WeChat, which look at nothing else.
#[derive(Debug, Object)]
#[oai(rename = "Problem", example, skip_serializing_if_is_none)]
struct ProblemView {
    /// A name for the kind of problem.
    #[oai(rename = "type")]
    kind: String,
    /// What happened, the same for every problem of the kind.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time, and what to do about it.
    detail: String,
    /// Stable, for programs.
    code: String,
    /// Names this request in our log; also in the header `Lingpai-Request-Id`.
    request_id: String,
    /// The field or parameter that is not acceptable.
    field: Option<String>,
    /// The number of `code`, outside the range of WeChat's own.
    errcode: i64,
    /// The same as `detail`.
    errmsg: String,
    /// The number that WeChat refused with.
    upstream_errcode: Option<i64>,
    /// The words that WeChat refused with.
    upstream_errmsg: Option<String>,
}

impl poem_openapi::types::Example for ProblemView {
    fn example() -> Self {
        let problem = Problem::authorizer_not_found();
        problem.view("5f0c3a9e1b7d48c2a6e4f1d09b83c765")
    }
}

impl Problem {
    /// The answer to the request called `id`, at `now`. It carries its code for the layers that it
    /// passes, and what is our fault its causes for the log.
    pub(crate) fn into_answer(self, id: &RequestId, now: Instant) -> Response {
        let mut answer = Response::builder()
            .status(self.code.status())
            .content_type(CONTENT_TYPE)
            .body(self.view(id.as_str()).to_json_string());
        if let Some(secs) = self.retry_after_secs(now) {
            answer.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        if let Some(rate) = self.rate().cloned() {
            rate.write(answer.headers_mut());
        }
        if self.code == Code::Unauthenticated {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"lingpai\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        answer.set_data(self.code);
        if self.code.status().is_server_error() {
            answer.set_data(Cause::chain(&self));
        }
        answer
    }

    /// The whole seconds from `now` until it makes sense to try again.
    pub(crate) fn retry_after_secs(&self, now: Instant) -> Option<u32> {
        match self.retry {
            // What is in the past becomes the shortest wait there is.
            Some(Retry::At(until)) => Some(whole_secs((until - now).to_std().unwrap_or_default())),
            Some(Retry::In(wait)) => Some(whole_secs(wait)),
            None => self.code.retry_after_secs(),
        }
    }

    fn view(&self, request_id: &str) -> ProblemView {
        ProblemView {
            kind: format!("urn:lingpai:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.to_string(),
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            field: self.field.as_ref().map(ToString::to_string),
            errcode: self.code.errcode(),
            errmsg: self.detail.to_string(),
            upstream_errcode: self.upstream.as_ref().map(|upstream| upstream.errcode),
            upstream_errmsg: self.upstream.as_ref().map(|upstream| upstream.errmsg.clone()),
        }
    }
}

impl Cause {
    /// The whole chain in one line: what was told, and every cause below it.
    pub(crate) fn chain(error: &dyn Error) -> Self {
        let mut line = error.to_string();
        let mut below = error.source();
        while let Some(cause) = below {
            // Writing to a String cannot fail.
            _ = write!(line, ": {cause}");
            below = cause.source();
        }
        Self::new(line)
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}

/// Every operation may meet every problem; the documents list them by status.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let mut statuses: Vec<_> = Code::ALL.into_iter().map(Code::status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let responses = statuses.into_iter().map(|status| MetaResponse {
            description: description_of(status),
            status: Some(status.as_u16()),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: CONTENT_TYPE,
                schema: ProblemView::schema_ref(),
            }],
            headers: Vec::new(),
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemView::register(registry);
    }
}

fn description_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request cannot be read.",
        401 => "No valid key.",
        403 => "A valid key, but without the scope or right for this, or not from this address.",
        404 => "Not there, or not yours.",
        405 => "Not with this method.",
        408 => "The body did not come in time.",
        409 => "The present state does not allow this.",
        413 => "The body is too large.",
        415 => "The body is of another type.",
        422 => {
            "A field or parameter is not acceptable, and `field` names it; or an idempotency key was \
                used before."
        }
        429 => "Too often, or too much at once: try again after `Retry-After` seconds.",
        502 => "WeChat refused, could not be reached, or spoke nonsense.",
        503 => "Not ready: try again after `Retry-After` seconds.",
        504 => "WeChat did not answer in time.",
        _ => "Our fault; only the request id is told.",
    }
}
