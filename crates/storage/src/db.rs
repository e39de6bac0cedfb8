//! [`Db`], the open database, and [`Tx`], a transaction on it.
//!
//! Everything that differs between SQLite, PostgreSQL and MySQL stands in this module: how
//! connections are made and proved durable, how schema steps are serialized, how the clock is read.
//!
//! On SQLite there are two pools: readers, which never wait, and one writer whose transactions
//! begin IMMEDIATE. A transaction that began by reading would otherwise find the database locked
//! when it comes to write, and no waiting helps. On the servers both are the same pool.
//!
//! Beginning and committing run in tasks of their own: a caller may be dropped at any `await`, and
//! a connection must not go back to its pool between a `BEGIN` and its acknowledgement.

mod brief;
mod collation;
mod connect;
mod dialect;
mod durability;
mod handle;
mod key_check;
mod migrate;
mod tx;

use std::{sync::Arc, time::Duration};

use lingpai_model::{
    Instant,
    push::{NewMessage, Recorded},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

pub(crate) use self::{
    brief::BriefTx,
    dialect::{is_unavailable, skips_one_key},
    handle::{Handle, Store, instant, millis},
};
pub use self::{connect::DatabaseConfig, durability::Durability, tx::Tx};
use crate::{
    arrivals::{Arrival, Arrivals, Row},
    cache::Caches,
    entity::quarantined_messages,
    error::{Error, Result, lost},
    lease::{self, Lease, LeaseKey},
    repo::events::MessageRows,
    seal::KeyRing,
};

/// The open database. Cloning shares it.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}

struct Inner {
    store: Store,
    durability: Durability,
    arrivals: Arrivals,
    caches: Arc<Caches>,
    background: TaskTracker,
    /// For work that can wait: it never has all connections.
    patient: Arc<Semaphore>,
}

impl Db {
    /// Opens the database, sets what makes commits durable and reads it back.
    ///
    /// Must be called inside a tokio runtime: it starts the task that groups commits, and on SQLite a
    /// thread for their steps.
    ///
    /// # Errors
    /// [`Error::BadAddress`], [`Error::Unavailable`], and [`Error::NotDurable`] when a commit could
    /// be lost in a crash.
    pub async fn connect(config: &DatabaseConfig, keys: KeyRing) -> Result<Self> {
        let (readers, writer) = connect::open(config).await?;
        let durability = durability::prove(&readers, &writer).await?;
        let store = Store { readers, writer, keys };
        let background = TaskTracker::new();
        let arrivals = Arrivals::start(store.clone(), &background)?;
        let caches = Arc::new(Caches::new());
        let half = usize::try_from(config.max_connections / 2).unwrap_or(1).max(1);
        let patient = if store.writes_side_by_side() { half } else { 1 };
        let patient = Arc::new(Semaphore::new(patient));
        Ok(Self(Arc::new(Inner { store, durability, arrivals, caches, background, patient })))
    }

    /// Takes every schema step that is missing and returns how many there were. One runner at a
    /// time in the whole cluster; the others wait and find nothing left to do.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`].
    pub async fn migrate(&self) -> Result<u32> {
        let store = self.0.store.clone();
        let run = self.0.background.spawn(async move { migrate::run(&store).await });
        run.await.map_err(|task| Error::Unavailable {
            what: "bring the schema up to date",
            source: lost(&task),
        })?
    }

    /// The schema steps that are missing. Steps that only a newer program knows are no fault.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`].
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        migrate::pending(&self.0.store.readers).await
    }

    /// Makes sure that the database tells all identifiers apart, as the schema steps set it: by case
    /// and by trailing spaces.
    ///
    /// # Errors
    /// [`Error::WrongCollation`]; [`Error::SchemaBehind`] before the schema is there.
    pub async fn prove_collation(&self) -> Result<()> {
        self.require_schema().await?;
        collation::prove(&self.0.store.readers).await
    }

    /// Makes sure that this database was sealed with a key of the ring; the first start seals it.
    ///
    /// # Errors
    /// [`Error::WrongMasterKey`]; [`Error::SchemaBehind`] before the schema is there.
    pub async fn check_key(&self) -> Result<()> {
        self.require_schema().await?;
        let now = self.now().await?;
        let tx = self.begin().await?;
        key_check::run(&tx.handle(), now).await?;
        tx.commit().await
    }

    /// Begins a transaction. On SQLite this waits for the one writer.
    ///
    /// Never hold one across a network call or while waiting for a lease.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin(&self) -> Result<Tx> {
        let store = self.0.store.clone();
        let begun = self.0.background.spawn(async move { store.begin().await }).await;
        let tx = begun.map_err(|task| Error::Unavailable {
            what: "begin a transaction",
            source: lost(&task),
        })??;
        Ok(Tx::new(self.clone(), tx))
    }

    /// As [`Db::begin`], for work that can wait, of which there may be much at once: so many of these
    /// transactions are open at a time that what arrives from WeChat still finds a connection, one on
    /// SQLite and half of the pool elsewhere. The others wait for their turn, for as long as it takes.
    ///
    /// Hold no other transaction meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin_patiently(&self) -> Result<Tx> {
        let turn = self.patience().await;
        Ok(self.begin().await?.until_its_end(turn))
    }

    /// The turn of one piece of work that can wait.
    pub(crate) async fn patience(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.0.patient).acquire_owned().await.ok()
    }

    /// The database's clock, which all instances share.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn now(&self) -> Result<Instant> {
        dialect::read_clock(&self.0.store.readers).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.now().await.map(drop)
    }

    /// What makes commits durable, as the database told it.
    #[must_use]
    pub fn durability(&self) -> &Durability {
        &self.0.durability
    }

    /// Commits the arrivals that wait, refuses later ones, and closes the connections.
    pub async fn close(self) {
        self.0.arrivals.stop();
        self.0.background.close();
        self.0.background.wait().await;
        for pool in [&self.0.store.readers, &self.0.store.writer] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "a connection pool did not close cleanly");
            }
        }
    }

    /// Records a ticket or push and returns once it is committed to durable storage.
    ///
    /// What arrives at the same time shares one commit. The same ticket or push twice is one. The
    /// record is made even if the caller is dropped meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::CommitUnknown`]: nothing may be acknowledged;
    /// [`Error::Query`] when this one cannot be recorded at all.
    pub async fn record_arrival(&self, arrival: Arrival) -> Result<()> {
        self.0.arrivals.record(arrival.seal(&self.0.store.keys)).await.map(drop)
    }

    /// Records a message with the deliveries that it causes, and returns once both are committed to
    /// durable storage. Of one that was recorded before, nothing is written.
    ///
    /// What arrives at the same time shares one commit. The record is made even if the caller is
    /// dropped meanwhile.
    ///
    /// # Errors
    /// As [`Db::record_arrival`].
    pub async fn record_message(&self, message: NewMessage) -> Result<Recorded> {
        let rows = MessageRows::seal(&self.0.store.keys, &message);
        self.0.arrivals.record(Row::Message(Arc::new(rows))).await
    }

    /// Records a message in quarantine, sealed already, as [`Db::record_arrival`] does.
    pub(crate) async fn record_quarantined(&self, row: quarantined_messages::Model) -> Result<()> {
        self.0.arrivals.record(Row::Quarantined(row)).await.map(drop)
    }

    /// Takes a lease for `ttl`, by the database's clock; `None` while somebody else holds it.
    ///
    /// If the caller is dropped before it learns the outcome, the lease is given back.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn take_lease(&self, key: &LeaseKey, ttl: Duration) -> Result<Option<Lease>> {
        let (key, store) = (key.clone(), self.0.store.clone());
        let take = async move { lease::take(&store.writing(), &key, ttl).await };
        let store = self.0.store.clone();
        let give_back =
            async move |lease: Lease| lease::give_back(&store.writing(), &lease).await.map(drop);
        self.take("take a lease", take, give_back).await
    }

    /// Takes something that has to be given back if the caller is dropped before it is told.
    pub(crate) async fn take<L: Send + 'static, Back>(
        &self,
        what: &'static str,
        take: impl Future<Output = Result<Option<L>>> + Send + 'static,
        give_back: impl FnOnce(L) -> Back + Send + 'static,
    ) -> Result<Option<L>>
    where
        Back: Future<Output = Result<()>> + Send,
    {
        let (tell, told) = oneshot::channel();
        self.0.background.spawn(async move {
            if let Err(Ok(Some(unwanted))) = tell.send(take.await)
                && let Err(error) = give_back(unwanted).await
            {
                tracing::warn!(%error, "a lease that nobody waited for runs to its end");
            }
        });
        told.await.map_err(|lost| Error::Unavailable { what, source: Arc::new(lost) })?
    }

    /// Holds a lease for another `ttl` from now.
    ///
    /// # Errors
    /// [`Error::Fenced`] when it was lost meanwhile: nothing may be done under it any more.
    /// [`Error::Unavailable`].
    pub async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        lease::renew(&self.0.store.writing(), lease, ttl).await
    }

    /// Gives a lease back without having written anything under it. One that was lost meanwhile
    /// stays with its new holder.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the lease then runs to its end.
    pub async fn release_lease(&self, lease: Lease) -> Result<()> {
        lease::give_back(&self.0.store.writing(), &lease).await.map(drop)
    }

    async fn require_schema(&self) -> Result<()> {
        let pending = self.pending_migrations().await?;
        if pending.is_empty() { Ok(()) } else { Err(Error::SchemaBehind { pending }) }
    }

    pub(crate) fn caches(&self) -> &Arc<Caches> {
        &self.0.caches
    }

    pub(crate) fn background(&self) -> &TaskTracker {
        &self.0.background
    }

    pub(crate) fn handle(&self) -> Handle<'_> {
        self.0.store.reading()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.0.store.keys
    }
}
