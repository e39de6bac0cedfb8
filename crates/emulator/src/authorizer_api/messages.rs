//! Messages to an account's fans.

use std::sync::Arc;

use serde_json::json;

use super::{account, ok, whole_json};
use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::state::accounts::SentMessage;
use crate::world::World;

/// Where the ids of template messages begin: beyond what a double tells apart, as WeChat's are.
///
/// Source: WeChat docs, "Send template message": the `msgid` of the example is 200228332; those of
/// today have nineteen digits.
const FIRST_MSGID: u64 = 3_456_789_012_345_678_901;

pub(super) fn custom_send(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    send(world, request, appid)?;
    Ok(ok())
}

pub(super) fn template_send(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    if request.field("template_id").is_empty() {
        return Err(Refusal::new(refusal::WRONG_TEMPLATE));
    }
    let number = send(world, request, appid)?;
    let msgid = FIRST_MSGID + number;
    Ok(Answer::Json(json!({ "errcode": 0, "errmsg": "ok", "msgid": msgid })))
}

/// The fan named in the body receives it as it is; gives how many messages were sent before.
fn send(world: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<u64, Refusal> {
    let body = whole_json(request)?;
    let mut platform = world.platform();
    let account = account(&mut platform, appid)?;
    let openid = request.field("touser");
    if !account.config.fans.iter().any(|fan| fan.openid == openid) {
        return Err(Refusal::new(refusal::WRONG_OPENID));
    }
    Ok(account.receive(SentMessage {
        at_ms: world.now(),
        openid: openid.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        token: request.token().to_owned(),
    }))
}
