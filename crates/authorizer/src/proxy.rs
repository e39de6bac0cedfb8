//! Calls WeChat's API on an authorizer's behalf: same method, path, query, body and answer; the
//! token is put in, and taken out of the answer again.

use std::{io, time::Instant as Stopwatch};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, header::CONTENT_LENGTH};
use lingpai_model::{Appid, Secret, authorizer::Authorizer, caller::TenantScope};
use lingpai_storage::Db;
use lingpai_wechat::{
    call::errcode_in,
    client::{ByteStream, Client, ForwardBody, ForwardRequest, ForwardResponse},
    errcode::Errcode,
};

use crate::{
    AuthorizerTokens, Error, JudgedPath, PathRefusal, Result,
    error::found,
    path::{judge_method, without_tokens},
    scrub::{scrub, scrub_headers},
};

/// A request body up to this size is kept, so that the call can be made again with a newer token.
const REPEATABLE_BODY: usize = 64 * 1024;

/// An answer that ends within this size is looked at for an errcode. WeChat's errors are small.
const LONGEST_ERROR: usize = 8 * 1024;

/// Calls WeChat for tenants.
#[derive(Debug, Clone)]
pub struct Proxy {
    db: Db,
    wechat: Client,
    tokens: AuthorizerTokens,
}

/// One call as the tenant made it.
pub struct ProxyRequest {
    /// Its method.
    pub method: Method,
    /// The raw path behind the proxy's own, beginning with `/`.
    pub raw_path: String,
    /// The raw query, without `?`.
    pub raw_query: String,
    /// Its headers; what must not go upstream is taken out on the way.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ByteStream,
}

impl Proxy {
    /// A service on `db` that calls `wechat`.
    #[must_use]
    pub fn new(db: Db, wechat: Client, tokens: AuthorizerTokens) -> Self {
        Self { db, wechat, tokens }
    }

    /// Makes the call with the authorizer's token. When WeChat says that the token is stale, the
    /// call was not executed: with a newer token it is made once more, if its body can be sent
    /// again.
    ///
    /// # Errors
    /// [`Error::AuthorizerNotFound`] for an account that is not the tenant's,
    /// [`Error::PathRefused`], or what getting a token or reaching WeChat failed with. An error
    /// *answer* of WeChat is no error here: it goes back as it came.
    pub async fn call(
        &self,
        scope: &TenantScope,
        appid: &Appid,
        request: ProxyRequest,
    ) -> Result<ForwardResponse> {
        let read = self.db.cached_authorizer(scope, appid).await;
        let authorizer = found(read, || Error::AuthorizerNotFound { appid: appid.clone() })?;
        let path = judge(&request)?;
        let started = Stopwatch::now();
        let token = self.tokens.get(&authorizer).await?.value;
        let call = prepare(&path, request).await?;
        let answer = self.make(&authorizer, token, call).await?;
        log_call(&authorizer, &path, &answer, started);
        Ok(answer.response)
    }

    /// Makes the call, and again with a newer token as long as WeChat says that the token is stale
    /// and the newer one was only remembered elsewhere: that may be stale too. A new one is the last.
    ///
    /// When the token was refreshed so often that one more rejection tells nothing of it, WeChat's
    /// answer goes back as it came.
    async fn make(
        &self,
        authorizer: &Authorizer,
        token: Secret<String>,
        call: OutgoingCall,
    ) -> Result<Answer> {
        let (mut token, mut is_last) = (token, false);
        let OutgoingCall { mut request, repeat } = call;
        loop {
            let answer = self.forward(request, &token).await?;
            let is_stale = answer.errcode.is_some_and(Errcode::is_stale_token);
            let Some(again) = repeat.as_ref().filter(|_| is_stale && !is_last) else {
                return Ok(answer);
            };
            (token, is_last) = match self.tokens.after_rejection(authorizer, &token).await {
                Ok(landed) => (landed.token.value, landed.is_new),
                Err(error) if error.is_ceiling() => return Ok(answer),
                Err(error) => return Err(error),
            };
            request = again();
        }
    }

    async fn forward(&self, request: ForwardRequest, token: &Secret<String>) -> Result<Answer> {
        Ok(looked_at(self.wechat.forward(request, token).await?, token).await)
    }
}

fn judge(request: &ProxyRequest) -> Result<JudgedPath, PathRefusal> {
    judge_method(&request.method)?;
    JudgedPath::judge(&request.raw_path)
}

/// WeChat's answer with our token taken out of head and body.
async fn looked_at(response: ForwardResponse, token: &Secret<String>) -> Answer {
    let ForwardResponse { status, headers, body } = response;
    let (errcode, body) = peek_errcode(&headers, body).await;
    let (headers, body) = (scrub_headers(headers, token), scrub(body, token));
    Answer { errcode, response: ForwardResponse { status, headers, body } }
}

struct Answer {
    errcode: Option<Errcode>,
    response: ForwardResponse,
}

/// A call as it goes out.
struct OutgoingCall {
    request: ForwardRequest,
    /// Makes the same request again, if its body could be kept.
    repeat: Option<Box<dyn Fn() -> ForwardRequest + Send + Sync>>,
}

async fn prepare(path: &JudgedPath, request: ProxyRequest) -> Result<OutgoingCall> {
    let ProxyRequest { method, raw_query, headers, body, .. } = request;
    let length = content_length(&headers);
    let (head, rest) = read_ahead(body, REPEATABLE_BODY).await;
    let (path, query) = (path.as_str().to_owned(), without_tokens(&raw_query));
    let make = move |body| ForwardRequest {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        headers: headers.clone(),
        body,
    };
    Ok(match rest {
        None => {
            let again = move || match head.is_empty() {
                true => make(ForwardBody::Empty),
                false => make(ForwardBody::Whole(head.clone())),
            };
            OutgoingCall { request: again(), repeat: Some(Box::new(again)) }
        }
        Some(rest) => {
            let bytes = stream::once(async { Ok(head) }).chain(rest).boxed();
            let request = make(ForwardBody::Stream { bytes, length });
            OutgoingCall { request, repeat: None }
        }
    })
}

/// Reads until `limit` bytes have come or the stream ends; the rest is `None` when it ended.
///
/// An error of the stream is part of the rest: it comes out again where it happened.
async fn read_ahead(mut body: ByteStream, limit: usize) -> (Bytes, Option<ByteStream>) {
    let mut head = BytesMut::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if head.is_empty() && chunk.len() > limit => return (chunk, Some(body)),
            Ok(chunk) => head.extend_from_slice(&chunk),
            Err(error) => {
                let failed = stream::once(async { io::Result::<Bytes>::Err(error) }).boxed();
                return (head.freeze(), Some(failed));
            }
        }
        if head.len() > limit {
            return (head.freeze(), Some(body));
        }
    }
    (head.freeze(), None)
}

/// Looks for an errcode in an answer that is short enough to be an error; the body stays whole.
///
/// WeChat answers errors with status 200 and any content type, so only the body tells.
async fn peek_errcode(headers: &HeaderMap, body: ByteStream) -> (Option<Errcode>, ByteStream) {
    if content_length(headers).is_some_and(|length| length > LONGEST_ERROR as u64) {
        return (None, body);
    }
    let (head, rest) = read_ahead(body, LONGEST_ERROR).await;
    let errcode = match rest {
        None => errcode_in(&head),
        Some(_) => None,
    };
    let first = stream::once(async { io::Result::<Bytes>::Ok(head) });
    (errcode, first.chain(rest.unwrap_or_else(|| stream::empty().boxed())).boxed())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn log_call(authorizer: &Authorizer, path: &JudgedPath, answer: &Answer, started: Stopwatch) {
    let is_refused = answer.errcode.is_some() || answer.response.status.is_client_error();
    let is_broken = answer.response.status.is_server_error();
    let errcode = answer.errcode.map(|code| code.0);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if !is_refused && !is_broken {
        tracing::debug!(
            authorizer.appid = %authorizer.appid,
            upstream.path = path.as_str(),
            duration_ms,
            "called {}",
            path.as_str()
        );
    } else {
        tracing::info!(
            authorizer.appid = %authorizer.appid,
            upstream.path = path.as_str(),
            upstream.errcode = errcode,
            upstream.status = answer.response.status.as_u16(),
            duration_ms,
            "WeChat refused {} for {}",
            path.as_str(),
            authorizer.appid
        );
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn body(chunks: &[&'static str]) -> ByteStream {
        let chunks: Vec<io::Result<Bytes>> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        stream::iter(chunks).boxed()
    }

    async fn collect(mut body: ByteStream) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(chunk) = body.next().await {
            whole.extend_from_slice(&chunk.expect("no error in these bodies"));
        }
        whole
    }

    #[test]
    fn a_method_that_tells_our_request_back_is_refused() {
        let judged = |method: &str| {
            judge(&ProxyRequest {
                method: method.parse().expect("a method"),
                raw_path: "/cgi-bin/user/info".to_owned(),
                raw_query: String::new(),
                headers: HeaderMap::new(),
                body: body(&[]),
            })
        };
        for method in ["TRACE", "CONNECT", "trace", "Connect"] {
            assert_eq!(judged(method), Err(PathRefusal::Method), "{method}");
        }
        for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
            assert!(judged(method).is_ok(), "{method}");
        }
    }

    #[tokio::test]
    async fn our_token_leaves_neither_in_the_head_nor_in_the_body() {
        let mut headers = HeaderMap::new();
        let location = "https://mp.weixin.qq.com/x?access_token=a%2Bb";
        headers.insert("location", location.parse().expect("a value"));
        headers.insert("content-type", "text/html".parse().expect("a value"));
        let page = body(&["{\"errcode\":40001,\"errmsg\":\"a+", "b or a%2", "Bb\"}"]);
        let response = ForwardResponse { status: StatusCode::OK, headers, body: page };
        let answer = looked_at(response, &Secret::from("a+b")).await;
        assert_eq!(answer.errcode, Some(Errcode(40001)));
        let names: Vec<&str> =
            answer.response.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["content-type"]);
        let page = collect(answer.response.body).await;
        assert_eq!(page, b"{\"errcode\":40001,\"errmsg\":\"*** or *****\"}");
    }

    #[tokio::test]
    async fn an_errcode_is_found_and_the_body_stays_whole() {
        let chunks = ["{\"errcode\":40001,", "\"errmsg\":\"x\"}"];
        let (errcode, rest) = peek_errcode(&HeaderMap::new(), body(&chunks)).await;
        assert_eq!(errcode, Some(Errcode(40001)));
        assert_eq!(collect(rest).await, chunks.concat().as_bytes());
    }

    #[tokio::test]
    async fn a_long_answer_is_not_collected() {
        let long = "x".repeat(LONGEST_ERROR + 1);
        let chunk: &'static str = Box::leak(long.into_boxed_str());
        let (errcode, rest) = peek_errcode(&HeaderMap::new(), body(&[chunk, "y"])).await;
        assert_eq!(errcode, None);
        assert_eq!(collect(rest).await.len(), LONGEST_ERROR + 2);
    }

    #[tokio::test]
    async fn a_body_is_repeatable_up_to_its_limit() {
        let (head, rest) = read_ahead(body(&["ab", "cd"]), 4).await;
        assert_eq!((head.as_ref(), rest.is_none()), (b"abcd".as_ref(), true));
        let (head, rest) = read_ahead(body(&["ab", "cde", "f"]), 4).await;
        assert_eq!(head.as_ref(), b"abcde");
        assert_eq!(collect(rest.expect("more is to come")).await, b"f");
    }
}
