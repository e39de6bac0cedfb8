//! What is called with an account's token: fans, messages, menus, media.
//!
//! Source: WeChat docs of official accounts, the page named like each path. The permission sets
//! are those of the same pages; one of them suffices.

pub(crate) mod echo;
mod multipart;

use std::sync::Arc;

use bytes::Bytes;
use poem::http::header;
use serde_json::{Value, json};

use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::state::Platform;
use crate::state::accounts::{Account, SentMessage};
use crate::state::media::Media;
use crate::world::World;

const USERS: &[u32] = &[2];
const MENU: &[u32] = &[15];
const MESSAGES: &[u32] = &[1, 6, 19, 100, 101];
const MEDIA: &[u32] = &[1, 3, 8, 9, 11, 19, 30, 31, 100];

/// The route of an account's path.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let (verb, needs, sets, answer): (Verb, Needs, &'static [u32], Handler) = match path {
        "/cgi-bin/user/info" => (Verb::Get, Needs::Account, USERS, user_info),
        "/cgi-bin/user/get" => (Verb::Get, Needs::Account, USERS, user_get),
        "/cgi-bin/message/custom/send" => (Verb::Post, Needs::Account, MESSAGES, custom_send),
        "/cgi-bin/menu/get" => (Verb::Get, Needs::Account, MENU, menu_get),
        "/cgi-bin/menu/create" => (Verb::Post, Needs::Account, MENU, menu_create),
        "/cgi-bin/media/upload" => (Verb::Post, Needs::Account, MEDIA, media_upload),
        "/cgi-bin/media/get" => (Verb::Get, Needs::Account, MEDIA, media_get),
        "/cgi-bin/get_api_domain_ip" => (Verb::Get, Needs::Any, &[], domain_ip),
        echo::PATH => (Verb::Either, Needs::Account, &[], echo::echo),
        echo::BYTES_PATH => (Verb::Get, Needs::Account, &[], echo::bytes),
        _ => return None,
    };
    Some(ApiRoute { verb, needs, sets, answer })
}

fn account<'a>(platform: &'a mut Platform, appid: &str) -> Result<&'a mut Account, Refusal> {
    platform.accounts.get_mut(appid).ok_or_else(|| Refusal::new(refusal::WRONG_APPID))
}

fn user_info(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let fans = &account(&mut platform, appid)?.config.fans;
    let openid = request.query("openid");
    let fan = fans
        .iter()
        .find(|fan| fan.openid == openid)
        .ok_or_else(|| Refusal::new(refusal::WRONG_OPENID))?;
    Ok(Answer::Json(json!({
        "subscribe": 1,
        "openid": fan.openid,
        "nickname": fan.nickname,
        "language": "zh_CN",
        "subscribe_time": 1_714_112_445,
        "remark": "",
        "groupid": 0,
        "tagid_list": [],
        "subscribe_scene": "ADD_SCENE_QR_CODE",
        "qr_scene": 0,
        "qr_scene_str": "",
    })))
}

fn user_get(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let fans = &account(&mut platform, appid)?.config.fans;
    let after = request.query("next_openid");
    let start = match after {
        "" => 0,
        _ => match fans.iter().position(|fan| fan.openid == after) {
            Some(at) => at + 1,
            None => return Err(Refusal::new(refusal::WRONG_OPENID)),
        },
    };
    let page: Vec<&str> = fans[start..].iter().map(|fan| fan.openid.as_str()).collect();
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

fn custom_send(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let body = whole_json(request)?;
    let mut platform = world.platform();
    let account = account(&mut platform, appid)?;
    let openid = request.field("touser");
    if !account.config.fans.iter().any(|fan| fan.openid == openid) {
        return Err(Refusal::new(refusal::WRONG_OPENID));
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    account.receive(SentMessage { at_ms: world.now(), openid: openid.to_owned(), body });
    Ok(ok())
}

fn menu_get(world: &Arc<World>, _: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let menu = account(&mut platform, appid)?.menu.clone();
    menu.map(|menu| Answer::Json(json!({ "menu": menu })))
        .ok_or_else(|| Refusal::new(refusal::NO_MENU))
}

fn menu_create(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    whole_json(request)?;
    if !request.json.get("button").is_some_and(Value::is_array) {
        return Err(Refusal::new(refusal::BAD_JSON));
    }
    account(&mut world.platform(), appid)?.menu = Some(request.json.clone());
    Ok(ok())
}

fn media_upload(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let kind = request.query("type");
    if !["image", "voice", "video", "thumb"].contains(&kind) {
        return Err(Refusal::new(refusal::WRONG_MEDIA_TYPE));
    }
    let content_type = request.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let part = multipart::media(content_type.unwrap_or_default(), &request.whole_body())
        .ok_or_else(|| Refusal::new(refusal::FILE_MISSING))?;
    let now = world.now();
    let media_id = world.platform().media.put(Media {
        appid: appid.to_owned(),
        filename: part.filename,
        content_type: part.content_type,
        bytes: part.bytes,
        created_at: now,
    });
    Ok(Answer::Json(json!({ "type": kind, "media_id": media_id, "created_at": now / 1000 })))
}

fn media_get(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let media = world.platform().media.get(appid, request.query("media_id"), world.now())?;
    Ok(Answer::File {
        content_type: media.content_type,
        filename: media.filename,
        bytes: media.bytes,
    })
}

fn domain_ip(_: &Arc<World>, _: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    Ok(Answer::Json(json!({ "ip_list": ["203.0.113.7", "203.0.113.8"] })))
}

fn ok() -> Answer {
    Answer::Json(json!({ "errcode": 0, "errmsg": "ok" }))
}

fn whole_json(request: &ApiRequest) -> Result<Bytes, Refusal> {
    if request.json.is_object() {
        Ok(request.whole_body())
    } else {
        Err(Refusal::new(refusal::BAD_JSON))
    }
}
