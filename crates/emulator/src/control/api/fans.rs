//! Control of what fans do on web pages and in mini programs, as JSON.

use std::sync::Arc;

use poem::web::Data;
use poem::{Body, Response, handler};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Result, json_response, read};
use crate::browser;
use crate::emulator::fans::FanChoice;
use crate::js_sdk::PageSignature;
use crate::open_data;
use crate::world::World;

/// A fan in a mini program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FanInput {
    appid: String,
    openid: String,
}

/// Opens a link like a fan's WeChat client and decides.
#[handler]
pub(in crate::control) async fn web_consent(body: Body) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        href: String,
        #[serde(default)]
        openid: Option<String>,
        #[serde(default)]
        refuse: bool,
    }
    let input: Input = read(body).await?;
    let choice = match input.refuse {
        true => FanChoice::Refuse,
        false => FanChoice::Allow { openid: input.openid },
    };
    let location = browser::web_consent(&input.href, choice).await?;
    json_response(&json!({ "location": location }))
}

#[handler]
pub(in crate::control) fn list_web_consents(Data(world): Data<&Arc<World>>) -> Result<Response> {
    json_response(&world.platform().web_codes.consents())
}

#[handler]
pub(in crate::control) async fn mint_js_code(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    let FanInput { appid, openid } = read(body).await?;
    let code = world.platform().logins.mint_code(&appid, &openid, world.now());
    json_response(&json!({ "js_code": code }))
}

#[handler]
pub(in crate::control) async fn tell_session_key(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    let FanInput { appid, openid } = read(body).await?;
    let session_key = world.platform().logins.session_key(&appid, &openid);
    json_response(&json!({ "session_key": session_key }))
}

/// Encrypts like WeChat for a fan's client.
#[handler]
pub(in crate::control) async fn encrypt_for_fan(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        openid: String,
        data: Value,
    }
    let Input { appid, openid, data } = read(body).await?;
    let session_key = world.platform().logins.session_key(&appid, &openid);
    let sealed = open_data::encrypt(&session_key, &appid, &data, world.now() / 1000);
    json_response(&json!({ "encrypted_data": sealed.encrypted_data, "iv": sealed.iv }))
}

/// Signs like WeChat for a fan's client.
#[handler]
pub(in crate::control) async fn sign_for_fan(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        openid: String,
        raw_data: String,
    }
    let input: Input = read(body).await?;
    let session_key = world.platform().logins.session_key(&input.appid, &input.openid);
    json_response(&json!({ "signature": open_data::sign(&session_key, &input.raw_data) }))
}

/// Whether WeChat takes a page's signature.
#[handler]
pub(in crate::control) async fn verify_page(
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Result<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        appid: String,
        url: String,
        timestamp: i64,
        nonce: String,
        signature: String,
    }
    let input: Input = read(body).await?;
    let page = PageSignature {
        url: &input.url,
        timestamp: &input.timestamp.to_string(),
        nonce: &input.nonce,
        signature: &input.signature,
    };
    json_response(&json!({ "is_valid": page.fits(world, &input.appid) }))
}
