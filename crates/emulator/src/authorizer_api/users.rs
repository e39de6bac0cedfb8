//! An account's fans.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{account, whole_json};
use crate::config::Fan;
use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::web_oauth;
use crate::world::World;

/// How many fans one call of `user/info/batchget` may ask for.
///
/// Source: WeChat docs, "Batch get user information": at most 100.
const BATCH: usize = 100;

/// How many fans one page of `user/get` has.
///
/// Source: WeChat docs, "Get the list of followers": at most 10 000.
const PAGE: usize = 10_000;

pub(super) fn info(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let fans = &account(&mut platform, appid)?.config.fans;
    told(fans, request.query("openid"), web_oauth::language(request)).map(Answer::Json)
}

pub(super) fn batch_get(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let asked = request.json.get("user_list").and_then(Value::as_array);
    let asked = asked.ok_or_else(|| Refusal::new(refusal::BAD_JSON))?;
    whole_json(request)?;
    if asked.len() > BATCH {
        return Err(Refusal::new(refusal::COUNT_TOO_LARGE));
    }
    let mut platform = world.platform();
    let fans = &account(&mut platform, appid)?.config.fans;
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let all: Result<Vec<Value>, Refusal> = asked
        .iter()
        .map(|one| told(fans, &text(one, "openid"), web_oauth::known_language(&text(one, "lang"))))
        .collect();
    Ok(Answer::Json(json!({ "user_info_list": all? })))
}

pub(super) fn list(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let fans = account(&mut platform, appid)?.config.fans.iter();
    let fans: Vec<&Fan> = fans.filter(|fan| fan.is_follower).collect();
    let after = request.query("next_openid");
    let start = match after {
        "" => 0,
        _ => match fans.iter().position(|fan| fan.openid == after) {
            Some(at) => at + 1,
            None => return Err(Refusal::new(refusal::WRONG_OPENID)),
        },
    };
    let page: Vec<&str> = fans[start..].iter().take(PAGE).map(|fan| &*fan.openid).collect();
    let mut answer = json!({
        "total": fans.len(),
        "count": page.len(),
        "next_openid": page.last().unwrap_or(&""),
    });
    if !page.is_empty() {
        answer["data"] = json!({ "openid": page });
    }
    Ok(Answer::Json(answer))
}

/// What is told of one fan; of one who does not follow the account hardly anything.
///
/// Source: WeChat docs, "Get user information" (UnionID): with `subscribe` 0 no further data.
fn told(fans: &[Fan], openid: &str, language: &str) -> Result<Value, Refusal> {
    let fan = fans.iter().find(|fan| fan.openid == openid);
    let fan = fan.ok_or_else(|| Refusal::new(refusal::WRONG_OPENID))?;
    let mut told = match fan.is_follower {
        true => of_follower(fan, language),
        false => json!({ "subscribe": 0, "openid": fan.openid }),
    };
    if let Some(unionid) = &fan.unionid {
        told["unionid"] = unionid.as_str().into();
    }
    Ok(told)
}

fn of_follower(fan: &Fan, language: &str) -> Value {
    json!({
        "subscribe": 1,
        "openid": fan.openid,
        "nickname": fan.nickname,
        "language": language,
        "subscribe_time": 1_714_112_445,
        "remark": "",
        "groupid": 0,
        "tagid_list": [],
        "subscribe_scene": "ADD_SCENE_QR_CODE",
        "qr_scene": 0,
        "qr_scene_str": "",
    })
}
