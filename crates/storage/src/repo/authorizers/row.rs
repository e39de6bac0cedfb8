//! Authorizers as their rows keep them.

use lingpai_model::{
    authorizer::{Authorizer, AuthorizerState, Connection, Profile, ProfileKind},
    id::{AuthorizerId, ComponentId, TenantId},
};
use serde::{Deserialize, Serialize};

use super::super::{Reader, numbers_json, text};
use crate::{entity::authorizers, error::Result};

/// A profile as its column keeps it. Kind and name stand in columns of their own besides, for lists
/// to be searched by; this one is the truth.
#[derive(Serialize, Deserialize)]
struct ProfileJson {
    kind: Option<String>,
    nick_name: Option<String>,
    user_name: Option<String>,
    principal_name: Option<String>,
    alias: Option<String>,
    signature: Option<String>,
    head_img: Option<String>,
    qrcode_url: Option<String>,
    service_type: Option<i64>,
    verify_type: Option<i64>,
}

impl From<&Profile> for ProfileJson {
    fn from(profile: &Profile) -> Self {
        let p = profile.clone();
        Self {
            kind: p.kind.map(|kind| kind.as_str().to_owned()),
            nick_name: p.nick_name,
            user_name: p.user_name,
            principal_name: p.principal_name,
            alias: p.alias,
            signature: p.signature,
            head_img: p.head_img,
            qrcode_url: p.qrcode_url,
            service_type: p.service_type,
            verify_type: p.verify_type,
        }
    }
}

impl From<ProfileJson> for Profile {
    fn from(json: ProfileJson) -> Self {
        Self {
            kind: json.kind.as_deref().and_then(ProfileKind::parse),
            nick_name: json.nick_name,
            user_name: json.user_name,
            principal_name: json.principal_name,
            alias: json.alias,
            signature: json.signature,
            head_img: json.head_img,
            qrcode_url: json.qrcode_url,
            service_type: json.service_type,
            verify_type: json.verify_type,
        }
    }
}

/// The row of an authorizer.
pub(crate) fn row(authorizer: &Authorizer) -> authorizers::Model {
    let state_at = match &authorizer.state {
        AuthorizerState::Active => None,
        AuthorizerState::NeedsReauthorization { since: at } | AuthorizerState::Revoked { at } => {
            Some(at.timestamp_millis())
        }
    };
    let profile = ProfileJson::from(&authorizer.profile);
    authorizers::Model {
        id: authorizer.id.as_str().to_owned(),
        connection: authorizer.connection.as_str().to_owned(),
        component_id: authorizer.connection.component_id().map(ToString::to_string),
        component_appid: authorizer.connection.component_appid().map(ToString::to_string),
        tenant_id: authorizer.tenant_id.as_ref().map(|tenant| tenant.as_str().to_owned()),
        refused_at: authorizer.refused_at.map(|at| at.timestamp_millis()),
        released_at: authorizer.released_at.map(|at| at.timestamp_millis()),
        appid: authorizer.appid.as_str().to_owned(),
        state: authorizer.state.as_str().to_owned(),
        state_at,
        generation: authorizer.generation,
        granted_at: authorizer.granted_at.timestamp_millis(),
        listed_at: None,
        kind: profile.kind.clone(),
        nick_name: profile.nick_name.as_deref().map(text),
        profile_json: serde_json::to_string(&profile).expect("texts and numbers are always JSON"),
        func_info_json: numbers_json(&authorizer.func_info),
        created_at: authorizer.created_at.timestamp_millis(),
        updated_at: authorizer.updated_at.timestamp_millis(),
    }
}

/// The authorizer that a row tells of.
pub(super) fn record(row: &authorizers::Model) -> Result<Authorizer> {
    let read = Reader { table: "authorizers", key: &row.id };
    let profile: ProfileJson = read.json(&row.profile_json)?;
    let tenant_id = row.tenant_id.as_deref().map(TenantId::parse).transpose();
    Ok(Authorizer {
        id: read.parsed(AuthorizerId::parse(&row.id))?,
        connection: connection(&read, row)?,
        tenant_id: read.parsed(tenant_id)?,
        refused_at: read.instant_if_any(row.refused_at)?,
        released_at: read.instant_if_any(row.released_at)?,
        appid: read.appid(&row.appid)?,
        state: state(&read, row)?,
        generation: row.generation,
        granted_at: read.instant(row.granted_at)?,
        profile: profile.into(),
        func_info: read.json(&row.func_info_json)?,
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
    })
}

fn connection(read: &Reader<'_>, row: &authorizers::Model) -> Result<Connection> {
    match (row.connection.as_str(), &row.component_id, &row.component_appid) {
        ("component", Some(id), Some(appid)) => Ok(Connection::Component {
            id: read.parsed(ComponentId::parse(id))?,
            appid: read.appid(appid)?,
        }),
        ("secret", None, None) => Ok(Connection::Secret),
        _ => Err(read.fault()),
    }
}

fn state(read: &Reader<'_>, row: &authorizers::Model) -> Result<AuthorizerState> {
    let at = read.instant_if_any(row.state_at)?;
    match row.state.as_str() {
        "active" => Ok(AuthorizerState::Active),
        "needs_reauthorization" => {
            Ok(AuthorizerState::NeedsReauthorization { since: read.present(at)? })
        }
        "revoked" => Ok(AuthorizerState::Revoked { at: read.present(at)? }),
        _ => Err(read.fault()),
    }
}
