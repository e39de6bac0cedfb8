//! One claimed delivery on its way.

use std::sync::Arc;

use lingpai_model::{
    delivery::{ClaimedDelivery, DeadReason},
    endpoint::Endpoint,
    event::Event,
};
use lingpai_storage::Error as StorageError;
use tokio::{sync::Semaphore, time::Instant as Stopwatch};

use super::FRESH;
use crate::{
    WebhookBase,
    attempt::{self, End},
    late,
    settle::Landed,
};

/// What a delivery comes to whose event is there and cannot be read.
pub(super) const UNREADABLE: (DeadReason, &str) =
    (DeadReason::Unreadable, "the event cannot be read");

/// What a delivery comes to whose event is not there.
const GONE: (DeadReason, &str) =
    (DeadReason::EventGone, "the event was erased, or is past its retention");

/// What a delivery comes to by which our own program broke.
const BROKEN: (DeadReason, &str) =
    (DeadReason::Unreadable, "sending it broke off by a fault in lingpai");

/// A claimed delivery that waits to be sent.
pub(super) struct Waiting {
    pub(super) claimed: ClaimedDelivery,
    /// Its event, unless that was too large to be read ahead.
    pub(super) event: Option<Arc<Event>>,
}

/// What a delivery came to: an attempt, or nothing because it did not come to that in time.
pub(super) enum Flown {
    Made(Landed),
    Unmade(ClaimedDelivery),
}

/// What it takes to send a delivery.
pub(super) struct Flight {
    pub(super) base: WebhookBase,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) seats: Arc<Semaphore>,
    pub(super) claimed_at: Stopwatch,
}

impl Flight {
    /// Sends a delivery, in a task of its own: its exchange goes on while the turn writes, and if it
    /// panics that is the end of this delivery and of nothing else.
    pub(super) async fn begin(self, waiting: Waiting) -> Flown {
        let (base, claimed) = (self.base.clone(), waiting.claimed.clone());
        match base.tasks.spawn(self.run(waiting)).await {
            Ok(flown) => flown,
            Err(broken) => {
                let id = &claimed.id;
                tracing::error!(delivery.id = %id, error = %broken, "delivery {id} is given up");
                let made = attempt::unmade(claimed.attempt, BROKEN, base.clock.now());
                Flown::Made(Landed { claimed, made, late: None })
            }
        }
    }

    async fn run(self, Waiting { claimed, event }: Waiting) -> Flown {
        let _seat = self.seats.acquire().await;
        if self.claimed_at.elapsed() >= FRESH {
            return Flown::Unmade(claimed);
        }
        let event = match event {
            Some(event) => event,
            None => match self.base.db.events().system_get(&claimed.event_id).await {
                Ok(event) => Arc::new(event),
                Err(error) => return self.without_event(claimed, &error),
            },
        };
        let made = attempt::make(&self.base, &self.endpoint, &event, claimed.attempt).await;
        let late = match &made.end {
            End::Taken(answered) if claimed.may_reply => late::wanted(&self.endpoint, answered)
                .and_then(|reply| late::to_fan(&self.base, &event, reply)),
            End::Taken(_) | End::Failed { .. } | End::Gone | End::Unsendable(_) => None,
        };
        Flown::Made(Landed { claimed, made, late })
    }

    fn without_event(&self, claimed: ClaimedDelivery, error: &StorageError) -> Flown {
        let id = &claimed.event_id;
        if error.is_transient() {
            tracing::warn!(event.id = %id, %error, "event {id} is read again");
            return Flown::Unmade(claimed);
        }
        let why = if matches!(error, StorageError::NotFound { .. }) {
            GONE
        } else {
            tracing::error!(event.id = %id, %error, "event {id} cannot be read");
            UNREADABLE
        };
        let made = attempt::unmade(claimed.attempt, why, self.base.clock.now());
        Flown::Made(Landed { claimed, made, late: None })
    }
}
