//! Passing on a call of somebody else: its body streams both ways, only our token is put in.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::timeout;
use url::Url;

use super::{ACCESS_TOKEN, Client, ClientError, at};
use crate::secret::Secret;

/// How errors name a forwarded call: its path may tell what a tenant does.
const CALL: &str = "forward";

/// The most of a body without a length that is collected to find out its length.
const MAX_UNSIZED_BYTES: usize = 2 * 1024 * 1024;

/// Headers that never pass, in either direction: of the connection, of cookies and credentials, and
/// of proxies on the way. (`proxy-…`, `x-forwarded-…` and `lingpai-…` go by their prefix.)
static NEVER: [HeaderName; 26] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("cookie2"),
    HeaderName::from_static("set-cookie2"),
    header::AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("x-original-forwarded-for"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("x-original-host"),
    // By these some servers take another path or method than the one that was judged.
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// Request headers that we set ourselves or that would change what comes back. Without
/// `Accept-Encoding` and ranges an answer comes whole and searchable: a token that is cut in two by
/// two ranges could not be found in either.
static NEVER_OUT: [HeaderName; 6] = [
    header::HOST,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::RANGE,
    header::IF_RANGE,
];

/// Response headers that speak about WeChat's host, not about ours.
static NEVER_BACK: [HeaderName; 2] = [header::ALT_SVC, header::STRICT_TRANSPORT_SECURITY];

const NEVER_PREFIXES: [&str; 3] = ["proxy-", "x-forwarded-", "lingpai-"];

/// A body as it comes and goes.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// The body of a call that is passed on.
pub enum ForwardBody {
    /// None.
    Empty,
    /// All of it.
    Whole(Bytes),
    /// What is still coming.
    Stream {
        /// The bytes.
        bytes: ByteStream,
        /// How many they will be. WeChat answers 412 to chunked uploads, so without a length up to
        /// 2 MiB are collected first.
        length: Option<u64>,
    },
}

/// A call that is passed on, all but its body. It can be made again.
pub struct ForwardRequest {
    /// Its method.
    pub method: Method,
    /// Its raw path, already judged; it begins with `/`.
    pub path: String,
    /// Its raw query without any access token; may be empty.
    pub query: String,
    /// Its headers; the ones that must not pass are left out here.
    pub headers: HeaderMap,
}

/// WeChat's answer to a call that was passed on. Head and body are as received, but for headers that
/// must not pass.
pub struct ForwardResponse {
    /// The status; errors of WeChat's mostly come under 200.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. It fails when WeChat stands still or breaks off.
    pub body: ByteStream,
}

impl Client {
    /// Passes on a call with `token` put in as `access_token`.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] when nothing moved for the silence timeout before the answer began,
    /// [`ClientError::TooLarge`] for a body without a length over 2 MiB,
    /// [`ClientError::Misconfigured`] for a path that no address can be made of,
    /// [`ClientError::Garbled`] for a compressed answer, and [`ClientError::Unreachable`]. A call may have had its effect unless it was too large or
    /// misconfigured.
    pub async fn forward(
        &self,
        request: &ForwardRequest,
        body: ForwardBody,
        token: &Secret<String>,
    ) -> Result<ForwardResponse, ClientError> {
        let mut url = self.url(&request.path)?;
        url.set_query(Some(&with_token(&request.query, token)));
        self.pass_on(request, url, body).await
    }

    /// Passes on a call to the host of pages, which takes no token and gets none.
    ///
    /// # Errors
    /// As [`Client::forward`].
    pub async fn forward_to_pages(
        &self,
        request: &ForwardRequest,
        body: ForwardBody,
    ) -> Result<ForwardResponse, ClientError> {
        let mut url = at(&self.config.mp_url, &request.path)?;
        url.set_query(Some(&request.query).filter(|query| !query.is_empty()).map(String::as_str));
        self.pass_on(request, url, body).await
    }

    async fn pass_on(
        &self,
        request: &ForwardRequest,
        url: Url,
        body: ForwardBody,
    ) -> Result<ForwardResponse, ClientError> {
        let mut outgoing = reqwest::Request::new(request.method.clone(), url);
        *outgoing.headers_mut() = filtered(&request.headers, &NEVER_OUT);
        let progress = Arc::new(AtomicU64::new(0));
        let silence = self.config.silence_timeout;
        put_body(&mut outgoing, body, &progress, silence).await?;
        let response = while_moving(self.http.execute(outgoing), &progress, silence)
            .await
            .ok_or(ClientError::Timeout { call: CALL })?
            .map_err(|error| ClientError::from_transport(CALL, error))?;
        if !is_uncoded(response.headers()) {
            let what = "it is compressed, which was not asked for and could hide our token";
            return Err(ClientError::garbled(CALL, what));
        }
        Ok(ForwardResponse {
            status: response.status(),
            headers: filtered(response.headers(), &NEVER_BACK),
            body: watched(response.bytes_stream(), silence),
        })
    }
}

/// Waits for `answer` for as long as `progress` moves; `None` once it stood still for `silence`.
async fn while_moving<T>(
    answer: impl Future<Output = T>,
    progress: &AtomicU64,
    silence: Duration,
) -> Option<T> {
    let mut answer = pin!(answer);
    loop {
        let before = progress.load(Ordering::Relaxed);
        match timeout(silence, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if progress.load(Ordering::Relaxed) != before => {}
            Err(_) => return None,
        }
    }
}

/// The query in its own order and spelling, our token last.
fn with_token(query: &str, token: &Secret<String>) -> String {
    let token = token.expose();
    let mut whole = String::with_capacity(query.len() + ACCESS_TOKEN.len() + token.len() + 8);
    whole.push_str(query);
    if !query.is_empty() {
        whole.push('&');
    }
    whole.push_str(ACCESS_TOKEN);
    whole.push('=');
    whole.extend(url::form_urlencoded::byte_serialize(token.as_bytes()));
    whole
}

/// The headers that may pass: not those in [`NEVER`] or `also`, and none that `Connection` names.
fn filtered(headers: &HeaderMap, also: &[HeaderName]) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let may_pass = |name: &HeaderName| {
        !NEVER.iter().chain(also).chain(&named).any(|never| never == name)
            && !NEVER_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| may_pass(name)) {
        passed.append(name.clone(), value.clone());
    }
    passed
}

/// Whether the body comes as it is meant, with no coding on top but chunks.
///
/// Security invariant: our token is looked for in the bytes that leave, so they must be plain.
fn is_uncoded(headers: &HeaderMap) -> bool {
    let has_only = |name, harmless: [&str; 2]| {
        headers.get_all(name).iter().all(|value| {
            value.to_str().is_ok_and(|codings| {
                codings.split(',').all(|coding| {
                    harmless.iter().any(|known| coding.trim().eq_ignore_ascii_case(known))
                })
            })
        })
    };
    has_only(header::CONTENT_ENCODING, ["identity", ""])
        && has_only(header::TRANSFER_ENCODING, ["chunked", "identity"])
}

/// Puts the body in so that it goes out with a `Content-Length`, never chunked.
async fn put_body(
    request: &mut reqwest::Request,
    body: ForwardBody,
    progress: &Arc<AtomicU64>,
    silence: Duration,
) -> Result<(), ClientError> {
    match body {
        ForwardBody::Empty => {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        }
        ForwardBody::Whole(bytes) => *request.body_mut() = Some(bytes.into()),
        ForwardBody::Stream { bytes, length: None } => {
            *request.body_mut() = Some(collect_unsized(bytes, silence).await?.into());
        }
        ForwardBody::Stream { bytes, length: Some(length) } => {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            let progress = Arc::clone(progress);
            let counted = bytes.inspect(move |_| {
                progress.fetch_add(1, Ordering::Relaxed);
            });
            *request.body_mut() = Some(reqwest::Body::wrap_stream(counted));
        }
    }
    Ok(())
}

/// Collects a body to find out its length, unless it stands still for `silence`.
async fn collect_unsized(mut bytes: ByteStream, silence: Duration) -> Result<Bytes, ClientError> {
    let broken = |error| ClientError::Unreachable { call: CALL, source: Box::new(error) };
    let mut body = BytesMut::new();
    loop {
        let next = timeout(silence, bytes.next()).await;
        match next.map_err(|_| broken(io::ErrorKind::TimedOut.into()))? {
            None => return Ok(body.freeze()),
            Some(chunk) => {
                let chunk = chunk.map_err(broken)?;
                if body.len() + chunk.len() > MAX_UNSIZED_BYTES {
                    return Err(ClientError::TooLarge { call: CALL });
                }
                body.extend_from_slice(&chunk);
            }
        }
    }
}

/// The body of an answer, given up when nothing comes for `silence`. Its errors name no address.
fn watched(
    bytes: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    silence: Duration,
) -> ByteStream {
    let bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>> = Box::pin(bytes);
    stream::unfold(Some(bytes), move |bytes| async move {
        let mut bytes = bytes?;
        match timeout(silence, bytes.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(bytes))),
            Ok(Some(Err(_))) => Some((Err(io::Error::other("WeChat's answer broke off")), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_waited_for_while_it_moves() {
        let progress = AtomicU64::new(0);
        let upload = async {
            for _ in 0..10 {
                sleep(SILENCE * 3 / 4).await;
                progress.fetch_add(1, Ordering::Relaxed);
            }
            "answer"
        };
        assert_eq!(while_moving(upload, &progress, SILENCE).await, Some("answer"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stands_still_is_given_up() {
        let progress = AtomicU64::new(0);
        let upload = async {
            progress.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        assert_eq!(while_moving(upload, &progress, SILENCE).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_a_length_that_stands_still_is_given_up() {
        let chunks = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::pending());
        let outcome = collect_unsized(chunks.boxed(), SILENCE).await;
        assert!(matches!(outcome, Err(ClientError::Unreachable { .. })), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stands_still_is_given_up() {
        let chunks = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::pending());
        let mut body = watched(chunks, SILENCE);
        assert_eq!(body.next().await.expect("a chunk").expect("bytes"), "a");
        let error = body.next().await.expect("an error").expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(body.next().await.is_none());
    }
}
