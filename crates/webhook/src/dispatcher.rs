use std::collections::BTreeMap;

use lingpai_model::{
    delivery::{DeliveryCause, FirstAttempt, NewDelivery},
    endpoint::Endpoint,
    event::Event,
    id::{DeliveryId, EventId, TenantId},
};
use lingpai_storage::Tx;

use crate::{Result, WebhookBase};

/// How many events are dispatched in one transaction.
const BATCH: u64 = 64;

/// Makes deliveries of our own events: one for each endpoint that wants one. What WeChat pushed has
/// its deliveries from the beginning.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    base: WebhookBase,
}

impl Dispatcher {
    /// A worker on `base`.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        Self { base }
    }

    /// Makes the deliveries of some events that have none yet; returns how many events those were, 0
    /// when none is left. No event is dispatched twice: it is marked in the same transaction.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn run_once(&self) -> Result<usize> {
        let tx = self.base.db.begin_patiently().await?;
        let events = tx.events().claim_undispatched(BATCH).await?;
        if events.is_empty() {
            // What cannot be read was given up.
            tx.commit().await?;
            return Ok(0);
        }
        // The operator's events, which are no tenant's, are read and not delivered.
        let mut streams = BTreeMap::<&TenantId, Vec<&Event>>::new();
        for event in &events {
            if let Some(tenant) = &event.tenant_id {
                streams.entry(tenant).or_default().push(event);
            }
        }
        for (tenant, events) in streams {
            self.dispatch(&tx, tenant, &events).await?;
        }
        let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
        tx.events().mark_dispatched(&ids).await?;
        tx.commit().await?;
        self.base.due.notify_one();
        Ok(ids.len())
    }

    /// Makes the deliveries of events of one tenant.
    async fn dispatch(&self, tx: &Tx, tenant: &TenantId, events: &[&Event]) -> Result<()> {
        let endpoints = tx.endpoints().system_list(tenant).await?;
        let now = self.base.clock.now();
        let mut deliveries = Vec::new();
        for event in events {
            let new = |endpoint: &Endpoint| NewDelivery {
                id: DeliveryId::new(now, &self.base.entropy),
                endpoint_id: endpoint.id.clone(),
                first_attempt: FirstAttempt::Worker,
            };
            let wanted = endpoints.iter().filter(|endpoint| endpoint.wants(event));
            deliveries.extend(wanted.map(|endpoint| (event.id.clone(), new(endpoint))));
        }
        if deliveries.is_empty() {
            return Ok(());
        }
        Ok(tx.deliveries().insert(tenant, &deliveries, DeliveryCause::Event, now).await?)
    }
}
