//! The one HTTP client towards WeChat.
//!
//! Only this module and its children name the HTTP library and expose secrets to a request. The
//! library's errors print the address with the token in it, so none of them leaves unwrapped; for the
//! same reason there is no other way to send. Nothing is repeated here: whether a call may be sent
//! again is the caller's to know.

mod account;
mod authorizer;
mod component;
mod error;
mod forward;
mod jssdk;
mod message;
mod mini_program;
mod oauth;
mod quota;
mod user;

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

pub use error::ClientError;
pub use forward::{ByteStream, ForwardBody, ForwardRequest, ForwardResponse};

use crate::{
    call::{self, Answer, AnswerError, Call},
    secret::Secret,
};

/// The most that the answer of a call may have.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// How the access token is called in the query of the component's own calls.
///
/// Source: WeChat docs, the pages of those calls; newer ones write [`ACCESS_TOKEN`], and both work.
const COMPONENT_ACCESS_TOKEN: &str = "component_access_token";

/// How the access token is called in the query of all other calls.
///
/// Source: WeChat docs, every page of a call for an account.
const ACCESS_TOKEN: &str = "access_token";

/// How many idle connections are kept.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// How long an idle connection is kept: shorter than the minute after which servers hang up.
const IDLE_CONNECTION_LIFETIME: Duration = Duration::from_secs(50);

/// Where WeChat is and how long we wait for it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Scheme, host and port of the API; nothing else.
    pub api_url: Url,
    /// Scheme, host and port of the host of pages, which serves a few pictures; nothing else.
    pub mp_url: Url,
    /// The longest that making a connection may take.
    pub connect_timeout: Duration,
    /// The longest that one of our own calls may take, its answer included.
    pub call_timeout: Duration,
    /// The longest that a forwarded call may stand still: neither a byte out nor one back.
    pub silence_timeout: Duration,
}

impl Default for ClientConfig {
    /// WeChat's own addresses, and the limits that it is called under.
    fn default() -> Self {
        Self {
            api_url: Url::parse("https://api.weixin.qq.com").expect("a fixed address"),
            mp_url: Url::parse("https://mp.weixin.qq.com").expect("a fixed address"),
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(30),
        }
    }
}

/// Calls WeChat. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    config: Arc<ClientConfig>,
}

/// One of our own calls with a JSON body: what goes out, and what must not come back in an error.
struct Outgoing<'a, B> {
    call: Call,
    /// The access token and its name in the query, unless the call works without.
    token: Option<(&'static str, &'a Secret<String>)>,
    /// Every secret inside `body`.
    secrets: &'a [&'a Secret<String>],
    body: B,
}

impl Client {
    /// Makes a client. The process must have a TLS provider installed.
    ///
    /// # Errors
    /// [`ClientError::Misconfigured`] when an address is not a bare `http` or `https` origin, or TLS
    /// cannot be set up, for instance without root certificates.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        for (url, what) in [(&config.api_url, "the API"), (&config.mp_url, "the pages")] {
            if !is_origin(url) {
                let what = format!("the address of {what} must be scheme, host and port only");
                return Err(ClientError::Misconfigured { what });
            }
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_CONNECTION_LIFETIME)
            .user_agent(concat!("lingpai/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Misconfigured {
                what: error.without_url().to_string(),
            })?;
        Ok(Self { http, config: Arc::new(config) })
    }

    async fn send<A: Answer, B: Serialize>(
        &self,
        outgoing: Outgoing<'_, B>,
    ) -> Result<A, ClientError> {
        let Outgoing { call, token, secrets, body } = outgoing;
        let mut url = self.url(call.path)?;
        if let Some((name, token)) = token {
            url.query_pairs_mut().append_pair(name, token.expose());
        }
        let body = serde_json::to_vec(&body).expect("texts, numbers and booleans make JSON");
        let request =
            self.http.post(url).header(http::header::CONTENT_TYPE, "application/json").body(body);
        let token = token.map(|(_, token)| token);
        let secrets: Vec<&Secret<String>> = secrets.iter().copied().chain(token).collect();
        self.exchange(call, request, &secrets).await
    }

    /// Sends a call that has everything in its query; `secrets` are all that stand there.
    async fn ask<A: Answer>(
        &self,
        call: Call,
        query: &[(&str, &str)],
        secrets: &[&Secret<String>],
    ) -> Result<A, ClientError> {
        let mut url = self.url(call.path)?;
        url.query_pairs_mut().extend_pairs(query);
        self.exchange(call, self.http.get(url), secrets).await
    }

    async fn exchange<A: Answer>(
        &self,
        call: Call,
        request: reqwest::RequestBuilder,
        secrets: &[&Secret<String>],
    ) -> Result<A, ClientError> {
        let response = request
            .timeout(self.config.call_timeout)
            .send()
            .await
            .map_err(|error| ClientError::from_transport(call.name, error))?;
        let status = response.status();
        let mut answer = collect(call.name, response).await?;
        let encoded: Vec<Secret<String>> = secrets.iter().map(|secret| encoded(secret)).collect();
        let known: Vec<&Secret<String>> = secrets.iter().copied().chain(&encoded).collect();
        call::read_answer(&mut answer, &known).map_err(|error| match error {
            AnswerError::Rejected { errcode, errmsg } => {
                ClientError::Rejected { call: call.name, errcode, errmsg }
            }
            AnswerError::Garbled(what) if status.is_success() => {
                ClientError::garbled(call.name, what)
            }
            AnswerError::Garbled(what) => {
                ClientError::garbled(call.name, format!("HTTP {} with {what}", status.as_u16()))
            }
        })
    }

    /// The address of `path` at the API's fixed host.
    fn url(&self, path: &str) -> Result<Url, ClientError> {
        at(&self.config.api_url, path)
    }
}

/// The address of `path` at a fixed host.
///
/// Security invariant: an address whose path is not the judged one byte for byte is never called.
fn at(origin: &Url, path: &str) -> Result<Url, ClientError> {
    let mut url = origin.clone();
    url.set_path(path);
    if url.path() == path {
        Ok(url)
    } else {
        let what = "a path that changes when an address is made of it".to_owned();
        Err(ClientError::Misconfigured { what })
    }
}

fn is_origin(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// The secret as it stands in an address: an errmsg may repeat the address.
fn encoded(secret: &Secret<String>) -> Secret<String> {
    Secret::new(url::form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect())
}

/// Reads an answer as far as it is allowed to go.
async fn collect(
    call: &'static str,
    mut response: reqwest::Response,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > MAX_ANSWER_BYTES) {
        return Err(ClientError::TooLarge { call });
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(1024)));
    while let Some(chunk) =
        response.chunk().await.map_err(|error| ClientError::from_transport(call, error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLarge { call });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
