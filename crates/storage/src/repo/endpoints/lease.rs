//! Who works on the deliveries of an endpoint: one process at a time.

use std::time::Duration;

use lingpai_model::id::EndpointId;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QuerySelect as _,
    UpdateMany, sea_query::Expr,
};

use crate::{
    db::{Db, Handle, millis},
    entity::endpoints::{Column, Entity},
    error::{Error, Result},
    repo::{EndpointRepo, Write},
};

/// The right to work on one endpoint's deliveries. Only [`Db::lease_endpoint`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointLease {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    epoch: i64,
}

impl Db {
    /// Takes the lease of an endpoint for `ttl`, by the database's clock; `None` while somebody else
    /// holds it, or when there is no such endpoint. The endpoint then had its turn.
    ///
    /// If the caller is dropped before it learns the outcome, the lease is given back.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn lease_endpoint(
        &self,
        id: &EndpointId,
        ttl: Duration,
    ) -> Result<Option<EndpointLease>> {
        let (id, store) = (id.clone(), self.store().clone());
        let turn = self.patience().await;
        let taking = async move {
            let _turn = turn;
            take(&store.writing(), &id, ttl).await
        };
        let store = self.store().clone();
        let giving_back =
            async move |lease: EndpointLease| give_back(&store.writing(), &lease).await;
        self.take("take an endpoint's lease", taking, giving_back).await
    }

    /// Gives the lease back. One that was lost meanwhile stays with its new holder.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the lease then runs to its end.
    pub async fn release_endpoint(&self, lease: EndpointLease) -> Result<()> {
        let _turn = self.patience().await;
        give_back(&self.store().writing(), &lease).await
    }
}

impl EndpointRepo<'_, Write> {
    /// Holds the lease for another `ttl` from now.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was lost meanwhile, or the endpoint removed: nothing may be done
    /// under it any more. [`Error::Unavailable`].
    pub async fn renew(&self, lease: &EndpointLease, ttl: Duration) -> Result<()> {
        let update =
            Entity::update_many().col_expr(Column::LeasedUntil, self.at.now().add(millis(ttl)));
        let renewed = held(update, lease).exec(&self.at.conn).await;
        match renewed.map_err(self.at.failed("renew an endpoint's lease"))?.rows_affected {
            1 => Ok(()),
            _ => Err(fenced(lease)),
        }
    }
}

/// Makes sure that the lease is still its holder's.
pub(in crate::repo) async fn prove(at: &Handle<'_>, lease: &EndpointLease) -> Result<()> {
    let epoch: Option<i64> = Entity::find_by_id(lease.endpoint_id.as_str())
        .select_only()
        .column(Column::LeaseEpoch)
        .into_tuple()
        .one(&at.conn)
        .await
        .map_err(at.failed("check an endpoint's lease"))?;
    if epoch == Some(lease.epoch) { Ok(()) } else { Err(fenced(lease)) }
}

/// Takes the lease if nobody holds it. Each statement stands alone: the epoch that was read is the
/// condition of the update, so of two takers one finds it changed.
async fn take(at: &Handle<'_>, id: &EndpointId, ttl: Duration) -> Result<Option<EndpointLease>> {
    let what = "take an endpoint's lease";
    let epoch: Option<i64> = Entity::find_by_id(id.as_str())
        .select_only()
        .column(Column::LeaseEpoch)
        .into_tuple()
        .one(&at.conn)
        .await
        .map_err(at.failed(what))?;
    let Some(epoch) = epoch else { return Ok(None) };
    let updated = Entity::update_many()
        .col_expr(Column::LeaseEpoch, Expr::val(epoch + 1))
        .col_expr(Column::LeasedUntil, at.now().add(millis(ttl)))
        .col_expr(Column::LastTurnAt, at.now())
        .filter(Column::Id.eq(id.as_str()))
        .filter(Column::LeaseEpoch.eq(epoch))
        .filter(Expr::col(Column::LeasedUntil).lte(at.now()))
        .exec(&at.conn)
        .await
        .map_err(at.failed(what))?;
    let lease = EndpointLease { endpoint_id: id.clone(), epoch: epoch + 1 };
    Ok((updated.rows_affected == 1).then_some(lease))
}

async fn give_back(at: &Handle<'_>, lease: &EndpointLease) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::val(0_i64))
        .col_expr(Column::LeaseEpoch, Expr::col(Column::LeaseEpoch).add(1_i64));
    let updated = held(update, lease).exec(&at.conn).await;
    updated.map_err(at.failed("give an endpoint's lease back")).map(drop)
}

fn held(update: UpdateMany<Entity>, lease: &EndpointLease) -> UpdateMany<Entity> {
    update
        .filter(Column::Id.eq(lease.endpoint_id.as_str()))
        .filter(Column::LeaseEpoch.eq(lease.epoch))
}

fn fenced(lease: &EndpointLease) -> Error {
    Error::Fenced { key: lease.endpoint_id.to_string() }
}
