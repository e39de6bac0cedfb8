//! QR codes with a scene: created with a token at one host, shown without one at another.

use std::sync::Arc;

use bytes::Bytes;
use poem::http::StatusCode;
use serde_json::{Value, json};

use super::whole_json;
use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::world::World;

/// Shows the picture; on `mp.weixin.qq.com`, without a token.
///
/// Source: WeChat docs, "QR code with parameters" (生成带参数的二维码).
pub(super) const SHOW_PATH: &str = "/cgi-bin/showqrcode";

pub(super) fn create(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    whole_json(request)?;
    let actions = ["QR_SCENE", "QR_STR_SCENE", "QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE"];
    let action = request.field("action_name");
    if !actions.contains(&action) || !request.json["action_info"]["scene"].is_object() {
        return Err(Refusal::new(refusal::BAD_JSON));
    }
    let ticket = world.platform().new_qr_ticket();
    let mut answer = json!({ "ticket": ticket, "url": "http://weixin.qq.com/q/emulated" });
    if !action.contains("LIMIT") {
        let seconds = request.json.get("expire_seconds").and_then(Value::as_u64);
        answer["expire_seconds"] = seconds.unwrap_or(60).into();
    }
    Ok(Answer::Json(answer))
}

/// The picture of a ticket, or the 404 page.
pub(super) fn show(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let ticket = request.query("ticket");
    if !world.platform().has_qr_ticket(ticket) {
        return Ok(Answer::Status(StatusCode::NOT_FOUND));
    }
    // Begins and ends as a JPEG does; nobody scans it.
    let picture = [b"\xff\xd8\xff\xe0".as_slice(), ticket.as_bytes(), b"\xff\xd9"].concat();
    Ok(Answer::Picture(Bytes::from(picture)))
}
