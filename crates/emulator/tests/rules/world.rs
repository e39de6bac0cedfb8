//! A running emulator, a caller, and a receiver of pushes that opens them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use lingpai_emulator::{Emulator, EmulatorConfig, FanChoice};
use lingpai_wechat::crypt::{Crypt, EncodingAesKey};
use lingpai_wechat::id::Appid;
use lingpai_wechat::push::{Envelope, PushQuery};
use lingpai_wechat::secret::Secret;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{Endpoint, EndpointExt as _, Request, Response, Route, Server};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

pub(crate) const COMPONENT: &str = "wx1f0e2d3c4b5a6978";
pub(crate) const SHOP: &str = "wxa0b1c2d3e4f50617";
pub(crate) const CALLBACK: &str = "http://lingpai.example/back?state=s";
/// Where the shop's fans come back to.
pub(crate) const PAGE: &str = "https://pages.example/back?own=1";
pub(crate) const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";
pub(crate) const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";
pub(crate) const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";
pub(crate) const AUTHORIZER_LIST: &str = "/cgi-bin/component/api_get_authorizer_list";
pub(crate) const ECHO: &str = "/wxa/emulator/echo";

pub(crate) struct World {
    pub(crate) wechat: Emulator,
    pub(crate) http: reqwest::Client,
}

/// An account that has authorized.
pub(crate) struct Authorized {
    pub(crate) component_token: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(EmulatorConfig::for_tests()).await
    }

    pub(crate) async fn start_with(config: EmulatorConfig) -> anyhow::Result<Self> {
        let wechat = Emulator::start(config).await?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { wechat, http })
    }

    pub(crate) fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.wechat.base_url())
    }

    /// Posts JSON and reads JSON; a token may stand in the path's query.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(self.url(path)).body(body.to_string());
        let response = request.send().await?;
        anyhow::ensure!(response.status() == 200, "HTTP {}", response.status());
        let text = response.text().await?;
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let text = self.http.get(self.url(path)).send().await?.text().await?;
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// Posts to a component path with the component's appid in the body and its token in the query.
    pub(crate) async fn component(
        &self,
        path: &str,
        token: &str,
        mut body: Value,
    ) -> anyhow::Result<Value> {
        body["component_appid"] = COMPONENT.into();
        self.post(&format!("{path}?component_access_token={token}"), &body).await
    }

    /// A new component token, by a ticket that was minted but pushed nowhere.
    pub(crate) async fn component_token(&self) -> anyhow::Result<String> {
        self.wechat.push_ticket().await;
        let ticket = self.wechat.snapshot().tickets[0].value.clone();
        let answer = self.post(COMPONENT_TOKEN, &component_token_body(&ticket)).await?;
        text(&answer, "component_access_token")
    }

    pub(crate) async fn pre_auth_code(&self, component_token: &str) -> anyhow::Result<String> {
        let path = "/cgi-bin/component/api_create_preauthcode";
        text(&self.component(path, component_token, json!({})).await?, "pre_auth_code")
    }

    /// A link for computers.
    pub(crate) async fn link(&self, component_token: &str) -> anyhow::Result<String> {
        let code = self.pre_auth_code(component_token).await?;
        Ok(self.link_with(&code, "&auth_type=3"))
    }

    pub(crate) fn link_with(&self, pre_auth_code: &str, more: &str) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("component_appid", COMPONENT)
            .append_pair("pre_auth_code", pre_auth_code)
            .append_pair("redirect_uri", CALLBACK)
            .finish();
        self.url(&format!("/cgi-bin/componentloginpage?{query}{more}"))
    }

    /// Consents and gives the authorization code.
    pub(crate) async fn consent(&self, token: &str, sets: &[u32]) -> anyhow::Result<String> {
        let link = self.link(token).await?;
        auth_code(&self.wechat.consent(&link, SHOP, sets).await?)
    }

    /// The shop authorizes and its code is exchanged.
    pub(crate) async fn authorize(&self, sets: &[u32]) -> anyhow::Result<Authorized> {
        let component_token = self.component_token().await?;
        let code = self.consent(&component_token, sets).await?;
        let body = json!({ "authorization_code": code });
        let answer = self.component(QUERY_AUTH, &component_token, body).await?;
        let info = &answer["authorization_info"];
        Ok(Authorized {
            access_token: text(info, "authorizer_access_token")?,
            refresh_token: text(info, "authorizer_refresh_token")?,
            component_token,
        })
    }

    /// A link of web authorization to the shop's page at [`PAGE`], with `more` after the state.
    pub(crate) fn web_link(&self, scope: &str, more: &str) -> String {
        let redirect: String = url::form_urlencoded::byte_serialize(PAGE.as_bytes()).collect();
        self.url(&format!(
            "/connect/oauth2/authorize?appid={SHOP}&redirect_uri={redirect}&response_type=code\
             &scope={scope}&state=s1{more}#wechat_redirect"
        ))
    }

    /// A fan of the shop allows this; gives the code.
    pub(crate) async fn web_code(&self, scope: &str, more: &str) -> anyhow::Result<String> {
        let link = self.web_link(scope, more);
        let back = self.wechat.web_consent(&link, FanChoice::Allow { openid: None }).await?;
        let back = url::Url::parse(&back)?;
        let code = back.query_pairs().find(|(name, _)| name == "code");
        Ok(code.with_context(|| back.to_string())?.1.into_owned())
    }

    /// Exchanges a code with the shop's own secret.
    pub(crate) async fn exchange(&self, code: &str) -> anyhow::Result<Value> {
        let secret =
            self.wechat.account(SHOP).and_then(|shop| shop.appsecret).context("a secret")?;
        self.get(&format!(
            "/sns/oauth2/access_token?appid={SHOP}&secret={secret}&code={code}\
             &grant_type=authorization_code"
        ))
        .await
    }

    pub(crate) async fn refresh(&self, shop: &Authorized) -> anyhow::Result<Value> {
        let body = refresh_body(&shop.refresh_token);
        self.component(AUTHORIZER_TOKEN, &shop.component_token, body).await
    }
}

pub(crate) fn component_token_body(ticket: &str) -> Value {
    json!({
        "component_appid": COMPONENT,
        "component_appsecret": EmulatorConfig::default().component.appsecret,
        "component_verify_ticket": ticket,
    })
}

pub(crate) fn refresh_body(refresh_token: &str) -> Value {
    json!({ "authorizer_appid": SHOP, "authorizer_refresh_token": refresh_token })
}

pub(crate) fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    Ok(value[name].as_str().with_context(|| format!("no {name} in {value}"))?.to_owned())
}

pub(crate) fn auth_code(location: &str) -> anyhow::Result<String> {
    let url = url::Url::parse(location)?;
    let code = url.query_pairs().find(|(name, _)| name == "auth_code");
    Ok(code.with_context(|| location.to_owned())?.1.into_owned())
}

/// Answers pushes as told and keeps what was inside.
#[derive(Clone)]
pub(crate) struct Receiver(Arc<Mutex<Inbox>>);

struct Inbox {
    keys: Crypt,
    answers: Vec<(u16, &'static str)>,
    queries: Vec<String>,
    plaintexts: Vec<String>,
    refused: Vec<String>,
}

impl Receiver {
    /// Listens; gives the URL to push to. The first answers are those given, later ones `success`.
    pub(crate) async fn start(answers: &[(u16, &'static str)]) -> anyhow::Result<(Self, String)> {
        let component = EmulatorConfig::default().component;
        let keys = crypt(&component.appid, &component.push_token, &component.encoding_aes_key)?;
        Self::start_with(answers, keys).await
    }

    /// The same for pushes that are sealed with other keys.
    pub(crate) async fn start_with(
        answers: &[(u16, &'static str)],
        keys: Crypt,
    ) -> anyhow::Result<(Self, String)> {
        let answers = answers.iter().rev().copied().collect();
        let (queries, plaintexts, refused) = <(Vec<_>, Vec<_>, Vec<_>)>::default();
        let inbox = Inbox { keys, answers, queries, plaintexts, refused };
        let receiver = Self(Arc::new(Mutex::new(inbox)));
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
        let addr = acceptor.local_addr()[0].to_string();
        let port = addr.rsplit(':').next().context("a port")?.to_owned();
        let app = Route::new().at("/*path", receiver.clone()).map_to_response();
        TaskTracker::new().spawn(Server::new_with_acceptor(acceptor).run(app));
        Ok((receiver, format!("http://127.0.0.1:{port}/events?own=1")))
    }

    pub(crate) fn plaintexts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).plaintexts.clone()
    }

    pub(crate) fn queries(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).queries.clone()
    }

    /// Why pushes could not be opened.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

impl Endpoint for Receiver {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_bytes_limit(256 * 1024).await?;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut inbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open(&inbox.keys, &query, &body) {
            Ok(plaintext) => inbox.plaintexts.push(plaintext),
            Err(error) => inbox.refused.push(format!("{error:#}")),
        }
        inbox.queries.push(query);
        let (status, text) = inbox.answers.pop().unwrap_or((200, "success"));
        let status = poem::http::StatusCode::from_u16(status).expect("tests name real ones");
        Ok(Response::builder().status(status).body(text))
    }
}

/// Opens what is sealed with these.
pub(crate) fn crypt(appid: &str, push_token: &str, key: &str) -> anyhow::Result<Crypt> {
    let (appid, key) = (Appid::parse(appid)?, EncodingAesKey::parse(key)?);
    Ok(Crypt::new(Secret::from(push_token), appid, key, None))
}

fn open(crypt: &Crypt, query: &str, body: &[u8]) -> anyhow::Result<String> {
    let envelope = Envelope::parse(body)?;
    let opened = crypt.open(&PushQuery::parse(query)?, &envelope.encrypt)?;
    Ok(String::from_utf8(opened.plaintext)?)
}
