use lingpai_model::id::{DeliveryId, TenantId};
use lingpai_webhook::Deliveries;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::Group;
use crate::{
    answer::Created,
    auth::OperatorAuth,
    page::PageView,
    parameter::{self, CursorText, DeliveryIdText, Filter, Limit, TenantIdText},
    problem::{Problem, Result},
    view::delivery::{DeliveryView, ReplayedView},
};

pub(crate) struct DeliveriesApi {
    pub(super) deliveries: Deliveries,
}

#[OpenApi(tag = "Group::Deliveries")]
impl DeliveriesApi {
    /// List the dead deliveries.
    ///
    /// Newest first: those that were given up, of all tenants or of one. The others are their tenants'
    /// business. For operators.
    #[oai(path = "/deliveries", method = "get", operation_id = "list_deliveries")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// Only those of this tenant.
        tenant_id: Query<Option<Filter<TenantIdText>>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<DeliveryView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let tenant = tenant_id
            .as_deref()
            .map(|text| parameter::parsed("tenant_id", text, TenantId::parse))
            .transpose()?;
        let found = self.deliveries.system_dead(tenant.as_ref(), &page).await?;
        Ok(Json(PageView::of(found, DeliveryView::from)))
    }

    /// Make a delivery once more.
    ///
    /// Of the same event to the same endpoint, for its tenant; the delivery itself stays as it ended. For
    /// operators.
    #[oai(path = "/deliveries/:id/replay", method = "post", operation_id = "replay_delivery")]
    async fn replay(
        &self,
        auth: OperatorAuth,
        /// The delivery.
        id: Path<DeliveryIdText>,
    ) -> Result<Created<ReplayedView>> {
        let id = DeliveryId::parse(&id).map_err(|_| Problem::delivery_not_found())?;
        Ok(Created(self.deliveries.replay_for(auth.caller(), &id).await?.into()))
    }
}
