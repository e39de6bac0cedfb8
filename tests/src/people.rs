//! The people around lingpai. Each does over HTTP what such a person's program or browser does.

use anyhow::{Context as _, Result, ensure};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT_LANGUAGE, COOKIE, LOCATION, REFERER, SET_COOKIE},
    redirect::Policy,
};
use serde_json::{Value, json};
use url::Url;

/// An HTTP client that follows nothing by itself.
///
/// # Panics
/// When the machine has no certificate store.
#[must_use]
pub fn http_client() -> Client {
    // A second installation is refused and harmless: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client without options")
}

/// An answer read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body as JSON; `null` when it is none.
    pub json: Value,
    /// Its body as text.
    pub text: String,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
}

impl Answer {
    /// Reads a response to its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn read(response: Response) -> Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, json, text, headers })
    }

    /// The answer, if it has this status.
    ///
    /// # Errors
    /// When it has another; the body is part of the message.
    pub fn expect(self, status: StatusCode) -> Result<Self> {
        ensure!(self.status == status, "{} instead of {status}: {}", self.status, self.text);
        Ok(self)
    }

    /// A text field of the JSON body.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn field(&self, name: &str) -> Result<String> {
        let found = self.json.pointer(&format!("/{}", name.replace('.', "/")));
        let text = found.and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| format!("no {name} in {}", self.text))
    }
}

/// A program that calls lingpai with a key: an operator's or a tenant's.
#[derive(Debug, Clone)]
pub struct Program {
    http: Client,
    base: Url,
    key: String,
}

impl Program {
    /// A program that calls `base` with `key`.
    #[must_use]
    pub fn new(base: Url, key: &str) -> Self {
        Self { http: http_client(), base, key: key.to_owned() }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::read(self.request(Method::GET, path).send().await?).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::POST, path).json(body).send().await?).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        Answer::read(self.request(Method::DELETE, path).send().await?).await
    }

    /// `PATCH path` with a JSON body.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::PATCH, path).json(body).send().await?).await
    }

    /// `PUT path` with a JSON body.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::PUT, path).json(body).send().await?).await
    }

    /// `POST path` with a JSON body under an `Idempotency-Key`.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn post_once(&self, path: &str, body: &Value, once: &str) -> Result<Answer> {
        let request = self.request(Method::POST, path).header("Idempotency-Key", once);
        Answer::read(request.json(body).send().await?).await
    }

    /// A request with the key, to be completed and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(&self.key)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Registers the component that the emulator stands in for. For operators.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn register(&self, component: &Component) -> Result<Answer> {
        let body = json!({
            "appid": component.appid,
            "name": component.name,
            "appsecret": component.appsecret,
            "push_token": component.push_token,
            "encoding_aes_key": component.encoding_aes_key,
        });
        self.post("/admin/v1/components", &body).await?.expect(StatusCode::CREATED)
    }

    /// Creates a tenant with a key that may do everything, and becomes its program. For operators.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create_tenant(&self, name: &str) -> Result<(String, Self)> {
        let tenant = self.post("/admin/v1/tenants", &json!({ "name": name })).await?;
        let tenant_id = tenant.expect(StatusCode::CREATED)?.field("id")?;
        let (_, program) = self.create_key(&tenant_id, &json!({ "name": "everything" })).await?;
        Ok((tenant_id, program))
    }

    /// Creates a key of a tenant; gives its id and the program that uses it. For operators.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create_key(&self, tenant_id: &str, key: &Value) -> Result<(String, Self)> {
        let path = format!("/admin/v1/tenants/{tenant_id}/api-keys");
        let created = self.post(&path, key).await?.expect(StatusCode::CREATED)?;
        Ok((created.field("id")?, self.with_key(&created.field("key")?)))
    }

    /// The same program with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { http: self.http.clone(), base: self.base.clone(), key: key.to_owned() }
    }

    /// Starts an authorization; returns its id and link. For tenants.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn start_authorization(&self, component_appid: &str) -> Result<(String, Url)> {
        self.start(&json!({ "component_appid": component_appid, "account_kind": "any" })).await
    }

    /// Starts an authorization that only this account may finish. For tenants.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn start_authorization_of(
        &self,
        component_appid: &str,
        appid: &str,
    ) -> Result<(String, Url)> {
        let only = json!({
            "component_appid": component_appid, "account_kind": "any", "appid": appid,
        });
        self.start(&only).await
    }

    async fn start(&self, body: &Value) -> Result<(String, Url)> {
        let started = self.post("/v1/authorizations", body).await?.expect(StatusCode::CREATED)?;
        Ok((started.field("id")?, started.field("url")?.parse()?))
    }

    /// Creates a `webhook` endpoint that wants everything; gives its id and its secret. For tenants.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create_webhook(&self, url: &str) -> Result<(String, String)> {
        let created = self.create_endpoint(&json!({ "kind": "webhook", "url": url })).await?;
        Ok((created.field("id")?, created.field("secret")?))
    }

    /// Creates an endpoint. For tenants.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create_endpoint(&self, endpoint: &Value) -> Result<Answer> {
        self.post("/v1/endpoints", endpoint).await?.expect(StatusCode::CREATED)
    }

    /// All items of a list, page by page. For tenants and operators.
    ///
    /// # Errors
    /// When a page is refused.
    pub async fn list_all(&self, path: &str) -> Result<Vec<Value>> {
        let joint = match path.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{joint}limit=100{next}")).await?;
            let mut page = page.expect(StatusCode::OK)?;
            let found = page.json["items"].as_array_mut().context("a list has items")?;
            items.append(found);
            match page.json["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return Ok(items),
            }
        }
    }

    /// The same program, calling another instance.
    #[must_use]
    pub fn at(&self, base: Url) -> Self {
        Self { http: self.http.clone(), base, key: self.key.clone() }
    }

    /// The client it calls with.
    #[must_use]
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// The key, for those who have to write it down.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A component as its operator knows it from WeChat's console.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its appid.
    pub appid: String,
    /// What people call it.
    pub name: String,
    /// Its secret.
    pub appsecret: String,
    /// 消息校验Token.
    pub push_token: String,
    /// 消息加解密Key.
    pub encoding_aes_key: String,
}

impl Component {
    /// The component that an emulator of this configuration stands in for.
    #[must_use]
    pub fn of(config: &lingpai_emulator::EmulatorConfig) -> Self {
        Self {
            appid: config.component.appid.clone(),
            name: "令牌示例平台".to_owned(),
            appsecret: config.component.appsecret.clone(),
            push_token: config.component.push_token.clone(),
            encoding_aes_key: config.component.encoding_aes_key.clone(),
        }
    }
}

/// An account's administrator, with a browser that keeps the cookies of one site.
#[derive(Debug)]
pub struct Administrator {
    http: Client,
    language: &'static str,
    cookies: Vec<String>,
}

/// The start page as the administrator sees it.
#[derive(Debug)]
pub struct StartPage {
    /// Where it was.
    pub url: Url,
    /// Where the button for desktops leads.
    pub desktop: Url,
    /// Where the button for phones leads.
    pub mobile: Url,
    /// The page itself.
    pub html: String,
}

impl Administrator {
    /// An administrator whose browser prefers `language`.
    #[must_use]
    pub fn new(language: &'static str) -> Self {
        Self { http: http_client(), language, cookies: Vec::new() }
    }

    /// Opens a page of lingpai's.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open(&mut self, url: &Url) -> Result<Answer> {
        let request = self.http.get(url.clone()).header(ACCEPT_LANGUAGE, self.language);
        let answer =
            Answer::read(request.header(COOKIE, self.cookies.join("; ")).send().await?).await?;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
            self.cookies.push(cookie.to_owned());
        }
        Ok(answer)
    }

    /// Opens the start page of an authorization.
    ///
    /// # Errors
    /// When it is not a start page.
    pub async fn open_start_page(&mut self, link: &Url) -> Result<StartPage> {
        let html = self.open(link).await?.expect(StatusCode::OK)?.text;
        let href = |id| href_of(&html, id).with_context(|| format!("no link #{id} in {html}"));
        let (desktop, mobile) = (href("authorize")?.parse()?, href("authorize-mobile")?.parse()?);
        Ok(StartPage { url: link.clone(), desktop, mobile, html })
    }

    /// Clicks through WeChat's consent page for `appid`, all permission sets granted; returns where
    /// WeChat sends the browser.
    ///
    /// # Errors
    /// When WeChat shows an error page instead.
    pub async fn consent(&self, page: &StartPage, appid: &str) -> Result<Url> {
        let referer = page.url.origin().ascii_serialization() + "/";
        let shown = self.http.get(page.desktop.clone()).header(REFERER, referer).send().await?;
        let shown = Answer::read(shown).await?.expect(StatusCode::OK)?;
        let form = ConsentForm::read(&shown.text, appid)?;
        let target = page.desktop.join(&form.action)?;
        let sent = self.http.post(target).form(&form.fields).send().await?;
        let location = sent.headers().get(LOCATION).context("the consent led nowhere")?;
        Ok(location.to_str()?.parse()?)
    }

    /// Comes back from WeChat: hands in the code, and sees the page behind it, whose address holds
    /// no code any more.
    ///
    /// # Errors
    /// When the code stays in the address.
    pub async fn come_back(&mut self, back: &Url) -> Result<Answer> {
        let handed_in = self.open(back).await?.expect(StatusCode::SEE_OTHER)?;
        let clean = back.join(handed_in.headers[LOCATION].to_str()?)?;
        ensure!(clean.query().is_none(), "the address still says {clean}");
        self.open(&clean).await
    }

    /// The whole way: start page, consent, return. Gives the last page.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn authorize(&mut self, link: &Url, appid: &str) -> Result<Answer> {
        let page = self.open_start_page(link).await?;
        let back = self.consent(&page, appid).await?;
        self.come_back(&back).await
    }
}

/// The consent form of WeChat's page, filled in.
struct ConsentForm {
    action: String,
    fields: Vec<(String, String)>,
}

impl ConsentForm {
    /// Fills in the form: hidden fields as they are, this account, every permission set.
    fn read(html: &str, appid: &str) -> Result<Self> {
        let form = html.split("<form").nth(1).with_context(|| format!("no form in {html}"))?;
        let form = form.split("</form>").next().unwrap_or_default();
        let action = attribute(form, "action").context("the form has no action")?;
        let mut fields = Vec::new();
        for input in form.split("<input").skip(1) {
            let input = input.split('>').next().unwrap_or_default();
            let (Some(name), Some(value)) = (attribute(input, "name"), attribute(input, "value"))
            else {
                continue;
            };
            let is_other_account =
                attribute(input, "type").as_deref() == Some("radio") && value != appid;
            if !is_other_account {
                fields.push((name, value));
            }
        }
        Ok(Self { action, fields })
    }
}

/// Where the link with this id leads.
fn href_of(html: &str, id: &str) -> Option<String> {
    let wanted = format!("id=\"{id}\"");
    let tag = html.split("<a").skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
    tag.filter(|tag| tag.contains(&wanted)).find_map(|tag| attribute(tag, "href"))
}

pub(crate) fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
    Some(unescape(rest.split('"').next()?))
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&").replace("&#x26;", "&").replace("&#34;", "\"").replace("&amp;", "&")
}
