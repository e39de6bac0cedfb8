//! Calls that concern one authorizer, or list them all.
//!
//! Their answers carry refresh tokens, which are the only thing that cannot be had again. So each
//! field is read on its own, and none is lost because something beside it is odd.

use std::time::Duration;

use serde::Serialize;

use super::{Answer, AnswerError, Call, field::Fields, lifetime};
use crate::{id::Appid, secret::Secret};

/// Exchanges an authorization code, once.
///
/// Source: WeChat docs, "Use the authorization code to get authorization information"
/// (api_query_auth).
pub const QUERY_AUTH: Call =
    Call { name: "api_query_auth", path: "/cgi-bin/component/api_query_auth" };

/// Turns a refresh token into an authorizer's access token.
///
/// Source: WeChat docs, "Get/refresh the interface call token" (api_authorizer_token).
pub const AUTHORIZER_TOKEN: Call =
    Call { name: "api_authorizer_token", path: "/cgi-bin/component/api_authorizer_token" };

/// Tells what WeChat knows of an account that granted.
///
/// Source: WeChat docs, "Get authorizer information" (api_get_authorizer_info).
pub const GET_AUTHORIZER_INFO: Call =
    Call { name: "api_get_authorizer_info", path: "/cgi-bin/component/api_get_authorizer_info" };

/// Lists every account that granted: the way to recover lost refresh tokens.
///
/// Source: WeChat docs, "Pull the list of authorized accounts" (api_get_authorizer_list).
pub const GET_AUTHORIZER_LIST: Call =
    Call { name: "api_get_authorizer_list", path: "/cgi-bin/component/api_get_authorizer_list" };

/// The most entries that one [`GET_AUTHORIZER_LIST`] may ask for.
///
/// Source: WeChat docs, the same page; above it the call is refused with 40170.
pub const MAX_LIST_COUNT: u32 = 500;

/// Body of [`QUERY_AUTH`].
#[derive(Serialize)]
pub struct QueryAuthRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// The code, from the push or from the browser.
    pub authorization_code: &'a str,
}

/// Body of [`AUTHORIZER_TOKEN`].
#[derive(Serialize)]
pub struct AuthorizerTokenRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// The account.
    pub authorizer_appid: &'a str,
    /// Its newest refresh token.
    pub authorizer_refresh_token: &'a str,
}

/// Body of [`GET_AUTHORIZER_INFO`].
#[derive(Serialize)]
pub struct AuthorizerInfoRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// The account.
    pub authorizer_appid: &'a str,
}

/// Body of [`GET_AUTHORIZER_LIST`].
#[derive(Serialize)]
pub struct AuthorizerListRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// How many entries to pass over.
    pub offset: u32,
    /// How many to tell, at most [`MAX_LIST_COUNT`].
    pub count: u32,
}

/// An authorizer's access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerAccessToken {
    /// The token.
    pub value: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

impl AuthorizerAccessToken {
    /// `None` when there is no token, or none whose lifetime can be believed.
    fn read(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            value: fields.token("authorizer_access_token")?,
            expires_in: lifetime(fields.integer("expires_in")).ok()?,
        })
    }
}

/// Answer of [`QUERY_AUTH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationInfo {
    /// The account.
    pub authorizer_appid: Appid,
    /// Its access token; `None` for an account without API permission, and when what came can be
    /// none.
    pub access_token: Option<AuthorizerAccessToken>,
    /// Its refresh token; `None` for an account without API permission.
    pub refresh_token: Option<Secret<String>>,
    /// The permission sets that were granted, without entries that name none.
    pub func_info: Vec<u32>,
}

impl Answer for AuthorizationInfo {
    const IS_SALVAGED: bool = true;

    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let authorization = fields(json)?
            .object("authorization_info")
            .ok_or(AnswerError::Garbled("no authorization_info"))?;
        Ok(Self {
            authorizer_appid: appid(authorization)
                .ok_or(AnswerError::Garbled("a missing or impossible authorizer_appid"))?,
            access_token: AuthorizerAccessToken::read(authorization),
            refresh_token: authorization.token("authorizer_refresh_token"),
            func_info: authorization.func_info().unwrap_or_default(),
        })
    }
}

fn fields(json: &[u8]) -> Result<Fields<'_>, AnswerError> {
    Fields::of(json).ok_or(AnswerError::Garbled("no JSON object"))
}

/// The account that an `authorization_info` is about.
fn appid(authorization: Fields<'_>) -> Option<Appid> {
    // The second name is how very old answers say the same.
    ["authorizer_appid", "authorization_appid"]
        .into_iter()
        .find_map(|name| Appid::parse(&authorization.text(name)?).ok())
}

/// Answer of [`AUTHORIZER_TOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshedToken {
    /// The access token; `None` when what came can be none or has an absurd lifetime.
    pub access_token: Option<AuthorizerAccessToken>,
    /// The refresh token, if one came. `None` never replaces the stored one.
    pub refresh_token: Option<Secret<String>>,
}

impl Answer for RefreshedToken {
    const IS_SALVAGED: bool = true;

    /// Garbled only when there is neither token.
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = fields(json)?;
        let access_token = AuthorizerAccessToken::read(fields);
        let refresh_token = fields.token("authorizer_refresh_token");
        if access_token.is_none() && refresh_token.is_none() {
            return Err(AnswerError::Garbled("no token that can be one, or an absurd expires_in"));
        }
        Ok(Self { access_token, refresh_token })
    }
}

/// Answer of [`GET_AUTHORIZER_INFO`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerInfoAnswer {
    /// The account that the answer names, if it names one.
    pub authorizer_appid: Option<Appid>,
    /// What WeChat tells of it; `None` when only a refresh token could be read.
    pub info: Option<AuthorizerInfo>,
    /// Its refresh token, if one came.
    pub refresh_token: Option<Secret<String>>,
    /// The permission sets that were granted; `None` when the answer does not speak of them.
    pub func_info: Option<Vec<u32>>,
}

/// What WeChat tells of an account. Hostile text: escape it on output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizerInfo {
    /// Its name.
    pub nick_name: Option<String>,
    /// Its original id, `gh_…`.
    pub user_name: Option<String>,
    /// The legal entity behind it.
    pub principal_name: Option<String>,
    /// The WeChat id of an official account.
    pub alias: Option<String>,
    /// The introduction of a mini program.
    pub signature: Option<String>,
    /// Address of its avatar.
    pub head_img: Option<String>,
    /// Address of its QR code.
    pub qrcode_url: Option<String>,
    /// `service_type_info.id`; the same number means different things for the two kinds of account.
    pub service_type: Option<i64>,
    /// `verify_type_info.id`; -1 is not verified.
    pub verify_type: Option<i64>,
    /// Whether it is a mini program: the presence of `MiniProgramInfo` says so.
    pub is_mini_program: bool,
    /// 1 normal, 14 closed, 16 banned, 18 warned, 19 frozen.
    pub account_status: Option<i64>,
    /// How a mini program was registered.
    pub register_type: Option<i64>,
}

impl Answer for AuthorizerInfoAnswer {
    const IS_SALVAGED: bool = true;

    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = fields(json)?;
        let info = fields.object("authorizer_info").map(AuthorizerInfo::read);
        let authorization = fields.object("authorization_info");
        let refresh_token =
            authorization.and_then(|fields| fields.token("authorizer_refresh_token"));
        if info.is_none() && refresh_token.is_none() {
            return Err(AnswerError::Garbled("no authorizer_info"));
        }
        Ok(Self {
            authorizer_appid: authorization.and_then(appid),
            info,
            refresh_token,
            func_info: authorization.and_then(Fields::func_info),
        })
    }
}

impl AuthorizerInfo {
    fn read(fields: Fields<'_>) -> Self {
        Self {
            nick_name: fields.text("nick_name"),
            user_name: fields.text("user_name"),
            principal_name: fields.text("principal_name"),
            alias: fields.text("alias"),
            signature: fields.text("signature"),
            head_img: fields.text("head_img"),
            qrcode_url: fields.text("qrcode_url"),
            service_type: fields.id_in("service_type_info"),
            verify_type: fields.id_in("verify_type_info"),
            is_mini_program: fields.has("MiniProgramInfo"),
            account_status: fields.integer("account_status"),
            register_type: fields.integer("register_type"),
        }
    }
}

/// Answer of [`GET_AUTHORIZER_LIST`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerList {
    /// How many there are in all; `u32::MAX` when the answer lists some but its number is none.
    pub total_count: u32,
    /// How many entries this page has, with those that are left out of `list`: the offset of the
    /// next page is this far on.
    pub listed: u32,
    /// The ones of this page. Entries whose appid cannot be one are left out: one of them must not
    /// keep the tokens of all others from being recovered.
    pub list: Vec<ListedAuthorizer>,
}

/// One account that granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAuthorizer {
    /// The account.
    pub authorizer_appid: Appid,
    /// Its refresh token; `None` for an account without API permission.
    pub refresh_token: Option<Secret<String>>,
    /// When it granted, in Unix seconds.
    pub auth_time: Option<i64>,
}

impl Answer for AuthorizerList {
    const IS_SALVAGED: bool = true;

    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        let fields = fields(json)?;
        let (list, listed) = fields.list("list", listed_authorizer).unwrap_or_default();
        let total_count = fields
            .integer("total_count")
            .and_then(|count| u32::try_from(count).ok())
            .or((listed > 0).then_some(u32::MAX))
            .ok_or(AnswerError::Garbled("a missing or absurd total_count"))?;
        Ok(Self { total_count, listed: u32::try_from(listed).unwrap_or(u32::MAX), list })
    }
}

fn listed_authorizer(entry: Fields<'_>) -> Option<ListedAuthorizer> {
    Some(ListedAuthorizer {
        authorizer_appid: Appid::parse(&entry.text("authorizer_appid")?).ok()?,
        refresh_token: entry.token("refresh_token"),
        auth_time: entry.integer("auth_time"),
    })
}
