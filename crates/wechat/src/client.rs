//! The one HTTP client towards WeChat.
//!
//! Only this module and its children name the HTTP library and expose secrets to a request. The
//! library's errors print the address with the token in it, so none of them leaves unwrapped; for the
//! same reason there is no other way to send. Nothing is repeated here: whether a call may be sent
//! again is the caller's to know.

mod error;
mod forward;

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

pub use error::ClientError;
pub use forward::{ByteStream, ForwardBody, ForwardRequest, ForwardResponse};

use crate::{
    call::{
        self, Answer, AnswerError, Call,
        authorizer::{
            AuthorizationInfo, AuthorizerInfoAnswer, AuthorizerInfoRequest, AuthorizerList,
            AuthorizerListRequest, AuthorizerTokenRequest, MAX_LIST_COUNT, QueryAuthRequest,
            RefreshedToken,
        },
        component::{
            ComponentAccessToken, ComponentTokenRequest, CreatePreauthcodeRequest, PreAuthCode,
            PushTicketStarted, StartPushTicketRequest,
        },
    },
    id::Appid,
    secret::Secret,
};

/// The most that the answer of a call may have.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// How many idle connections are kept.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// How long an idle connection is kept: shorter than the minute after which servers hang up.
const IDLE_CONNECTION_LIFETIME: Duration = Duration::from_secs(50);

/// Where WeChat is and how long we wait for it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Scheme, host and port of the API; nothing else.
    pub api_url: Url,
    /// The longest that making a connection may take.
    pub connect_timeout: Duration,
    /// The longest that one of our own calls may take, its answer included.
    pub call_timeout: Duration,
    /// The longest that a forwarded call may stand still: neither a byte out nor one back.
    pub silence_timeout: Duration,
}

impl Default for ClientConfig {
    /// WeChat's own address, and the limits that it is called under.
    fn default() -> Self {
        Self {
            api_url: Url::parse("https://api.weixin.qq.com").expect("a fixed address"),
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

/// One of our own calls: what goes out, and what must not come back in an error.
struct Outgoing<'a, B> {
    call: Call,
    /// The component's access token, unless the call works without.
    token: Option<&'a Secret<String>>,
    /// Every secret inside `body`.
    secrets: &'a [&'a Secret<String>],
    body: B,
}

impl Client {
    /// Makes a client. The process must have a TLS provider installed.
    ///
    /// # Errors
    /// [`ClientError::Misconfigured`] when the address is not a bare `http` or `https` origin, or TLS
    /// cannot be set up, for instance without root certificates.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let url = &config.api_url;
        let is_origin = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_origin {
            let what = "the API address must be scheme, host and port only".to_owned();
            return Err(ClientError::Misconfigured { what });
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

    /// Asks WeChat to push tickets (again). Needs no token, so it always works.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_push_ticket(
        &self,
        component_appid: &Appid,
        component_secret: &Secret<String>,
    ) -> Result<(), ClientError> {
        let PushTicketStarted = self
            .send(Outgoing {
                call: call::component::START_PUSH_TICKET,
                token: None,
                secrets: &[component_secret],
                body: StartPushTicketRequest {
                    component_appid: component_appid.as_str(),
                    component_secret: component_secret.expose(),
                },
            })
            .await?;
        Ok(())
    }

    /// Turns ticket and secret into the component's access token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn component_token(
        &self,
        component_appid: &Appid,
        component_appsecret: &Secret<String>,
        ticket: &Secret<String>,
    ) -> Result<ComponentAccessToken, ClientError> {
        self.send(Outgoing {
            call: call::component::COMPONENT_TOKEN,
            token: None,
            secrets: &[component_appsecret, ticket],
            body: ComponentTokenRequest {
                component_appid: component_appid.as_str(),
                component_appsecret: component_appsecret.expose(),
                component_verify_ticket: ticket.expose(),
            },
        })
        .await
    }

    /// Gets the code that one authorization begins with.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_preauthcode(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
    ) -> Result<PreAuthCode, ClientError> {
        self.send(Outgoing {
            call: call::component::CREATE_PREAUTHCODE,
            token: Some(component_access_token),
            secrets: &[],
            body: CreatePreauthcodeRequest { component_appid: component_appid.as_str() },
        })
        .await
    }

    /// Exchanges an authorization code. WeChat takes each code once.
    ///
    /// # Errors
    /// [`ClientError`]. After `Timeout`, `Unreachable` or `Garbled` the code may be used up.
    pub async fn query_auth(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorization_code: &Secret<String>,
    ) -> Result<AuthorizationInfo, ClientError> {
        self.send(Outgoing {
            call: call::authorizer::QUERY_AUTH,
            token: Some(component_access_token),
            secrets: &[authorization_code],
            body: QueryAuthRequest {
                component_appid: component_appid.as_str(),
                authorization_code: authorization_code.expose(),
            },
        })
        .await
    }

    /// Turns a refresh token into an authorizer's access token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn authorizer_token(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorizer_appid: &Appid,
        refresh_token: &Secret<String>,
    ) -> Result<RefreshedToken, ClientError> {
        self.send(Outgoing {
            call: call::authorizer::AUTHORIZER_TOKEN,
            token: Some(component_access_token),
            secrets: &[refresh_token],
            body: AuthorizerTokenRequest {
                component_appid: component_appid.as_str(),
                authorizer_appid: authorizer_appid.as_str(),
                authorizer_refresh_token: refresh_token.expose(),
            },
        })
        .await
    }

    /// Tells what WeChat knows of an account that granted.
    ///
    /// # Errors
    /// [`ClientError`]; `Garbled` also when the answer speaks of another account.
    pub async fn get_authorizer_info(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorizer_appid: &Appid,
    ) -> Result<AuthorizerInfoAnswer, ClientError> {
        let call = call::authorizer::GET_AUTHORIZER_INFO;
        let answer: AuthorizerInfoAnswer = self
            .send(Outgoing {
                call,
                token: Some(component_access_token),
                secrets: &[],
                body: AuthorizerInfoRequest {
                    component_appid: component_appid.as_str(),
                    authorizer_appid: authorizer_appid.as_str(),
                },
            })
            .await?;
        match &answer.authorizer_appid {
            Some(other) if other != authorizer_appid => {
                Err(ClientError::garbled(call.name, "the answer is about another account"))
            }
            Some(_) | None => Ok(answer),
        }
    }

    /// Lists accounts that granted: up to `count` of them after the first `offset`. More than
    /// [`MAX_LIST_COUNT`] are never asked for, since WeChat would refuse.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_authorizer_list(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        offset: u32,
        count: u32,
    ) -> Result<AuthorizerList, ClientError> {
        self.send(Outgoing {
            call: call::authorizer::GET_AUTHORIZER_LIST,
            token: Some(component_access_token),
            secrets: &[],
            body: AuthorizerListRequest {
                component_appid: component_appid.as_str(),
                offset,
                count: count.min(MAX_LIST_COUNT),
            },
        })
        .await
    }

    async fn send<A: Answer, B: Serialize>(
        &self,
        outgoing: Outgoing<'_, B>,
    ) -> Result<A, ClientError> {
        let Outgoing { call, token, secrets, body } = outgoing;
        let mut url = self.url(call.path)?;
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("component_access_token", token.expose());
        }
        let body = serde_json::to_vec(&body).expect("texts and numbers make JSON");
        let response = self
            .http
            .post(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .timeout(self.config.call_timeout)
            .body(body)
            .send()
            .await
            .map_err(|error| ClientError::from_transport(call.name, error))?;
        let status = response.status();
        let mut answer = collect(call.name, response).await?;
        let known: Vec<&Secret<String>> = secrets.iter().copied().chain(token).collect();
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

    /// The address of `path` at the fixed host.
    ///
    /// Security invariant: an address whose path is not the judged one byte for byte is never called.
    fn url(&self, path: &str) -> Result<Url, ClientError> {
        let mut url = self.config.api_url.clone();
        url.set_path(path);
        if url.path() == path {
            Ok(url)
        } else {
            let what = "a path that changes when an address is made of it".to_owned();
            Err(ClientError::Misconfigured { what })
        }
    }
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
