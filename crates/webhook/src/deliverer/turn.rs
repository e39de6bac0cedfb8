//! The turn of one endpoint: claim, send, write down, claim again, as long as there is something to
//! send and the endpoint takes it.

mod flight;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use lingpai_model::{
    delivery::{ClaimedDelivery, DeadReason},
    endpoint::{Endpoint, EndpointHealth},
    event::Event,
    id::{EventId, TenantId},
};
use lingpai_storage::{EndpointLease, Tx};
use tokio::time::{Instant as Stopwatch, Interval, MissedTickBehavior, interval, sleep};

use self::flight::{Flight, Flown, Waiting};
use crate::{
    Error, Result, WebhookBase,
    attempt::{self, End},
    retry::RetrySchedule,
    seats::Seats,
    settle::{self, Landed, Standing, WRITE_AGAIN},
};

/// How long the lease of an endpoint holds; a turn renews it every [`BEAT`].
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// How often a turn renews its lease while nothing else makes it write.
const BEAT: Duration = Duration::from_secs(8);

/// How long a turn goes on claiming: then others have theirs.
pub(super) const LONGEST: Duration = Duration::from_secs(20);

/// For how long nobody else claims what was claimed: [`FRESH`], the fifteen seconds that an attempt
/// takes at most, and time to write it down.
const HOLD: Duration = Duration::from_secs(30);

/// How long after its claim an attempt may begin. One that waited longer is given back.
const FRESH: Duration = Duration::from_secs(10);

/// How many deliveries are in flight to one endpoint.
const IN_FLIGHT: usize = 4;

/// How many deliveries are claimed at first, and how many at most. A claim doubles as long as all
/// goes well, so that a fast endpoint costs few transactions and a bad one few claims for nothing.
const FIRST_CLAIM: u64 = 8;
const LARGEST_CLAIM: u64 = 64;

/// Up to how many bytes an event takes it is read with the others of its claim: together they take
/// a megabyte at most. A larger one is read when it is sent.
const READ_AHEAD_BYTES: u32 = 16 * 1024;

/// One turn.
pub(super) struct Turn {
    base: WebhookBase,
    lease: EndpointLease,
    seats: Seats<TenantId>,
    /// The endpoint as the last transaction saw it; `None` while nothing may be sent.
    endpoint: Option<Arc<Endpoint>>,
    waiting: VecDeque<Waiting>,
    flying: FuturesUnordered<BoxFuture<'static, Flown>>,
    /// What is not written down yet.
    landed: Vec<Landed>,
    unmade: Vec<ClaimedDelivery>,
    /// Why the endpoint's deliveries are to be buried, if they are.
    ended: Option<DeadReason>,
    /// How many to claim next.
    claim: u64,
    claimed_at: Stopwatch,
    began_at: Stopwatch,
}

impl Turn {
    pub(super) fn new(base: WebhookBase, lease: EndpointLease, seats: Seats<TenantId>) -> Self {
        let now = Stopwatch::now();
        Self {
            base,
            lease,
            seats,
            endpoint: None,
            waiting: VecDeque::new(),
            flying: FuturesUnordered::new(),
            landed: Vec::new(),
            unmade: Vec::new(),
            ended: None,
            claim: FIRST_CLAIM,
            claimed_at: now,
            began_at: now,
        }
    }

    /// Runs to its end. What goes wrong with the database ends it; what was claimed comes due again,
    /// and the endpoint has its next turn when the lease has ended by itself: one whose row cannot be
    /// read is not looked at all the time.
    pub(super) async fn run(mut self) {
        let id = self.lease.endpoint_id.clone();
        if let Err(error) = self.work().await {
            tracing::error!(endpoint.id = %id, %error, "the turn of endpoint {id} broke off");
            self.close_down().await;
            return;
        }
        if let Err(error) = self.base.db.release_endpoint(self.lease).await {
            tracing::warn!(endpoint.id = %id, %error, "endpoint {id} waits until its lease ends");
        }
    }

    async fn work(&mut self) -> Result<()> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        self.write().await?;
        loop {
            self.start();
            if self.flying.is_empty() {
                if self.has_nothing_to_write() {
                    return Ok(());
                }
                self.write().await?;
                continue;
            }
            if self.land(&mut beat).await {
                self.write().await?;
            }
        }
    }

    /// Waits for something to come of what is in flight; returns whether it is time to write.
    async fn land(&mut self, beat: &mut Interval) -> bool {
        tokio::select! {
            Some(flown) = self.flying.next() => self.note(flown),
            _ = beat.tick() => return true,
        }
        while let Some(Some(flown)) = self.flying.next().now_or_never() {
            self.note(flown);
        }
        let failed = self.landed.iter().any(|landed| !matches!(landed.made.end, End::Taken(_)));
        failed || self.waiting.is_empty()
    }

    fn note(&mut self, flown: Flown) {
        match flown {
            Flown::Made(landed) => self.landed.push(landed),
            Flown::Unmade(claimed) => self.unmade.push(claimed),
        }
    }

    fn has_nothing_to_write(&self) -> bool {
        self.landed.is_empty() && self.unmade.is_empty() && self.waiting.is_empty()
    }

    /// Whether the turn goes on claiming.
    fn goes_on(&self) -> bool {
        self.began_at.elapsed() < LONGEST && !self.base.tasks.is_closed()
    }

    /// Sends as much as may be in flight.
    fn start(&mut self) {
        let Some(endpoint) = self.endpoint.clone() else { return };
        while self.flying.len() < lanes(&endpoint.health)
            && self.claimed_at.elapsed() < FRESH
            && let Some(waiting) = self.waiting.pop_front()
        {
            let flight = Flight {
                base: self.base.clone(),
                endpoint: Arc::clone(&endpoint),
                seats: self.seats.of(&endpoint.tenant_id),
                claimed_at: self.claimed_at,
            };
            self.flying.push(flight.begin(waiting).boxed());
        }
    }

    /// Writes down what there is, as often as the database fails for now: what is not written down is
    /// sent again.
    async fn write(&mut self) -> Result<()> {
        self.grow();
        for pause in WRITE_AGAIN {
            match self.write_once().await {
                Err(error) if error.is_transient() => {
                    let id = &self.lease.endpoint_id;
                    tracing::warn!(endpoint.id = %id, %error, "the turn of endpoint {id} waits");
                    sleep(pause).await;
                }
                written => return written,
            }
        }
        self.write_once().await
    }

    /// One transaction: what came of attempts, how the endpoint does, the next claim.
    async fn write_once(&mut self) -> Result<()> {
        if self.claimed_at.elapsed() >= FRESH {
            self.unmade.extend(self.waiting.drain(..).map(|waiting| waiting.claimed));
        }
        let tx = self.base.db.begin_patiently().await?;
        match self.write_in(&tx).await {
            Ok(claimed) => {
                tx.commit().await?;
                self.written();
                if let Some(reason) = self.ended.take() {
                    settle::bury(&self.base, &self.lease.endpoint_id, reason).await?;
                }
                self.take(claimed).await
            }
            Err(Error::Storage(lingpai_storage::Error::Fenced { .. })) => {
                drop(tx);
                self.endpoint = None;
                self.write_without_lease().await
            }
            Err(error) => Err(error),
        }
    }

    async fn write_in(&mut self, tx: &Tx) -> Result<Vec<ClaimedDelivery>> {
        let id = self.lease.endpoint_id.clone();
        tx.endpoints().renew(&self.lease, LEASE).await?;
        let standing = settle::settle(tx, &self.base, &id, &self.landed).await?;
        let now = self.base.clock.now();
        self.endpoint = match standing {
            Standing::Active(endpoint) if !endpoint.health.is_blocked(now) => {
                Some(Arc::from(endpoint))
            }
            Standing::Active(_) | Standing::Paused => None,
            Standing::Ended(reason) => {
                self.ended = Some(reason);
                None
            }
        };
        if self.endpoint.is_none() || !self.goes_on() {
            self.unmade.extend(self.waiting.drain(..).map(|waiting| waiting.claimed));
        }
        tx.deliveries().give_back(&self.unmade, now).await?;
        let Some(endpoint) = &self.endpoint else { return Ok(Vec::new()) };
        if !self.waiting.is_empty() || !self.goes_on() {
            return Ok(Vec::new());
        }
        let limit = if lanes(&endpoint.health) == 1 { 1 } else { self.claim };
        let claimed = tx.deliveries().claim(&self.lease, now, limit, HOLD).await?;
        self.claimed_at = Stopwatch::now();
        Ok(claimed)
    }

    /// Judges by what came of the last claim how much to claim next.
    fn grow(&mut self) {
        if self.landed.iter().any(|landed| !matches!(landed.made.end, End::Taken(_))) {
            self.claim = FIRST_CLAIM;
        } else if !self.landed.is_empty() {
            self.claim = (self.claim * 2).min(LARGEST_CLAIM);
        }
    }

    fn written(&mut self) {
        self.landed.clear();
        self.unmade.clear();
    }

    /// Somebody else has the endpoint: what came of attempts counts all the same, as far as nobody
    /// has made a later one.
    async fn write_without_lease(&mut self) -> Result<()> {
        self.unmade.extend(self.waiting.drain(..).map(|waiting| waiting.claimed));
        let tx = self.base.db.begin_patiently().await?;
        settle::record(&tx, &self.base, &self.landed).await?;
        tx.deliveries().give_back(&self.unmade, self.base.clock.now()).await?;
        tx.commit().await?;
        self.written();
        Ok(())
    }

    /// Puts what was claimed in line. What nothing can come of ends here.
    async fn take(&mut self, claimed: Vec<ClaimedDelivery>) -> Result<()> {
        let most = RetrySchedule::default().attempts();
        // Counted, and never judged: whoever made them ended each time.
        let (claimed, worn_out): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|claimed| claimed.attempt <= most);
        for claimed in worn_out {
            self.end(claimed, (DeadReason::GaveUp, "nothing came of any of its attempts"));
        }
        if claimed.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<EventId> = claimed.iter().map(|one| one.event_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let events = self.base.db.events();
        let (events, unreadable) = events.system_find_small(&ids, READ_AHEAD_BYTES).await?;
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
        for claimed in claimed {
            if unreadable.contains(&claimed.event_id) {
                self.end(claimed, flight::UNREADABLE);
            } else {
                let event = events.iter().find(|event| event.id == claimed.event_id).cloned();
                self.waiting.push_back(Waiting { claimed, event });
            }
        }
        Ok(())
    }

    fn end(&mut self, claimed: ClaimedDelivery, why: (DeadReason, &str)) {
        let made = attempt::unmade(claimed.attempt, why, self.base.clock.now());
        self.landed.push(Landed { claimed, made, late: None });
    }

    /// After a fault: waits for what is in flight and tries again to write it down.
    async fn close_down(&mut self) {
        while let Some(flown) = self.flying.next().await {
            self.note(flown);
        }
        let mut written = self.write_without_lease().await;
        for pause in WRITE_AGAIN {
            if !written.as_ref().is_err_and(Error::is_transient) {
                break;
            }
            sleep(pause).await;
            written = self.write_without_lease().await;
        }
        if let Err(error) = written {
            let id = &self.lease.endpoint_id;
            tracing::error!(endpoint.id = %id, %error, "what was sent to endpoint {id} is sent again");
        }
    }
}

/// How many deliveries may be in flight to an endpoint: one until it is known to be well again.
fn lanes(health: &EndpointHealth) -> usize {
    if health.failures_in_row == 0 { IN_FLIGHT } else { 1 }
}
