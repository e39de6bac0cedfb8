//! A delivery: one event on its way to one endpoint, by one attempt or several.

use std::time::Duration;

use crate::{
    Instant,
    id::{DeliveryId, EndpointId, EventId, TenantId},
};

/// A delivery on its way into the database, in the transaction of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint_id: EndpointId,
    /// Who makes the first attempt.
    pub first_attempt: FirstAttempt,
}

/// Who makes the first attempt at a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstAttempt {
    /// A worker, as soon as one has a turn for the endpoint.
    Worker,
    /// The same, at an endpoint that would have been asked for a reply had that been possible: its
    /// reply is a late one.
    ReplyingWorker,
    /// Whoever records it, at once: workers leave it alone for so long. It counts as made.
    Recorder(Duration),
}

/// One delivery as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is delivered.
    pub event_id: EventId,
    /// Where to.
    pub endpoint_id: EndpointId,
    /// What it was made for.
    pub cause: DeliveryCause,
    /// How far it got.
    pub state: DeliveryState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the next attempt is due; `None` once it ended.
    pub due_at: Option<Instant>,
    /// When it was made.
    pub created_at: Instant,
    /// When it ended.
    pub ended_at: Option<Instant>,
}

/// What a delivery was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryCause {
    /// The event happened.
    Event,
    /// The tenant or an operator wants it delivered again.
    Replay,
}

impl DeliveryCause {
    /// All causes.
    pub const ALL: [Self; 2] = [Self::Event, Self::Replay];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Replay => "replay",
        }
    }
}

/// How far a delivery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// An attempt is under way, or the next one is due some time.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It is given up.
    Dead(DeadReason),
}

impl DeliveryState {
    /// The state without its reason.
    #[must_use]
    pub fn kind(self) -> DeliveryStateKind {
        match self {
            Self::Pending => DeliveryStateKind::Pending,
            Self::Delivered => DeliveryStateKind::Delivered,
            Self::Dead(_) => DeliveryStateKind::Dead,
        }
    }

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.kind().as_str()
    }
}

/// How far a delivery got, whatever the reason: what lists are filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStateKind {
    /// [`DeliveryState::Pending`].
    Pending,
    /// [`DeliveryState::Delivered`].
    Delivered,
    /// [`DeliveryState::Dead`], for whatever reason.
    Dead,
}

impl DeliveryStateKind {
    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// Why a delivery is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
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

impl DeadReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::GaveUp,
        Self::EndpointDisabled,
        Self::EndpointRemoved,
        Self::EventGone,
        Self::Unreadable,
    ];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GaveUp => "gave_up",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointRemoved => "endpoint_removed",
            Self::EventGone => "event_gone",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A delivery whose next attempt somebody has claimed. Its number is the fence: what came of an
/// attempt counts only while no later one was claimed. An attempt that is given back has a number that
/// comes again: it is given back only while it is held until the same instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is delivered.
    pub event_id: EventId,
    /// Where to.
    pub endpoint_id: EndpointId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether the endpoint's reply goes to the fan as a late one, if the endpoint wants that.
    pub may_reply: bool,
    /// Until when nobody else claims it.
    pub held_until: Instant,
    /// When the delivery was made.
    pub created_at: Instant,
}

/// One attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, from 1.
    pub number: u32,
    /// When it began.
    pub began_at: Instant,
    /// How long it took.
    pub took: Duration,
    /// The HTTP status, if the endpoint answered.
    pub status: Option<u16>,
    /// Why it failed, in words; `None` if it went well.
    pub failure: Option<String>,
}

/// What came of a claimed delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// The attempt, with its number.
    pub attempt: Attempt,
    /// How it goes on.
    pub next: Next,
}

/// How a delivery goes on after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The endpoint took it.
    Delivered,
    /// Again at this time.
    Again(Instant),
    /// Never: it is given up.
    Dead(DeadReason),
}
