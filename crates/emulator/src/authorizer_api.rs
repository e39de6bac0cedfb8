//! What is called with an account's token: fans, messages, menus, media, QR codes, quotas.
//!
//! Source: WeChat docs of official accounts, the page named like each path. The permission sets
//! are those of the same pages; one of them suffices.

pub(crate) mod echo;
mod media;
mod menus;
mod messages;
mod multipart;
mod qr_codes;
mod quotas;
mod tickets;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::state::Platform;
use crate::state::accounts::Account;
use crate::world::World;

pub(crate) use media::takes_files;

const USERS: &[u32] = &[2];
const WEB_PAGES: &[u32] = &[4];
const QR_CODES: &[u32] = &[3];
const MENU: &[u32] = &[15];
const MESSAGES: &[u32] = &[1, 6, 19, 100, 101];
const TEMPLATES: &[u32] = &[7, 100, 101];
const MEDIA: &[u32] = &[1, 3, 8, 9, 11, 19, 30, 31, 100];
const PICTURES: &[u32] = &[1, 8, 9, 11, 18, 37, 100];
const MATERIAL: &[u32] = &[11, 100];
const MATERIAL_READ: &[u32] = &[3, 11, 18, 30, 31, 100];

/// The route of an account's path.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    use Needs::{Account, Any, Nothing};
    use Verb::{Either, Get, Post};
    let (verb, needs, sets, answer): (Verb, Needs, &'static [u32], Handler) = match path {
        "/cgi-bin/user/info" => (Get, Account, USERS, users::info),
        "/cgi-bin/user/info/batchget" => (Post, Account, USERS, users::batch_get),
        "/cgi-bin/user/get" => (Get, Account, USERS, users::list),
        "/cgi-bin/message/custom/send" => (Post, Account, MESSAGES, messages::custom_send),
        "/cgi-bin/message/template/send" => (Post, Account, TEMPLATES, messages::template_send),
        "/cgi-bin/menu/get" => (Get, Account, MENU, menus::get),
        "/cgi-bin/menu/create" => (Post, Account, MENU, menus::create),
        "/cgi-bin/menu/delete" => (Get, Account, MENU, menus::delete),
        "/cgi-bin/media/upload" => (Post, Account, MEDIA, media::upload),
        "/cgi-bin/media/uploadimg" => (Post, Account, PICTURES, media::upload_picture),
        "/cgi-bin/media/get" => (Get, Account, MEDIA, media::get),
        "/cgi-bin/material/add_material" => (Post, Account, MATERIAL, media::add_material),
        "/cgi-bin/material/get_material" => (Post, Account, MATERIAL_READ, media::get_material),
        "/cgi-bin/material/del_material" => (Post, Account, MATERIAL, media::delete_material),
        "/cgi-bin/material/get_materialcount" => (Get, Account, MATERIAL, media::count_materials),
        "/cgi-bin/qrcode/create" => (Post, Account, QR_CODES, qr_codes::create),
        qr_codes::SHOW_PATH => (Get, Nothing, &[], qr_codes::show),
        "/cgi-bin/ticket/getticket" => (Get, Account, WEB_PAGES, tickets::get),
        "/cgi-bin/clear_quota" => (Post, Any, &[], quotas::clear),
        "/cgi-bin/openapi/quota/get" => (Post, Any, &[], quotas::get),
        "/cgi-bin/openapi/quota/clear" => (Post, Any, &[], quotas::clear_path),
        "/cgi-bin/get_api_domain_ip" | "/cgi-bin/getcallbackip" => (Get, Any, &[], addresses),
        echo::PATH => (Either, Account, &[], echo::echo),
        echo::BYTES_PATH => (Get, Account, &[], echo::bytes),
        _ => return None,
    };
    Some(ApiRoute { verb, needs, sets, answer })
}

fn account<'a>(platform: &'a mut Platform, appid: &str) -> Result<&'a mut Account, Refusal> {
    platform.accounts.get_mut(appid).ok_or_else(|| Refusal::new(refusal::WRONG_APPID))
}

fn addresses(_: &Arc<World>, _: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    Ok(Answer::Json(json!({ "ip_list": ["203.0.113.7", "203.0.113.8"] })))
}

fn ok() -> Answer {
    Answer::Json(json!({ "errcode": 0, "errmsg": "ok" }))
}

/// The body, if it is a JSON object.
fn whole_json(request: &ApiRequest) -> Result<Bytes, Refusal> {
    if request.json.is_object() {
        Ok(request.whole_body())
    } else {
        Err(Refusal::new(refusal::BAD_JSON))
    }
}
