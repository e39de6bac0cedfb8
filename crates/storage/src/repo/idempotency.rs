//! Requests that clients may repeat, with the answers that they got. An answer may hold a secret that
//! is shown once, so all are sealed.

use lingpai_model::{Instant, Secret, digest::Digest};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::Expr};

use super::{IdempotencyRepo, Reader, Write, sweep, text};
use crate::{
    db::Handle,
    entity::idempotency_keys::{self, Column, Entity},
    error::Result,
    seal::Place,
};

/// A request that its client may repeat.
#[derive(Debug, Clone)]
pub struct IdempotencyEntry {
    /// Tells it from all others: whose it is, and the key that came with it.
    pub id: Digest,
    /// What was asked, to tell a repetition from another request with the same key.
    pub request: Digest,
    /// How far it got.
    pub state: IdempotencyState,
    /// When it began.
    pub created_at: Instant,
}

/// How far a request got.
#[derive(Debug, Clone)]
pub enum IdempotencyState {
    /// It has no answer yet.
    UnderWay,
    /// It was answered.
    Done {
        /// With which HTTP status.
        status: u16,
        /// What the body is.
        content_type: String,
        /// The body.
        body: Secret<Vec<u8>>,
    },
}

impl<A> IdempotencyRepo<'_, A> {
    /// The request with this id.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn find(&self, id: &Digest) -> Result<Option<IdempotencyEntry>> {
        let row = Entity::find_by_id(id.to_hex()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read a repeatable request"))?;
        row.as_ref().map(|row| record(&self.at, row)).transpose()
    }
}

impl IdempotencyRepo<'_, Write> {
    /// Adds a request that is under way. `false` when one with this id is there.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn insert(&self, id: &Digest, request: &Digest, at: Instant) -> Result<bool> {
        let row = idempotency_keys::Model {
            id: id.to_hex(),
            request: request.to_hex(),
            state: UNDER_WAY.to_owned(),
            status: None,
            content_type: None,
            body_sealed: None,
            created_at: at.timestamp_millis(),
        };
        self.at.insert_once("add a repeatable request", row).await
    }

    /// Writes the answer of a request. `false` when there is none under way with this id.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn finish(
        &self,
        id: &Digest,
        status: u16,
        content_type: &str,
        body: &Secret<Vec<u8>>,
    ) -> Result<bool> {
        let id = id.to_hex();
        let sealed = self.at.keys.seal_bytes(place(&[&id]), body);
        let updated = Entity::update_many()
            .col_expr(Column::State, Expr::val(DONE))
            .col_expr(Column::Status, Expr::val(i64::from(status)))
            .col_expr(Column::ContentType, Expr::val(text(content_type)))
            .col_expr(Column::BodySealed, Expr::val(sealed))
            .filter(Column::Id.eq(id))
            .filter(Column::State.eq(UNDER_WAY))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("keep the answer of a repeatable request"))?;
        Ok(updated.rows_affected == 1)
    }

    /// Erases a request; it may then be made anew.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn delete(&self, id: &Digest) -> Result<()> {
        let deleted = Entity::delete_by_id(id.to_hex()).exec(&self.at.conn).await;
        deleted.map_err(self.at.failed("erase a repeatable request")).map(drop)
    }

    /// Erases requests that began before `before`, the oldest first and not all at once; returns how
    /// many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        sweep::<Entity>(&self.at, "erase old repeatable requests", Column::CreatedAt, before).await
    }
}

const UNDER_WAY: &str = "under_way";
const DONE: &str = "done";

fn record(at: &Handle<'_>, row: &idempotency_keys::Model) -> Result<IdempotencyEntry> {
    let read = Reader { table: "idempotency_keys", key: &row.id };
    let state = match (row.state.as_str(), row.status, &row.content_type, &row.body_sealed) {
        (UNDER_WAY, None, None, None) => IdempotencyState::UnderWay,
        (DONE, Some(status), Some(content_type), Some(sealed)) => IdempotencyState::Done {
            status: read.parsed(u16::try_from(status))?,
            content_type: content_type.clone(),
            body: at.keys.open(place(&[&row.id]), sealed)?,
        },
        _ => return Err(read.fault()),
    };
    Ok(IdempotencyEntry {
        id: read.digest(&row.id)?,
        request: read.digest(&row.request)?,
        state,
        created_at: read.instant(row.created_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "idempotency_keys", column: "body_sealed", row }
}
