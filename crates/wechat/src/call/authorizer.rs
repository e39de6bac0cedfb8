//! Calls that concern one authorizer, or list them all.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    Answer, AnswerError, Call, field,
    field::{FuncInfo, WithId},
    lifetime, needed_token, optional_token, parse,
};
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
    /// `None` when there is no token; its lifetime only counts when there is one.
    fn read(value: Option<String>, expires_in: Option<i64>) -> Result<Option<Self>, AnswerError> {
        optional_token(value)?
            .map(|value| Ok(Self { value, expires_in: lifetime(expires_in)? }))
            .transpose()
    }
}

/// Answer of [`QUERY_AUTH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationInfo {
    /// The account.
    pub authorizer_appid: Appid,
    /// Its access token; `None` for an account without API permission.
    pub access_token: Option<AuthorizerAccessToken>,
    /// Its refresh token; `None` for an account without API permission.
    pub refresh_token: Option<Secret<String>>,
    /// The permission sets that were granted.
    pub func_info: Vec<u32>,
}

impl Answer for AuthorizationInfo {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            authorization_info: WireAuthorization,
        }
        let wire = parse::<Wire>(json)?.authorization_info;
        Ok(Self {
            authorizer_appid: appid(wire.appid())?,
            access_token: AuthorizerAccessToken::read(
                wire.authorizer_access_token,
                wire.expires_in,
            )?,
            refresh_token: optional_token(wire.authorizer_refresh_token)?,
            func_info: field::func_info(&wire.func_info.unwrap_or_default()),
        })
    }
}

/// `authorization_info` of two answers.
#[derive(Default, Deserialize)]
struct WireAuthorization {
    #[serde(default)]
    authorizer_appid: Option<String>,
    /// How very old answers name the same.
    #[serde(default)]
    authorization_appid: Option<String>,
    #[serde(default)]
    authorizer_access_token: Option<String>,
    #[serde(default, deserialize_with = "field::integer")]
    expires_in: Option<i64>,
    #[serde(default)]
    authorizer_refresh_token: Option<String>,
    #[serde(default)]
    func_info: Option<Vec<FuncInfo>>,
}

impl WireAuthorization {
    fn appid(&self) -> Option<&str> {
        self.authorizer_appid.as_deref().or(self.authorization_appid.as_deref())
    }
}

fn appid(text: Option<&str>) -> Result<Appid, AnswerError> {
    Appid::parse(text.unwrap_or_default())
        .map_err(|_| AnswerError::Garbled("a missing or impossible authorizer_appid"))
}

/// Answer of [`AUTHORIZER_TOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshedToken {
    /// The access token.
    pub access_token: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
    /// The refresh token, if one came. `None` never replaces the stored one.
    pub refresh_token: Option<Secret<String>>,
}

impl Answer for RefreshedToken {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            authorizer_access_token: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            expires_in: Option<i64>,
            #[serde(default)]
            authorizer_refresh_token: Option<String>,
        }
        let wire: Wire = parse(json)?;
        Ok(Self {
            access_token: needed_token(wire.authorizer_access_token)?,
            expires_in: lifetime(wire.expires_in)?,
            refresh_token: optional_token(wire.authorizer_refresh_token)?,
        })
    }
}

/// Answer of [`GET_AUTHORIZER_INFO`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerInfoAnswer {
    /// The account that the answer names, if it names one.
    pub authorizer_appid: Option<Appid>,
    /// What WeChat tells of it.
    pub info: AuthorizerInfo,
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
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            authorizer_info: WireInfo,
            #[serde(default)]
            authorization_info: Option<WireAuthorization>,
        }
        let wire: Wire = parse(json)?;
        let authorization = wire.authorization_info.unwrap_or_default();
        Ok(Self {
            authorizer_appid: authorization
                .appid()
                .filter(|text| !text.is_empty())
                .map(|text| appid(Some(text)))
                .transpose()?,
            info: wire.authorizer_info.into(),
            refresh_token: optional_token(authorization.authorizer_refresh_token)?,
            func_info: authorization.func_info.as_deref().map(field::func_info),
        })
    }
}

#[derive(Deserialize)]
struct WireInfo {
    #[serde(default, deserialize_with = "field::text")]
    nick_name: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    user_name: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    principal_name: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    alias: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    signature: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    head_img: Option<String>,
    #[serde(default, deserialize_with = "field::text")]
    qrcode_url: Option<String>,
    #[serde(default)]
    service_type_info: Option<WithId>,
    #[serde(default)]
    verify_type_info: Option<WithId>,
    #[serde(default, rename = "MiniProgramInfo")]
    mini_program_info: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "field::integer")]
    account_status: Option<i64>,
    #[serde(default, deserialize_with = "field::integer")]
    register_type: Option<i64>,
}

impl From<WireInfo> for AuthorizerInfo {
    fn from(wire: WireInfo) -> Self {
        Self {
            nick_name: wire.nick_name,
            user_name: wire.user_name,
            principal_name: wire.principal_name,
            alias: wire.alias,
            signature: wire.signature,
            head_img: wire.head_img,
            qrcode_url: wire.qrcode_url,
            service_type: wire.service_type_info.and_then(|info| info.id),
            verify_type: wire.verify_type_info.and_then(|info| info.id),
            is_mini_program: wire.mini_program_info.is_some(),
            account_status: wire.account_status,
            register_type: wire.register_type,
        }
    }
}

/// Answer of [`GET_AUTHORIZER_LIST`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerList {
    /// How many there are in all.
    pub total_count: u32,
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
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, deserialize_with = "field::integer")]
            total_count: Option<i64>,
            #[serde(default)]
            list: Option<Vec<WireListed>>,
        }
        #[derive(Deserialize)]
        struct WireListed {
            #[serde(default)]
            authorizer_appid: Option<String>,
            #[serde(default)]
            refresh_token: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            auth_time: Option<i64>,
        }
        let wire: Wire = parse(json)?;
        let total_count = wire
            .total_count
            .and_then(|count| u32::try_from(count).ok())
            .ok_or(AnswerError::Garbled("a missing or absurd total_count"))?;
        let list = wire.list.unwrap_or_default().into_iter().filter_map(|entry| {
            Some(ListedAuthorizer {
                authorizer_appid: Appid::parse(entry.authorizer_appid.as_deref()?).ok()?,
                refresh_token: optional_token(entry.refresh_token).ok().flatten(),
                auth_time: entry.auth_time,
            })
        });
        Ok(Self { total_count, list: list.collect() })
    }
}
