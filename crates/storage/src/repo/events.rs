//! The tenants' event streams. An event is appended in the transaction of its cause.

use lingpai_model::{
    caller::TenantScope,
    event::{Event, EventKind},
    id::{EventId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{EventRepo, Reader, Write, page};
use crate::{
    entity::events::{self, Column},
    error::Result,
};

impl<A> EventRepo<'_, A> {
    /// The tenant's events, the oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, scope: &TenantScope, request: &PageRequest) -> Result<Page<Event>> {
        let rows = events::Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list events"))?;
        let records = rows.iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |event| event.id.as_str()))
    }
}

impl EventRepo<'_, Write> {
    /// Appends an event to its tenant's stream.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn append(&self, event: &Event) -> Result<()> {
        let row = events::Model {
            id: event.id.as_str().to_owned(),
            tenant_id: event.tenant_id.as_str().to_owned(),
            component_appid: event.component_appid.as_str().to_owned(),
            authorizer_appid: event.authorizer_appid.as_str().to_owned(),
            kind: event.kind.as_str().to_owned(),
            occurred_at: event.occurred_at.timestamp_millis(),
        };
        self.at.insert_new("event", row).await
    }
}

fn record(row: &events::Model) -> Result<Event> {
    let read = Reader { table: "events", key: &row.id };
    let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
    Ok(Event {
        id: read.parsed(EventId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        component_appid: read.appid(&row.component_appid)?,
        authorizer_appid: read.appid(&row.authorizer_appid)?,
        kind: read.present(kind)?,
        occurred_at: read.instant(row.occurred_at)?,
    })
}
