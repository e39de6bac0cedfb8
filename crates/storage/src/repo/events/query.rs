//! Which events a list shows.

use std::time::Duration;

use lingpai_model::{Appid, Instant, event::EventPattern, id::EventId};
use sea_orm::{ColumnTrait as _, Condition};

use super::row::openid;
use crate::{db::millis, entity::events::Column};

/// Which events a list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Those of this type, or of these.
    pub event_type: Option<EventPattern>,
    /// Those about this authorizer.
    pub authorizer_appid: Option<Appid>,
    /// Those that this fan caused.
    pub openid: Option<String>,
    /// Those that reached us at this instant or later.
    pub from: Option<Instant>,
    /// Those that reached us before this instant.
    pub until: Option<Instant>,
}

/// The columns of an event but for what it has to say.
pub(super) const HEAD: [Column; 8] = [
    Column::Id,
    Column::TenantId,
    Column::ComponentAppid,
    Column::AuthorizerAppid,
    Column::Kind,
    Column::Openid,
    Column::OccurredAt,
    Column::ReceivedAt,
];

/// How far the time in an event's id, by which a list is cut out of the stream, may be from the time
/// at which it reached us. Both are read when it is recorded; a day is more than enough.
const LEEWAY: Duration = Duration::from_secs(24 * 60 * 60);

impl EventQuery {
    pub(super) fn condition(&self) -> Condition {
        let mut all = Condition::all();
        if let Some(pattern) = &self.event_type {
            all = all.add(of_types(pattern));
        }
        if let Some(appid) = &self.authorizer_appid {
            all = all.add(Column::AuthorizerAppid.eq(appid.as_str()));
        }
        if let Some(fan) = &self.openid {
            all = all.add(Column::Openid.eq(openid(fan)));
        }
        if let Some(from) = self.from {
            all = all.add(Column::ReceivedAt.gte(from.timestamp_millis()));
            let earliest = from.timestamp_millis().saturating_sub(millis(LEEWAY));
            let earliest = Instant::from_timestamp_millis(earliest).unwrap_or(Instant::MIN_UTC);
            all = all.add(Column::Id.gte(EventId::first_of(earliest).as_str()));
        }
        if let Some(until) = self.until {
            all = all.add(Column::ReceivedAt.lt(until.timestamp_millis()));
            let latest = until.timestamp_millis().saturating_add(millis(LEEWAY));
            let latest = Instant::from_timestamp_millis(latest).unwrap_or(Instant::MAX_UTC);
            all = all.add(Column::Id.lt(EventId::first_of(latest).as_str()));
        }
        all
    }
}

/// Types are compared byte for byte: behind all that begin with `message.` comes `message/`.
fn of_types(pattern: &EventPattern) -> Condition {
    let all = Condition::all();
    match pattern.as_str().strip_suffix('*') {
        None => all.add(Column::Kind.eq(pattern.as_str())),
        Some("") => all,
        Some(family) => {
            let behind = format!("{}/", family.trim_end_matches('.'));
            all.add(Column::Kind.gt(family)).add(Column::Kind.lt(behind))
        }
    }
}
