//! Deliveries: events on their way to endpoints.

use lingpai_model::id::{DeliveryId, EndpointId, EventId};
use lingpai_webhook::{Deliveries, DeliveryQuery};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::Group;
use crate::{
    auth::{EventRead, TenantAuth},
    page::PageView,
    parameter::{
        self, CursorText, DeliveryIdText, EndpointIdText, EventIdText, Filter, Limit, parsed,
    },
    problem::{Problem, Result},
    view::delivery::{DeliveryStateView, DeliveryView},
};

pub(crate) struct DeliveriesApi {
    pub(super) deliveries: Deliveries,
}

#[OpenApi(tag = "Group::Deliveries")]
impl DeliveriesApi {
    /// List the deliveries.
    ///
    /// Newest first. Those that are `dead` were given up and can be replayed. Needs the scope
    /// `event:read`.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/deliveries", method = "get", operation_id = "list_deliveries")]
    async fn list(
        &self,
        auth: TenantAuth<EventRead>,
        /// Only those of this event.
        event_id: Query<Option<Filter<EventIdText>>>,
        /// Only those to this endpoint.
        endpoint_id: Query<Option<Filter<EndpointIdText>>>,
        /// Only those that got so far.
        state: Query<Option<DeliveryStateView>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<DeliveryView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let event = event_id.as_deref().map(|text| parsed("event_id", text, EventId::parse));
        let endpoint =
            endpoint_id.as_deref().map(|text| parsed("endpoint_id", text, EndpointId::parse));
        let query = DeliveryQuery {
            event_id: event.transpose()?,
            endpoint_id: endpoint.transpose()?,
            state: state.map(DeliveryStateView::kind),
        };
        let found = self.deliveries.list(auth.scope(), &query, &page).await?;
        Ok(Json(PageView::of(found, DeliveryView::from)))
    }

    /// Look up one delivery.
    ///
    /// With its attempts. Needs the scope `event:read`.
    #[oai(path = "/deliveries/:id", method = "get", operation_id = "get_delivery")]
    async fn get(
        &self,
        auth: TenantAuth<EventRead>,
        /// The delivery.
        id: Path<DeliveryIdText>,
    ) -> Result<Json<DeliveryView>> {
        let found = self.deliveries.get(auth.scope(), &delivery_id(&id)?).await?;
        Ok(Json(found.into()))
    }
}

/// Reads the id in a path; one that cannot be is one of no delivery.
pub(super) fn delivery_id(text: &str) -> Result<DeliveryId> {
    DeliveryId::parse(text).map_err(|_| Problem::delivery_not_found())
}
