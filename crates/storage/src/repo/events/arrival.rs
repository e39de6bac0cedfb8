//! Messages that WeChat pushed, recorded with the deliveries that they cause.

use std::collections::HashSet;

use lingpai_model::{delivery::DeliveryCause, push::NewMessage};
use sea_orm::{
    ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, QueryTrait as _,
    sea_query::OnConflict,
};

use super::super::{deliveries, fold, known};
use crate::{
    db::Handle,
    entity::{
        deliveries as delivery_rows,
        events::{Column, Entity, Model},
    },
    error::Result,
    seal::KeyRing,
};

const WHAT: &str = "record messages";

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

/// Records messages with their deliveries, and returns the ids of the events that are new. Of one
/// that was recorded before, neither event nor deliveries are written.
///
/// Two statements, however many messages there are; on MySQL and MariaDB, which cannot skip the rows
/// of one key, one more.
pub(crate) async fn save(at: &Handle<'_>, rows: Vec<MessageRows>) -> Result<HashSet<String>> {
    let mut rows = fold(rows, MessageRows::key);
    // In one order, so that two instances that record the same do not each wait for the other.
    rows.sort_by_cached_key(MessageRows::key);
    let (events, deliveries): (Vec<Model>, Vec<_>) =
        rows.into_iter().map(|row| (row.event, row.deliveries)).unzip();
    let new = insert(at, events).await?;
    let deliveries = deliveries.into_iter().flatten();
    let deliveries = deliveries.filter(|row| new.contains(&row.event_id)).collect();
    deliveries::insert(at, WHAT, deliveries).await?;
    Ok(new)
}

/// Inserts those events that are not there yet, and returns their ids.
async fn insert(at: &Handle<'_>, mut events: Vec<Model>) -> Result<HashSet<String>> {
    let columns = [Column::AuthorizerId, Column::Dedupe];
    if at.skips_one_key() {
        let mut insert = Entity::insert_many(events.into_iter().map(Model::into_active_model))
            .on_conflict(OnConflict::columns(columns).do_nothing().to_owned())
            .into_query();
        insert.returning_col(Column::Id);
        let inserted = at.conn.query_all(&insert).await.map_err(at.failed(WHAT))?;
        let ids = inserted.iter().map(|row| row.try_get("", "id"));
        return ids.collect::<Result<_, _>>().map_err(at.failed(WHAT));
    }
    let known = known::<Entity>(at, WHAT, &events, (columns, key)).await?;
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
