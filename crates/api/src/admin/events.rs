use lingpai_model::{Instant, id::TenantId};
use lingpai_webhook::Events;
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::Group;
use crate::{
    auth::OperatorAuth,
    narrowed::Narrowed,
    page::PageView,
    parameter::{self, AppidText, CursorText, EventPatternText, Filter, Limit, TenantIdText},
    problem::Result,
    view::event::OperatorEventView,
};

pub(crate) struct EventsApi {
    pub(super) events: Events,
}

#[OpenApi(tag = "Group::Events")]
impl EventsApi {
    /// List the events of the installation.
    ///
    /// Newest first: those of all tenants or of one, and those that are in no tenant's stream, because
    /// they are about a component (`component.ticket_late`) or about an account that has no owner. What
    /// they have to say, and which fan caused them, is told to their tenants only. For operators.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/events", method = "get", operation_id = "list_events")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// Only those of this tenant.
        tenant_id: Query<Option<Filter<TenantIdText>>>,
        /// Only those of this type, or of this family as in `message.*`.
        r#type: Query<Option<Filter<EventPatternText>>>,
        /// Only those about this account.
        authorizer_appid: Query<Option<Filter<AppidText>>>,
        /// Only those that we learnt of at this instant or later, as in `2026-11-20T00:00:00Z`; of the
        /// years 2000 to 9999.
        from: Query<Option<Instant>>,
        /// Only those that we learnt of before this instant, as in `2026-11-21T00:00:00Z`; of the years
        /// 2000 to 9999.
        to: Query<Option<Instant>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<OperatorEventView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let tenant = tenant_id
            .as_deref()
            .map(|text| parameter::parsed("tenant_id", text, TenantId::parse))
            .transpose()?;
        let narrowed = Narrowed {
            event_type: r#type.as_deref(),
            authorizer_appid: authorizer_appid.as_deref(),
            openid: None,
            from: *from,
            to: *to,
        };
        let query = narrowed.query()?;
        let found = self.events.list_for_operators(tenant.as_ref(), &query, &page).await?;
        Ok(Json(PageView::of(found, OperatorEventView::from)))
    }
}
