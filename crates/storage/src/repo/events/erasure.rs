//! Erasing events with everything that was made of them.

use lingpai_model::{Appid, Instant, caller::TenantScope};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select, sea_query::Expr,
};

use super::row::openid;
use crate::{
    entity::events::{Column, Entity},
    error::Result,
    repo::{EventRepo, Write, deliveries, late_replies, listener_replies},
};

/// How many events a sweep erases at most: those who write wait meanwhile, and each event takes its
/// deliveries along.
const SWEPT_AT_ONCE: u64 = 1_000;
/// How many ids one statement names.
const IDS_AT_ONCE: usize = 500;

/// Whose events are erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureScope {
    /// All about the authorizer with this appid, but for what is not dispatched yet.
    Authorizer(Appid),
    /// All that one fan of an account caused.
    Fan {
        /// The account.
        appid: Appid,
        /// The fan.
        openid: String,
    },
}

impl EventRepo<'_, Write> {
    /// Erases up to `limit` events of the tenant with their deliveries and replies, the oldest first;
    /// returns how many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn erase(
        &self,
        scope: &TenantScope,
        whose: &ErasureScope,
        limit: u64,
    ) -> Result<u64> {
        let own = Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        let rows = match whose {
            ErasureScope::Authorizer(appid) => own
                .filter(Column::AuthorizerAppid.eq(appid.as_str()))
                .filter(Column::Undispatched.is_null()),
            ErasureScope::Fan { appid, openid: fan } => own
                .filter(Column::Openid.eq(openid(fan)))
                .filter(Column::AuthorizerAppid.eq(appid.as_str())),
        };
        self.remove(rows.order_by_asc(Column::Id), limit).await
    }

    /// Erases events that reached us before `before` with their deliveries and replies, the oldest
    /// first and not all at once; returns how many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        // Those of programs of the release before, which say when it happened only.
        Entity::update_many()
            .col_expr(Column::ReceivedAt, Expr::col(Column::OccurredAt))
            .filter(Column::ReceivedAt.is_null())
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("note when old events were received"))?;
        let old = Entity::find().filter(Column::ReceivedAt.lt(before.timestamp_millis()));
        self.remove(old.order_by_asc(Column::ReceivedAt), SWEPT_AT_ONCE).await
    }

    async fn remove(&self, rows: Select<Entity>, limit: u64) -> Result<u64> {
        let what = "erase events";
        let ids: Vec<String> = rows
            .select_only()
            .column(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut erased = 0;
        for ids in ids.chunks(IDS_AT_ONCE) {
            deliveries::erase_with(&self.at, ids).await?;
            let delete = Entity::delete_many().filter(Column::Id.is_in(ids));
            let deleted = delete.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
            erased += deleted.rows_affected;
            // Last, so that none is left by one who recorded it just before the event went.
            late_replies::erase_with(&self.at, ids).await?;
            listener_replies::erase_with(&self.at, ids).await?;
        }
        Ok(erased)
    }
}
