//! Leases: who may do a thing that only one process in the cluster may do at a time.
//!
//! A lease is a row with an end, by the database's clock, and an epoch that grows with every
//! holder. What was done under a lease is written in a transaction that also checks the epoch
//! ([`crate::Tx::finish_lease`]), so a holder that slept too long changes nothing.

use std::time::Duration;

use lingpai_model::{
    digest::Digest,
    id::{ComponentId, TenantId},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, IntoActiveModel as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};

use crate::{
    db::{Handle, millis},
    entity::leases,
    error::{Error, Result, is_duplicate},
};

/// What a lease is about. Built from ids, never from strings put together by hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseKey(String);

impl LeaseKey {
    /// Exchanging one authorization code.
    #[must_use]
    pub fn exchange(key: &Digest) -> Self {
        Self(format!("exchange/{}", key.to_hex()))
    }

    /// Comparing a component's authorizers with WeChat's list.
    #[must_use]
    pub fn reconciliation(component: &ComponentId) -> Self {
        Self(format!("reconciliation/{component}"))
    }

    /// Changing which endpoints a tenant has, and what they are.
    pub(crate) fn endpoints(tenant: &TenantId) -> Self {
        Self(format!("endpoints/{tenant}"))
    }
}

impl std::fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A lease that was taken. Only [`crate::Db::take_lease`] makes one.
#[derive(Debug)]
pub struct Lease {
    key: LeaseKey,
    epoch: i64,
}

/// Takes the lease if nobody holds it. Each statement stands alone: the epoch that was read is the
/// condition of the update, so of two takers one finds it changed.
pub(crate) async fn take(at: &Handle<'_>, key: &LeaseKey, ttl: Duration) -> Result<Option<Lease>> {
    let what = "take a lease";
    let row = leases::Entity::find_by_id(&key.0).one(&at.conn).await.map_err(at.failed(what))?;
    let Some(row) = row else {
        return take_first(at, key, ttl).await;
    };
    let epoch = row.lease_epoch + 1;
    let updated = leases::Entity::update_many()
        .col_expr(leases::Column::LeaseEpoch, Expr::val(epoch))
        .col_expr(leases::Column::LeasedUntil, at.now().add(millis(ttl)))
        .filter(leases::Column::Name.eq(&key.0))
        .filter(leases::Column::LeaseEpoch.eq(row.lease_epoch))
        .filter(Expr::col(leases::Column::LeasedUntil).lte(at.now()))
        .exec(&at.conn)
        .await
        .map_err(at.failed(what))?;
    Ok((updated.rows_affected == 1).then(|| Lease { key: key.clone(), epoch }))
}

/// The first lease of this name ever: its row is made, free, and then taken like any other.
async fn take_first(at: &Handle<'_>, key: &LeaseKey, ttl: Duration) -> Result<Option<Lease>> {
    let free = leases::Model { name: key.0.clone(), leased_until: 0, lease_epoch: 0 };
    let inserted =
        leases::Entity::insert(free.into_active_model()).exec_without_returning(&at.conn).await;
    match inserted {
        Err(error) if !is_duplicate(&error) => Err(at.failed("make a lease")(error)),
        Ok(_) | Err(_) => Box::pin(take(at, key, ttl)).await,
    }
}

/// Waits until nobody else is here with this key, and keeps them waiting until the transaction ends.
/// No lease is taken: only its row is used, which nothing else refers to, so nobody waits by accident.
pub(crate) async fn one_after_the_other(at: &Handle<'_>, key: &LeaseKey) -> Result<()> {
    let row = leases::Model { name: key.0.clone(), leased_until: 0, lease_epoch: 0 };
    // Locked by a write that changes nothing: there may be no row yet.
    let mut there = OnConflict::column(leases::Column::Name);
    there.update_column(leases::Column::Name);
    let locked = leases::Entity::insert(row.into_active_model())
        .on_conflict(there)
        .exec_without_returning(&at.conn)
        .await;
    locked.map_err(at.failed("wait for a turn")).map(drop)
}

/// Holds the lease for another `ttl`, if it is still the same holder's.
pub(crate) async fn renew(at: &Handle<'_>, lease: &Lease, ttl: Duration) -> Result<()> {
    let updated = leases::Entity::update_many()
        .col_expr(leases::Column::LeasedUntil, at.now().add(millis(ttl)))
        .filter(leases::Column::Name.eq(&lease.key.0))
        .filter(leases::Column::LeaseEpoch.eq(lease.epoch))
        .exec(&at.conn)
        .await
        .map_err(at.failed("renew a lease"))?;
    match updated.rows_affected {
        1 => Ok(()),
        _ => Err(Error::Fenced { key: lease.key.to_string() }),
    }
}

/// Gives the lease back, if it is still the same holder's. Returns whether it was.
pub(crate) async fn give_back(at: &Handle<'_>, lease: &Lease) -> Result<bool> {
    let updated = leases::Entity::update_many()
        .col_expr(leases::Column::LeasedUntil, Expr::val(0_i64))
        .filter(leases::Column::Name.eq(&lease.key.0))
        .filter(leases::Column::LeaseEpoch.eq(lease.epoch))
        .exec(&at.conn)
        .await
        .map_err(at.failed("give a lease back"))?;
    Ok(updated.rows_affected == 1)
}

/// Gives the lease back inside the transaction that writes what was done under it.
pub(crate) async fn finish(at: &Handle<'_>, lease: &Lease) -> Result<()> {
    if give_back(at, lease).await? {
        Ok(())
    } else {
        Err(Error::Fenced { key: lease.key.to_string() })
    }
}
