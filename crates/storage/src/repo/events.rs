//! The event streams of tenants and operator. An event is appended in the transaction of its cause:
//! what WeChat pushed together with its deliveries, what is our own as a job for the dispatcher.

mod arrival;
mod erasure;
mod query;
mod row;
mod tail;

use lingpai_model::{
    caller::TenantScope,
    event::Event,
    id::{EventId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
    sea_query::{Expr, Func, LockBehavior, LockType},
};

pub(crate) use self::arrival::{
    EVENTS_AT_ONCE, MessageRows, Part, ReadyMessages, WHAT as RECORD, save,
};
pub use self::{erasure::ErasureScope, query::EventQuery, row::EventHead, tail::EventMark};
use self::{
    query::HEAD,
    row::{HeadRow, head},
};
use super::{EventRepo, Write, page_backwards};
use crate::{
    entity::events::{Column, Entity, Model},
    error::{Error, Result},
};

pub(crate) use self::row::record;

impl<A> EventRepo<'_, A> {
    /// The tenant's event with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn get(&self, scope: &TenantScope, id: &EventId) -> Result<Event> {
        let own =
            Entity::find_by_id(id.as_str()).filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        self.one(own, id).await
    }

    /// The event with this id, whoever's it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_get(&self, id: &EventId) -> Result<Event> {
        self.one(Entity::find_by_id(id.as_str()), id).await
    }

    /// Those of the events with these ids that are there, in no order; and the ids of those that are
    /// there and cannot be read, which is logged.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_find_many(&self, ids: &[EventId]) -> Result<(Vec<Event>, Vec<EventId>)> {
        let rows = Entity::find().filter(Column::Id.is_in(ids.iter().map(EventId::as_str)));
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed("read events"))?;
        let (events, unreadable) = self.readable(rows);
        let unreadable = unreadable.iter().filter_map(|id| EventId::parse(id).ok());
        Ok((events, unreadable.collect()))
    }

    /// As [`EventRepo::system_find_many`], but only those that take `bytes` at most: the others are
    /// left out, as if they were not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_find_small(
        &self,
        ids: &[EventId],
        bytes: u32,
    ) -> Result<(Vec<Event>, Vec<EventId>)> {
        let length = Func::cust("LENGTH").arg(Expr::col(Column::PayloadSealed));
        let small = Condition::any()
            .add(Column::PayloadSealed.is_null())
            .add(Expr::expr(length).lte(i64::from(bytes)));
        let rows = Entity::find()
            .filter(Column::Id.is_in(ids.iter().map(EventId::as_str)))
            .filter(small)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("read events"))?;
        let (events, unreadable) = self.readable(rows);
        let unreadable = unreadable.iter().filter_map(|id| EventId::parse(id).ok());
        Ok((events, unreadable.collect()))
    }

    /// The tenant's events without what they have to say, the newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        query: &EventQuery,
        request: &PageRequest,
    ) -> Result<Page<EventHead>> {
        self.system_list(Some(scope.tenant_id()), query, request).await
    }

    /// As [`EventRepo::list`], of this tenant, or of all and of none.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list(
        &self,
        tenant: Option<&TenantId>,
        query: &EventQuery,
        request: &PageRequest,
    ) -> Result<Page<EventHead>> {
        let mut rows = Entity::find().filter(query.condition());
        if let Some(tenant) = tenant {
            rows = rows.filter(Column::TenantId.eq(tenant.as_str()));
        }
        let rows = page_backwards(rows, Column::Id, request)
            .select_only()
            .columns(HEAD)
            .column_as(Expr::col(Column::PayloadSealed).is_not_null(), "is_pushed")
            .into_model::<HeadRow>()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list events"))?;
        let page = Page::cut(rows, request, |row| &row.id);
        let items = page.items.into_iter().map(head).collect::<Result<_>>()?;
        Ok(Page { items, next: page.next })
    }

    async fn one(&self, row: Select<Entity>, id: &EventId) -> Result<Event> {
        let row = row.one(&self.at.conn).await.map_err(self.at.failed("read an event"))?;
        record(self.at.keys, row.ok_or_else(|| Error::not_found("event", id))?)
    }

    /// The events in these rows, and the ids of the rows that hold none.
    fn readable(&self, rows: Vec<Model>) -> (Vec<Event>, Vec<String>) {
        let (mut events, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let id = row.id.clone();
            match record(self.at.keys, row) {
                Ok(event) => events.push(event),
                Err(error) => {
                    tracing::error!(event.id = %id, %error, "event {id} cannot be read");
                    unreadable.push(id);
                }
            }
        }
        (events, unreadable)
    }
}

impl EventRepo<'_, Write> {
    /// Appends an event of our own to its stream. The dispatcher makes its deliveries.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn append(&self, event: &Event) -> Result<()> {
        self.at.insert_new("append an event", "event", row::row(self.at.keys, event)).await
    }

    /// Up to `limit` events whose deliveries are not made yet, the oldest first. They are this
    /// transaction's until it ends: say in it what was done, with [`EventRepo::mark_dispatched`].
    ///
    /// One that cannot be read is given up, so that it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim_undispatched(&self, limit: u64) -> Result<Vec<Event>> {
        let rows = Entity::find()
            .filter(Column::Undispatched.is_not_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("claim events"))?;
        let (events, unreadable) = self.readable(rows);
        self.dispatched(unreadable).await?;
        Ok(events)
    }

    /// The deliveries of these events are made.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn mark_dispatched(&self, ids: &[EventId]) -> Result<()> {
        self.dispatched(ids.iter().map(|id| id.as_str().to_owned()).collect()).await
    }

    async fn dispatched(&self, ids: Vec<String>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::Undispatched, Expr::val(None::<i64>))
            .filter(Column::Id.is_in(ids))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("note that events are dispatched"))
            .map(drop)
    }
}
