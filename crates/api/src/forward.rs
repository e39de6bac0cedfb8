//! Between HTTP and the service that calls WeChat: nothing is decoded, collected or made again.

use futures_util::StreamExt as _;
use lingpai_authorizer::{Answered, ProxyRequest};
use poem::{
    Body, Request, Response,
    http::{HeaderName, HeaderValue},
};

/// Says what to do about WeChat's refusal, beside the refusal itself.
pub(crate) const HINT_HEADER: HeaderName = HeaderName::from_static("lingpai-hint");

/// The call that `request` makes at `raw_path` of WeChat's. Head and body are moved, not copied.
pub(crate) fn call_of(request: Request, raw_path: String) -> ProxyRequest {
    let (head, body) = request.into_parts();
    ProxyRequest {
        method: head.method,
        raw_path,
        raw_query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.into_bytes_stream().boxed(),
    }
}

/// WeChat's answer as ours, with the hint that goes with it.
pub(crate) fn answer_of(answered: Answered) -> Response {
    let Answered { response: upstream, hint } = answered;
    let mut answer = Response::builder().status(upstream.status).finish();
    *answer.headers_mut() = upstream.headers;
    // What calls itself a hint is ours only.
    answer.headers_mut().remove(HINT_HEADER);
    if let Some(hint) = hint
        && let Ok(hint) = HeaderValue::from_str(hint.as_str())
    {
        answer.headers_mut().insert(HINT_HEADER, hint);
    }
    answer.set_body(Body::from_bytes_stream(upstream.body));
    answer
}
