//! What WeChat pushed: recorded before it is answered, acted on afterwards by whoever claims it.

use std::time::Duration;

use lingpai_model::{
    id::{ComponentId, PushId},
    push::{Disposition, NewPush, Push, PushState},
    quarantine::QuarantineReason,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, UpdateMany,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{PushRepo, Reader, Write, insert_unknown, reason, text};
use crate::{
    db::{Handle, millis},
    entity::pushes::{self, Column, Entity},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

/// How much of an `InfoType` is kept beside the payload, which has all of it.
const INFO_TYPE_CHARS: usize = 64;

impl PushRepo<'_, Write> {
    /// Claims up to `limit` pushes that are due, for `ttl` by the database's clock. No two claims
    /// overlap; one whose holder dies comes back when its time is over.
    ///
    /// A push that cannot be opened is put into quarantine, so that it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim(&self, limit: u64, ttl: Duration) -> Result<Vec<Push>> {
        let what = "claim pushes";
        let rows = Entity::find()
            .filter(Column::State.eq(PushState::Pending.as_str()))
            .filter(Expr::col(Column::LeasedUntil).lte(self.at.now()))
            .order_by_asc(Column::LeasedUntil)
            .order_by_asc(Column::Id)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        Entity::update_many()
            .col_expr(Column::LeasedUntil, self.at.now().add(millis(ttl)))
            .col_expr(Column::LeaseEpoch, Expr::col(Column::LeaseEpoch).add(1_i64))
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1_i64))
            .filter(Column::Id.is_in(rows.iter().map(|row| &row.id)))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut claimed = Vec::with_capacity(rows.len());
        for mut row in rows {
            row.lease_epoch += 1;
            match record(&self.at, &row) {
                Ok(push) => claimed.push(push),
                Err(error) => self.quarantine(&row, &error).await?,
            }
        }
        Ok(claimed)
    }

    /// A worker acted on the push.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile; [`Error::Unavailable`].
    pub async fn mark_done(&self, push: &Push) -> Result<()> {
        self.finish(push, "finish a push", PushState::Done, None).await
    }

    /// Every attempt to act on the push failed; nobody claims it any more.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile; [`Error::Unavailable`].
    pub async fn mark_failed(&self, push: &Push, failure: &str) -> Result<()> {
        self.finish(push, "give a push up", PushState::Failed, Some(failure)).await
    }

    /// The push may be claimed again in `delay`, by the database's clock.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile; [`Error::Unavailable`].
    pub async fn schedule_retry(&self, push: &Push, delay: Duration, failure: &str) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::LeasedUntil, self.at.now().add(millis(delay)))
            .col_expr(Column::LastFailure, Expr::val(reason(failure)));
        self.update(push, "put a push off", update).await
    }

    async fn finish(
        &self,
        push: &Push,
        what: &'static str,
        state: PushState,
        failure: Option<&str>,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::State, Expr::val(state.as_str()))
            .col_expr(Column::LastFailure, Expr::val(failure.map(reason)));
        self.update(push, what, update).await
    }

    async fn update(
        &self,
        push: &Push,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<()> {
        let updated = update
            .filter(Column::Id.eq(push.id.as_str()))
            .filter(Column::State.eq(PushState::Pending.as_str()))
            .filter(Column::LeaseEpoch.eq(push.lease_epoch))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        if updated.rows_affected == 1 {
            Ok(())
        } else {
            Err(Error::Fenced { key: push.id.to_string() })
        }
    }

    async fn quarantine(&self, row: &pushes::Model, error: &Error) -> Result<()> {
        tracing::error!(push.id = %row.id, %error, "push {} goes into quarantine", row.id);
        Entity::update_many()
            .col_expr(Column::State, Expr::val(PushState::Quarantined.as_str()))
            .col_expr(Column::QuarantineReason, Expr::val(QuarantineReason::Unopenable.as_str()))
            .col_expr(Column::LastFailure, Expr::val(reason(&error.to_string())))
            .filter(Column::Id.eq(&row.id))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("put a push into quarantine"))?;
        Ok(())
    }
}

/// Records pushes that are sealed already. One that was recorded before is left as it is.
pub(crate) async fn save(at: &Handle<'_>, rows: Vec<pushes::Model>) -> Result<()> {
    let key = |row: &pushes::Model| [row.component_id.clone(), row.dedupe.clone()];
    insert_unknown::<Entity>(at, "record pushes", rows, [Column::ComponentId, Column::Dedupe], key)
        .await
}

/// The sealed row of a push.
pub(crate) fn row(keys: &KeyRing, push: &NewPush) -> pushes::Model {
    let [component, id] = [push.component_id.as_str(), push.id.as_str()];
    pushes::Model {
        id: id.to_owned(),
        component_id: component.to_owned(),
        dedupe: push.dedupe.to_hex(),
        info_type: text(&push.info_type.chars().take(INFO_TYPE_CHARS).collect::<String>()),
        authorizer_appid: push.authorizer_appid.as_ref().map(ToString::to_string),
        payload_sealed: keys.seal_bytes(place(&[component, id]), &push.payload),
        state: PushState::from(push.disposition).as_str().to_owned(),
        attempts: 0,
        leased_until: 0,
        lease_epoch: 0,
        last_failure: None,
        quarantine_reason: matches!(push.disposition, Disposition::Quarantine)
            .then(|| QuarantineReason::Unreadable.as_str().to_owned()),
        issued_at: push.issued_at.timestamp_millis(),
        received_at: push.received_at.timestamp_millis(),
    }
}

/// The push in a row, opened.
pub(crate) fn record(at: &Handle<'_>, row: &pushes::Model) -> Result<Push> {
    let read = Reader { table: "pushes", key: &row.id };
    Ok(Push {
        id: read.parsed(PushId::parse(&row.id))?,
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        payload: at.keys.open(place(&[&row.component_id, &row.id]), &row.payload_sealed)?,
        attempts: read.count(row.attempts)?,
        lease_epoch: row.lease_epoch,
        received_at: read.instant(row.received_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "pushes", column: "payload_sealed", row }
}
