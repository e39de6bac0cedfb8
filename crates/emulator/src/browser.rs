//! The administrator's browser: opens an authorization link and consents, over HTTP like one.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{StatusCode, header};
use url::Url;

use crate::consent::AuthorizeLink;

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
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()?;

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
        let location = answer.headers().get(header::LOCATION).context("a redirect to nowhere")?;
        return Ok(location.to_str().context("the redirect cannot be read")?.to_owned());
    }
    let page = answer.text().await.map_err(reqwest::Error::without_url)?;
    anyhow::bail!("no consent: {}", error_of(&page))
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
