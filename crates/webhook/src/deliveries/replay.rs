//! Delivering events again: new deliveries of the same events, with the same ids in them.

use lingpai_model::{
    audit::{Act, Action},
    caller::{Caller, OperatorCaller, TenantScope},
    delivery::{DeliveryCause, FirstAttempt, NewDelivery},
    endpoint::{Endpoint, EndpointState},
    event::Event,
    id::{DeliveryId, EndpointId, EventId, TenantId},
    page::{Cursor, MAX_LIMIT, PageRequest},
};
use lingpai_storage::{EventHead, EventQuery, Tx};

use super::{Deliveries, known};
use crate::{Error, Result, audit};

/// How many events of a range are looked at in one call.
const MOST_EVENTS: u64 = 1_000;

/// How many deliveries one call makes before it leaves the rest of a range to the next.
const ENOUGH_DELIVERIES: u64 = 5_000;

/// So many deliveries of a tenant may be pending when it asks for more of what was delivered before: it
/// could fill the disk otherwise.
pub const MOST_PENDING: u64 = 100_000;

/// What is to be delivered again.
#[derive(Debug, Clone)]
pub enum ReplayOf {
    /// One event.
    Event(EventId),
    /// One delivery: its event, to its endpoint.
    Delivery(DeliveryId),
    /// All events that fit, the newest first.
    Range {
        /// Which.
        query: EventQuery,
        /// Where to go on, as the call before told.
        after: Option<Cursor>,
    },
}

/// What is delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How many deliveries were made for it.
    pub deliveries: u64,
    /// Where the next call goes on with a range that is too long for one; `None` at its end.
    pub next: Option<Cursor>,
}

/// Which events of a tenant are delivered again.
struct Range<'a> {
    scope: &'a TenantScope,
    query: &'a EventQuery,
    to: Option<&'a EndpointId>,
}

/// Where events are delivered again.
enum Target {
    /// To every endpoint that wants them.
    Wanting(Vec<Endpoint>),
    /// To this one, whatever it wants.
    One(Box<Endpoint>),
}

impl Target {
    /// The endpoints that get this event.
    fn of(&self, event: &EventHead) -> impl Iterator<Item = &Endpoint> {
        let (endpoints, is_asked) = match self {
            Self::Wanting(endpoints) => (endpoints.as_slice(), false),
            Self::One(endpoint) => (std::slice::from_ref(&**endpoint), true),
        };
        endpoints.iter().filter(move |endpoint| {
            let account = event.authorizer_appid.as_ref();
            has_form(endpoint, event) && (is_asked || endpoint.takes(&event.event_type, account))
        })
    }
}

impl Deliveries {
    /// Delivers again, to one endpoint or to every one that wants the event. An endpoint that is named
    /// gets what is asked for whatever its filter says, as far as there is a form for it.
    ///
    /// # Errors
    /// [`Error::EventUnknown`], [`Error::DeliveryUnknown`], [`Error::EndpointUnknown`];
    /// [`Error::EndpointNotActive`] when the endpoint was disabled; [`Error::NotReplayable`] when
    /// there is no form for the event; [`Error::TooManyPending`].
    pub async fn replay(
        &self,
        caller: &Caller,
        of: ReplayOf,
        to: Option<EndpointId>,
    ) -> Result<Replayed> {
        let (scope, act) = (&caller.scope, caller.act());
        match of {
            ReplayOf::Event(id) => self.replay_event(scope, &act, &id, to).await,
            ReplayOf::Delivery(id) => {
                let (delivery, _) = self.get(scope, &id).await?;
                let to = to.unwrap_or(delivery.endpoint_id);
                self.replay_event(scope, &act, &delivery.event_id, Some(to)).await
            }
            ReplayOf::Range { query, after } => {
                let range = Range { scope, query: &query, to: to.as_ref() };
                self.replay_range(&act, &range, after).await
            }
        }
    }

    /// Makes a delivery again, whoever's it is. For operators; its tenant's trail tells it too.
    ///
    /// # Errors
    /// As [`Deliveries::replay`].
    pub async fn replay_for(&self, by: &OperatorCaller, id: &DeliveryId) -> Result<Replayed> {
        let db = &self.base.db;
        let (delivery, _) = known(id, db.deliveries().system_get(id).await)?;
        let act = by.act().about(&delivery.tenant_id);
        let event = found(&delivery.event_id, db.events().system_get(&delivery.event_id).await)?;
        let tx = db.begin().await?;
        let endpoint = tx.endpoints().system_get(&delivery.endpoint_id).await?;
        let target = one(&delivery.endpoint_id, endpoint)?;
        let made = self.deliver(&tx, &delivery.tenant_id, &[head(event)], &target).await?;
        if made == 0 {
            return Err(Error::NotReplayable);
        }
        self.record(&tx, &act, id.as_str()).await?;
        tx.commit().await?;
        self.base.due.notify_one();
        Ok(Replayed { deliveries: made, next: None })
    }

    async fn replay_event(
        &self,
        scope: &TenantScope,
        act: &Act,
        id: &EventId,
        to: Option<EndpointId>,
    ) -> Result<Replayed> {
        let event = found(id, self.base.db.events().get(scope, id).await)?;
        self.refuse_too_many(scope).await?;
        let tx = self.base.db.begin().await?;
        let target = self.target(&tx, scope, to.as_ref()).await?;
        let made = self.deliver(&tx, scope.tenant_id(), &[head(event)], &target).await?;
        if made == 0 && matches!(target, Target::One(_)) {
            return Err(Error::NotReplayable);
        }
        self.record(&tx, act, id.as_str()).await?;
        tx.commit().await?;
        self.base.due.notify_one();
        Ok(Replayed { deliveries: made, next: None })
    }

    /// A part of the range, page by page, and where the next one begins. Each page is a transaction, and
    /// one that waits for its turn: what arrives meanwhile goes first.
    async fn replay_range(
        &self,
        act: &Act,
        range: &Range<'_>,
        after: Option<Cursor>,
    ) -> Result<Replayed> {
        let mut done = self.replay_page(range, after, Some(act)).await?;
        for _ in 1..MOST_EVENTS / MAX_LIMIT {
            if done.deliveries >= ENOUGH_DELIVERIES {
                break;
            }
            let Some(next) = done.next.clone() else { break };
            match self.replay_page(range, Some(next), None).await {
                Ok(page) => {
                    done.deliveries += page.deliveries;
                    done.next = page.next;
                }
                // What was made is told. The next call begins here, and is told what is wrong.
                Err(error) => {
                    tracing::warn!(%error, "a range of events is replayed in part");
                    break;
                }
            }
        }
        self.base.due.notify_one();
        Ok(done)
    }

    /// One page of the range; with it is recorded whose act it is, unless that was done.
    async fn replay_page(
        &self,
        range: &Range<'_>,
        after: Option<Cursor>,
        act: Option<&Act>,
    ) -> Result<Replayed> {
        let first = PageRequest::first();
        let request = match after {
            Some(after) => first.following(after),
            None => first,
        };
        self.refuse_too_many(range.scope).await?;
        let page = self.base.db.events().list(range.scope, range.query, &request).await?;
        let tx = self.base.db.begin_patiently().await?;
        let target = self.target(&tx, range.scope, range.to).await?;
        let deliveries = self.deliver(&tx, range.scope.tenant_id(), &page.items, &target).await?;
        if let Some(act) = act {
            self.record(&tx, act, "a range of events").await?;
        }
        tx.commit().await?;
        Ok(Replayed { deliveries, next: page.next })
    }

    /// A tenant that has much to be delivered waits until it is.
    async fn refuse_too_many(&self, scope: &TenantScope) -> Result<()> {
        let db = &self.base.db;
        let endpoints = db.endpoints().system_list(scope.tenant_id()).await?;
        let ids: Vec<EndpointId> = endpoints.into_iter().map(|endpoint| endpoint.id).collect();
        if db.deliveries().system_count_pending(&ids).await? >= self.most_pending {
            return Err(Error::TooManyPending { most: self.most_pending });
        }
        Ok(())
    }

    async fn target(
        &self,
        tx: &Tx,
        scope: &TenantScope,
        to: Option<&EndpointId>,
    ) -> Result<Target> {
        let endpoints = tx.endpoints().system_list(scope.tenant_id()).await?;
        match to {
            None => Ok(Target::Wanting(endpoints)),
            Some(id) => one(id, endpoints.into_iter().find(|endpoint| endpoint.id == *id)),
        }
    }

    /// Makes the deliveries of these events, and returns how many.
    async fn deliver(
        &self,
        tx: &Tx,
        tenant: &TenantId,
        events: &[EventHead],
        target: &Target,
    ) -> Result<u64> {
        let now = self.base.clock.now();
        let mut deliveries = Vec::new();
        for event in events {
            let new = |endpoint: &Endpoint| NewDelivery {
                id: DeliveryId::new(now, &self.base.entropy),
                endpoint_id: endpoint.id.clone(),
                first_attempt: FirstAttempt::Worker,
            };
            let made = target.of(event).map(|endpoint| (event.id.clone(), new(endpoint)));
            deliveries.extend(made);
        }
        let (cause, made) = (DeliveryCause::Replay, deliveries.len());
        tx.deliveries().insert(tenant, &deliveries, cause, now).await?;
        Ok(u64::try_from(made).unwrap_or(u64::MAX))
    }

    async fn record(&self, tx: &Tx, act: &Act, subject: &str) -> Result<()> {
        let at = (self.base.clock.now(), &self.base.entropy);
        audit::append(tx, act, (Action::DeliveriesReplayed, subject), at).await
    }
}

fn one(id: &EndpointId, endpoint: Option<Endpoint>) -> Result<Target> {
    let endpoint = endpoint.ok_or_else(|| Error::EndpointUnknown { id: id.clone() })?;
    match endpoint.state {
        EndpointState::Active | EndpointState::Paused { .. } => Ok(Target::One(Box::new(endpoint))),
        EndpointState::Disabled { .. } => Err(Error::EndpointNotActive { id: endpoint.id }),
    }
}

fn found(id: &EventId, event: lingpai_storage::Result<Event>) -> Result<Event> {
    match event {
        Err(lingpai_storage::Error::NotFound { .. }) => Err(Error::EventUnknown { id: id.clone() }),
        Err(error) => Err(error.into()),
        Ok(event) => Ok(event),
    }
}

fn has_form(endpoint: &Endpoint, event: &EventHead) -> bool {
    event.is_pushed || endpoint.kind.has_form_for_ours()
}

/// An event without what it has to say.
fn head(event: Event) -> EventHead {
    EventHead {
        is_pushed: event.content.is_pushed(),
        id: event.id,
        tenant_id: event.tenant_id,
        component_appid: event.component_appid,
        authorizer_appid: event.authorizer_appid,
        event_type: event.event_type,
        openid: event.openid,
        occurred_at: event.occurred_at,
        received_at: event.received_at,
    }
}
