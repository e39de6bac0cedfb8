//! Web authorization of an account's fans: exchange and refresh, directly and through the component,
//! and what the tokens are good for.
//!
//! Source: WeChat docs, "Web authorization" (网页授权), and the page of the same name for third-party
//! platforms; the answers are JSON under `text/plain`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Fan as ConfiguredFan;
use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::state::Platform;
use crate::state::web::Fan;
use crate::state::web_codes::Door;
use crate::world::World;

/// All paths of web authorization begin like this, and those of a mini program's login.
pub(crate) const PREFIX: &str = "/sns/";

/// What a code is exchanged with.
pub(crate) const CODE_GRANT_TYPE: &str = "authorization_code";

/// The scope that a fan's profile needs.
pub(crate) const PROFILE_SCOPE: &str = "snsapi_userinfo";

/// What somebody is called who does not show who he is.
const ANONYMOUS: &str = "微信用户";

/// The route of a path of web authorization.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let (needs, answer): (Needs, Handler) = match path.strip_prefix(PREFIX)? {
        "oauth2/access_token" => (Needs::Own, exchange),
        "oauth2/component/access_token" => (Needs::Component, exchange_through_component),
        "oauth2/refresh_token" => (Needs::Own, refresh),
        "oauth2/component/refresh_token" => (Needs::Component, refresh_through_component),
        "userinfo" => (Needs::Own, user_info),
        "auth" => (Needs::Own, auth),
        _ => return None,
    };
    Some(ApiRoute { verb: Verb::Get, needs, sets: &[], answer })
}

/// The account that a call names; empty on other paths.
pub(crate) fn named_account(request: &ApiRequest) -> &str {
    if request.path.starts_with(PREFIX) { request.query("appid") } else { "" }
}

/// What every call through the component shows: its token, its appid, and an account that granted.
pub(crate) fn through_component(platform: &Platform, request: &ApiRequest) -> Result<(), Refusal> {
    // Unlike the other component calls these know the token by one name only.
    if request.query("component_access_token").is_empty() {
        return Err(Refusal::new(refusal::TOKEN_MISSING));
    }
    if request.query("component_appid") != platform.component.appid {
        return Err(Refusal::new(refusal::WRONG_APPID));
    }
    platform.account_named(request.query("appid"))?;
    platform.standing(request.query("appid"))?;
    Ok(())
}

/// `lang` of a call: one of WeChat's three, Chinese if it says nothing or something else.
pub(crate) fn language(request: &ApiRequest) -> &'static str {
    known_language(request.query("lang"))
}

/// The same of a text.
pub(crate) fn known_language(lang: &str) -> &'static str {
    match lang {
        "zh_TW" => "zh_TW",
        "en" => "en",
        _ => "zh_CN",
    }
}

fn exchange(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    world.platform().check_own_secret(request.query("appid"), request.query("secret"))?;
    exchanged(world, request, Door::Direct)
}

fn exchange_through_component(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    through_component(&world.platform(), request)?;
    exchanged(world, request, Door::Component)
}

/// Code in, first tokens out.
fn exchanged(world: &World, request: &ApiRequest, door: Door) -> Result<Answer, Refusal> {
    if request.query("grant_type") != CODE_GRANT_TYPE {
        return Err(Refusal::new(refusal::WRONG_GRANT_TYPE));
    }
    let (switches, now) = (world.switches(), world.now());
    let life = switches.life();
    let mut platform = world.platform();
    let allowed =
        platform.web_codes.redeem(request.query("code"), request.query("appid"), door, now)?;
    let fan = Fan {
        appid: allowed.appid.as_str(),
        openid: allowed.openid.as_str(),
        scope: allowed.scope.as_str(),
    };
    let tokens = platform
        .mint_web_tokens(&fan, life, now)
        .ok_or_else(|| Refusal::new(refusal::WRONG_APPID))?;
    let mut answer = json!({
        "access_token": tokens.access_token,
        "expires_in": life.secs(),
        "refresh_token": tokens.refresh_token,
        "openid": allowed.openid,
        "scope": allowed.scope,
    });
    let known = configured(&platform, &allowed.appid, &allowed.openid);
    if let Some(unionid) = known.and_then(|fan| fan.unionid.as_deref()) {
        answer["unionid"] = unionid.into();
    }
    if switches.snapshot_users {
        answer["is_snapshotuser"] = 1.into();
    }
    Ok(Answer::Json(answer))
}

fn refresh(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    if request.query("grant_type") != "refresh_token" {
        return Err(Refusal::new(refusal::WRONG_GRANT_TYPE));
    }
    let (appid, refresh_token) = (request.query("appid"), request.query("refresh_token"));
    let switches = world.switches();
    let refreshed =
        world.platform().refresh_web_token(appid, refresh_token, &switches, world.now())?;
    Ok(Answer::Json(json!({
        "access_token": refreshed.tokens.access_token,
        "expires_in": refreshed.expires_in_secs,
        "refresh_token": refreshed.tokens.refresh_token,
        "openid": refreshed.fan.openid,
        "scope": refreshed.fan.scope,
    })))
}

fn refresh_through_component(
    world: &Arc<World>,
    request: &ApiRequest,
    own: &str,
) -> Result<Answer, Refusal> {
    through_component(&world.platform(), request)?;
    refresh(world, request, own)
}

/// The fan's profile. Sex and place are told empty.
///
/// Source: WeChat docs, "Web authorization", step 4, and the notice of October 2021 on them.
/// Observed: `language` is the `lang` that was asked for.
fn user_info(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let platform = world.platform();
    let fan = fan_of_token(&platform, request, world.now())?;
    if !fan.allowed(PROFILE_SCOPE) {
        return Err(Refusal::new(refusal::NOT_GRANTED));
    }
    let known = configured(&platform, &fan.appid, &fan.openid);
    let mut profile = json!({
        "openid": fan.openid,
        "nickname": known.map_or(ANONYMOUS, |fan| &fan.nickname),
        "sex": 0,
        "language": language(request),
        "city": "",
        "province": "",
        "country": "",
        "headimgurl": "https://thirdwx.qlogo.cn/mmopen/emulated/132",
        "privilege": [],
    });
    if let Some(unionid) = known.and_then(|fan| fan.unionid.as_deref()) {
        profile["unionid"] = Value::from(unionid);
    }
    Ok(Answer::Json(profile))
}

/// Whether the token works for this fan.
fn auth(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    fan_of_token(&world.platform(), request, world.now())?;
    Ok(Answer::Json(json!({ "errcode": 0, "errmsg": "ok" })))
}

/// The fan of a living token, whom the call must name as well.
fn fan_of_token<'a>(
    platform: &'a Platform,
    request: &ApiRequest,
    now: i64,
) -> Result<&'a Fan<String>, Refusal> {
    let fan = platform.web.check(request.query("access_token"), now)?;
    match request.query("openid") {
        "" => Err(Refusal::new(refusal::OPENID_MISSING)),
        openid if openid == fan.openid => Ok(fan),
        _ => Err(Refusal::new(refusal::WRONG_OPENID)),
    }
}

/// What is configured of a fan.
fn configured<'a>(platform: &'a Platform, appid: &str, openid: &str) -> Option<&'a ConfiguredFan> {
    platform.accounts.get(appid)?.config.fan(openid)
}
