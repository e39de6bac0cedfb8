//! Claimed attempts that were not made.

use std::collections::BTreeMap;

use lingpai_model::{Instant, delivery::ClaimedDelivery};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, sea_query::Expr,
};

use super::AT_ONCE;
use crate::{
    entity::deliveries::{Column, Entity},
    error::Result,
    repo::{DeliveryRepo, Write},
};

impl DeliveryRepo<'_, Write> {
    /// Gives claimed attempts back that were not made, and returns how many were still their
    /// claimer's: they do not count, and their deliveries are due at `at`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn give_back(&self, claimed: &[ClaimedDelivery], at: Instant) -> Result<u64> {
        let mut by_claim: BTreeMap<(u32, Instant), Vec<&str>> = BTreeMap::new();
        for one in claimed {
            by_claim.entry((one.attempt, one.held_until)).or_default().push(one.id.as_str());
        }
        let mut given_back = 0;
        for ((attempt, held_until), ids) in by_claim {
            for ids in ids.chunks(AT_ONCE) {
                let updated = Entity::update_many()
                    .col_expr(Column::Attempts, Expr::col(Column::Attempts).sub(1_i64))
                    .col_expr(Column::DueAt, Expr::val(at.timestamp_millis()))
                    .filter(Column::Id.is_in(ids.iter().copied()))
                    .filter(Column::Attempts.eq(i64::from(attempt)))
                    // The number alone is not enough: what was given back has it again.
                    .filter(Column::DueAt.eq(held_until.timestamp_millis()))
                    .exec(&self.at.conn)
                    .await
                    .map_err(self.at.failed("give claimed deliveries back"))?;
                given_back += updated.rows_affected;
            }
        }
        Ok(given_back)
    }
}
