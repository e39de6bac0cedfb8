//! The component's own interfaces: ticket in, tokens out, codes exchanged, accounts told.
//!
//! Source: WeChat docs, third-party platform, "Authorization and token" (授权相关接口). Success
//! bodies of the token family carry no `errcode`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::AccountKind;
use crate::gateway::{Answer, ApiRequest, ApiRoute, Handler, Needs, Verb};
use crate::refusal::{self, Refusal};
use crate::state::accounts::{Account, Grant};
use crate::state::codes::PRE_AUTH_CODE_LIFE_MS;
use crate::state::{Issued, Platform};
use crate::world::World;

/// The largest page of `api_get_authorizer_list`.
///
/// Source: WeChat docs, "api_get_authorizer_list": `count` is at most 500.
const LIST_COUNT_MAX: u64 = 500;

/// The route of a component path.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    let name = path.strip_prefix("/cgi-bin/component/")?;
    let (needs, answer): (Needs, Handler) = match name {
        "api_start_push_ticket" => (Needs::Nothing, start_push_ticket),
        "api_component_token" => (Needs::Nothing, component_token),
        "api_create_preauthcode" => (Needs::Component, create_preauthcode),
        "api_query_auth" => (Needs::Component, query_auth),
        "api_authorizer_token" => (Needs::Component, authorizer_token),
        "api_get_authorizer_info" => (Needs::Component, get_authorizer_info),
        "api_get_authorizer_list" => (Needs::Component, get_authorizer_list),
        _ => return None,
    };
    Some(ApiRoute { verb: Verb::Post, needs, sets: &[], answer })
}

fn check_appid(platform: &Platform, request: &ApiRequest) -> Result<(), Refusal> {
    if !request.json.is_object() {
        return Err(Refusal::new(refusal::BAD_JSON));
    }
    if request.field("component_appid") != platform.component.appid {
        return Err(Refusal::new(refusal::WRONG_APPID));
    }
    Ok(())
}

fn start_push_ticket(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    {
        let platform = world.platform();
        check_appid(&platform, request)?;
        platform.check_secret(request.field("component_secret"))?;
    }
    world.change_switches(|switches| switches.tickets_stopped = false);
    let pushing = Arc::clone(world);
    world.tasks.spawn(async move { pushing.push_ticket().await });
    Ok(Answer::Json(json!({ "errcode": 0, "errmsg": "ok" })))
}

fn component_token(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let life = world.switches().life();
    let mut platform = world.platform();
    check_appid(&platform, request)?;
    let token = platform.component_token(
        request.field("component_appsecret"),
        request.field("component_verify_ticket"),
        life,
        world.now(),
    )?;
    Ok(Answer::Json(json!({
        "component_access_token": token.value,
        "expires_in": token.expires_in_secs,
    })))
}

fn create_preauthcode(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    let mut platform = world.platform();
    check_appid(&platform, request)?;
    let code = platform.codes.new_pre_auth_code(world.now());
    Ok(Answer::Json(json!({ "pre_auth_code": code, "expires_in": PRE_AUTH_CODE_LIFE_MS / 1000 })))
}

fn query_auth(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let life = world.switches().life();
    let mut platform = world.platform();
    check_appid(&platform, request)?;
    let issued = platform.redeem(request.field("authorization_code"), life, world.now())?;
    let (_, grant) = platform.standing(&issued.appid)?;
    let mut info = tokens_json(&issued);
    info["authorizer_appid"] = issued.appid.as_str().into();
    info["func_info"] = func_info(grant);
    Ok(Answer::Json(json!({ "authorization_info": info })))
}

fn authorizer_token(world: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let switches = world.switches();
    let mut platform = world.platform();
    check_appid(&platform, request)?;
    let issued = platform.refresh(
        request.field("authorizer_appid"),
        request.field("authorizer_refresh_token"),
        &switches,
        world.now(),
    )?;
    Ok(Answer::Json(tokens_json(&issued)))
}

fn tokens_json(issued: &Issued) -> Value {
    json!({
        "authorizer_access_token": issued.access_token.value,
        "expires_in": issued.access_token.expires_in_secs,
        "authorizer_refresh_token": issued.refresh_token,
    })
}

fn get_authorizer_info(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    let leaves_token_out = world.switches().info_without_refresh_token;
    let platform = world.platform();
    check_appid(&platform, request)?;
    let (account, grant) = platform.standing(request.field("authorizer_appid"))?;
    let mut authorization = json!({
        "authorizer_appid": account.config.appid,
        "func_info": func_info(grant),
    });
    if let Some(refresh_token) = grant.refresh_token.as_ref().filter(|_| !leaves_token_out) {
        authorization["authorizer_refresh_token"] = refresh_token.as_str().into();
    }
    Ok(Answer::Json(json!({
        "authorizer_info": profile(account),
        "authorization_info": authorization,
    })))
}

fn profile(account: &Account) -> Value {
    let config = &account.config;
    let mut profile = json!({
        "nick_name": config.nick_name,
        "head_img": "https://wx.qlogo.cn/mmopen/emulated/0",
        "service_type_info": { "id": config.service_type },
        "verify_type_info": { "id": config.verify_type },
        "user_name": config.user_name,
        "principal_name": config.principal_name,
        "alias": config.alias,
        "qrcode_url": "https://mmbiz.qpic.cn/emulated/0",
        "business_info": {
            "open_pay": 0, "open_shake": 0, "open_scan": 0, "open_card": 0, "open_store": 0,
        },
        "idc": 1,
        "account_status": 1,
        "signature": format!("{}的简介", config.nick_name),
    });
    // Its presence is what marks a mini program.
    if config.kind == AccountKind::MiniProgram {
        profile["MiniProgramInfo"] = json!({
            "network": {
                "RequestDomain": [], "WsRequestDomain": [], "UploadDomain": [],
                "DownloadDomain": [], "BizDomain": [], "UDPDomain": [], "TCPDomain": [],
            },
            "categories": [{ "first": "餐饮", "second": "点餐平台" }],
            "visit_status": 0,
        });
        profile["register_type"] = 0.into();
        profile["basic_config"] =
            json!({ "is_phone_configured": true, "is_email_configured": true });
    }
    profile
}

fn func_info(grant: &Grant) -> Value {
    grant.sets.iter().map(|id| json!({ "funcscope_category": { "id": id } })).collect()
}

fn get_authorizer_list(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    let platform = world.platform();
    check_appid(&platform, request)?;
    let number = |name: &str| request.json.get(name).and_then(Value::as_u64);
    let (Some(offset), Some(count)) = (number("offset"), number("count")) else {
        return Err(Refusal::new(refusal::BAD_JSON));
    };
    if count > LIST_COUNT_MAX {
        return Err(Refusal::new(refusal::COUNT_TOO_LARGE));
    }
    let [offset, count] = [offset, count].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut total = 0;
    let mut page = Vec::new();
    for (account, grant) in platform.granted() {
        if total >= offset && page.len() < count {
            page.push(listed(account, grant));
        }
        total += 1;
    }
    Ok(Answer::Json(json!({ "total_count": total, "list": page })))
}

fn listed(account: &Account, grant: &Grant) -> Value {
    let mut entry = json!({
        "authorizer_appid": account.config.appid,
        "auth_time": grant.granted_at / 1000,
    });
    if let Some(refresh_token) = &grant.refresh_token {
        entry["refresh_token"] = refresh_token.as_str().into();
    }
    entry
}
