//! The pages of a tenant's shop, as fans open them inside WeChat: they sign in by way of lingpai, and
//! their pages use the JS-SDK.
//!
//! | path | what |
//! |---|---|
//! | `/` | who the fan is, if he has signed in; else two ways to |
//! | `/enter?scope=…` | leads to lingpai, with a state that the browser keeps as well |
//! | `/back` | where the fan comes back to; takes the code to lingpai, begins a session, and goes on to `/` |

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use lingpai_model::clock::Entropy;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::{
    people::Program,
    receiver::Taken,
    visitor::{Choice, Visitor, parameter},
};

/// A shop of one account's.
pub struct Shop {
    /// How it calls lingpai.
    pub tenant: Program,
    /// Where lingpai is.
    pub lingpai: Url,
    /// Where WeChat's script for pages is.
    pub script: Url,
    /// The account that fans sign in with.
    pub appid: String,
    /// Where the shop itself is: scheme and host.
    pub origin: String,
    /// What lingpai told of the fans who signed in, by their session.
    signed_in: Mutex<HashMap<String, Value>>,
}

impl fmt::Debug for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shop").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// An answer of the shop.
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Header lines, each ended by CRLF.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Shop {
    /// A shop at `origin` that nobody has entered yet.
    #[must_use]
    pub fn new(
        tenant: Program,
        (lingpai, script): (Url, Url),
        appid: &str,
        origin: impl Into<String>,
    ) -> Self {
        let (appid, origin) = (appid.to_owned(), origin.into());
        Self { tenant, lingpai, script, appid, origin, signed_in: Mutex::default() }
    }

    /// Where fans come back to; to be registered with lingpai.
    #[must_use]
    pub fn back(&self) -> String {
        format!("{}/back", self.origin)
    }

    /// Where a fan is sent to sign in.
    #[must_use]
    pub fn way_in(&self, scope: &str, state: &str) -> Url {
        let mut url = self.lingpai.clone();
        url.set_path("/gateway/connect/oauth2/authorize");
        url.query_pairs_mut()
            .append_pair("appid", &self.appid)
            .append_pair("redirect_uri", &self.back())
            .append_pair("response_type", "code")
            .append_pair("scope", scope)
            .append_pair("state", state);
        url.set_fragment(Some("wechat_redirect"));
        url
    }

    /// Has lingpai send fans back here.
    ///
    /// # Errors
    /// When lingpai refuses.
    pub async fn register(&self) -> Result<()> {
        let uri = json!({ "uri": self.back() });
        self.tenant.post("/v1/redirect-uris", &uri).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }

    /// A fan goes the whole way and is led back here: gives the one-time code that he brings, if he
    /// brings one.
    ///
    /// # Errors
    /// When a step fails, or he is led elsewhere or with another state.
    pub async fn code_of(
        &self,
        fan: &mut Visitor,
        scope: &str,
        choice: Choice,
    ) -> Result<Option<String>> {
        let state = drawn();
        let home = fan.sign_in(&self.way_in(scope, &state), choice).await?;
        ensure!(home.as_str().starts_with(&self.back()), "led to {home}");
        ensure!(parameter(&home, "state").as_deref() == Some(&*state), "led to {home}");
        Ok(parameter(&home, "code"))
    }

    /// What a request is answered with.
    pub(crate) async fn page(&self, taken: &Taken) -> Page {
        let path = taken.target.split('?').next().unwrap_or_default();
        let answered = match path {
            "/" => self.home(taken).await,
            "/enter" => Ok(self.enter(taken)),
            "/back" => self.back_from_wechat(taken).await,
            _ => Ok(page(404, "<p>no such page")),
        };
        answered.unwrap_or_else(|error| page(500, &format!("<p>{}", escaped(&error.to_string()))))
    }

    async fn home(&self, taken: &Taken) -> Result<Page> {
        let fan = cookie(taken, "session").and_then(|name| self.signed_in().get(name).cloned());
        let Some(fan) = fan else {
            return Ok(page(
                200,
                "<h1>花店 Flower Shop</h1>\
                 <p><a id=enter href='/enter?scope=snsapi_userinfo'>用微信登录 Sign in with WeChat</a>\
                 <p><a id=silent href='/enter?scope=snsapi_base'>静默登录 Sign in silently</a>",
            ));
        };
        let mut body = String::from("<h1>花店 Flower Shop</h1>");
        match fan["profile"]["nickname"].as_str() {
            Some(name) => write!(body, "<p>你好 Hello, <b id=fan>{}</b>", escaped(name))?,
            None => body.push_str("<p id=fan data-silent>你好 Hello again"),
        }
        let url = format!("{}{}", self.origin, taken.target);
        write!(body, "<p>JS-SDK: <b id=jssdk>…</b>{}", self.jssdk(&url).await?)?;
        Ok(page(200, &body))
    }

    /// The scripts that let a page use the JS-SDK, signed for this page alone.
    async fn jssdk(&self, url: &str) -> Result<String> {
        let path = format!("/v1/authorizers/{}/js-sdk-config", self.appid);
        let config = self.tenant.post(&path, &json!({ "url": url })).await?;
        let mut config = config.expect(StatusCode::OK)?.json;
        config["jsApiList"] = json!(["updateAppMessageShareData"]);
        Ok(format!(
            "<script src='{}'></script><script>\
             const said = (text) => {{ document.querySelector('#jssdk').textContent = text; }};\
             wx.ready(() => said('ready')); wx.error((why) => said('refused: ' + why.errMsg));\
             wx.config({config});</script>",
            self.script
        ))
    }

    fn enter(&self, taken: &Taken) -> Page {
        let scope = taken.parameter("scope").unwrap_or_default();
        // The browser keeps the state: whoever comes back with another was led here.
        let state = drawn();
        redirect(self.way_in(&scope, &state).as_str()).with_cookie("state", &state)
    }

    async fn back_from_wechat(&self, taken: &Taken) -> Result<Page> {
        let state = taken.parameter("state");
        if state.is_none() || cookie(taken, "state") != state.as_deref() {
            return Ok(page(403, "<p data-refused=state>这不是你的登录 This is not your sign-in"));
        }
        let Some(code) = taken.parameter("code") else {
            return Ok(page(200, "<p data-refused=fan>你没有同意 You did not consent"));
        };
        let exchanged = self.tenant.post("/v1/oauth/exchange", &json!({ "code": code })).await?;
        if exchanged.status != StatusCode::OK {
            let why = exchanged.field("code").context("a problem has a code")?;
            return Ok(page(
                200,
                &format!("<p data-refused='{0}'>登录失败 Failed: {0}", escaped(&why)),
            ));
        }
        // The state stood in addresses, which get about: a session is named by something else.
        let session = drawn();
        self.signed_in().insert(session.clone(), exchanged.json);
        Ok(redirect("/").with_cookie("session", &session))
    }

    fn signed_in(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.signed_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn with_cookie(mut self, name: &str, value: &str) -> Self {
        let cookie = format!("Set-Cookie: {name}={value}; Path=/; HttpOnly; SameSite=Lax\r\n");
        self.headers.push_str(&cookie);
        self
    }
}

/// What nobody guesses, and WeChat takes for a state.
fn drawn() -> String {
    format!("{:032x}", u128::from_be_bytes(Entropy::system().bytes()))
}

fn page(status: u16, body: &str) -> Page {
    let headers =
        "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n".to_owned();
    let head = "<!doctype html><meta name=viewport content='width=device-width'><link rel=icon href='data:,'><title>花店</title>\
                <style>body{font:18px/1.6 system-ui;margin:2em;color:#222}b{color:#07c160}</style>";
    Page { status, headers, body: format!("{head}{body}") }
}

fn redirect(location: &str) -> Page {
    let headers = format!("Location: {location}\r\nCache-Control: no-store\r\n");
    Page { status: 303, headers, body: String::new() }
}

fn cookie<'a>(taken: &'a Taken, name: &str) -> Option<&'a str> {
    let pairs = taken.header("cookie").split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(known, value)| (known == name).then_some(value))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_a_state_of_wechats_and_nobodys_else() {
        let [one, other] = [drawn(), drawn()];
        assert_ne!(one, other);
        // Source: WeChat docs, web authorization (网页授权): a-zA-Z0-9, at most 128 bytes.
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    }
}
