use std::time::Duration;

use lingpai_model::{
    Appid, Instant,
    audit::Action,
    caller::{Caller, TenantScope},
    clock::{Entropy, SharedClock},
    event::Event,
    id::{EventId, TenantId},
    page::{Page, PageRequest},
};
use lingpai_storage::{Db, ErasureScope, EventHead, EventQuery, Tx};

use crate::{Error, LISTENER_LIFE, Result, audit, settle::BURIED_AT_ONCE};

/// How many events are erased in one transaction: those who write wait meanwhile.
const ERASED_AT_ONCE: u64 = 500;

/// Reads and erases the stream of events.
#[derive(Debug, Clone)]
pub struct Events {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl Events {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// The tenant's events as far as they fit `query`, without their content, the newest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        scope: &TenantScope,
        query: &EventQuery,
        page: &PageRequest,
    ) -> Result<Page<EventHead>> {
        Ok(self.db.events().list(scope, query, page).await?)
    }

    /// The events of one tenant or of the whole installation as far as they fit `query`, without
    /// their content, the newest first. For operators.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list_for_operators(
        &self,
        tenant: Option<&TenantId>,
        query: &EventQuery,
        page: &PageRequest,
    ) -> Result<Page<EventHead>> {
        Ok(self.db.events().system_list(tenant, query, page).await?)
    }

    /// One event of the tenant's, with its content.
    ///
    /// # Errors
    /// [`Error::EventUnknown`] alike for a missing one and another tenant's.
    pub async fn get(&self, scope: &TenantScope, id: &EventId) -> Result<Event> {
        match self.db.events().get(scope, id).await {
            Err(lingpai_storage::Error::NotFound { .. }) => {
                Err(Error::EventUnknown { id: id.clone() })
            }
            Err(error) => Err(error.into()),
            Ok(event) => Ok(event),
        }
    }

    /// Erases what one fan of one of the tenant's authorizers did: events, their deliveries and the
    /// replies to them, and what names him in quarantine. Returns how many events that were.
    ///
    /// What a worker has claimed already may still be sent for some seconds. If this breaks off, a part
    /// is erased: repeat it.
    ///
    /// # Errors
    /// [`Error::AuthorizerUnknown`] for an account that is not the tenant's, if nothing was erased
    /// either; [`Error::Storage`] when the database failed.
    pub async fn erase_fan(&self, caller: &Caller, appid: &Appid, openid: &str) -> Result<u64> {
        let whose = ErasureScope::Fan { appid: appid.clone(), openid: openid.to_owned() };
        // Not the fan's openid: the trail stays when the fan is erased.
        self.erase(caller, &whose, (Action::FanErased, appid)).await
    }

    /// Erases everything in the stream that is about one authorizer of the tenant's, as
    /// [`Events::erase_fan`].
    ///
    /// # Errors
    /// As [`Events::erase_fan`].
    pub async fn erase_authorizer(&self, caller: &Caller, appid: &Appid) -> Result<u64> {
        let whose = ErasureScope::Authorizer(appid.clone());
        self.erase(caller, &whose, (Action::AuthorizerErased, appid)).await
    }

    async fn erase(
        &self,
        caller: &Caller,
        whose: &ErasureScope,
        (action, appid): (Action, &Appid),
    ) -> Result<u64> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut erased = tx.events().erase(&caller.scope, whose, ERASED_AT_ONCE).await?;
        // Of an account that was released its events are still there, and may go.
        if erased == 0 {
            refuse_foreign(&tx, &caller.scope, appid).await?;
        }
        audit::append(&tx, &caller.act(), (action, appid.as_str()), (now, &self.entropy)).await?;
        match whose {
            ErasureScope::Authorizer(appid) => {
                tx.quarantine().erase(&caller.scope, appid).await?;
            }
            ErasureScope::Fan { appid, openid } => {
                tx.quarantine().erase_fan(&caller.scope, appid, openid).await?;
            }
        }
        tx.commit().await?;
        let mut last = erased;
        while last >= ERASED_AT_ONCE {
            let tx = self.db.begin_patiently().await?;
            last = tx.events().erase(&caller.scope, whose, ERASED_AT_ONCE).await?;
            tx.commit().await?;
            erased += last;
        }
        Ok(erased)
    }

    /// Erases events that are older than `retention`, with their deliveries and replies, and what has
    /// been in quarantine for so long; forgets listeners that are gone, and gives deliveries up whose
    /// endpoint is gone. Returns how many events that were.
    ///
    /// Not all at once: those who write meanwhile have their turns in between.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed; what was erased before is erased.
    pub async fn sweep(&self, retention: Duration) -> Result<u64> {
        let now = self.clock.now();
        let before = |age| now.checked_sub_signed(chrono::Duration::from_std(age).ok()?);
        let mut erased = 0;
        if let Some(before) = before(retention) {
            erased = self.until_none_is_left(Swept::Events(before)).await?;
            self.until_none_is_left(Swept::Quarantine(before)).await?;
        }
        if let Some(before) = before(LISTENER_LIFE) {
            self.until_none_is_left(Swept::Listeners(before)).await?;
        }
        self.until_none_is_left(Swept::Orphans(now)).await?;
        Ok(erased)
    }

    /// Sweeps, a batch in a transaction, until nothing is left; returns how much there was.
    async fn until_none_is_left(&self, swept: Swept) -> Result<u64> {
        let mut done = 0;
        loop {
            let tx = self.db.begin_patiently().await?;
            let some = swept.batch(&tx).await?;
            tx.commit().await?;
            if some == 0 {
                return Ok(done);
            }
            done += some;
        }
    }
}

async fn refuse_foreign(tx: &Tx, scope: &TenantScope, appid: &Appid) -> Result<()> {
    match tx.authorizers().get(scope, appid).await {
        Err(lingpai_storage::Error::NotFound { .. }) => {
            Err(Error::AuthorizerUnknown { appid: appid.clone() })
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// What is swept.
#[derive(Debug, Clone, Copy)]
enum Swept {
    /// Events from before then.
    Events(Instant),
    /// Pushes in quarantine from before then.
    Quarantine(Instant),
    /// Programs that ended without a word, last seen before then.
    Listeners(Instant),
    /// Deliveries whose endpoint is gone: they end now.
    Orphans(Instant),
}

impl Swept {
    /// One batch; returns how much it was.
    async fn batch(self, tx: &Tx) -> lingpai_storage::Result<u64> {
        match self {
            Self::Events(before) => tx.events().sweep(before).await,
            Self::Quarantine(before) => tx.quarantine().sweep(before).await,
            Self::Listeners(before) => tx.listeners().sweep(before).await,
            Self::Orphans(now) => tx.deliveries().bury_orphans(now, BURIED_AT_ONCE).await,
        }
    }
}
