//! Messages that WeChat pushed, recorded with the deliveries that they cause.

use std::{collections::HashSet, mem, sync::Arc};

use lingpai_model::{delivery::DeliveryCause, push::NewMessage};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QuerySelect as _, QueryTrait as _, Statement,
    sea_query::OnConflict,
};

use super::super::{deliveries, fold, known};
use crate::{
    db::{Handle, skips_one_key},
    entity::{
        deliveries as delivery_rows,
        events::{Column, Entity, Model},
    },
    error::Result,
    seal::KeyRing,
};

pub(crate) const WHAT: &str = "record messages";

/// The most events that one statement inserts.
pub(crate) const EVENTS_AT_ONCE: usize = 128;

/// By which a message is told from all others.
const KEY: [Column; 2] = [Column::AuthorizerId, Column::Dedupe];

/// A message as its rows: the event, sealed, and its deliveries.
#[derive(Debug, Clone)]
pub(crate) struct MessageRows {
    pub(crate) event: Model,
    deliveries: Vec<delivery_rows::Model>,
}

impl MessageRows {
    /// The rows of a message.
    pub(crate) fn seal(keys: &KeyRing, message: &NewMessage) -> Self {
        let event = Model {
            authorizer_id: Some(message.authorizer_id.as_str().to_owned()),
            dedupe: Some(message.dedupe.to_hex()),
            undispatched: None,
            ..super::row::row(keys, &message.event)
        };
        // What is nobody's goes nowhere.
        let tenant = message.event.tenant_id.iter();
        let each =
            tenant.flat_map(|tenant| message.deliveries.iter().map(move |new| (tenant, new)));
        let made = (DeliveryCause::Event, message.event.received_at);
        let row = |(tenant, new)| deliveries::row((tenant, &message.event.id), new, made);
        Self { deliveries: each.map(row).collect(), event }
    }

    fn key(&self) -> [String; 2] {
        key(&self.event)
    }
}

fn key(event: &Model) -> [String; 2] {
    [&event.authorizer_id, &event.dedupe].map(|part| part.clone().unwrap_or_default())
}

/// Messages as the statements that record them. They are made before the transaction begins: on SQLite
/// nobody else can write until it ends.
#[derive(Debug)]
pub(crate) struct ReadyMessages {
    parts: Vec<Part>,
}

/// As many messages as one statement inserts.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) rows: Vec<Arc<MessageRows>>,
    /// Inserts all events, on a database that can but for those that are there.
    pub(crate) events: Statement,
    /// Insert the deliveries of all of them.
    pub(crate) deliveries: Vec<Statement>,
}

impl ReadyMessages {
    /// Makes ready what one transaction on such a database records.
    pub(crate) fn new(backend: DbBackend, rows: Vec<Arc<MessageRows>>) -> Self {
        let mut rows = fold(rows, |row| row.key());
        // In one order, so that two instances that record the same do not each wait for the other.
        rows.sort_by_cached_key(|row| row.key());
        let mut parts = Vec::new();
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(EVENTS_AT_ONCE));
            parts.push(Part::new(backend, mem::replace(&mut rows, rest)));
        }
        Self { parts }
    }

    /// Its part, if that is all of it.
    pub(crate) fn into_one(self) -> std::result::Result<Part, Self> {
        <[Part; 1]>::try_from(self.parts).map(|[part]| part).map_err(|parts| Self { parts })
    }
}

impl Part {
    fn new(backend: DbBackend, rows: Vec<Arc<MessageRows>>) -> Self {
        let events = rows.iter().map(|row| row.event.clone().into_active_model());
        let mut events = Entity::insert_many(events);
        if skips_one_key(backend) {
            events = events.on_conflict(OnConflict::columns(KEY).do_nothing().to_owned());
        }
        let all: Vec<_> = rows.iter().flat_map(|row| &row.deliveries).collect();
        let deliveries = deliveries::inserts(&all).map(|some| some.build(backend)).collect();
        Self { events: events.build(backend), deliveries, rows }
    }

    /// Records them, and returns the ids of the events that are new.
    async fn save(self, at: &Handle<'_>) -> Result<HashSet<String>> {
        let Self { rows, events, deliveries } = self;
        let count = rows.len();
        let new = insert(at, &rows, events).await?;
        if new.len() == count {
            for deliveries in deliveries {
                at.conn.execute_raw(deliveries).await.map_err(at.failed(WHAT))?;
            }
        } else {
            let deliveries = rows.iter().flat_map(|row| &row.deliveries);
            let deliveries = deliveries.filter(|row| new.contains(&row.event_id));
            let deliveries: Vec<_> = deliveries.collect();
            deliveries::insert(at, WHAT, &deliveries).await?;
        }
        Ok(new)
    }
}

/// Records messages with their deliveries, and returns the ids of the events that are new. Of one
/// that was recorded before, neither event nor deliveries are written.
///
/// A statement for each [`EVENTS_AT_ONCE`] events, and for as many deliveries as one inserts; one more
/// where some are there already, and always on MySQL and MariaDB, which cannot skip the rows of one key.
pub(crate) async fn save(at: &Handle<'_>, messages: ReadyMessages) -> Result<HashSet<String>> {
    let mut new = HashSet::new();
    for part in messages.parts {
        new.extend(part.save(at).await?);
    }
    Ok(new)
}

/// Inserts those events that are not there yet, by `all` where that skips the others, and returns their
/// ids.
async fn insert(
    at: &Handle<'_>,
    rows: &[Arc<MessageRows>],
    all: Statement,
) -> Result<HashSet<String>> {
    let ids = || rows.iter().map(|row| row.event.id.clone()).collect();
    if at.skips_one_key() {
        let inserted = at.conn.execute_raw(all).await.map_err(at.failed(WHAT))?.rows_affected();
        return match inserted {
            0 => Ok(HashSet::new()),
            _ if inserted == rows.len() as u64 => Ok(ids()),
            _ => found(at, rows, inserted).await,
        };
    }
    let mut events: Vec<Model> = rows.iter().map(|row| row.event.clone()).collect();
    let known = known::<Entity>(at, WHAT, &events, (KEY, key)).await?;
    if known.is_empty() {
        at.conn.execute_raw(all).await.map_err(at.failed(WHAT))?;
        return Ok(ids());
    }
    events.retain(|event| !known.contains(&key(event)));
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = events.iter().map(|event| event.id.clone()).collect();
    Entity::insert_many(events.into_iter().map(Model::into_active_model))
        .exec_without_returning(&at.conn)
        .await
        .map_err(at.failed(WHAT))?;
    Ok(ids)
}

/// The ids of those events of `rows` that are there, which are the `inserted` ones: others have other
/// ids. If one was there before, because it is recorded for the second time itself, nobody can tell which;
/// then each has to be recorded alone.
async fn found(
    at: &Handle<'_>,
    rows: &[Arc<MessageRows>],
    inserted: u64,
) -> Result<HashSet<String>> {
    let ids: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.is_in(rows.iter().map(|row| &row.event.id)))
        .into_tuple()
        .all(&at.conn)
        .await
        .map_err(at.failed(WHAT))?;
    if ids.len() as u64 == inserted {
        return Ok(ids.into_iter().collect());
    }
    let told = DbErr::Custom("an event of the batch is recorded for the second time".to_owned());
    Err(at.failed(WHAT)(told))
}
