//! Deliveries and attempts as their rows keep them.

use std::time::Duration;

use lingpai_model::{
    Instant,
    delivery::{
        Attempt, ClaimedDelivery, DeadReason, Delivery, DeliveryCause, DeliveryState, FirstAttempt,
        NewDelivery,
    },
    id::{DeliveryId, EndpointId, EventId, TenantId},
};

use super::super::{Reader, reason};
use crate::{
    db::{instant, millis},
    entity::{deliveries::Model, delivery_attempts},
    error::Result,
};

/// The row of a delivery of this tenant's event, made for this and then.
pub(crate) fn row(
    (tenant, event): (&TenantId, &EventId),
    delivery: &NewDelivery,
    (cause, at): (DeliveryCause, Instant),
) -> Model {
    let at = at.timestamp_millis();
    let (attempts, due_at) = match delivery.first_attempt {
        FirstAttempt::Worker | FirstAttempt::ReplyingWorker => (0, at),
        FirstAttempt::Recorder(hold) => (1, at.saturating_add(millis(hold))),
    };
    Model {
        id: delivery.id.as_str().to_owned(),
        tenant_id: tenant.as_str().to_owned(),
        event_id: event.as_str().to_owned(),
        endpoint_id: delivery.endpoint_id.as_str().to_owned(),
        cause: cause.as_str().to_owned(),
        state: DeliveryState::Pending.as_str().to_owned(),
        dead_reason: None,
        attempts,
        may_reply: matches!(delivery.first_attempt, FirstAttempt::ReplyingWorker),
        due_at: Some(due_at),
        created_at: at,
        ended_at: None,
    }
}

/// The delivery in a row.
pub(crate) fn record(row: &Model) -> Result<Delivery> {
    let read = Reader { table: "deliveries", key: &row.id };
    let cause = DeliveryCause::ALL.into_iter().find(|cause| cause.as_str() == row.cause);
    Ok(Delivery {
        id: read.parsed(DeliveryId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        event_id: read.parsed(EventId::parse(&row.event_id))?,
        endpoint_id: read.parsed(EndpointId::parse(&row.endpoint_id))?,
        cause: read.present(cause)?,
        state: state(&read, row)?,
        attempts: read.count(row.attempts)?,
        due_at: read.instant_if_any(row.due_at)?,
        created_at: read.instant(row.created_at)?,
        ended_at: read.instant_if_any(row.ended_at)?,
    })
}

fn state(read: &Reader<'_>, row: &Model) -> Result<DeliveryState> {
    let why = row.dead_reason.as_deref();
    match row.state.as_str() {
        "pending" => Ok(DeliveryState::Pending),
        "delivered" => Ok(DeliveryState::Delivered),
        "dead" => {
            let why = DeadReason::ALL.into_iter().find(|known| Some(known.as_str()) == why);
            Ok(DeliveryState::Dead(read.present(why)?))
        }
        _ => Err(read.fault()),
    }
}

/// A delivery whose next attempt is just claimed, and held until then.
pub(super) fn claimed(row: &Model, held_until: i64) -> Result<ClaimedDelivery> {
    let delivery = record(row)?;
    Ok(ClaimedDelivery {
        attempt: delivery.attempts.saturating_add(1),
        may_reply: row.may_reply,
        held_until: instant("deliveries", &row.id, held_until)?,
        id: delivery.id,
        tenant_id: delivery.tenant_id,
        event_id: delivery.event_id,
        endpoint_id: delivery.endpoint_id,
        created_at: delivery.created_at,
    })
}

/// The row of an attempt.
pub(super) fn attempt_row(delivery: &DeliveryId, attempt: &Attempt) -> delivery_attempts::Model {
    delivery_attempts::Model {
        delivery_id: delivery.as_str().to_owned(),
        number: i64::from(attempt.number),
        began_at: attempt.began_at.timestamp_millis(),
        took_ms: millis(attempt.took),
        status: attempt.status.map(i64::from),
        failure: attempt.failure.as_deref().map(reason),
    }
}

/// The attempt in a row.
pub(super) fn attempt(row: delivery_attempts::Model) -> Result<Attempt> {
    let read = Reader { table: "delivery_attempts", key: &row.delivery_id };
    let status = row.status.map(u16::try_from).transpose();
    Ok(Attempt {
        number: read.count(row.number)?,
        began_at: read.instant(row.began_at)?,
        took: Duration::from_millis(read.parsed(u64::try_from(row.took_ms))?),
        status: read.parsed(status)?,
        failure: row.failure,
    })
}
