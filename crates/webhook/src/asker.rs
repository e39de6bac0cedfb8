//! Asks the replying endpoint for its answer while WeChat waits.
//!
//! The first attempt at its delivery is made here instead of by a worker. The attempt runs to its end
//! whether or not somebody waits for the answer: what came of it is written down, and a reply that
//! nobody waits for any more goes to the fan as a message, if the endpoint wants that.

use std::{pin::pin, sync::Arc, time::Duration};

use lingpai_model::{
    delivery::ClaimedDelivery,
    endpoint::Endpoint,
    event::Event,
    id::{DeliveryId, EndpointId, TenantId},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};

use crate::{
    Result, WebhookBase,
    attempt::{self, End, Made},
    form::Answered,
    late,
    seats::Seats,
    settle::{self, Landed, Standing, WRITE_AGAIN},
};

/// For how long workers leave a delivery alone whose first attempt is made by asking: the fifteen
/// seconds that an attempt takes at most, and time to write down what came of it.
pub const ASKED_FOR: Duration = Duration::from_secs(20);

/// For how many messages somebody waits at once in one process. Who has gone on waits no longer: slow
/// endpoints, whose answers nobody waits for, keep nobody's endpoint from being asked.
const WAITED_FOR: usize = 256;

/// How many endpoints are asked at once in one process, whether somebody waits or not.
const ASKED: usize = 2_048;

/// How long somebody who waits may take to take an answer that is there.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// How many of those are one tenant's.
const ASKED_PER_TENANT: usize = 16;

/// How many times one endpoint is asked at once.
const ASKED_PER_ENDPOINT: usize = 4;

/// Asks replying endpoints. Clones share its seats, which are no worker's: an endpoint that hangs
/// costs its own tenant's replies, and no deliveries.
///
/// So what is in flight to a replying endpoint is what workers send, four at a time in the whole
/// cluster, and beside it four at a time from each process that takes messages; of a tenant it is
/// sixteen and sixteen in each process.
#[derive(Debug, Clone)]
pub struct Asker {
    base: WebhookBase,
    waited_for: Arc<Semaphore>,
    asked: Arc<Semaphore>,
    tenants: Seats<TenantId>,
    endpoints: Seats<EndpointId>,
}

impl Asker {
    /// A pool in which all seats are free.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        Self {
            base,
            waited_for: Arc::new(Semaphore::new(WAITED_FOR)),
            asked: Arc::new(Semaphore::new(ASKED)),
            tenants: Seats::new(ASKED_PER_TENANT),
            endpoints: Seats::new(ASKED_PER_ENDPOINT),
        }
    }

    /// A seat to ask this endpoint; `None` when all are taken, and then a worker makes the first
    /// attempt as for any other delivery. Take it before the message is recorded, because who makes
    /// the first attempt is recorded with it.
    #[must_use]
    pub fn seat(&self, endpoint: &Endpoint) -> Option<Seat> {
        let held = [
            self.endpoints.of(&endpoint.id).try_acquire_owned().ok()?,
            self.tenants.of(&endpoint.tenant_id).try_acquire_owned().ok()?,
            Arc::clone(&self.asked).try_acquire_owned().ok()?,
        ];
        let waited_for = Some(Arc::clone(&self.waited_for).try_acquire_owned().ok()?);
        Some(Seat { base: self.base.clone(), waited_for, _held: held })
    }
}

/// The right to ask one endpoint once.
#[derive(Debug)]
pub struct Seat {
    base: WebhookBase,
    /// Given back as soon as nobody waits any more.
    waited_for: Option<OwnedSemaphorePermit>,
    _held: [OwnedSemaphorePermit; 3],
}

impl Seat {
    /// Asks `endpoint` by the first attempt at `delivery`, which was recorded with
    /// [`lingpai_model::delivery::FirstAttempt::Recorder`] for [`ASKED_FOR`], after that was
    /// committed.
    #[must_use]
    pub fn ask(
        self,
        endpoint: impl Into<Arc<Endpoint>>,
        event: Event,
        delivery: DeliveryId,
    ) -> PendingReply {
        let (answer, answered) = oneshot::channel();
        let (take, taken) = oneshot::channel();
        let endpoint = endpoint.into();
        let tasks = self.base.tasks.clone();
        let asking = Asking { seat: self, endpoint, event, delivery };
        tasks.spawn(asking.run(answer, taken));
        PendingReply { answered, take }
    }
}

/// An answer on its way. Dropping it gives it up.
#[derive(Debug)]
pub struct PendingReply {
    answered: oneshot::Receiver<Answered>,
    /// Tells that the answer came in time. What is only sent may still be dropped unread.
    take: oneshot::Sender<()>,
}

impl PendingReply {
    /// The endpoint's answer; `None` when it gave none, or none that can be used. It takes as long as
    /// the endpoint does, fifteen seconds at most: whoever cannot wait so long drops this future.
    pub async fn wait(self) -> Option<Answered> {
        let answered = self.answered.await.ok()?;
        self.take.send(()).ok()?;
        Some(answered)
    }
}

struct Asking {
    seat: Seat,
    endpoint: Arc<Endpoint>,
    event: Event,
    delivery: DeliveryId,
}

impl Asking {
    async fn run(mut self, mut answer: oneshot::Sender<Answered>, taken: oneshot::Receiver<()>) {
        let mut made = self.make(&mut answer).await;
        let mut late = None;
        if let End::Taken(answered) = &mut made.end {
            let answered = std::mem::replace(answered, Answered::Nothing);
            let kept = late::wanted(&self.endpoint, &answered);
            let in_time = answer.send(answered).is_ok()
                && timeout(TAKEN_WITHIN, taken).await.is_ok_and(|taken| taken.is_ok());
            late = kept.filter(|_| !in_time);
        } else {
            // Whoever waits goes on at once.
            drop(answer);
        }
        // Nobody waits for what is written down.
        self.seat.waited_for = None;
        let base = &self.seat.base;
        let late = late.and_then(|reply| late::to_fan(base, &self.event, reply));
        let claimed = ClaimedDelivery {
            id: self.delivery.clone(),
            tenant_id: self.endpoint.tenant_id.clone(),
            event_id: self.event.id.clone(),
            endpoint_id: self.endpoint.id.clone(),
            attempt: 1,
            may_reply: false,
            held_until: self.event.received_at + ASKED_FOR,
            created_at: self.event.received_at,
        };
        if let Err(error) = self.write(&[Landed { claimed, made, late }]).await {
            let id = &self.delivery;
            tracing::error!(delivery.id = %id, %error, "delivery {id} was made and is made again");
        }
    }

    /// Makes the attempt, to its end, and notes when nobody waits for it any more.
    async fn make(&mut self, answer: &mut oneshot::Sender<Answered>) -> Made {
        let base = self.seat.base.clone();
        let mut making = pin!(attempt::make(&base, &self.endpoint, &self.event, 1));
        tokio::select! {
            made = &mut making => return made,
            () = answer.closed() => self.seat.waited_for = None,
        }
        making.await
    }

    async fn write(&self, landed: &[Landed]) -> Result<()> {
        for pause in WRITE_AGAIN {
            match self.write_once(landed).await {
                Err(error) if error.is_transient() => sleep(pause).await,
                written => return written,
            }
        }
        self.write_once(landed).await
    }

    /// One transaction: the delivery, the endpoint's health, the late reply.
    async fn write_once(&self, landed: &[Landed]) -> Result<()> {
        let (base, id) = (&self.seat.base, &self.endpoint.id);
        let tx = base.db.begin_patiently().await?;
        let standing = settle::settle(&tx, base, id, landed).await?;
        tx.commit().await?;
        match standing {
            Standing::Ended(reason) => settle::bury(base, id, reason).await,
            Standing::Active(_) | Standing::Paused => Ok(()),
        }
    }
}
