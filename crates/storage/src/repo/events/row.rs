//! Events as their rows keep them.

use lingpai_model::{
    Appid, Instant,
    event::{Event, EventContent, EventType},
    id::{EventId, TenantId},
};
use sea_orm::FromQueryResult;

use super::super::{Reader, text};
use crate::{
    entity::events::Model,
    error::Result,
    seal::{KeyRing, Place},
};

/// How long an openid may be in its column.
const OPENID_CHARS: usize = 64;

/// One event without what it has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHead {
    /// Its id.
    pub id: EventId,
    /// Whose stream it is in; the operator's if nobody's.
    pub tenant_id: Option<TenantId>,
    /// The component it is about, or the one that the authorizer granted to.
    pub component_appid: Option<Appid>,
    /// The authorizer it is about, if it is about one.
    pub authorizer_appid: Option<Appid>,
    /// What happened.
    pub event_type: EventType,
    /// The fan who caused it, if a fan did.
    pub openid: Option<String>,
    /// When it happened, by the clock of whoever caused it.
    pub occurred_at: Instant,
    /// When we learnt of it.
    pub received_at: Instant,
    /// Whether WeChat pushed it.
    pub is_pushed: bool,
}

/// The columns of a head.
#[derive(Debug, FromQueryResult)]
pub(super) struct HeadRow {
    pub(super) id: String,
    tenant_id: Option<String>,
    component_appid: Option<String>,
    authorizer_appid: Option<String>,
    kind: String,
    openid: Option<String>,
    occurred_at: i64,
    received_at: Option<i64>,
    is_pushed: bool,
}

/// The sealed row of an event of our own.
pub(super) fn row(keys: &KeyRing, event: &Event) -> Model {
    let (detail, payload) = match &event.content {
        EventContent::Ours(detail) => (detail.as_ref().map(ToString::to_string), None),
        EventContent::Pushed(payload) => (None, Some(payload)),
    };
    let component_appid = event.component_appid.as_ref().map(ToString::to_string);
    let tenant_id = event.tenant_id.as_ref().map(ToString::to_string);
    let id = event.id.as_str();
    let owner = owner(component_appid.as_deref(), tenant_id.as_deref(), id);
    Model {
        payload_sealed: payload.map(|payload| keys.seal_bytes(place(&owner), payload)),
        id: id.to_owned(),
        tenant_id,
        component_appid,
        authorizer_appid: event.authorizer_appid.as_ref().map(ToString::to_string),
        authorizer_id: None,
        dedupe: None,
        kind: event.event_type.as_str().to_owned(),
        openid: event.openid.as_deref().map(openid),
        occurred_at: event.occurred_at.timestamp_millis(),
        received_at: Some(event.received_at.timestamp_millis()),
        detail_json: detail,
        undispatched: Some(1),
    }
}

/// The event in a row, opened.
pub(crate) fn record(keys: &KeyRing, row: Model) -> Result<Event> {
    let owner = owner(row.component_appid.as_deref(), row.tenant_id.as_deref(), &row.id);
    let payload =
        row.payload_sealed.as_deref().map(|sealed| keys.open(place(&owner), sealed)).transpose()?;
    let read = Reader { table: "events", key: &row.id };
    let content = match payload {
        Some(payload) => EventContent::Pushed(payload),
        None => {
            EventContent::Ours(row.detail_json.as_deref().map(|json| read.json(json)).transpose()?)
        }
    };
    let head = head(HeadRow {
        is_pushed: content.is_pushed(),
        id: row.id,
        tenant_id: row.tenant_id,
        component_appid: row.component_appid,
        authorizer_appid: row.authorizer_appid,
        kind: row.kind,
        openid: row.openid,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
    })?;
    Ok(Event {
        id: head.id,
        tenant_id: head.tenant_id,
        component_appid: head.component_appid,
        authorizer_appid: head.authorizer_appid,
        event_type: head.event_type,
        openid: head.openid,
        occurred_at: head.occurred_at,
        received_at: head.received_at,
        content,
    })
}

/// The head in its columns.
pub(super) fn head(row: HeadRow) -> Result<EventHead> {
    let read = Reader { table: "events", key: &row.id };
    let tenant_id = row.tenant_id.as_deref().map(TenantId::parse).transpose();
    Ok(EventHead {
        id: read.parsed(EventId::parse(&row.id))?,
        tenant_id: read.parsed(tenant_id)?,
        component_appid: read.appid_if_any(row.component_appid.as_deref())?,
        authorizer_appid: read.appid_if_any(row.authorizer_appid.as_deref())?,
        event_type: read.parsed(EventType::parse(&row.kind))?,
        occurred_at: read.instant(row.occurred_at)?,
        // A program of the release before does not write it.
        received_at: read.instant(row.received_at.unwrap_or(row.occurred_at))?,
        is_pushed: row.is_pushed,
        openid: row.openid,
    })
}

/// An openid as its column takes it: WeChat's are shorter.
pub(super) fn openid(openid: &str) -> String {
    text(&openid.chars().take(OPENID_CHARS).collect::<String>())
}

fn owner<'a>(component: Option<&'a str>, tenant: Option<&'a str>, id: &'a str) -> [&'a str; 3] {
    [component.unwrap_or_default(), tenant.unwrap_or_default(), id]
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "events", column: "payload_sealed", row }
}
