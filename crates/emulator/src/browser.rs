//! The browsers of an administrator and of a fan: they open links and consent, over HTTP.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{StatusCode, header};
use url::Url;

use crate::consent::AuthorizeLink;
use crate::emulator::fans::FanChoice;
use crate::fan_pages::FAN_COOKIE;

/// What a fan's WeChat client calls itself.
const WECHAT_CLIENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) \
                             AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.50";

/// What a link of web authorization ends in.
///
/// Source: WeChat docs, "Web authorization" (网页授权): "#wechat_redirect must be there".
const WECHAT_FRAGMENT: &str = "#wechat_redirect";

/// Opens the link as if clicked on the start page, chooses the account and the sets, and gives the
/// address that WeChat redirects to.
///
/// # Errors
/// When the page or the consent is refused; the message names the error page.
pub(crate) async fn consent(
    authorize_href: &str,
    appid: &str,
    sets: &[u32],
) -> anyhow::Result<String> {
    let href = Url::parse(authorize_href).context("the authorization link cannot be read")?;
    let link = AuthorizeLink::parse(href.query().unwrap_or_default());
    let redirect = Url::parse(&link.redirect_uri).context("redirect_uri cannot be read")?;
    let origin = redirect.origin().ascii_serialization();
    let http = client()?;
    let page = http.get(href.clone()).header(header::REFERER, format!("{origin}/")).send().await;
    let page = page.map_err(reqwest::Error::without_url)?.text().await?;
    ensure!(!page.contains("data-error="), "no consent page: {}", error_of(&page));

    let answer = http
        .post(href.join("/emulator/consent")?)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&href, appid, sets))
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    if answer.status() == StatusCode::FOUND {
        return location(&answer);
    }
    let page = answer.text().await.map_err(reqwest::Error::without_url)?;
    anyhow::bail!("no consent: {}", error_of(&page))
}

/// Opens a link of web authorization in the WeChat client, decides if something is asked, and gives
/// the address that WeChat redirects to.
///
/// # Errors
/// When WeChat shows an error page, which the message names, or there was nothing to refuse.
pub(crate) async fn web_consent(href: &str, choice: FanChoice) -> anyhow::Result<String> {
    ensure!(href.ends_with(WECHAT_FRAGMENT), "the link does not end in {WECHAT_FRAGMENT}");
    let href = Url::parse(href).context("the link cannot be read")?;
    let http = client()?;
    let (choice, openid) = match choice {
        FanChoice::Allow { openid } => ("allow", openid),
        FanChoice::Refuse => ("refuse", None),
    };
    let mut request = http.get(href.clone()).header(header::USER_AGENT, WECHAT_CLIENT);
    if let Some(openid) = &openid {
        request = request.header(header::COOKIE, format!("{FAN_COOKIE}={openid}"));
    }
    let page = request.send().await.map_err(reqwest::Error::without_url)?;
    if page.status() == StatusCode::FOUND {
        ensure!(choice == "allow", "nothing was asked that could be refused");
        return location(&page);
    }
    let page = page.text().await.map_err(reqwest::Error::without_url)?;
    ensure!(!page.contains("data-error="), "no consent page: {}", error_of(&page));

    let answer = http
        .post(href)
        .header(header::USER_AGENT, WECHAT_CLIENT)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(decision(choice, openid.as_deref()))
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    ensure!(answer.status() == StatusCode::FOUND, "no consent: HTTP {}", answer.status());
    location(&answer)
}

/// The fields of the form that a fan decides by.
fn decision(choice: &str, openid: Option<&str>) -> String {
    let openid = openid.map(|openid| ("openid", openid));
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("choice", choice)
        .extend_pairs(openid)
        .finish()
}

fn client() -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy();
    Ok(client.build()?)
}

/// Where an answer redirects to.
fn location(answer: &reqwest::Response) -> anyhow::Result<String> {
    let location = answer.headers().get(header::LOCATION).context("a redirect to nowhere")?;
    Ok(location.to_str().context("the redirect cannot be read")?.to_owned())
}

/// The fields of the consent form: those of the link, the account and the sets.
fn form(href: &Url, appid: &str, sets: &[u32]) -> String {
    let link = href.query().unwrap_or_default().to_owned();
    let mut form = url::form_urlencoded::Serializer::new(link);
    form.append_pair("authorizer_appid", appid);
    for set in sets {
        form.append_pair("func_scope", &set.to_string());
    }
    form.finish()
}

/// The name of an error page.
fn error_of(page: &str) -> &str {
    page.split_once("data-error=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("an unknown page", |(name, _)| name)
}
