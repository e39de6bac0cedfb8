//! What came of attempts, written for a whole batch at once.

use std::collections::{BTreeMap, HashMap};

use lingpai_model::delivery::{AttemptOutcome, DeliveryState, Next};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{CaseStatement, Expr, OnConflict},
};

use super::{AT_ONCE, row::attempt_row};
use crate::{
    db::{Handle, millis},
    entity::{
        deliveries::{Column, Entity, Model},
        delivery_attempts,
    },
    error::Result,
};

const WHAT: &str = "record attempts";

/// How a delivery stands after an attempt.
struct After {
    state: &'static str,
    dead_reason: Option<&'static str>,
    due_at: Option<i64>,
    ended_at: Option<i64>,
}

impl After {
    fn of(outcome: &AttemptOutcome) -> Self {
        let attempt = &outcome.attempt;
        let ended = attempt.began_at.timestamp_millis().saturating_add(millis(attempt.took));
        let (state, dead_reason, due_at) = match outcome.next {
            Next::Delivered => (DeliveryState::Delivered, None, None),
            Next::Again(at) => (DeliveryState::Pending, None, Some(at.timestamp_millis())),
            Next::Dead(why) => (DeliveryState::Dead(why), Some(why.as_str()), None),
        };
        let ended_at = due_at.is_none().then_some(ended);
        Self { state: state.as_str(), dead_reason, due_at, ended_at }
    }
}

/// Writes what came of attempts, and returns how many of them counted.
pub(super) async fn record(at: &Handle<'_>, outcomes: &[AttemptOutcome]) -> Result<u64> {
    let mut counted = 0;
    for outcomes in outcomes.chunks(AT_ONCE) {
        let there = lock(at, outcomes).await?;
        note(at, outcomes, &there).await?;
        let counts = |outcome: &&AttemptOutcome| {
            there.get(outcome.delivery_id.as_str()).is_some_and(|row| {
                row.attempts == i64::from(outcome.attempt.number)
                    && row.state == DeliveryState::Pending.as_str()
            })
        };
        let after: BTreeMap<&str, After> = outcomes
            .iter()
            .filter(counts)
            .map(|outcome| (outcome.delivery_id.as_str(), After::of(outcome)))
            .collect();
        counted += conclude(at, &after).await?;
    }
    Ok(counted)
}

/// Those of the deliveries that are still there, which nobody else changes until the transaction
/// ends.
async fn lock(at: &Handle<'_>, outcomes: &[AttemptOutcome]) -> Result<HashMap<String, Model>> {
    let ids = outcomes.iter().map(|outcome| outcome.delivery_id.as_str());
    let rows = Entity::find()
        .filter(Column::Id.is_in(ids))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(&at.conn)
        .await
        .map_err(at.failed(WHAT))?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
}

/// Adds the attempts themselves, those that do not count included: they were made. Of a delivery that
/// was erased meanwhile nothing is kept.
async fn note(
    at: &Handle<'_>,
    outcomes: &[AttemptOutcome],
    there: &HashMap<String, Model>,
) -> Result<()> {
    use delivery_attempts::Column;
    let rows: BTreeMap<(&str, u32), _> = outcomes
        .iter()
        .filter(|outcome| there.contains_key(outcome.delivery_id.as_str()))
        .map(|outcome| {
            let row = attempt_row(&outcome.delivery_id, &outcome.attempt);
            ((outcome.delivery_id.as_str(), outcome.attempt.number), row)
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    // One that was recorded already stays as it is.
    let mut there = OnConflict::columns([Column::DeliveryId, Column::Number]);
    there.update_column(Column::Number);
    delivery_attempts::Entity::insert_many(
        rows.into_values().map(IntoActiveModel::into_active_model),
    )
    .on_conflict(there)
    .exec_without_returning(&at.conn)
    .await
    .map_err(at.failed(WHAT))
    .map(drop)
}

async fn conclude(at: &Handle<'_>, after: &BTreeMap<&str, After>) -> Result<u64> {
    if after.is_empty() {
        return Ok(0);
    }
    let by_id = |value: fn(&After) -> Expr| {
        let each = |cases: CaseStatement, (id, after): (&&str, &After)| {
            cases.case(Column::Id.eq(*id), value(after))
        };
        Expr::Case(Box::new(after.iter().fold(CaseStatement::new(), each)))
    };
    let updated = Entity::update_many()
        .col_expr(Column::State, by_id(|after| Expr::val(after.state)))
        .col_expr(Column::DeadReason, by_id(|after| Expr::val(after.dead_reason)))
        .col_expr(Column::DueAt, by_id(|after| Expr::val(after.due_at)))
        .col_expr(Column::EndedAt, by_id(|after| Expr::val(after.ended_at)))
        .filter(Column::Id.is_in(after.keys().copied()))
        .exec(&at.conn)
        .await
        .map_err(at.failed(WHAT))?;
    Ok(updated.rows_affected)
}
