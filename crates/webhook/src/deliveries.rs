mod replay;

use lingpai_model::{
    caller::TenantScope,
    delivery::{Attempt, Delivery, DeliveryStateKind},
    id::{DeliveryId, TenantId},
    page::{Page, PageRequest},
};
use lingpai_storage::DeliveryQuery;

pub use self::replay::{MOST_PENDING, ReplayOf, Replayed};
use crate::{Error, Result, WebhookBase};

/// Reads deliveries, and has events delivered again.
#[derive(Debug, Clone)]
pub struct Deliveries {
    base: WebhookBase,
    most_pending: u64,
}

impl Deliveries {
    /// A service on `base`.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        Self { base, most_pending: MOST_PENDING }
    }

    /// The same with another bound than [`MOST_PENDING`] on what may be pending when more is asked for.
    #[must_use]
    pub fn bounded(self, most_pending: u64) -> Self {
        Self { most_pending, ..self }
    }

    /// The tenant's deliveries as far as they fit `query`, the newest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(
        &self,
        scope: &TenantScope,
        query: &DeliveryQuery,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        Ok(self.base.db.deliveries().list(scope, query, page).await?)
    }

    /// One delivery of the tenant's, with the attempts that were made.
    ///
    /// # Errors
    /// [`Error::DeliveryUnknown`] alike for a missing one and another tenant's.
    pub async fn get(
        &self,
        scope: &TenantScope,
        id: &DeliveryId,
    ) -> Result<(Delivery, Vec<Attempt>)> {
        known(id, self.base.db.deliveries().get(scope, id).await)
    }

    /// The deliveries of one tenant or of all that were given up, the newest first. For operators.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn system_dead(
        &self,
        tenant: Option<&TenantId>,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let state = Some(DeliveryStateKind::Dead);
        let query = DeliveryQuery { state, ..DeliveryQuery::default() };
        Ok(self.base.db.deliveries().system_list(tenant, &query, page).await?)
    }
}

fn known<T>(id: &DeliveryId, found: lingpai_storage::Result<T>) -> Result<T> {
    match found {
        Err(lingpai_storage::Error::NotFound { .. }) => {
            Err(Error::DeliveryUnknown { id: id.clone() })
        }
        Err(error) => Err(error.into()),
        Ok(found) => Ok(found),
    }
}
