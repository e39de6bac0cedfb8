//! Watches over the tickets.

use chrono::Duration;
use lingpai_model::{
    Instant,
    audit::{Action, AuditEntry},
    caller::OperatorCaller,
    clock::{Entropy, SharedClock},
    component::{Component, ComponentWatch},
    event::{Event, EventContent, EventKind},
    id::EventId,
};
use lingpai_storage::Db;
use lingpai_wechat::client::Client;

use crate::{Error, Result, trail::keep_entry};

/// How long without a ticket is too long: two pushes were missed.
///
/// Source: WeChat docs, "Verification ticket" (component_verify_ticket): one is pushed every ten
/// minutes.
pub const TICKET_LATE_AFTER: Duration = Duration::minutes(25);

/// How long after it was asked for tickets WeChat is asked again.
const ASK_AGAIN: Duration = Duration::minutes(10);

/// Watches over the tickets: when none comes, WeChat is asked to push them again.
#[derive(Debug, Clone)]
pub struct TicketWatch {
    db: Db,
    wechat: Client,
    clock: SharedClock,
    entropy: Entropy,
}

impl TicketWatch {
    /// A service on `db` that calls `wechat`.
    #[must_use]
    pub fn new(db: Db, wechat: Client, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, wechat, clock, entropy }
    }

    /// Looks at every component once; returns for how many WeChat was asked for tickets.
    ///
    /// # Errors
    /// [`Error::Storage`] when the components could not be read. One whose turn fails is logged and
    /// looked at again; it does not hold up the others.
    pub async fn run_once(&self) -> Result<usize> {
        let mut asked = 0;
        for component in self.db.components().all().await? {
            match self.look_at(&component).await {
                Ok(was_asked) => asked += usize::from(was_asked),
                Err(error) => tracing::warn!(
                    component.appid = %component.appid,
                    %error,
                    "the tickets of component {} could not be looked after",
                    component.appid
                ),
            }
        }
        Ok(asked)
    }

    /// Asks WeChat to push tickets to this component (again), whether or not they are late, because
    /// an operator wants it to.
    ///
    /// # Errors
    /// [`Error::Wechat`] when it refused or could not be reached.
    pub async fn start_push_ticket(
        &self,
        by: &OperatorCaller,
        component: &Component,
    ) -> Result<()> {
        let (act, at) = (by.act(), (self.clock.now(), &self.entropy));
        let asked = Action::ComponentTicketPushAsked;
        keep_entry(&self.db, &AuditEntry::of(&act, asked, component.appid.as_str(), at)).await?;
        self.ask_wechat(component).await
    }

    async fn ask_wechat(&self, component: &Component) -> Result<()> {
        Ok(self.wechat.start_push_ticket(&component.appid, &component.appsecret).await?)
    }

    /// What is watched about a component.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn watched(&self, component: &Component) -> Result<ComponentWatch> {
        Ok(self.db.components().watch(&component.id).await?)
    }

    /// Asks WeChat for a ticket because it takes none of ours, unless it was asked a moment ago.
    pub(crate) async fn ask(&self, component: &Component) -> Result<bool> {
        let seen = self.db.components().watch(&component.id).await?;
        self.ask_as_seen(component, &seen, seen.ticket_late_since).await
    }

    async fn look_at(&self, component: &Component) -> Result<bool> {
        let newest = self.db.tickets().newest(&component.id, Instant::UNIX_EPOCH).await?;
        let last = newest.map_or(component.created_at, |ticket| ticket.received_at);
        let is_late = self.clock.now() - last >= TICKET_LATE_AFTER;
        let seen = self.db.components().watch(&component.id).await?;
        if is_late {
            let since = seen.ticket_late_since.unwrap_or_else(|| self.clock.now());
            return self.ask_as_seen(component, &seen, Some(since)).await;
        }
        if seen.ticket_late_since.is_some_and(|since| since < last) {
            let tx = self.db.begin().await?;
            tx.components().note_ticket_in_time(&component.id).await?;
            tx.commit().await?;
            tracing::info!(
                component.appid = %component.appid,
                "tickets for component {} come again",
                component.appid
            );
        }
        Ok(false)
    }

    /// Of several instances one asks: the one whose note is the first.
    async fn ask_as_seen(
        &self,
        component: &Component,
        seen: &ComponentWatch,
        late_since: Option<Instant>,
    ) -> Result<bool> {
        let now = self.clock.now();
        if seen.ticket_asked_at.is_some_and(|asked| now - asked < ASK_AGAIN) {
            return Ok(false);
        }
        let tx = self.db.begin().await?;
        if !tx.components().note_ticket_asked(&component.id, seen, now, late_since).await? {
            return Ok(false);
        }
        if seen.ticket_late_since.is_none() && late_since.is_some() {
            tx.events().append(&self.late(component, now)).await?;
        }
        tx.commit().await?;
        let asked = self.ask_wechat(component).await;
        tracing::error!(
            component.appid = %component.appid,
            error = asked.as_ref().err().map(Error::to_string),
            "component {} has no ticket that WeChat takes; it was asked to push one",
            component.appid
        );
        Ok(true)
    }

    fn late(&self, component: &Component, at: Instant) -> Event {
        Event {
            id: EventId::new(at, &self.entropy),
            tenant_id: None,
            component_appid: Some(component.appid.clone()),
            authorizer_appid: None,
            event_type: EventKind::TicketLate.into(),
            openid: None,
            occurred_at: at,
            received_at: at,
            content: EventContent::Ours(None),
        }
    }
}
