//! What was counted against a quota or an allowance of an account in one of WeChat's days or months.

use lingpai_model::{Instant, digest::Digest, id::AuthorizerId};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, IntoActiveModel as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};

use super::{QuotaRepo, Reader, Write, sweep, text};
use crate::{
    entity::quota_marks::{self, Column, Entity},
    error::Result,
};

impl<A> QuotaRepo<'_, A> {
    /// How often `subject` was marked for the authorizer in this period.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn count(
        &self,
        authorizer: &AuthorizerId,
        subject: &str,
        period: &str,
    ) -> Result<u64> {
        let id = id(authorizer, subject, period);
        let row = Entity::find_by_id(&id).one(&self.at.conn).await;
        let marks = row.map_err(self.at.failed("read quota marks"))?.map_or(0, |row| row.marks);
        Reader { table: "quota_marks", key: &id }.parsed(u64::try_from(marks))
    }
}

impl QuotaRepo<'_, Write> {
    /// Marks `subject` once more and returns how often it was marked now, in this period. Nobody
    /// else marks it until this transaction ends.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn mark(
        &self,
        authorizer: &AuthorizerId,
        subject: &str,
        period: &str,
        at: Instant,
    ) -> Result<u64> {
        let row = quota_marks::Model {
            id: id(authorizer, subject, period),
            authorizer_id: authorizer.as_str().to_owned(),
            subject: text(subject),
            period: period.to_owned(),
            marks: 1,
            marked_at: at.timestamp_millis(),
        };
        let one_more = Expr::col((Entity, Column::Marks)).add(1_i64);
        let mut again = OnConflict::column(Column::Id);
        again.value(Column::Marks, one_more).update_column(Column::MarkedAt);
        Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(&self.at.conn)
            .await
            .map_err(self.at.failed("count a quota mark"))?;
        self.count(authorizer, subject, period).await
    }

    /// Takes one mark back, if there is one.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn unmark(
        &self,
        authorizer: &AuthorizerId,
        subject: &str,
        period: &str,
    ) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::Marks, Expr::col(Column::Marks).sub(1_i64))
            .filter(Column::Id.eq(id(authorizer, subject, period)))
            .filter(Column::Marks.gt(0))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("take a quota mark back"))
            .map(drop)
    }

    /// Erases what was last marked before `before`, the oldest first and not all at once; returns
    /// how many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        sweep::<Entity>(&self.at, "erase old quota marks", Column::MarkedAt, before).await
    }
}

fn id(authorizer: &AuthorizerId, subject: &str, period: &str) -> String {
    let parts = [authorizer.as_str().as_bytes(), subject.as_bytes(), period.as_bytes()];
    Digest::of(&parts).to_hex()
}
