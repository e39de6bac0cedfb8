//! Endpoints: where tenants want their events, how sending to them goes, and whose turn is next.

pub(super) mod lease;
mod row;

use lingpai_model::{
    Instant,
    caller::TenantScope,
    endpoint::{Endpoint, EndpointHealth, EndpointState},
    id::{EndpointId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select, sea_query::Expr,
};

pub use self::lease::EndpointLease;
use self::row::{record, row, state_columns};
use super::{EndpointRepo, Write, page, reason};
use crate::{
    cache::Changed,
    entity::{
        deliveries,
        endpoints::{Column, Entity, Model},
    },
    error::{Error, Result},
    lease::{LeaseKey, one_after_the_other},
};

impl<A> EndpointRepo<'_, A> {
    /// The tenant's endpoint with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn get(&self, scope: &TenantScope, id: &EndpointId) -> Result<Endpoint> {
        let row = of(scope.tenant_id()).filter(Column::Id.eq(id.as_str()));
        let row = row.one(&self.at.conn).await.map_err(self.at.failed("read an endpoint"))?;
        record(self.at.keys, &row.ok_or_else(|| Error::not_found("endpoint", id))?)
    }

    /// The tenant's endpoints, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn list(&self, scope: &TenantScope, request: &PageRequest) -> Result<Page<Endpoint>> {
        let rows = page(of(scope.tenant_id()), Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list endpoints"))?;
        let endpoints = rows.iter().map(|row| record(self.at.keys, row)).collect::<Result<_>>()?;
        Ok(Page::cut(endpoints, request, |endpoint| endpoint.id.as_str()))
    }

    /// How many endpoints the tenant has.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count(&self, scope: &TenantScope) -> Result<u64> {
        let rows = of(scope.tenant_id());
        rows.count(&self.at.conn).await.map_err(self.at.failed("count endpoints"))
    }

    /// The endpoint with this id, whoever's it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_get(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an endpoint"))?;
        row.map(|row| record(self.at.keys, &row)).transpose()
    }

    /// All endpoints of a tenant, the oldest first. One that cannot be read is left out and logged:
    /// it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_list(&self, tenant: &TenantId) -> Result<Vec<Endpoint>> {
        let rows = of(tenant).order_by_asc(Column::Id).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list endpoints"))?;
        let readable = rows.iter().filter_map(|row| {
            let told = |error: &Error| {
                tracing::error!(endpoint.id = %row.id, %error, "endpoint {} cannot be read", row.id);
            };
            record(self.at.keys, row).inspect_err(told).ok()
        });
        Ok(readable.collect())
    }

    /// Up to `limit` endpoints that nobody works on and that are neither paused nor blocked, to which a
    /// delivery is due at `now`; the one that had its turn longest ago first. A disabled one is among
    /// them when something was recorded for it by somebody who did not know yet: it is to be buried.
    ///
    /// One whose id cannot be read is left out and logged: it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn due(&self, now: Instant, limit: u64) -> Result<Vec<EndpointId>> {
        let now = now.timestamp_millis();
        let unblocked =
            Condition::any().add(Column::BlockedUntil.is_null()).add(Column::BlockedUntil.lte(now));
        let due = deliveries::Entity::find()
            .select_only()
            .column(deliveries::Column::Id)
            .filter(
                Expr::col((deliveries::Entity, deliveries::Column::EndpointId))
                    .equals((Entity, Column::Id)),
            )
            .filter(deliveries::Column::DueAt.lte(now))
            .into_query();
        let ids: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::State.is_in(["active", "disabled"]))
            .filter(Expr::col(Column::LeasedUntil).lte(self.at.now()))
            .filter(unblocked)
            .filter(Expr::exists(due))
            .order_by_asc(Column::LastTurnAt)
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("find endpoints whose deliveries are due"))?;
        let told =
            |id: &String| tracing::error!(endpoint.id = %id, "endpoint {id} has no id of ours");
        let read = |id: &String| EndpointId::parse(id).inspect_err(|_| told(id)).ok();
        Ok(ids.iter().filter_map(read).collect())
    }
}

impl EndpointRepo<'_, Write> {
    /// Adds an endpoint.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn insert(&self, endpoint: &Endpoint) -> Result<()> {
        self.at.changed(Changed::Endpoints(endpoint.tenant_id.clone()));
        self.at.insert_new("add an endpoint", "endpoint", row(self.at.keys, endpoint)).await
    }

    /// Writes everything that its tenant can change of an endpoint: all but its id, its owner, when it
    /// was created and its health.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn update(&self, endpoint: &Endpoint) -> Result<()> {
        self.at.changed(Changed::Endpoints(endpoint.tenant_id.clone()));
        let mut changed = row(self.at.keys, endpoint).into_active_model().reset_all();
        let fixed = [
            Column::Id,
            Column::TenantId,
            Column::FailuresInRow,
            Column::FailingSince,
            Column::BlockedUntil,
            Column::LastSuccessAt,
            Column::LastFailureAt,
            Column::LastFailure,
            Column::LastTurnAt,
            Column::LeasedUntil,
            Column::LeaseEpoch,
            Column::CreatedAt,
        ];
        for column in fixed {
            changed.not_set(column);
        }
        let updated = Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(endpoint.id.as_str()))
            .filter(Column::TenantId.eq(endpoint.tenant_id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("change an endpoint"))?;
        match updated.rows_affected {
            1 => Ok(()),
            _ => Err(Error::not_found("endpoint", &endpoint.id)),
        }
    }

    /// All endpoints of the tenant, the oldest first, to which nobody else adds or changes anything
    /// this way until this transaction ends. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn lock_all(&self, scope: &TenantScope) -> Result<Vec<Endpoint>> {
        let what = "lock a tenant's endpoints";
        // There may be no endpoint yet. The tenant's own row is no place to wait at: recording an
        // event of the tenant's waits for whoever holds it.
        one_after_the_other(&self.at, &LeaseKey::endpoints(scope.tenant_id())).await?;
        let rows = of(scope.tenant_id()).order_by_asc(Column::Id).lock_exclusive();
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed(what))?;
        rows.iter().map(|row| record(self.at.keys, row)).collect()
    }

    /// The endpoint with this id, whoever's it is, which nobody else changes until this transaction
    /// ends. Lock it before its deliveries, as everybody does. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_lock(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let row = Entity::find_by_id(id.as_str()).lock_exclusive().one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("lock an endpoint"))?;
        row.map(|row| record(self.at.keys, &row)).transpose()
    }

    /// Removes an endpoint of the tenant, and returns whether there was one. Its deliveries stay:
    /// bury them in the same transaction.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete(&self, scope: &TenantScope, id: &EndpointId) -> Result<bool> {
        self.at.changed(Changed::Endpoints(scope.tenant_id().clone()));
        let deleted = Entity::delete_many()
            .filter(Column::Id.eq(id.as_str()))
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("remove an endpoint"))?;
        Ok(deleted.rows_affected == 1)
    }

    /// Notes how sending to an endpoint went of late. Without such an endpoint nothing happens.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn note_health(&self, id: &EndpointId, health: &EndpointHealth) -> Result<()> {
        let what = "note an endpoint's health";
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let Some(row) = row.map_err(self.at.failed(what))? else { return Ok(()) };
        let blocked_before = row.blocked_until;
        let row = row::with_health(row, health);
        // Who records messages must know of this one; the rest is told within seconds.
        if row.blocked_until != blocked_before {
            self.forget(&row)?;
        }
        Entity::update_many()
            .col_expr(Column::FailuresInRow, Expr::val(row.failures_in_row))
            .col_expr(Column::FailingSince, Expr::val(row.failing_since))
            .col_expr(Column::BlockedUntil, Expr::val(row.blocked_until))
            .col_expr(Column::LastSuccessAt, Expr::val(row.last_success_at))
            .col_expr(Column::LastFailureAt, Expr::val(row.last_failure_at))
            .col_expr(Column::LastFailure, Expr::val(row.last_failure))
            .filter(Column::Id.eq(id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))
            .map(drop)
    }

    /// Sends nothing more to an active endpoint, and returns whether it was active.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn disable(&self, id: &EndpointId, since: Instant, why: &str) -> Result<bool> {
        let what = "disable an endpoint";
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let Some(row) = row.map_err(self.at.failed(what))? else { return Ok(false) };
        self.forget(&row)?;
        let disabled = EndpointState::Disabled { since, reason: reason(why) };
        let (state_since, state_reason) = state_columns(&disabled);
        let updated = Entity::update_many()
            .col_expr(Column::State, Expr::val(disabled.as_str()))
            .col_expr(Column::StateSince, Expr::val(state_since))
            .col_expr(Column::StateReason, Expr::val(state_reason))
            .filter(Column::Id.eq(id.as_str()))
            .filter(Column::State.eq(EndpointState::Active.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        Ok(updated.rows_affected == 1)
    }

    fn forget(&self, row: &Model) -> Result<()> {
        let tenant = TenantId::parse(&row.tenant_id);
        let tenant = tenant.map_err(|_| Error::inconsistent("endpoints", row.id.clone()))?;
        self.at.changed(Changed::Endpoints(tenant));
        Ok(())
    }
}

fn of(tenant: &TenantId) -> Select<Entity> {
    Entity::find().filter(Column::TenantId.eq(tenant.as_str()))
}
