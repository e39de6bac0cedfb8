//! What an account calls with its own secret and without a platform: ordinary access tokens.
//!
//! Source: WeChat docs, "Get access token" (getAccessToken) and "Get stable access token"
//! (getStableAccessToken).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::state::AccessToken;
use crate::state::ordinary::{Credential, StableMode};
use crate::world::World;

/// A new token each time.
const TOKEN: &str = "/cgi-bin/token";

/// The same token until shortly before its end.
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";

/// The route of a path that takes the account's secret.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let (verb, answer): (Verb, Handler) = match path {
        TOKEN => (Verb::Get, token),
        STABLE_TOKEN => (Verb::Post, stable_token),
        _ => return None,
    };
    Some(ApiRoute { verb, needs: Needs::Own, sets: &[], answer })
}

/// The account that a call names; empty on other paths.
pub(crate) fn named_account(request: &ApiRequest) -> &str {
    match request.path.as_str() {
        TOKEN => request.query("appid"),
        STABLE_TOKEN => request.field("appid"),
        _ => "",
    }
}

fn token(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let credential = Credential {
        grant_type: request.query("grant_type"),
        appid: request.query("appid"),
        secret: request.query("secret"),
    };
    let life = world.switches().life();
    world.platform().ordinary_token(credential, life, world.now()).map(|token| told(&token))
}

fn stable_token(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let mode = match request.json.get("force_refresh") {
        None | Some(Value::Bool(false)) => StableMode::Normal,
        Some(Value::Bool(true)) => StableMode::Forced,
        Some(_) => return Err(Refusal::new(refusal::BAD_JSON)),
    };
    if !request.json.is_object() {
        return Err(Refusal::new(refusal::BAD_JSON));
    }
    let credential = Credential {
        grant_type: request.field("grant_type"),
        appid: request.field("appid"),
        secret: request.field("secret"),
    };
    let life = world.switches().life();
    world.platform().stable_token(credential, mode, life, world.now()).map(|token| told(&token))
}

fn told(token: &AccessToken) -> Answer {
    Answer::Json(json!({ "access_token": token.value, "expires_in": token.expires_in_secs }))
}
