//! Operators.

use lingpai_model::{
    Instant,
    id::OperatorId,
    operator::Operator,
    page::{Page, PageRequest},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::Expr,
};

use super::{OperatorRepo, Reader, Write, page, text};
use crate::{
    entity::operators::{self, Column},
    error::Result,
};

impl<A> OperatorRepo<'_, A> {
    /// The operator with this id, revoked or not.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn find(&self, id: &OperatorId) -> Result<Option<Operator>> {
        let row = operators::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read an operator"))?.map(record).transpose()
    }

    /// All operators, revoked ones too, the oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Operator>> {
        let rows = page(operators::Entity::find(), Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list operators"))?;
        let operators = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(operators, request, |operator| operator.id.as_str()))
    }
}

impl OperatorRepo<'_, Write> {
    /// Adds an operator.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn insert(&self, operator: &Operator) -> Result<()> {
        let row = operators::Model {
            id: operator.id.as_str().to_owned(),
            name: text(&operator.name),
            key_digest: operator.key_digest.to_hex(),
            created_at: operator.created_at.timestamp_millis(),
            revoked_at: operator.revoked_at.map(|at| at.timestamp_millis()),
        };
        self.at.insert_new("add an operator", "operator", row).await
    }

    /// How many operators are not revoked. Nobody else revokes one of them until this transaction
    /// ends, so that two cannot each revoke the other. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn count_live(&self) -> Result<u64> {
        let live: Vec<String> = operators::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::RevokedAt.is_null())
            .order_by_asc(Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("count operators"))?;
        Ok(live.len() as u64)
    }

    /// Revokes an operator; one that was revoked before stays as it was. `false` when there is no
    /// such operator.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn mark_revoked(&self, id: &OperatorId, revoked_at: Instant) -> Result<bool> {
        let revoked_at = Expr::col(Column::RevokedAt).if_null(revoked_at.timestamp_millis());
        let updated = operators::Entity::update_many()
            .col_expr(Column::RevokedAt, revoked_at)
            .filter(Column::Id.eq(id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("revoke an operator"))?;
        Ok(updated.rows_affected == 1)
    }
}

fn record(row: operators::Model) -> Result<Operator> {
    let read = Reader { table: "operators", key: &row.id };
    Ok(Operator {
        id: read.parsed(OperatorId::parse(&row.id))?,
        key_digest: read.digest(&row.key_digest)?,
        created_at: read.instant(row.created_at)?,
        revoked_at: read.instant_if_any(row.revoked_at)?,
        name: row.name,
    })
}
