//! Operators.

use lingpai_model::{id::OperatorId, operator::Operator};
use sea_orm::EntityTrait as _;

use super::{OperatorRepo, Reader, Write, text};
use crate::{entity::operators, error::Result};

impl<A> OperatorRepo<'_, A> {
    /// The operator with this id, revoked or not.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn find(&self, id: &OperatorId) -> Result<Option<Operator>> {
        let row = operators::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read an operator"))?.map(record).transpose()
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
