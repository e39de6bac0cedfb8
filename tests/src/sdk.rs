//! A program that was written for WeChat's own host and knows nothing of lingpai: it is told an
//! address, an AppID and a secret.

use anyhow::Result;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::people::{Answer, http_client};

/// An SDK, as far as it matters here: it gets an access token and puts it into the query.
#[derive(Debug, Clone)]
pub struct Sdk {
    http: Client,
    host: String,
    appid: String,
    secret: String,
}

impl Sdk {
    /// An SDK that takes `host`, without a slash at the end, for `https://api.weixin.qq.com`.
    #[must_use]
    pub fn new(host: &str, appid: &str, secret: &str) -> Self {
        let (appid, secret) = (appid.to_owned(), secret.to_owned());
        Self { http: http_client(), host: host.to_owned(), appid, secret }
    }

    /// The same SDK with another AppID.
    #[must_use]
    pub fn of(&self, appid: &str) -> Self {
        Self { appid: appid.to_owned(), ..self.clone() }
    }

    /// `GET /cgi-bin/token`, as most SDKs ask.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn ask_token(&self) -> Result<Answer> {
        let query =
            [("grant_type", "client_credential"), ("appid", &self.appid), ("secret", &self.secret)];
        let url = format!("{}/cgi-bin/token", self.host);
        Answer::read(self.http.get(url).query(&query).send().await?).await
    }

    /// `POST /cgi-bin/stable_token`, as newer SDKs ask.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn ask_stable_token(&self) -> Result<Answer> {
        let body = json!({
            "grant_type": "client_credential", "appid": self.appid, "secret": self.secret,
        });
        let url = format!("{}/cgi-bin/stable_token", self.host);
        Answer::read(self.http.post(url).json(&body).send().await?).await
    }

    /// An access token.
    ///
    /// # Errors
    /// When none is given.
    pub async fn token(&self) -> Result<String> {
        self.ask_token().await?.expect(StatusCode::OK)?.field("access_token")
    }

    /// A request to `path`, which may have a query already; the token goes behind it.
    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let joint = if path.contains('?') { '&' } else { '?' };
        self.http.request(method, format!("{}{path}{joint}access_token={token}", self.host))
    }

    /// `GET path` with this token.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        Answer::read(self.request(Method::GET, path, token).send().await?).await
    }

    /// `POST path` with this token and a JSON body.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::POST, path, token).json(body).send().await?).await
    }

    /// Where it calls.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}
