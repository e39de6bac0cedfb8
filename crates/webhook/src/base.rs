use std::sync::Arc;

use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_storage::Db;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::Sender;

/// What the services of this crate are made of.
#[derive(Debug, Clone)]
pub struct WebhookBase {
    /// Where events, endpoints and deliveries are kept.
    pub db: Db,
    /// The way to tenants' addresses.
    pub sender: Sender,
    /// By which deliveries come due.
    pub clock: SharedClock,
    /// Makes ids and secrets, and spreads what is due.
    pub entropy: Entropy,
    /// Where sending runs; shutdown waits for it.
    pub tasks: TaskTracker,
    /// Wakes the deliverer, which would find what is due by itself a little later.
    pub due: Arc<Notify>,
}
