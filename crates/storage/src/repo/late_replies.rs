//! Replies that came too late to be WeChat's answer: claimed once, sent to the fan as a message. They
//! go when their event goes.

use std::time::Duration;

use lingpai_model::{
    id::{AuthorizerId, EventId, LateReplyId},
    late_reply::{LateReply, NewLateReply},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, UpdateMany,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{LateReplyRepo, Reader, Write, reason};
use crate::{
    db::{Handle, millis},
    entity::{
        events,
        late_replies::{self, Column, Entity},
    },
    error::{Error, Result},
    seal::Place,
};

/// Waits for a worker.
const PENDING: &str = "pending";
/// It is on its way to WeChat. Left so by a worker that died, nobody knows whether the fan has it.
const SENDING: &str = "sending";
/// WeChat took it.
const SENT: &str = "sent";
/// It could not be sent, for good.
const FAILED: &str = "failed";

impl LateReplyRepo<'_, Write> {
    /// Adds a late reply to the fan and of the account that its event names. `false`, and nothing is
    /// added, when the event is gone or no fan's, or has a late reply already.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn insert(&self, new: &NewLateReply) -> Result<bool> {
        let what = "keep a late reply";
        // Locked, so that nobody erases the event and leaves a reply to it behind.
        let event: Option<(Option<String>, Option<String>)> =
            events::Entity::find_by_id(new.event_id.as_str())
                .select_only()
                .columns([events::Column::AuthorizerId, events::Column::Openid])
                .lock_exclusive()
                .into_tuple()
                .one(&self.at.conn)
                .await
                .map_err(self.at.failed(what))?;
        let Some((Some(authorizer_id), Some(openid))) = event else { return Ok(false) };
        let place = [authorizer_id.as_str(), new.id.as_str()];
        let row = late_replies::Model {
            id: new.id.as_str().to_owned(),
            event_id: new.event_id.as_str().to_owned(),
            reply_sealed: self.at.keys.seal_text(self::place(&place), &new.reply),
            state: PENDING.to_owned(),
            attempts: 0,
            leased_until: 0,
            lease_epoch: 0,
            last_failure: None,
            created_at: new.created_at.timestamp_millis(),
            authorizer_id,
            openid,
        };
        self.at.insert_once(what, row).await
    }

    /// Claims up to `limit` late replies that are due, for `ttl` by the database's clock. No two
    /// claims overlap; one whose holder dies comes back when its time is over.
    ///
    /// One that cannot be opened is given up, so that it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim(&self, limit: u64, ttl: Duration) -> Result<Vec<LateReply>> {
        let what = "claim late replies";
        let rows = Entity::find()
            .filter(Column::State.eq(PENDING))
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
                Ok(reply) => claimed.push(reply),
                Err(error) => self.give_up(&row, &error).await?,
            }
        }
        Ok(claimed)
    }

    /// The reply is sent now: nobody claims it again unless it is put off, also when whoever sends it
    /// dies, because the fan is not to read it twice.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile, or erased; [`Error::Unavailable`].
    pub async fn mark_sending(&self, reply: &LateReply) -> Result<()> {
        self.finish(reply, "note that a late reply is sent", SENDING, None).await
    }

    /// WeChat took the reply.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile, or erased; [`Error::Unavailable`].
    pub async fn mark_sent(&self, reply: &LateReply) -> Result<()> {
        self.finish(reply, "note that a late reply was sent", SENT, None).await
    }

    /// The reply could not be sent; nobody claims it any more.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile, or erased; [`Error::Unavailable`].
    pub async fn mark_failed(&self, reply: &LateReply, failure: &str) -> Result<()> {
        self.finish(reply, "give a late reply up", FAILED, Some(failure)).await
    }

    /// The reply may be claimed again in `delay`, by the database's clock.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was claimed again meanwhile, or erased; [`Error::Unavailable`].
    pub async fn schedule_retry(
        &self,
        reply: &LateReply,
        delay: Duration,
        failure: &str,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::State, Expr::val(PENDING))
            .col_expr(Column::LeasedUntil, self.at.now().add(millis(delay)))
            .col_expr(Column::LastFailure, Expr::val(reason(failure)));
        self.update(reply, "put a late reply off", update).await
    }

    async fn finish(
        &self,
        reply: &LateReply,
        what: &'static str,
        state: &'static str,
        failure: Option<&str>,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::State, Expr::val(state))
            .col_expr(Column::LastFailure, Expr::val(failure.map(reason)));
        self.update(reply, what, update).await
    }

    async fn update(
        &self,
        reply: &LateReply,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<()> {
        let updated = update
            .filter(Column::Id.eq(reply.id.as_str()))
            .filter(Column::State.is_in([PENDING, SENDING]))
            .filter(Column::LeaseEpoch.eq(reply.lease_epoch))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        if updated.rows_affected == 1 {
            Ok(())
        } else {
            Err(Error::Fenced { key: reply.id.to_string() })
        }
    }

    async fn give_up(&self, row: &late_replies::Model, error: &Error) -> Result<()> {
        tracing::error!(late_reply.id = %row.id, %error, "late reply {} is given up", row.id);
        Entity::update_many()
            .col_expr(Column::State, Expr::val(FAILED))
            .col_expr(Column::LastFailure, Expr::val(reason(&error.to_string())))
            .filter(Column::Id.eq(&row.id))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("give a late reply up"))
            .map(drop)
    }
}

/// Erases the late replies to these events, which go as well.
pub(crate) async fn erase_with(at: &Handle<'_>, events: &[String]) -> Result<()> {
    let erased = Entity::delete_many().filter(Column::EventId.is_in(events)).exec(&at.conn).await;
    erased.map_err(at.failed("erase late replies")).map(drop)
}

fn record(at: &Handle<'_>, row: &late_replies::Model) -> Result<LateReply> {
    let read = Reader { table: "late_replies", key: &row.id };
    Ok(LateReply {
        id: read.parsed(LateReplyId::parse(&row.id))?,
        authorizer_id: read.parsed(AuthorizerId::parse(&row.authorizer_id))?,
        event_id: read.parsed(EventId::parse(&row.event_id))?,
        openid: row.openid.clone(),
        reply: at.keys.open_text(place(&[&row.authorizer_id, &row.id]), &row.reply_sealed)?,
        attempts: read.count(row.attempts)?,
        lease_epoch: row.lease_epoch,
        created_at: read.instant(row.created_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "late_replies", column: "reply_sealed", row }
}
