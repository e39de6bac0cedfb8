use chrono::Duration;
use lingpai_model::{
    Instant, Secret,
    clock::SharedClock,
    component::{Component, Ticket},
};
use lingpai_storage::{Arrival, Db};
use lingpai_wechat::call::component::TICKET_LIFETIME;

use crate::{Error, Result};

/// Accepts pushed tickets and names the one to use.
#[derive(Debug, Clone)]
pub struct Tickets {
    db: Db,
    clock: SharedClock,
}

/// The earliest inner time a ticket may have to be honoured at `now`.
#[must_use]
pub fn oldest_usable_ticket(now: Instant) -> Instant {
    now - Duration::from_std(TICKET_LIFETIME).expect("twelve hours fit")
}

impl Tickets {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Stores a ticket; durable when this returns. The same ticket twice is one ticket.
    ///
    /// # Errors
    /// The database's, when it could not be committed or nobody knows whether it was.
    pub async fn accept(
        &self,
        component: &Component,
        value: Secret<String>,
        issued_at: Instant,
    ) -> lingpai_storage::Result<()> {
        let ticket = Ticket {
            component_id: component.id.clone(),
            value,
            issued_at,
            received_at: self.clock.now(),
        };
        self.db.record_arrival(Arrival::Ticket(ticket)).await
    }

    /// The tickets that WeChat should still take, the newest by WeChat's own time first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn usable(&self, component: &Component) -> Result<Vec<Ticket>> {
        let not_before = oldest_usable_ticket(self.clock.now());
        Ok(self.db.tickets().list(&component.id, not_before).await?)
    }

    /// The newest ticket by WeChat's own time.
    ///
    /// # Errors
    /// [`Error::TicketMissing`] when none of the last twelve hours is stored.
    pub async fn newest(&self, component: &Component) -> Result<Ticket> {
        let not_before = oldest_usable_ticket(self.clock.now());
        let newest = self.db.tickets().newest(&component.id, not_before).await?;
        newest.ok_or_else(|| Error::TicketMissing { appid: component.appid.clone() })
    }
}
