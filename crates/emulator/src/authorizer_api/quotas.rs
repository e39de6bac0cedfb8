//! How often a path may still be called, and the clearing of that.
//!
//! Source: WeChat docs, "API quota" (openApi管理): `clear_quota`, `openapi/quota/get`,
//! `openapi/quota/clear`.

use std::sync::Arc;

use serde_json::json;

use super::{ok, whole_json};
use crate::gateway::{Answer, ApiRequest, Needs, route};
use crate::refusal::{self, Refusal};
use crate::state::tokens::Holder;
use crate::world::World;

/// Clears every quota of whoever the token belongs to.
pub(super) fn clear(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    let mut platform = world.platform();
    let own = if appid.is_empty() { &platform.component.appid } else { appid };
    if request.field("appid") != own {
        return Err(Refusal::new(refusal::WRONG_APPID));
    }
    platform.quota.clear(appid, world.now())?;
    Ok(ok())
}

/// Tells the quota of one path.
pub(super) fn get(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    let path = request.field("cgi_path");
    judge(path, appid)?;
    let platform = world.platform();
    let holder = platform.tokens.holder_of(request.token());
    let by_platform = matches!(holder, Some(Holder::Account(_)));
    let figures = platform.quota.figures(path, appid, world.now());
    let mut answer = json!({
        "errcode": 0,
        "errmsg": "ok",
        "quota": {
            "daily_limit": figures.daily_limit,
            "used": figures.used,
            "remain": figures.daily_limit.saturating_sub(figures.used),
        },
    });
    if let Some(rate) = figures.rate {
        let told = json!({ "call_count": rate.calls, "refresh_second": rate.per_secs });
        // A platform that calls for an account is told a rate of its own beside the account's.
        if by_platform {
            answer["component_rate_limit"] = told.clone();
        }
        answer["rate_limit"] = told;
    }
    Ok(Answer::Json(answer))
}

/// Clears the quota of one path.
pub(super) fn clear_path(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    let path = request.field("cgi_path");
    judge(path, appid)?;
    world.platform().quota.clear_path(path, appid, world.now())?;
    Ok(ok())
}

/// Whether there is such a path, and whether it is one of the caller's.
fn judge(path: &str, appid: &str) -> Result<(), Refusal> {
    let of_component = appid.is_empty();
    let known = route(path).filter(|_| !path.starts_with("/sns/"));
    match known.ok_or_else(|| Refusal::new(refusal::NO_SUCH_PATH))?.needs {
        Needs::Any => Ok(()),
        Needs::Nothing | Needs::Component if of_component => Ok(()),
        Needs::Own | Needs::Account if !of_component => Ok(()),
        Needs::Nothing | Needs::Component | Needs::Own | Needs::Account => {
            Err(Refusal::new(refusal::NOT_YOUR_PATH))
        }
    }
}
