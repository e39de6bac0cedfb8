//! The login of a mini program's fans: `js_code` in, `openid` and session key out.
//!
//! Source: WeChat docs, "Mini program login" (小程序登录, code2Session), and the page of the same name
//! for third-party platforms; the answers are JSON under `text/plain`.

use std::sync::Arc;

use serde_json::json;

use crate::config::AccountKind;
use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::web_oauth::{self, CODE_GRANT_TYPE};
use crate::world::World;

/// The route of a login.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let (needs, answer): (Needs, Handler) = match path.strip_prefix(web_oauth::PREFIX)? {
        "jscode2session" => (Needs::Own, log_in),
        "component/jscode2session" => (Needs::Component, log_in_through_component),
        _ => return None,
    };
    Some(ApiRoute { verb: Verb::Get, needs, sets: &[], answer })
}

fn log_in(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    world.platform().check_own_secret(request.query("appid"), request.query("secret"))?;
    logged_in(world, request)
}

fn log_in_through_component(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    web_oauth::through_component(&world.platform(), request)?;
    logged_in(world, request)
}

/// Assumed (#2): two codes of one fan both give the session key that he has by now.
fn logged_in(world: &World, request: &ApiRequest) -> Result<Answer, Refusal> {
    if request.query("grant_type") != CODE_GRANT_TYPE {
        return Err(Refusal::new(refusal::WRONG_GRANT_TYPE));
    }
    let now = world.now();
    let appid = request.query("appid");
    let mut platform = world.platform();
    if platform.account_named(appid)?.config.kind != AccountKind::MiniProgram {
        return Err(Refusal::new(refusal::WRONG_APPID));
    }
    let login = platform.logins.redeem(request.query("js_code"), appid, now)?;
    let mut answer = json!({
        "openid": login.openid,
        "session_key": platform.logins.session_key(&login.appid, &login.openid),
    });
    let fan = platform.account_named(appid)?.config.fan(&login.openid);
    if let Some(unionid) = fan.and_then(|fan| fan.unionid.as_deref()) {
        answer["unionid"] = unionid.into();
    }
    Ok(Answer::Json(answer))
}
