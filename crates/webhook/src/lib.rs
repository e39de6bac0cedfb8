#![doc = include_str!("../README.md")]

mod asker;
mod attempt;
mod audit;
mod auto_replies;
mod base;
pub mod breaker;
mod deliverer;
mod deliveries;
mod dispatcher;
mod endpoints;
mod error;
mod events;
pub mod form;
mod late;
mod listeners;
pub mod retry;
mod seats;
pub mod sender;
mod settle;
pub mod signature;
mod tail;

pub use asker::{ASKED_FOR, Asker, PendingReply, Seat};
pub use auto_replies::AutoReplyRules;
pub use base::WebhookBase;
pub use deliverer::Deliverer;
pub use deliveries::{Deliveries, MOST_PENDING, ReplayOf, Replayed};
pub use dispatcher::Dispatcher;
pub use endpoints::{
    EndpointChange, Endpoints, HandlerChange, MAX_ENDPOINTS, MAX_SECRET_OVERLAP, MOST_TESTS,
    NewEndpoint, NewKind, TestOutcome, Wanted,
};
pub use error::{Error, Result};
pub use events::Events;
pub use form::{Answered, BrokenReply};
pub use lingpai_storage::{DeliveryQuery, EventHead, EventQuery};
pub use listeners::{LISTENER_LIFE, LISTENER_MAY_TAKE, ListenerSeat, Listeners};
pub use sender::{Incoming, Outgoing, Refusal, SendError, Sender, SenderPolicy, remote};
pub use tail::Tail;
