//! Programs of tenants that follow their events as they come.

use lingpai_model::{
    Appid, Instant,
    caller::TenantScope,
    event::{EventFilter, EventPattern},
    id::{ListenerId, TenantId},
    listener::Listener,
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _,
};

use super::{ListenerRepo, Reader, Write, sweep};
use crate::{
    cache::Changed,
    entity::listeners::{self, Column, Entity},
    error::Result,
};

impl<A> ListenerRepo<'_, A> {
    /// The tenant's listeners, whether they are still there or not, the oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_list(&self, tenant: &TenantId) -> Result<Vec<Listener>> {
        let rows = Entity::find()
            .filter(Column::TenantId.eq(tenant.as_str()))
            .order_by_asc(Column::Id)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list listeners"))?;
        rows.iter().map(record).collect()
    }
}

impl ListenerRepo<'_, Write> {
    /// Adds a listener, or brings the one of this id up to date.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`] when another tenant has one of this id;
    /// [`crate::Error::Unavailable`].
    pub async fn upsert(&self, listener: &Listener) -> Result<()> {
        self.at.changed(Changed::Listeners(listener.tenant_id.clone()));
        let row = row(listener);
        let mut changed = row.clone().into_active_model().reset_all();
        for column in [Column::Id, Column::TenantId] {
            changed.not_set(column);
        }
        let updated = Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(listener.id.as_str()))
            .filter(Column::TenantId.eq(listener.tenant_id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("note that a listener is there"))?;
        if updated.rows_affected == 1 {
            return Ok(());
        }
        self.at.insert_new("add a listener", "listener", row).await
    }

    /// Removes a listener of the tenant's. `false` when it has none of this id.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn delete(&self, scope: &TenantScope, id: &ListenerId) -> Result<bool> {
        self.at.changed(Changed::Listeners(scope.tenant_id().clone()));
        let deleted = Entity::delete_by_id(id.as_str())
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("remove a listener"))?;
        Ok(deleted.rows_affected == 1)
    }

    /// Erases listeners that were last seen before `before`, the longest gone first and not all at
    /// once; returns how many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        sweep::<Entity>(&self.at, "erase listeners that are gone", Column::SeenAt, before).await
    }
}

fn row(listener: &Listener) -> listeners::Model {
    let filter = &listener.filter;
    let authorizers: Vec<&str> = filter.authorizers.iter().map(Appid::as_str).collect();
    let event_types: Vec<&str> = filter.event_types.iter().map(EventPattern::as_str).collect();
    let json =
        |texts: &[&str]| serde_json::to_string(texts).expect("a list of texts is always JSON");
    listeners::Model {
        id: listener.id.as_str().to_owned(),
        tenant_id: listener.tenant_id.as_str().to_owned(),
        authorizers_json: json(&authorizers),
        event_types_json: json(&event_types),
        seen_at: listener.seen_at.timestamp_millis(),
    }
}

fn record(row: &listeners::Model) -> Result<Listener> {
    let read = Reader { table: "listeners", key: &row.id };
    let authorizers: Vec<String> = read.json(&row.authorizers_json)?;
    let event_types: Vec<String> = read.json(&row.event_types_json)?;
    Ok(Listener {
        id: read.parsed(ListenerId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        filter: EventFilter {
            authorizers: authorizers.iter().map(|text| read.appid(text)).collect::<Result<_>>()?,
            event_types: event_types
                .iter()
                .map(|text| read.parsed(EventPattern::parse(text)))
                .collect::<Result<_>>()?,
        },
        seen_at: read.instant(row.seen_at)?,
    })
}
