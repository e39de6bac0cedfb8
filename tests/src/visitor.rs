//! A fan's browser inside WeChat: it keeps cookies site by site, follows redirects, and remembers
//! every address it was at.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use reqwest::{
    Client, Method, StatusCode,
    header::{ACCEPT_LANGUAGE, COOKIE, LOCATION, SET_COOKIE, USER_AGENT},
};
use url::Url;

use crate::people::{Answer, attribute, http_client};

/// What WeChat's browser says it is.
///
/// Observed: WeChat's own browsers name `MicroMessenger`; no documentation of WeChat promises it.
pub const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                          (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.50";

/// How many redirects are followed in a row.
const MOST_REDIRECTS: usize = 10;

/// What a fan does on WeChat's consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// 允许.
    Allow,
    /// 拒绝.
    Refuse,
}

/// The browser of one fan.
#[derive(Debug)]
pub struct Visitor {
    http: Client,
    agent: &'static str,
    /// By site: cookies do not tell ports apart, and here every site is a port.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    visited: Vec<Url>,
}

/// Where the browser stands.
#[derive(Debug)]
pub struct Place {
    /// The address in its bar.
    pub url: Url,
    /// What it shows.
    pub answer: Answer,
}

impl Default for Visitor {
    fn default() -> Self {
        Self::new(WECHAT)
    }
}

impl Visitor {
    /// A browser with no cookies that says it is `agent`.
    #[must_use]
    pub fn new(agent: &'static str) -> Self {
        Self { http: http_client(), agent, cookies: BTreeMap::new(), visited: Vec::new() }
    }

    /// Every address it was at, in order.
    #[must_use]
    pub fn visited(&self) -> &[Url] {
        &self.visited
    }

    /// The values of the cookies that it keeps of the site of `url`.
    pub fn cookies(&self, url: &Url) -> impl Iterator<Item = &str> {
        let kept = self.cookies.get(&url.origin().ascii_serialization());
        kept.into_iter().flat_map(BTreeMap::values).map(String::as_str)
    }

    /// Opens an address and follows nothing.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open(&mut self, url: &Url) -> Result<Answer> {
        self.ask(Method::GET, url, None).await
    }

    /// Opens an address and goes on to wherever it leads.
    ///
    /// # Errors
    /// When something cannot be reached, or there is no end to it.
    pub async fn go(&mut self, url: &Url) -> Result<Place> {
        let answer = self.open(url).await?;
        self.follow(url.clone(), answer).await
    }

    /// Chooses on WeChat's consent page, and goes on to wherever that leads.
    ///
    /// # Errors
    /// When the page is no consent page.
    pub async fn choose(&mut self, page: &Place, choice: Choice) -> Result<Place> {
        let (url, answer) = self.press(page, choice).await?;
        self.follow(url, answer).await
    }

    /// Chooses on WeChat's consent page, and stays: gives where WeChat leads to.
    ///
    /// # Errors
    /// When the page is no consent page, or leads nowhere.
    pub async fn chosen(&mut self, page: &Place, choice: Choice) -> Result<Url> {
        let (url, answer) = self.press(page, choice).await?;
        let next = location(&url, &answer)?;
        next.with_context(|| format!("the choice led nowhere: {}", answer.text))
    }

    /// From a tenant's link to WeChat, and the choice there if WeChat asks for one: gives the address of
    /// lingpai's that WeChat leads to.
    ///
    /// # Errors
    /// When a step leads nowhere.
    pub async fn decide(&mut self, way_in: &Url, choice: Choice) -> Result<Url> {
        let out = led_to(&self.open(way_in).await?)?;
        let answer = self.open(&out).await?;
        if let Some(back) = location(&out, &answer)? {
            return Ok(back);
        }
        let page = Place { url: out, answer: answer.expect(StatusCode::OK)? };
        self.chosen(&page, choice).await
    }

    /// The whole way from a tenant's link by WeChat: gives where lingpai leads to at the tenant.
    ///
    /// # Errors
    /// When a step leads nowhere.
    pub async fn sign_in(&mut self, way_in: &Url, choice: Choice) -> Result<Url> {
        let back = self.decide(way_in, choice).await?;
        led_to(&self.open(&back).await?)
    }

    async fn press(&mut self, page: &Place, choice: Choice) -> Result<(Url, Answer)> {
        let (action, mut fields) = form(&page.answer.text)?;
        let choice = match choice {
            Choice::Allow => "allow",
            Choice::Refuse => "refuse",
        };
        fields.push(("choice".to_owned(), choice.to_owned()));
        let url = page.url.join(&action)?;
        let answer = self.ask(Method::POST, &url, Some(&fields)).await?;
        Ok((url, answer))
    }

    async fn follow(&mut self, mut url: Url, mut answer: Answer) -> Result<Place> {
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = location(&url, &answer)? else { return Ok(Place { url, answer }) };
            answer = self.open(&next).await?;
            url = next;
        }
        bail!("no end of redirects: {:?}", self.visited)
    }

    async fn ask(
        &mut self,
        method: Method,
        url: &Url,
        form: Option<&[(String, String)]>,
    ) -> Result<Answer> {
        self.visited.push(url.clone());
        let site = url.origin().ascii_serialization();
        let kept = self.cookies.entry(site).or_default();
        let cookies: Vec<String> =
            kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self
            .http
            .request(method, url.clone())
            .header(USER_AGENT, self.agent)
            .header(ACCEPT_LANGUAGE, "zh-CN")
            .header(COOKIE, cookies.join("; "));
        if let Some(form) = form {
            request = request.form(form);
        }
        let answer = Answer::read(request.send().await?).await?;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie has a name")?;
            kept.insert(name.to_owned(), value.to_owned());
        }
        Ok(answer)
    }
}

/// Where an answer leads on to.
///
/// # Errors
/// When it leads nowhere.
pub fn led_to(answer: &Answer) -> Result<Url> {
    let location = answer.headers.get(LOCATION);
    let location = location.with_context(|| format!("leads nowhere: {}", answer.text))?;
    Ok(location.to_str()?.parse()?)
}

/// A parameter of an address.
#[must_use]
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Where an answer leads on to, if it does.
fn location(from: &Url, answer: &Answer) -> Result<Option<Url>> {
    let leads = [StatusCode::FOUND, StatusCode::SEE_OTHER].contains(&answer.status);
    let Some(location) = answer.headers.get(LOCATION).filter(|_| leads) else { return Ok(None) };
    Ok(Some(from.join(location.to_str()?)?))
}

/// The form of a page: where it goes, its hidden fields, and the first choice of each group.
fn form(html: &str) -> Result<(String, Vec<(String, String)>)> {
    let form = html.split("<form").nth(1).with_context(|| format!("no form in {html}"))?;
    let form = form.split("</form>").next().unwrap_or_default();
    let action = attribute(form, "action").context("the form has no action")?;
    let mut fields: Vec<(String, String)> = Vec::new();
    for input in form.split("<input").skip(1) {
        let input = input.split('>').next().unwrap_or_default();
        let (Some(name), Some(value)) = (attribute(input, "name"), attribute(input, "value"))
        else {
            continue;
        };
        if fields.iter().all(|(known, _)| *known != name) {
            fields.push((name, value));
        }
    }
    Ok((action, fields))
}
