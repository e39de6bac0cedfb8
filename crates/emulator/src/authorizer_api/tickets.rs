//! Tickets of the JS-SDK.

use std::sync::Arc;

use serde_json::json;

use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::state::jssdk::TicketKind;
use crate::world::World;

/// Gives the account's ticket of the `type` that is named.
///
/// Source: WeChat docs, "JS-SDK" (JS-SDK说明文档), appendix 1, and "Get ticket" (getTicket). Assumed
/// (#2): another `type` is 40097, and while a ticket lives the same one is told, with the rest of
/// its life.
pub(super) fn get(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let kind = TicketKind::parse(request.query("type"));
    let kind = kind.ok_or_else(|| Refusal::new(refusal::WRONG_ARGUMENT))?;
    let life = world.switches().ticket_life();
    let ticket = world.platform().jssdk_ticket(appid, kind, life, world.now());
    Ok(Answer::Json(json!({
        "errcode": 0,
        "errmsg": "ok",
        "ticket": ticket.value,
        "expires_in": ticket.expires_in_secs,
    })))
}
