//! Endpoints as their rows keep them.

use lingpai_model::{
    Appid, Secret,
    endpoint::{
        Endpoint, EndpointHealth, EndpointKind, EndpointState, LateReplies, Mode, Role,
        WebhookSecrets, WechatHandler,
    },
    event::{EventFilter, EventPattern},
    id::{EndpointId, TenantId},
};

use super::super::{Reader, reason, text};
use crate::{
    entity::endpoints::Model,
    error::Result,
    seal::{KeyRing, Place},
};

const SECRET: &str = "secret_sealed";
const PREVIOUS_SECRET: &str = "previous_secret_sealed";
const PUSH_TOKEN: &str = "push_token_sealed";
const ENCODING_AES_KEY: &str = "encoding_aes_key_sealed";

const LISTENING: &str = "listening";
const REPLYING: &str = "replying";
const DROP: &str = "drop";
const CUSTOMER_SERVICE: &str = "customer_service";

/// The sealed row of an endpoint that never had a turn.
pub(super) fn row(keys: &KeyRing, endpoint: &Endpoint) -> Model {
    let (state_since, state_reason) = state_columns(&endpoint.state);
    let filter = &endpoint.filter;
    let row = Model {
        id: endpoint.id.as_str().to_owned(),
        tenant_id: endpoint.tenant_id.as_str().to_owned(),
        name: text(&endpoint.name),
        url: text(&endpoint.url),
        kind: endpoint.kind.as_str().to_owned(),
        secret_sealed: None,
        previous_secret_sealed: None,
        previous_secret_until: None,
        push_token_sealed: None,
        encoding_aes_key_sealed: None,
        mode: None,
        role: None,
        late_replies: None,
        authorizers_json: words_json(filter.authorizers.iter().map(Appid::as_str)),
        event_types_json: words_json(filter.event_types.iter().map(EventPattern::as_str)),
        state: endpoint.state.as_str().to_owned(),
        state_since,
        state_reason,
        failures_in_row: 0,
        failing_since: None,
        blocked_until: None,
        last_success_at: None,
        last_failure_at: None,
        last_failure: None,
        last_turn_at: 0,
        leased_until: 0,
        lease_epoch: 0,
        created_at: endpoint.created_at.timestamp_millis(),
        updated_at: endpoint.updated_at.timestamp_millis(),
    };
    with_kind(keys, with_health(row, &endpoint.health), &endpoint.kind)
}

fn with_kind(keys: &KeyRing, row: Model, kind: &EndpointKind) -> Model {
    let owner = [row.tenant_id.clone(), row.id.clone()];
    let owner = owner.each_ref().map(String::as_str);
    let seal =
        |column, secret: &Secret<String>| Some(keys.seal_text(place(column, &owner), secret));
    match kind {
        EndpointKind::Webhook(secrets) => {
            let previous = secrets.previous.as_ref();
            Model {
                secret_sealed: seal(SECRET, &secrets.current),
                previous_secret_sealed: previous
                    .and_then(|(secret, _)| seal(PREVIOUS_SECRET, secret)),
                previous_secret_until: previous.map(|(_, until)| until.timestamp_millis()),
                ..row
            }
        }
        EndpointKind::Wechat(handler) => {
            let (role, late) = role_columns(handler.role);
            Model {
                push_token_sealed: seal(PUSH_TOKEN, &handler.push_token),
                encoding_aes_key_sealed: seal(ENCODING_AES_KEY, &handler.encoding_aes_key),
                mode: Some(handler.mode.as_str().to_owned()),
                role: Some(role.to_owned()),
                late_replies: late.map(str::to_owned),
                ..row
            }
        }
    }
}

/// The row with this health.
pub(super) fn with_health(row: Model, health: &EndpointHealth) -> Model {
    Model {
        failures_in_row: i64::from(health.failures_in_row),
        failing_since: health.failing_since.map(|at| at.timestamp_millis()),
        blocked_until: health.blocked_until.map(|at| at.timestamp_millis()),
        last_success_at: health.last_success_at.map(|at| at.timestamp_millis()),
        last_failure_at: health.last_failure_at.map(|at| at.timestamp_millis()),
        last_failure: health.last_failure.as_deref().map(reason),
        ..row
    }
}

/// The endpoint in a row, opened.
pub(super) fn record(keys: &KeyRing, row: &Model) -> Result<Endpoint> {
    let read = Reader { table: "endpoints", key: &row.id };
    Ok(Endpoint {
        id: read.parsed(EndpointId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        name: row.name.clone(),
        url: row.url.clone(),
        kind: kind(keys, &read, row)?,
        filter: filter(&read, row)?,
        state: state(&read, row)?,
        health: EndpointHealth {
            failures_in_row: read.count(row.failures_in_row)?,
            failing_since: read.instant_if_any(row.failing_since)?,
            blocked_until: read.instant_if_any(row.blocked_until)?,
            last_success_at: read.instant_if_any(row.last_success_at)?,
            last_failure_at: read.instant_if_any(row.last_failure_at)?,
            last_failure: row.last_failure.clone(),
        },
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
    })
}

fn kind(keys: &KeyRing, read: &Reader<'_>, row: &Model) -> Result<EndpointKind> {
    let owner = [row.tenant_id.as_str(), row.id.as_str()];
    let open = |column, sealed: &Option<Vec<u8>>| {
        keys.open_text(place(column, &owner), read.present(sealed.as_deref())?)
    };
    match row.kind.as_str() {
        "webhook" => {
            let previous = match read.instant_if_any(row.previous_secret_until)? {
                Some(until) => Some((open(PREVIOUS_SECRET, &row.previous_secret_sealed)?, until)),
                None => None,
            };
            let current = open(SECRET, &row.secret_sealed)?;
            Ok(EndpointKind::Webhook(WebhookSecrets { current, previous }))
        }
        "wechat" => Ok(EndpointKind::Wechat(WechatHandler {
            push_token: open(PUSH_TOKEN, &row.push_token_sealed)?,
            encoding_aes_key: open(ENCODING_AES_KEY, &row.encoding_aes_key_sealed)?,
            mode: read.present(row.mode.as_deref().and_then(Mode::parse))?,
            role: role(read, row)?,
        })),
        _ => Err(read.fault()),
    }
}

fn role(read: &Reader<'_>, row: &Model) -> Result<Role> {
    match (row.role.as_deref(), row.late_replies.as_deref()) {
        (Some(LISTENING), None) => Ok(Role::Listening),
        (Some(REPLYING), Some(DROP)) => Ok(Role::Replying { late: LateReplies::Drop }),
        (Some(REPLYING), Some(CUSTOMER_SERVICE)) => {
            Ok(Role::Replying { late: LateReplies::CustomerService })
        }
        _ => Err(read.fault()),
    }
}

fn role_columns(role: Role) -> (&'static str, Option<&'static str>) {
    match role {
        Role::Listening => (LISTENING, None),
        Role::Replying { late: LateReplies::Drop } => (REPLYING, Some(DROP)),
        Role::Replying { late: LateReplies::CustomerService } => (REPLYING, Some(CUSTOMER_SERVICE)),
    }
}

fn filter(read: &Reader<'_>, row: &Model) -> Result<EventFilter> {
    let appids: Vec<String> = read.json(&row.authorizers_json)?;
    let types: Vec<String> = read.json(&row.event_types_json)?;
    let patterns = types.iter().map(|text| read.parsed(EventPattern::parse(text)));
    Ok(EventFilter {
        authorizers: appids.iter().map(|appid| read.appid(appid)).collect::<Result<_>>()?,
        event_types: patterns.collect::<Result<_>>()?,
    })
}

fn state(read: &Reader<'_>, row: &Model) -> Result<EndpointState> {
    let since = read.instant_if_any(row.state_since)?;
    match row.state.as_str() {
        "active" => Ok(EndpointState::Active),
        "paused" => Ok(EndpointState::Paused { since: read.present(since)? }),
        "disabled" => Ok(EndpointState::Disabled {
            since: read.present(since)?,
            reason: read.present(row.state_reason.clone())?,
        }),
        _ => Err(read.fault()),
    }
}

/// Since when a state holds, and why.
pub(super) fn state_columns(state: &EndpointState) -> (Option<i64>, Option<String>) {
    match state {
        EndpointState::Active => (None, None),
        EndpointState::Paused { since } => (Some(since.timestamp_millis()), None),
        EndpointState::Disabled { since, reason: why } => {
            (Some(since.timestamp_millis()), Some(reason(why)))
        }
    }
}

fn words_json<'a>(words: impl Iterator<Item = &'a str>) -> String {
    serde_json::to_string(&words.collect::<Vec<_>>()).expect("texts are always JSON")
}

fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "endpoints", column, row }
}
