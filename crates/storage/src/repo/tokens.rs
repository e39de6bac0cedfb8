//! Every token that is kept alive: one row each, with the lease under which it is refreshed.
//!
//! What was obtained is written only under the lease's epoch and the row's generation. The epoch
//! grows whenever a lease is taken or given back and whenever somebody else changes what is
//! refreshed, so a refresher that slept too long changes nothing.

mod row;

use std::time::Duration;

use lingpai_model::{
    Instant, Secret,
    token::{KeptToken, RefreshCause, TokenKey, TokenKind},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    UpdateMany,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};

pub(crate) use self::row::row;
use self::row::{REFRESH, place, record};
use super::{TokenRepo, Write};
use crate::{
    cache::Changed,
    db::{Db, Handle, millis},
    entity::tokens::{self, Column, Entity},
    error::{Error, Result},
};

/// How long a row is left alone that cannot be read: the next start may have the key it needs.
const UNREADABLE_PAUSE_MS: i64 = 15 * 60 * 1000;

/// The right to refresh one token. Only [`Db::take_token`] and [`TokenRepo::claim_due`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLease {
    key: TokenKey,
    epoch: i64,
    generation: i64,
}

impl TokenLease {
    /// The token that may be refreshed under it.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        &self.key
    }
}

/// A token that may be refreshed now, by whoever holds the lease.
#[derive(Debug)]
pub struct LeasedToken {
    /// As it stood when the lease was taken.
    pub kept: KeptToken,
    /// The lease.
    pub lease: TokenLease,
}

impl<A> TokenRepo<'_, A> {
    /// The token, if its row was ever made.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn find(&self, key: &TokenKey) -> Result<Option<KeptToken>> {
        let row = read(&self.at, key).await?;
        row.map(|row| record(&self.at, &row)).transpose()
    }

    /// The tokens of this kind that these owners have, in no order.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn list(&self, kind: TokenKind, owner_ids: &[&str]) -> Result<Vec<KeptToken>> {
        let rows = Entity::find()
            .filter(Column::Kind.eq(kind.as_str()))
            .filter(Column::OwnerId.is_in(owner_ids.iter().copied()))
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list tokens"))?;
        rows.iter().map(|row| record(&self.at, row)).collect()
    }

    /// How many tokens of those that workers look at were to be looked at before `before` and were not.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_overdue(&self, before: Instant) -> Result<u64> {
        let overdue = Column::DueAt.lt(before.timestamp_millis());
        // The index begins with the kind.
        let kinds = Column::Kind.is_in(TokenKind::AHEAD.map(TokenKind::as_str));
        let rows = Entity::find().filter(kinds).filter(overdue);
        rows.count(&self.at.conn).await.map_err(self.at.failed("count overdue tokens"))
    }
}

impl TokenRepo<'_, Write> {
    /// Takes the leases of up to `limit` tokens of this kind that are due at `now`, for `ttl` by
    /// the database's clock. No two claims overlap.
    ///
    /// A row that cannot be read is put off, so that it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim_due(
        &self,
        kind: TokenKind,
        now: Instant,
        limit: u64,
        ttl: Duration,
    ) -> Result<Vec<LeasedToken>> {
        let what = "claim due tokens";
        let rows = Entity::find()
            .filter(Column::Kind.eq(kind.as_str()))
            .filter(Column::DueAt.lte(now.timestamp_millis()))
            .filter(Expr::col(Column::LeasedUntil).lte(self.at.now()))
            .order_by_asc(Column::DueAt)
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
            .filter(Column::Kind.eq(kind.as_str()))
            .filter(Column::OwnerId.is_in(rows.iter().map(|row| &row.owner_id)))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            match record(&self.at, &row) {
                Ok(kept) => claimed.push(leased(kept, row.lease_epoch + 1)),
                Err(error) => self.put_off(&row, now, &error).await?,
            }
        }
        Ok(claimed)
    }

    /// Writes what a refresh came to, good or bad, and ends its lease. Without a refresh token the
    /// stored one stays.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody else took the lease, or changed what is refreshed, meanwhile;
    /// [`Error::Unavailable`].
    pub async fn save(&self, lease: &TokenLease, kept: &KeptToken) -> Result<()> {
        let row = row(self.at.keys, kept);
        let mut update = Entity::update_many()
            .col_expr(Column::ValueSealed, Expr::val(row.value_sealed))
            .col_expr(Column::ExpiresAt, Expr::val(row.expires_at))
            .col_expr(Column::ObtainedAt, Expr::val(row.obtained_at))
            .col_expr(Column::FailedAt, Expr::val(row.failed_at))
            .col_expr(Column::FailureReason, Expr::val(row.failure_reason))
            .col_expr(Column::Failures, Expr::val(row.failures))
            .col_expr(Column::DueAt, Expr::val(row.due_at))
            .col_expr(Column::DueCause, Expr::val(row.due_cause))
            .col_expr(Column::RefreshesJson, Expr::val(row.refreshes_json))
            .col_expr(Column::LeasedUntil, Expr::val(0_i64));
        if let Some(sealed) = row.refresh_token_sealed {
            update = update.col_expr(Column::RefreshTokenSealed, Expr::val(sealed));
        }
        let update = update
            .filter(Column::LeaseEpoch.eq(lease.epoch))
            .filter(Column::Generation.eq(lease.generation));
        let saved = self.update(&lease.key, "save a token", update).await?;
        if saved { Ok(()) } else { Err(fenced(&lease.key)) }
    }

    /// Stores a token that came by another way than a refresh, for instance with a new grant, in
    /// the place of an older generation's or of its own. Whoever is refreshing the old one is
    /// fenced off.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a newer generation is there; [`Error::Unavailable`].
    pub async fn replace(&self, kept: &KeptToken) -> Result<()> {
        let row = row(self.at.keys, kept);
        let mut changed = row.clone().into_active_model().reset_all();
        for column in [Column::OwnerId, Column::Kind, Column::LeaseEpoch] {
            changed.not_set(column);
        }
        let update =
            Entity::update_many().set(changed).filter(Column::Generation.lte(kept.generation));
        let what = "replace a token";
        if self.update(&kept.key, what, update.clone()).await? {
            return Ok(());
        }
        // Somebody may just be making the row. Waiting for it with an insert that would change
        // nothing is the way to lock it for the second look; a refused insert leaves a lock on
        // MySQL that two of us could hold, each in the other's way.
        let mut there = OnConflict::columns([Column::OwnerId, Column::Kind]);
        there.update_column(Column::OwnerId);
        let insert = Entity::insert(row.into_active_model()).on_conflict(there);
        insert.exec_without_returning(&self.at.conn).await.map_err(self.at.failed(what))?;
        let replaced = self.update(&kept.key, what, update).await?;
        if replaced { Ok(()) } else { Err(fenced(&kept.key)) }
    }

    /// Drops the token of a withdrawn grant, and looks at it no more. The refresh token stays.
    /// Whoever is refreshing it is fenced off. Without a row nothing happens.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn retire(&self, key: &TokenKey) -> Result<()> {
        self.update(key, "retire a token", retired()).await.map(drop)
    }

    /// As [`TokenRepo::retire`], of a claimed token, unless somebody has changed it since.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn retire_claimed(&self, lease: &TokenLease) -> Result<()> {
        let retired = retired().filter(Column::LeaseEpoch.eq(lease.epoch));
        self.update(&lease.key, "retire a token", retired).await.map(drop)
    }

    /// Adds a row, unless there is one. Returns whether there was none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn insert_if_absent(&self, kept: &KeptToken) -> Result<bool> {
        self.at.changed(Changed::Token(kept.key.clone()));
        self.at.insert_once("store a token", row(self.at.keys, kept)).await
    }

    /// The token, which nobody else changes until this transaction ends. SQLite has one writer
    /// anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn lock(&self, key: &TokenKey) -> Result<Option<KeptToken>> {
        let id = (key.owner_id().to_owned(), key.kind().as_str().to_owned());
        let row = Entity::find_by_id(id).lock_exclusive().one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("lock a token"))?;
        row.map(|row| record(&self.at, &row)).transpose()
    }

    /// Gives a row of this `generation` the refresh token that it lacks, and makes it due at
    /// `due_at`. Returns whether it lacked one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn restore_refresh_token(
        &self,
        key: &TokenKey,
        generation: i64,
        refresh_token: &Secret<String>,
        due_at: Instant,
    ) -> Result<bool> {
        let owner = [key.owner_id(), key.kind().as_str()];
        let sealed = self.at.keys.seal_text(place(REFRESH, &owner), refresh_token);
        let update = Entity::update_many()
            .col_expr(Column::RefreshTokenSealed, Expr::val(sealed))
            .col_expr(Column::DueAt, Expr::val(due_at.timestamp_millis()))
            .col_expr(Column::DueCause, Expr::val(RefreshCause::Reconciliation.as_str()))
            .filter(Column::Generation.eq(generation))
            .filter(Column::RefreshTokenSealed.is_null());
        self.touch(key, "restore a refresh token", update).await
    }

    /// Says when a worker looks at the token next, and why if it is not for its age.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn set_due(
        &self,
        key: &TokenKey,
        due_at: Instant,
        cause: Option<RefreshCause>,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::DueAt, Expr::val(due_at.timestamp_millis()))
            .col_expr(Column::DueCause, Expr::val(cause.map(RefreshCause::as_str)));
        self.touch(key, "say when a token is due", update).await.map(drop)
    }

    /// As [`TokenRepo::set_due`], because what it is refreshed with has changed: whoever is refreshing
    /// it with what was before is fenced off, and the next may begin at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn refresh_anew(
        &self,
        key: &TokenKey,
        due_at: Instant,
        cause: RefreshCause,
    ) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::DueAt, Expr::val(due_at.timestamp_millis()))
            .col_expr(Column::DueCause, Expr::val(cause.as_str()))
            .col_expr(Column::LeasedUntil, Expr::val(0_i64));
        self.update(key, "have a token refreshed anew", update).await.map(drop)
    }

    /// Erases the token with everything it was refreshed with.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn erase(&self, key: &TokenKey) -> Result<()> {
        self.at.changed(Changed::Token(key.clone()));
        Entity::delete_many()
            .filter(Column::OwnerId.eq(key.owner_id()))
            .filter(Column::Kind.eq(key.kind().as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("erase a token"))
            .map(drop)
    }

    async fn put_off(&self, row: &tokens::Model, now: Instant, error: &Error) -> Result<()> {
        tracing::error!(%error, "the {} of {} cannot be read and is put off", row.kind, row.owner_id);
        let later = now.timestamp_millis() + UNREADABLE_PAUSE_MS;
        Entity::update_many()
            .col_expr(Column::DueAt, Expr::val(later))
            .col_expr(Column::LeasedUntil, Expr::val(0_i64))
            .filter(Column::OwnerId.eq(&row.owner_id))
            .filter(Column::Kind.eq(&row.kind))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("put a token off"))
            .map(drop)
    }

    /// Changes what is refreshed: the epoch grows. Whether the row was there and its conditions held.
    async fn update(
        &self,
        key: &TokenKey,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool> {
        let next = Expr::col(Column::LeaseEpoch).add(1_i64);
        self.touch(key, what, update.col_expr(Column::LeaseEpoch, next)).await
    }

    /// Changes what stands beside. Whether the row was there and its conditions held.
    async fn touch(
        &self,
        key: &TokenKey,
        what: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool> {
        self.at.changed(Changed::Token(key.clone()));
        let updated = of(update, key).exec(&self.at.conn).await.map_err(self.at.failed(what))?;
        Ok(updated.rows_affected == 1)
    }
}

impl Db {
    /// Takes the lease of a token for `ttl`, by the database's clock; `None` while somebody else
    /// holds it. The row is made if it is not there.
    ///
    /// If the caller is dropped before it learns the outcome, the lease is given back.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn take_token(&self, key: &TokenKey, ttl: Duration) -> Result<Option<LeasedToken>> {
        let (key, store) = (key.clone(), self.store().clone());
        let taking = async move { take(&store.writing(), &key, ttl).await };
        let store = self.store().clone();
        let giving_back =
            async move |leased: LeasedToken| give_back(&store.writing(), &leased.lease).await;
        self.take("take a token's lease", taking, giving_back).await
    }

    /// Holds the lease for another `ttl` from now.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was lost meanwhile: nothing may be done under it any more.
    /// [`Error::Unavailable`].
    pub async fn renew_token(&self, lease: &TokenLease, ttl: Duration) -> Result<()> {
        let at = self.store().writing();
        let update = Entity::update_many()
            .col_expr(Column::LeasedUntil, at.now().add(millis(ttl)))
            .filter(Column::LeaseEpoch.eq(lease.epoch));
        let renewed = of(update, &lease.key).exec(&at.conn).await;
        match renewed.map_err(at.failed("renew a token's lease"))?.rows_affected {
            1 => Ok(()),
            _ => Err(fenced(&lease.key)),
        }
    }

    /// Gives the lease back without having written anything under it. One that was lost meanwhile
    /// stays with its new holder.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the lease then runs to its end.
    pub async fn release_token(&self, lease: &TokenLease) -> Result<()> {
        give_back(&self.store().writing(), lease).await
    }
}

/// Takes the lease if nobody holds it. Each statement stands alone: the epoch that was read is the
/// condition of the update, so of two takers one finds it changed.
async fn take(at: &Handle<'_>, key: &TokenKey, ttl: Duration) -> Result<Option<LeasedToken>> {
    let row = match read(at, key).await? {
        Some(row) => row,
        None => {
            let first = row(at.keys, &KeptToken::unknown(key.clone(), 1));
            at.insert_once("make a token's row", first.clone()).await?;
            read(at, key).await?.unwrap_or(first)
        }
    };
    let epoch = row.lease_epoch + 1;
    let update = Entity::update_many()
        .col_expr(Column::LeaseEpoch, Expr::val(epoch))
        .col_expr(Column::LeasedUntil, at.now().add(millis(ttl)))
        .filter(Column::LeaseEpoch.eq(row.lease_epoch))
        .filter(Expr::col(Column::LeasedUntil).lte(at.now()));
    let updated = of(update, key).exec(&at.conn).await;
    let taken = updated.map_err(at.failed("take a token's lease"))?.rows_affected == 1;
    if taken { Ok(Some(leased(record(at, &row)?, epoch))) } else { Ok(None) }
}

async fn give_back(at: &Handle<'_>, lease: &TokenLease) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::val(0_i64))
        .col_expr(Column::LeaseEpoch, Expr::col(Column::LeaseEpoch).add(1_i64))
        .filter(Column::LeaseEpoch.eq(lease.epoch));
    let updated = of(update, &lease.key).exec(&at.conn).await;
    updated.map_err(at.failed("give a token's lease back")).map(drop)
}

async fn read(at: &Handle<'_>, key: &TokenKey) -> Result<Option<tokens::Model>> {
    let id = (key.owner_id().to_owned(), key.kind().as_str().to_owned());
    Entity::find_by_id(id).one(&at.conn).await.map_err(at.failed("read a token"))
}

/// A row without a token that nobody looks at.
fn retired() -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::ValueSealed, Expr::val(None::<Vec<u8>>))
        .col_expr(Column::ExpiresAt, Expr::val(None::<i64>))
        .col_expr(Column::ObtainedAt, Expr::val(None::<i64>))
        .col_expr(Column::DueAt, Expr::val(None::<i64>))
        .col_expr(Column::DueCause, Expr::val(None::<String>))
        .col_expr(Column::LeasedUntil, Expr::val(0_i64))
}

fn of(update: UpdateMany<Entity>, key: &TokenKey) -> UpdateMany<Entity> {
    update.filter(Column::OwnerId.eq(key.owner_id())).filter(Column::Kind.eq(key.kind().as_str()))
}

fn leased(kept: KeptToken, epoch: i64) -> LeasedToken {
    let lease = TokenLease { key: kept.key.clone(), epoch, generation: kept.generation };
    LeasedToken { kept, lease }
}

fn fenced(key: &TokenKey) -> Error {
    Error::Fenced { key: key.to_string() }
}
