//! Deliveries: made with their event, claimed under their endpoint's lease, kept until the event goes.
//!
//! A delivery is due at some time exactly while it is pending. Times are by the clock that is passed
//! in; only leases go by the database's.

mod given_back;
mod outcome;
mod row;

use std::{borrow::Borrow, time::Duration};

use lingpai_model::{
    Instant,
    caller::TenantScope,
    delivery::{
        Attempt, AttemptOutcome, ClaimedDelivery, DeadReason, Delivery, DeliveryCause,
        DeliveryState, DeliveryStateKind, NewDelivery,
    },
    id::{DeliveryId, EndpointId, EventId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, InsertMany, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    Select,
    sea_query::{Expr, LockBehavior, LockType},
};

use self::row::{attempt, claimed};
pub(crate) use self::row::{record, row};
use super::{DeliveryRepo, INSERTED_AT_ONCE, Write, endpoints::lease, page_backwards};
use crate::{
    db::{Handle, millis},
    entity::{
        deliveries::{ActiveModel, Column, Entity, Model},
        delivery_attempts, endpoints,
    },
    error::{Error, Result},
    repo::EndpointLease,
};

/// How many rows one statement names.
const AT_ONCE: usize = 500;

/// When a delivery that cannot be read is looked at again: a newer release may have made it, and be
/// able to read it.
const PUT_OFF: Duration = Duration::from_secs(60 * 60);

/// Which deliveries a list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Those of this event.
    pub event_id: Option<EventId>,
    /// Those to this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// Those in this state.
    pub state: Option<DeliveryStateKind>,
}

/// How many deliveries there are that somebody may have to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Under way, or due some time.
    pub pending: u64,
    /// Given up.
    pub dead: u64,
}

impl<A> DeliveryRepo<'_, A> {
    /// The tenant's delivery with this id, with its attempts.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Inconsistent`].
    pub async fn get(
        &self,
        scope: &TenantScope,
        id: &DeliveryId,
    ) -> Result<(Delivery, Vec<Attempt>)> {
        let own =
            Entity::find_by_id(id.as_str()).filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        self.one(own, id).await
    }

    /// The delivery with this id, whoever's it is, with its attempts.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_get(&self, id: &DeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
        self.one(Entity::find_by_id(id.as_str()), id).await
    }

    /// The tenant's deliveries, the newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        query: &DeliveryQuery,
        request: &PageRequest,
    ) -> Result<Page<Delivery>> {
        self.system_list(Some(scope.tenant_id()), query, request).await
    }

    /// As [`DeliveryRepo::list`], of this tenant or of all.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list(
        &self,
        tenant: Option<&TenantId>,
        query: &DeliveryQuery,
        request: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let mut rows = Entity::find();
        if let Some(tenant) = tenant {
            rows = rows.filter(Column::TenantId.eq(tenant.as_str()));
        }
        if let Some(event) = &query.event_id {
            rows = rows.filter(Column::EventId.eq(event.as_str()));
        }
        if let Some(endpoint) = &query.endpoint_id {
            rows = rows.filter(Column::EndpointId.eq(endpoint.as_str()));
        }
        if let Some(state) = query.state {
            rows = in_state(rows, state);
        }
        let rows = page_backwards(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list deliveries"))?;
        let deliveries = rows.iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(deliveries, request, |delivery| delivery.id.as_str()))
    }

    /// How many deliveries of all tenants are under way or given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_count(&self) -> Result<DeliveryCounts> {
        let count = async |rows: Select<Entity>| {
            rows.count(&self.at.conn).await.map_err(self.at.failed("count deliveries"))
        };
        Ok(DeliveryCounts {
            pending: count(Entity::find().filter(Column::DueAt.is_not_null())).await?,
            dead: count(Entity::find().filter(Column::DeadReason.is_not_null())).await?,
        })
    }

    /// How many deliveries to these endpoints are under way or due some time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_count_pending(&self, to: &[EndpointId]) -> Result<u64> {
        Entity::find()
            .filter(Column::EndpointId.is_in(to.iter().map(EndpointId::as_str)))
            .filter(Column::DueAt.is_not_null())
            .count(&self.at.conn)
            .await
            .map_err(self.at.failed("count deliveries"))
    }

    async fn one(&self, row: Select<Entity>, id: &DeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
        let what = "read a delivery";
        let row = row.one(&self.at.conn).await.map_err(self.at.failed(what))?;
        let delivery = record(&row.ok_or_else(|| Error::not_found("delivery", id))?)?;
        let attempts = delivery_attempts::Entity::find()
            .filter(delivery_attempts::Column::DeliveryId.eq(id.as_str()))
            .order_by_asc(delivery_attempts::Column::Number)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        Ok((delivery, attempts.into_iter().map(attempt).collect::<Result<_>>()?))
    }
}

impl DeliveryRepo<'_, Write> {
    /// Adds deliveries of the tenant's events, each with its event, made at `at`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Query`] when an id is taken.
    pub async fn insert(
        &self,
        tenant: &TenantId,
        deliveries: &[(EventId, NewDelivery)],
        cause: DeliveryCause,
        at: Instant,
    ) -> Result<()> {
        let of_event =
            |(event, new): &(EventId, NewDelivery)| row((tenant, event), new, (cause, at));
        let rows: Vec<Model> = deliveries.iter().map(of_event).collect();
        insert(&self.at, "add deliveries", &rows).await
    }

    /// Claims the next attempt at up to `limit` deliveries that are due at `now`, the one that is due
    /// longest first. The attempt counts from now on; if nothing comes of it, the delivery is due
    /// again after `hold`.
    ///
    /// One that cannot be read is logged and put off, and holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease was lost, or the endpoint removed; [`Error::Unavailable`].
    pub async fn claim(
        &self,
        lease: &EndpointLease,
        now: Instant,
        limit: u64,
        hold: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        lease::prove(&self.at, lease).await?;
        let now = now.timestamp_millis();
        let rows = Entity::find()
            .filter(Column::EndpointId.eq(lease.endpoint_id.as_str()))
            .filter(Column::DueAt.lte(now))
            .order_by_asc(Column::DueAt)
            .order_by_asc(Column::Id)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("claim deliveries"))?;
        let held_until = now.saturating_add(millis(hold));
        let (mut readable, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            match claimed(row, held_until) {
                Ok(delivery) => readable.push(delivery),
                Err(error) => {
                    tracing::error!(delivery.id = %row.id, %error, "delivery {} is put off", row.id);
                    unreadable.push(row.id.as_str());
                }
            }
        }
        let ids: Vec<&str> = readable.iter().map(|delivery| delivery.id.as_str()).collect();
        self.hold(&ids, held_until, 1).await?;
        self.hold(&unreadable, now.saturating_add(millis(PUT_OFF)), 0).await?;
        Ok(readable)
    }

    /// Makes these deliveries due at this time, with so many more attempts.
    async fn hold(&self, ids: &[&str], due_at: i64, attempts: i64) -> Result<()> {
        for ids in ids.chunks(AT_ONCE) {
            Entity::update_many()
                .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(attempts))
                .col_expr(Column::DueAt, Expr::val(due_at))
                .filter(Column::Id.is_in(ids.iter().copied()))
                .exec(&self.at.conn)
                .await
                .map_err(self.at.failed("claim deliveries"))?;
        }
        Ok(())
    }

    /// Writes what came of claimed attempts, and returns how many of them counted: those of a delivery
    /// that has not ended and of which no later attempt was claimed. All are kept as attempts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn record(&self, outcomes: &[AttemptOutcome]) -> Result<u64> {
        outcome::record(&self.at, outcomes).await
    }

    /// Gives up to `limit` pending deliveries to an endpoint up, at `at`; returns how many, 0 when none
    /// is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn bury(
        &self,
        endpoint: &EndpointId,
        why: DeadReason,
        at: Instant,
        limit: u64,
    ) -> Result<u64> {
        let rows = Entity::find().filter(Column::EndpointId.eq(endpoint.as_str()));
        self.bury_pending(rows, (why, at), limit).await
    }

    /// Gives up to `limit` pending deliveries up, at `at`, whose endpoint is no longer there: they were
    /// recorded by somebody who did not know yet. Returns how many, 0 when none is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn bury_orphans(&self, at: Instant, limit: u64) -> Result<u64> {
        let endpoint = endpoints::Entity::find()
            .select_only()
            .column(endpoints::Column::Id)
            .filter(
                Expr::col((endpoints::Entity, endpoints::Column::Id))
                    .equals((Entity, Column::EndpointId)),
            )
            .into_query();
        let rows = Entity::find().filter(Expr::exists(endpoint).not());
        self.bury_pending(rows, (DeadReason::EndpointRemoved, at), limit).await
    }

    async fn bury_pending(
        &self,
        rows: Select<Entity>,
        (why, at): (DeadReason, Instant),
        limit: u64,
    ) -> Result<u64> {
        let what = "give deliveries up";
        let ids: Vec<String> = rows
            .select_only()
            .column(Column::Id)
            .filter(Column::DueAt.is_not_null())
            .limit(limit)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut buried = 0;
        for ids in ids.chunks(AT_ONCE) {
            let updated = Entity::update_many()
                .col_expr(Column::State, Expr::val(DeliveryState::Dead(why).as_str()))
                .col_expr(Column::DeadReason, Expr::val(why.as_str()))
                .col_expr(Column::DueAt, Expr::val(None::<i64>))
                .col_expr(Column::EndedAt, Expr::val(at.timestamp_millis()))
                .filter(Column::Id.is_in(ids))
                .filter(Column::State.eq(DeliveryState::Pending.as_str()))
                .exec(&self.at.conn)
                .await
                .map_err(self.at.failed(what))?;
            buried += updated.rows_affected;
        }
        Ok(buried)
    }
}

/// Inserts rows that are not there yet.
pub(super) async fn insert(
    at: &Handle<'_>,
    what: &'static str,
    rows: &[impl Borrow<Model>],
) -> Result<()> {
    for insert in inserts(rows) {
        insert.exec_without_returning(&at.conn).await.map_err(at.failed(what))?;
    }
    Ok(())
}

/// The statements that insert deliveries.
pub(super) fn inserts(
    rows: &[impl Borrow<Model>],
) -> impl Iterator<Item = InsertMany<ActiveModel>> {
    rows.chunks(INSERTED_AT_ONCE).map(|rows| {
        Entity::insert_many(rows.iter().map(|row| row.borrow().clone().into_active_model()))
    })
}

/// Erases the deliveries of these events, which go as well, with their attempts.
pub(super) async fn erase_with(at: &Handle<'_>, events: &[String]) -> Result<()> {
    let what = "erase deliveries";
    let of_events = Column::EventId.is_in(events);
    let ids: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(of_events.clone())
        .order_by_asc(Column::Id)
        // Whoever records an attempt has them locked: it is there before its delivery goes, or never.
        .lock_exclusive()
        .into_tuple()
        .all(&at.conn)
        .await
        .map_err(at.failed(what))?;
    // By their ids: older MySQL and MariaDB read the whole table for a subquery in a delete.
    for ids in ids.chunks(AT_ONCE) {
        delivery_attempts::Entity::delete_many()
            .filter(delivery_attempts::Column::DeliveryId.is_in(ids))
            .exec(&at.conn)
            .await
            .map_err(at.failed(what))?;
    }
    Entity::delete_many().filter(of_events).exec(&at.conn).await.map_err(at.failed(what)).map(drop)
}

/// What an index finds by: few deliveries are pending or dead, nearly all were made.
fn in_state(rows: Select<Entity>, state: DeliveryStateKind) -> Select<Entity> {
    let rows = rows.filter(Column::State.eq(state.as_str()));
    match state {
        DeliveryStateKind::Dead => rows.filter(Column::DeadReason.is_not_null()),
        DeliveryStateKind::Pending | DeliveryStateKind::Delivered => rows,
    }
}
