use std::{sync::Arc, time::Duration};

use lingpai_model::{
    Secret,
    caller::{Caller, TenantScope},
    clock::{Entropy, SharedClock},
    event::EventFilter,
    id::{EventId, ListenerId, TenantId},
    listener::Listener,
};
use lingpai_storage::Db;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant as Stopwatch, sleep_until},
};

use crate::{
    Error, Result,
    form::{Answered, read_plain_reply},
    seats::Seats,
};

/// How long a listener counts as being there after it was last kept.
pub const LISTENER_LIFE: Duration = Duration::from_secs(30);

/// For how long after a message reached us a reply to it counts: what WeChat waits, less the way.
///
/// Source: WeChat docs, "Passive user reply message" (被动回复用户消息): within five seconds.
pub const LISTENER_MAY_TAKE: Duration = Duration::from_millis(3500);

/// How often is looked whether a listener has replied: it may be connected to another instance.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For how many replies of listeners is waited at once in one process: each wait holds a connection of
/// WeChat's and asks the database again and again.
const SEATS: usize = 64;

/// For how many of those of one tenant.
const SEATS_PER_TENANT: usize = 8;

/// Keeps which programs of tenants follow their events, and what those reply to messages. Clones share
/// the seats of those who wait.
#[derive(Debug, Clone)]
pub struct Listeners {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
    all: Arc<Semaphore>,
    seats: Seats<TenantId>,
}

/// The right to wait for one reply.
#[derive(Debug)]
pub struct ListenerSeat {
    _held: [OwnedSemaphorePermit; 2],
}

impl Listeners {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        let (all, seats) = (Arc::new(Semaphore::new(SEATS)), Seats::new(SEATS_PER_TENANT));
        Self { db, clock, entropy, all, seats }
    }

    /// A seat to wait for a reply of this tenant's listeners; `None` when all are taken, and then
    /// nobody waits for them. It is given back when it is dropped.
    #[must_use]
    pub fn seat(&self, tenant: &TenantId) -> Option<ListenerSeat> {
        let tenants = self.seats.of(tenant).try_acquire_owned().ok()?;
        let ours = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(ListenerSeat { _held: [tenants, ours] })
    }

    /// Notes that a program is there that replies to what fits `filter`. Call [`Listeners::keep`]
    /// every ten seconds as long as it is: after [`LISTENER_LIFE`] nobody waits for it any more.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn arrive(&self, caller: &Caller, filter: EventFilter) -> Result<Listener> {
        let now = self.clock.now();
        let listener = Listener {
            id: ListenerId::new(now, &self.entropy),
            tenant_id: caller.scope.tenant_id().clone(),
            filter,
            seen_at: now,
        };
        self.put(&listener).await?;
        Ok(listener)
    }

    /// Notes that it is still there.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn keep(&self, listener: &Listener) -> Result<()> {
        self.put(&Listener { seen_at: self.clock.now(), ..listener.clone() }).await
    }

    /// Notes that it is gone.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn leave(&self, scope: &TenantScope, listener: &Listener) -> Result<()> {
        let tx = self.db.begin().await?;
        tx.listeners().delete(scope, &listener.id).await?;
        Ok(tx.commit().await?)
    }

    /// Keeps what a listener replies to an event: a reply as plain XML, or that there is none. The
    /// first one counts, and none that comes later than [`LISTENER_MAY_TAKE`] after the event.
    ///
    /// # Errors
    /// [`Error::EventUnknown`], [`Error::BadReply`], [`Error::TooLate`], [`Error::AlreadyReplied`].
    pub async fn reply(
        &self,
        caller: &Caller,
        id: &EventId,
        reply: Option<Secret<String>>,
    ) -> Result<()> {
        let unknown = || Error::EventUnknown { id: id.clone() };
        let event = match self.db.events().get(&caller.scope, id).await {
            Err(lingpai_storage::Error::NotFound { .. }) => return Err(unknown()),
            other => other?,
        };
        if let Some(reply) = &reply {
            read_plain_reply(&event, reply.expose())?;
        }
        let now = self.clock.now();
        if now > event.received_at + LISTENER_MAY_TAKE {
            return Err(Error::TooLate { id: id.clone() });
        }
        let tx = self.db.begin().await?;
        let replies = tx.listener_replies();
        let is_first = match replies.insert_once(&caller.scope, id, reply.as_ref(), now).await {
            Err(lingpai_storage::Error::NotFound { .. }) => return Err(unknown()),
            other => other?,
        };
        if !is_first {
            return Err(Error::AlreadyReplied { id: id.clone() });
        }
        Ok(tx.commit().await?)
    }

    /// What a listener replies to an event of this tenant's, if it does so before `until`. While the
    /// database is away, nobody has replied.
    pub async fn await_reply(
        &self,
        tenant: &TenantId,
        event: &EventId,
        until: Stopwatch,
    ) -> Option<Answered> {
        loop {
            match self.find_reply(tenant, event).await {
                Ok(Some(answered)) => return Some(answered),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(event.id = %event, %error, "no reply to {event} can be read");
                    return None;
                }
            }
            let next = Stopwatch::now() + LOOK_EVERY;
            if next >= until {
                return None;
            }
            sleep_until(next).await;
        }
    }

    async fn find_reply(&self, tenant: &TenantId, id: &EventId) -> Result<Option<Answered>> {
        let Some(reply) = self.db.listener_replies().find(tenant, id).await? else {
            return Ok(None);
        };
        let Some(reply) = reply else { return Ok(Some(Answered::Nothing)) };
        // It was a reply to this event when it was handed in.
        let event = self.db.events().system_get(id).await?;
        Ok(Some(read_plain_reply(&event, reply.expose())?))
    }

    async fn put(&self, listener: &Listener) -> Result<()> {
        let tx = self.db.begin().await?;
        tx.listeners().upsert(listener).await?;
        Ok(tx.commit().await?)
    }
}
