//! Web authorization of an account's fans: the refresh, directly and through the component.
//!
//! Source: WeChat docs, "Web authorization" (网页授权), and the page of the same name for third-party
//! platforms; the answers are JSON under `text/plain`.

use std::sync::Arc;

use serde_json::json;

use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::world::World;

/// All paths of web authorization begin like this.
pub(crate) const PREFIX: &str = "/sns/";

/// The route of a path of web authorization.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let (needs, answer): (Needs, Handler) = match path.strip_prefix(PREFIX)? {
        "oauth2/refresh_token" => (Needs::Own, refresh),
        "oauth2/component/refresh_token" => (Needs::Component, refresh_through_component),
        _ => return None,
    };
    Some(ApiRoute { verb: Verb::Get, needs, sets: &[], answer })
}

/// The account that a call names; empty on other paths.
pub(crate) fn named_account(request: &ApiRequest) -> &str {
    if request.path.starts_with(PREFIX) { request.query("appid") } else { "" }
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
    {
        let platform = world.platform();
        // Unlike the other component calls this one knows the token by one name only.
        if request.query("component_access_token").is_empty() {
            return Err(Refusal::new(refusal::TOKEN_MISSING));
        }
        if request.query("component_appid") != platform.component.appid {
            return Err(Refusal::new(refusal::WRONG_APPID));
        }
        platform.account_named(request.query("appid"))?;
        platform.standing(request.query("appid"))?;
    }
    refresh(world, request, own)
}
