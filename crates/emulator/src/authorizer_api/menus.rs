//! An account's custom menu.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{account, ok, whole_json};
use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::world::World;

pub(super) fn get(world: &Arc<World>, _: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    let menu = account(&mut platform, appid)?.menu.clone();
    menu.map(|menu| Answer::Json(json!({ "menu": menu })))
        .ok_or_else(|| Refusal::new(refusal::NO_MENU))
}

pub(super) fn create(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    if !request.json.get("button").is_some_and(Value::is_array) {
        return Err(Refusal::new(refusal::BAD_JSON));
    }
    account(&mut world.platform(), appid)?.menu = Some(request.json.clone());
    Ok(ok())
}

pub(super) fn delete(world: &Arc<World>, _: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    account(&mut world.platform(), appid)?.menu = None;
    Ok(ok())
}
