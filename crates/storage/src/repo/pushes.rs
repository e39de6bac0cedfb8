//! What WeChat pushed: recorded before it is answered, acted on afterwards by whoever claims it.

use std::{collections::BTreeSet, time::Duration};

use lingpai_model::{
    Appid, Instant,
    id::{ComponentId, PushId},
    page::{Page, PageRequest},
    push::{NewPush, Push, PushState},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{PushRepo, Reader, Write, page, reason, text};
use crate::{
    arrivals::fold,
    db::{Handle, millis},
    entity::pushes::{self, Column, Entity},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

/// How much of an `InfoType` is kept beside the payload, which has all of it.
const INFO_TYPE_CHARS: usize = 64;

/// A push as it is kept, for whoever looks at it.
#[derive(Debug, Clone)]
pub struct StoredPush {
    /// The push itself.
    pub push: Push,
    /// `InfoType` as sent, cut to 64 characters.
    pub info_type: String,
    /// The account it speaks of, if it names one.
    pub authorizer_appid: Option<Appid>,
    /// How far it got.
    pub state: PushState,
    /// `CreateTime` inside the push.
    pub issued_at: Instant,
    /// Why the last attempt to act on it failed.
    pub last_failure: Option<String>,
}

impl<A> PushRepo<'_, A> {
    /// The push with this id.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unsealable`], [`Error::Inconsistent`].
    pub async fn find(&self, id: &PushId) -> Result<Option<StoredPush>> {
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read a push"))?;
        row.map(|row| stored(&self.at, row)).transpose()
    }

    /// The pushes in one state, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unsealable`], [`Error::Inconsistent`].
    pub async fn list(&self, state: PushState, request: &PageRequest) -> Result<Page<StoredPush>> {
        let rows = Entity::find().filter(Column::State.eq(state.as_str()));
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list pushes"))?;
        let records = rows.into_iter().map(|row| stored(&self.at, row)).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |stored| stored.push.id.as_str()))
    }

    /// How many pushes are in each state.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_by_state(&self) -> Result<Vec<(PushState, u64)>> {
        let mut counts = Vec::with_capacity(PushState::ALL.len());
        for state in PushState::ALL {
            let count = Entity::find().filter(Column::State.eq(state.as_str()));
            let count = count.count(&self.at.conn).await;
            counts.push((state, count.map_err(self.at.failed("count pushes"))?));
        }
        Ok(counts)
    }
}

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
    let what = "record pushes";
    let mut rows = fold(rows, |row| (row.component_id.clone(), row.dedupe.clone()));
    let components: BTreeSet<&String> = rows.iter().map(|row| &row.component_id).collect();
    let known: Vec<(String, String)> = Entity::find()
        .select_only()
        .columns([Column::ComponentId, Column::Dedupe])
        .filter(Column::ComponentId.is_in(components))
        .filter(Column::Dedupe.is_in(rows.iter().map(|row| &row.dedupe)))
        .into_tuple()
        .all(&at.conn)
        .await
        .map_err(at.failed(what))?;
    rows.retain(|row| {
        !known.iter().any(|(id, dedupe)| *id == row.component_id && *dedupe == row.dedupe)
    });
    if rows.is_empty() {
        return Ok(());
    }
    Entity::insert_many(rows.into_iter().map(pushes::Model::into_active_model))
        .exec_without_returning(&at.conn)
        .await
        .map_err(at.failed(what))?;
    Ok(())
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
        issued_at: push.issued_at.timestamp_millis(),
        received_at: push.received_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: &pushes::Model) -> Result<Push> {
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

fn stored(at: &Handle<'_>, row: pushes::Model) -> Result<StoredPush> {
    let read = Reader { table: "pushes", key: &row.id };
    let state = PushState::ALL.into_iter().find(|state| state.as_str() == row.state);
    Ok(StoredPush {
        push: record(at, &row)?,
        authorizer_appid: read.appid_if_any(row.authorizer_appid.as_deref())?,
        state: read.present(state)?,
        issued_at: read.instant(row.issued_at)?,
        info_type: row.info_type,
        last_failure: row.last_failure,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "pushes", column: "payload_sealed", row }
}
