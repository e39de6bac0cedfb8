//! The page that a fan sees inside the WeChat client: an account asks for his profile, he allows it
//! or declines. Where nothing is asked he is led on at once.
//!
//! Nothing needs a script. Two cookies keep what a WeChat client would know by itself: that it is
//! one, and who the fan is.

use std::sync::Arc;

use askama::Template;
use poem::http::{StatusCode, header};
use poem::web::Data;
use poem::{Body, Request, Response, handler};
use url::Url;

use crate::config::Fan;
use crate::fan_messages::STRANGER;
use crate::pages::{self, Language};
use crate::state::Platform;
use crate::state::web_codes::{Allowed, ConsentOutcome, WebConsent};
use crate::web_link::{WebLink, WebLinkError};
use crate::world::World;

/// Where the page is.
pub(crate) const PATH: &str = "/connect/oauth2/authorize";

/// What the `User-Agent` of the WeChat client contains.
///
/// Source: WeChat docs, "Web development" (网页开发): `MicroMessenger` tells the WeChat client.
const CLIENT_MARK: &str = "MicroMessenger";

/// Set by a button for people who try things out with any browser.
const CLIENT_COOKIE: &str = "emulator_wechat";

/// Who the fan is; set when he allows something.
pub(crate) const FAN_COOKIE: &str = "emulator_fan";

/// The largest form that is read.
const FORM_BYTES: usize = 4096;

/// The longest openid that is taken from a browser.
const OPENID_BYTES: usize = 64;

#[derive(Template)]
#[template(path = "fan_consent.html")]
struct ConsentPage<'a> {
    language: Language,
    /// Where the form goes: this page again.
    action: String,
    account: &'a str,
    host: &'a str,
    fans: Vec<FanRow<'a>>,
}

struct FanRow<'a> {
    openid: &'a str,
    nickname: &'a str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "fan_error.html")]
struct ErrorPage {
    language: Language,
    action: String,
    error: WebLinkError,
}

/// What a form says.
#[derive(Default)]
struct Form {
    choice: String,
    openid: Option<String>,
}

/// The page, or the way on.
#[handler]
pub(crate) fn show(request: &Request, Data(world): Data<&Arc<World>>) -> Response {
    let (link, redirect) = match checked(request, world) {
        Ok(checked) => checked,
        Err(error) => return error_page(request, error),
    };
    if link.is_silent() {
        return lead_back(request, world, &Form::default(), (&link, redirect));
    }
    let platform = world.platform();
    let Some(account) = platform.accounts.get(&link.appid) else {
        return error_page(request, WebLinkError::Account);
    };
    let chosen = fan(request, &platform, &link.appid, None);
    let choice = |fan: &'_ Fan| fan.openid == chosen;
    let fans = account.config.fans.iter();
    pages::html(&ConsentPage {
        language: Language::of(request),
        action: action(request),
        account: &account.config.nick_name,
        host: redirect.host_str().unwrap_or_default(),
        fans: fans
            .map(|fan| FanRow {
                openid: &fan.openid,
                nickname: &fan.nickname,
                is_chosen: choice(fan),
            })
            .collect(),
    })
}

/// Takes the form: a decision, or that this browser shall pass for the WeChat client.
#[handler]
pub(crate) async fn decide(
    request: &Request,
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Response {
    let Ok(bytes) = body.into_bytes_limit(FORM_BYTES).await else {
        return Response::from(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let form = Form::parse(&bytes);
    if form.choice == "wechat" {
        return Response::builder()
            .status(StatusCode::SEE_OTHER)
            .header(header::LOCATION, format!("{}#wechat_redirect", action(request)))
            .header(header::SET_COOKIE, cookie(CLIENT_COOKIE, "1"))
            .finish();
    }
    if !matches!(form.choice.as_str(), "allow" | "refuse") {
        return Response::from(StatusCode::BAD_REQUEST);
    }
    match checked(request, world) {
        Ok((link, redirect)) => lead_back(request, world, &form, (&link, redirect)),
        Err(error) => error_page(request, error),
    }
}

/// The link, and where it leads back.
fn checked(request: &Request, world: &World) -> Result<(WebLink, Url), WebLinkError> {
    let is_client =
        request.header(header::USER_AGENT).is_some_and(|agent| agent.contains(CLIENT_MARK))
            || cookie_of(request, CLIENT_COOKIE).is_some();
    if !is_client {
        return Err(WebLinkError::NotWechat);
    }
    let link = WebLink::parse(request.uri().query().unwrap_or_default())?;
    let redirect = link.check(&world.platform())?;
    Ok((link, redirect))
}

/// Records what the fan decided and redirects. A form without a choice is one that was not needed.
fn lead_back(
    request: &Request,
    world: &World,
    form: &Form,
    (link, redirect): (&WebLink, Url),
) -> Response {
    let outcome = match form.choice.as_str() {
        "refuse" => ConsentOutcome::Refused,
        "allow" => ConsentOutcome::Allowed,
        _ => ConsentOutcome::Silent,
    };
    let now = world.now();
    let mut platform = world.platform();
    let openid = fan(request, &platform, &link.appid, form.openid.as_deref());
    let code = (outcome != ConsentOutcome::Refused).then(|| {
        let allowed = Allowed {
            appid: link.appid.clone(),
            door: link.door(),
            openid: openid.clone(),
            scope: link.scope.clone(),
        };
        platform.web_codes.new_code(allowed, now)
    });
    platform.web_codes.record(WebConsent {
        at_ms: now,
        appid: link.appid.clone(),
        component_appid: link.component_appid.clone(),
        openid: openid.clone(),
        scope: link.scope.clone(),
        outcome,
        host: redirect.host_str().unwrap_or_default().to_owned(),
    });
    drop(platform);
    world.changed();
    let mut response = Response::builder()
        .status(StatusCode::FOUND)
        .header(header::LOCATION, link.back(redirect, code.as_deref()));
    if outcome == ConsentOutcome::Allowed {
        response = response.header(header::SET_COOKIE, cookie(FAN_COOKIE, &openid));
    }
    response.finish()
}

/// Who the fan is at this account: whom the form names, else whom the cookie does, else the first.
/// A cookie may come from another account's page; then it does not count here.
fn fan(request: &Request, platform: &Platform, appid: &str, named: Option<&str>) -> String {
    let named = named.filter(|openid| is_openid(openid)).map(str::to_owned);
    let remembered = || {
        let openid = cookie_of(request, FAN_COOKIE).filter(|openid| is_openid(openid))?;
        let mut others = platform.accounts.values().filter(|one| one.config.appid != appid);
        let is_elsewhere = others.any(|other| other.config.fan(&openid).is_some());
        (!is_elsewhere).then_some(openid)
    };
    let first = || {
        let fan = platform.accounts.get(appid)?.config.fans.first()?;
        Some(fan.openid.clone())
    };
    named.or_else(remembered).or_else(first).unwrap_or_else(|| STRANGER.to_owned())
}

fn is_openid(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=OPENID_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

/// This page again, query and all.
fn action(request: &Request) -> String {
    format!("{PATH}?{}", request.uri().query().unwrap_or_default())
}

fn error_page(request: &Request, error: WebLinkError) -> Response {
    pages::html(&ErrorPage { language: Language::of(request), action: action(request), error })
}

fn cookie(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/connect/oauth2; HttpOnly; SameSite=Lax; Max-Age=86400")
}

fn cookie_of(request: &Request, wanted: &str) -> Option<String> {
    let cookies = request.headers().get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned())
}

impl Form {
    fn parse(bytes: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            match &*name {
                "choice" => form.choice = value.into_owned(),
                "openid" => form.openid = Some(value.into_owned()),
                _ => {}
            }
        }
        form
    }
}
