//! What is told of a delivery in both APIs.

use lingpai_model::{
    Instant,
    delivery::{Attempt, DeadReason, Delivery, DeliveryCause, DeliveryState, DeliveryStateKind},
};
use lingpai_webhook::Replayed;
use poem_openapi::{Enum, Object, types::Example};

use super::millis;
use crate::example;

/// How far a delivery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "DeliveryState", rename_all = "snake_case")]
pub(crate) enum DeliveryStateView {
    /// An attempt is under way, or the next one is due some time.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It is given up; `dead_reason` says why. It can be replayed.
    Dead,
}

impl DeliveryStateView {
    /// As the model knows it.
    pub(crate) fn kind(self) -> DeliveryStateKind {
        match self {
            Self::Pending => DeliveryStateKind::Pending,
            Self::Delivered => DeliveryStateKind::Delivered,
            Self::Dead => DeliveryStateKind::Dead,
        }
    }
}

impl From<DeliveryState> for DeliveryStateView {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::Pending,
            DeliveryState::Delivered => Self::Delivered,
            DeliveryState::Dead(_) => Self::Dead,
        }
    }
}

/// Why a delivery is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "DeadReason", rename_all = "snake_case", remote = "DeadReason")]
enum DeadReasonView {
    /// Every attempt of three days failed.
    GaveUp,
    /// The endpoint was disabled.
    EndpointDisabled,
    /// The endpoint was removed.
    EndpointRemoved,
    /// The event was erased, or is past its retention.
    EventGone,
    /// The event cannot be read, or not be put into the endpoint's form.
    Unreadable,
}

/// What a delivery was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "DeliveryCause", rename_all = "snake_case", remote = "DeliveryCause")]
enum DeliveryCauseView {
    /// The event happened.
    Event,
    /// Somebody wanted it delivered again.
    Replay,
}

/// One attempt that was made.
#[derive(Debug, Object)]
#[oai(rename = "Attempt", example)]
struct AttemptView {
    /// Which one, from 1.
    number: u32,
    /// When it began.
    began_at: Instant,
    /// How many milliseconds it took.
    took_ms: u64,
    /// The HTTP status; null if the endpoint did not answer.
    #[oai(nullable)]
    status: Option<u16>,
    /// Why it failed, in words; null if it went well.
    #[oai(nullable)]
    failure: Option<String>,
}

impl Example for AttemptView {
    fn example() -> Self {
        Self {
            number: 1,
            began_at: example::instant(),
            took_ms: 112,
            status: Some(500),
            failure: Some("the endpoint answered 500".to_owned()),
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt { number, began_at, took, status, failure } = attempt;
        let took_ms = millis(took);
        Self { number, began_at, took_ms, status, failure }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Object)]
#[oai(rename = "Delivery", example)]
pub(crate) struct DeliveryView {
    /// Its id.
    id: String,
    /// Whose it is.
    tenant_id: String,
    /// What is delivered.
    event_id: String,
    /// Where to.
    endpoint_id: String,
    /// What it was made for.
    cause: DeliveryCauseView,
    /// How far it got.
    state: DeliveryStateView,
    /// Why it is given up; null if it is not.
    #[oai(nullable)]
    dead_reason: Option<DeadReasonView>,
    /// How many attempts were begun.
    attempt_count: u32,
    /// When the next attempt is due; null once it ended. While one is under way: when it counts as lost.
    #[oai(nullable)]
    due_at: Option<Instant>,
    /// When it was made.
    created_at: Instant,
    /// When it ended; null if it has not.
    #[oai(nullable)]
    ended_at: Option<Instant>,
    /// The attempts that ended, in their order; only when one delivery is looked up.
    #[oai(skip_serializing_if_is_none)]
    attempts: Option<Vec<AttemptView>>,
}

impl Example for DeliveryView {
    fn example() -> Self {
        let at = example::instant();
        Self {
            id: example::DELIVERY_ID.to_owned(),
            tenant_id: example::TENANT_ID.to_owned(),
            event_id: example::EVENT_ID.to_owned(),
            endpoint_id: example::ENDPOINT_ID.to_owned(),
            cause: DeliveryCauseView::Event,
            state: DeliveryStateView::Pending,
            dead_reason: None,
            attempt_count: 1,
            due_at: Some(at + chrono::Duration::seconds(5)),
            created_at: at,
            ended_at: None,
            attempts: Some(vec![AttemptView::example()]),
        }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let dead_reason = match delivery.state {
            DeliveryState::Pending | DeliveryState::Delivered => None,
            DeliveryState::Dead(reason) => Some(reason.into()),
        };
        Self {
            id: delivery.id.to_string(),
            tenant_id: delivery.tenant_id.to_string(),
            event_id: delivery.event_id.to_string(),
            endpoint_id: delivery.endpoint_id.to_string(),
            cause: delivery.cause.into(),
            state: delivery.state.into(),
            dead_reason,
            attempt_count: delivery.attempts,
            due_at: delivery.due_at,
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
            attempts: None,
        }
    }
}

impl From<(Delivery, Vec<Attempt>)> for DeliveryView {
    fn from((delivery, attempts): (Delivery, Vec<Attempt>)) -> Self {
        let attempts = attempts.into_iter().map(AttemptView::from).collect();
        Self { attempts: Some(attempts), ..Self::from(delivery) }
    }
}

/// What was made by a replay.
#[derive(Debug, Object)]
#[oai(rename = "Replayed", example)]
pub(crate) struct ReplayedView {
    /// How many deliveries were made.
    deliveries: u64,
    /// Send the same again with this as `cursor` to go on with the events that are left; null if none
    /// are.
    #[oai(nullable)]
    next: Option<String>,
}

impl Example for ReplayedView {
    fn example() -> Self {
        Self { deliveries: 1, next: None }
    }
}

impl From<Replayed> for ReplayedView {
    fn from(replayed: Replayed) -> Self {
        let Replayed { deliveries, next } = replayed;
        Self { deliveries, next: next.map(|cursor| cursor.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lingpai_model::id::{DeliveryId, EndpointId, EventId, TenantId};
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;

    fn delivery(state: DeliveryState) -> Delivery {
        let at = example::instant();
        Delivery {
            id: DeliveryId::parse(example::DELIVERY_ID).unwrap(),
            tenant_id: TenantId::parse(example::TENANT_ID).unwrap(),
            event_id: EventId::parse(example::EVENT_ID).unwrap(),
            endpoint_id: EndpointId::parse(example::ENDPOINT_ID).unwrap(),
            cause: DeliveryCause::Event,
            state,
            attempts: 2,
            due_at: None,
            created_at: at,
            ended_at: Some(at),
        }
    }

    #[test]
    fn states_causes_and_reasons_are_written_as_the_model_writes_them() {
        for state in [DeliveryState::Pending, DeliveryState::Delivered] {
            let view = DeliveryStateView::from(state);
            assert_eq!(
                (view.kind().as_str(), view.to_json()),
                (state.as_str(), Some(state.as_str().into()))
            );
            assert_eq!(DeliveryView::from(delivery(state)).dead_reason, None);
        }
        for reason in DeadReason::ALL {
            let told = DeliveryView::from(delivery(DeliveryState::Dead(reason))).to_json().unwrap();
            assert_eq!(
                (&told["state"], &told["dead_reason"]),
                (&json!("dead"), &json!(reason.as_str()))
            );
        }
        for cause in DeliveryCause::ALL {
            assert_eq!(DeliveryCauseView::from(cause).to_json(), Some(cause.as_str().into()));
        }
    }

    #[test]
    fn attempts_are_told_when_one_delivery_is_looked_up() {
        let listed = DeliveryView::from(delivery(DeliveryState::Delivered)).to_json().unwrap();
        assert_eq!((listed.get("attempts"), &listed["attempt_count"]), (None, &json!(2)));
        let attempt = Attempt {
            number: 1,
            began_at: example::instant(),
            took: Duration::from_micros(1_999),
            status: None,
            failure: Some("no answer".to_owned()),
        };
        let one = DeliveryView::from((delivery(DeliveryState::Delivered), vec![attempt]));
        let one = one.to_json().unwrap();
        let told = json!({
            "number": 1, "began_at": example::instant().to_json(), "took_ms": 1, "status": null,
            "failure": "no answer",
        });
        assert_eq!(one["attempts"], json!([told]));
    }
}
