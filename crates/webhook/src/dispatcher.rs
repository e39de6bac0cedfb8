use std::collections::HashMap;

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
        let mut endpoints = HashMap::new();
        for event in &events {
            self.dispatch(&tx, event, &mut endpoints).await?;
        }
        let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
        tx.events().mark_dispatched(&ids).await?;
        tx.commit().await?;
        self.base.due.notify_one();
        Ok(ids.len())
    }

    async fn dispatch(
        &self,
        tx: &Tx,
        event: &Event,
        known: &mut HashMap<TenantId, Vec<Endpoint>>,
    ) -> Result<()> {
        // The operator's events are read, not delivered.
        let Some(tenant) = &event.tenant_id else { return Ok(()) };
        if !known.contains_key(tenant) {
            known.insert(tenant.clone(), tx.endpoints().system_list(tenant).await?);
        }
        let now = self.base.clock.now();
        let deliveries: Vec<NewDelivery> = known[tenant]
            .iter()
            .filter(|endpoint| endpoint.wants(event))
            .map(|endpoint| NewDelivery {
                id: DeliveryId::new(now, &self.base.entropy),
                endpoint_id: endpoint.id.clone(),
                first_attempt: FirstAttempt::Worker,
            })
            .collect();
        if deliveries.is_empty() {
            return Ok(());
        }
        let cause = DeliveryCause::Event;
        Ok(tx.deliveries().insert((tenant, &event.id), &deliveries, cause, now).await?)
    }
}
