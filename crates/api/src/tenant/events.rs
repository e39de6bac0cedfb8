//! Events: what happened to a tenant's accounts.

use lingpai_model::{Instant, id::EventId};
use lingpai_webhook::Events;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    auth::{EventRead, TenantAuth},
    example,
    input::Input,
    narrowed::Narrowed,
    page::{self, PageView},
    parameter::{self, AppidText, CursorText, EventIdText, EventPatternText, Filter, Limit},
    problem::{Problem, Result},
    view::event::{EventSummaryView, EventView},
};

pub(crate) struct EventsApi {
    pub(super) events: Events,
}

/// Which events to look for; what is absent narrows nothing.
#[derive(Object)]
#[oai(rename = "NewEventSearch", skip_serializing_if_is_none, example)]
struct NewEventSearch {
    /// Only those that this fan caused. It stands in a body because ids of people belong in no address.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    openid: Option<String>,
    /// Only those of this type, or of this family as in `message.*`.
    #[oai(rename = "type", nullable, validator(min_length = 1, max_length = 66))]
    event_type: Option<String>,
    /// Only those about this account.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    authorizer_appid: Option<String>,
    /// Only those that we learnt of at this instant or later; of the years 2000 to 9999.
    #[oai(nullable)]
    from: Option<Instant>,
    /// Only those that we learnt of before this instant; of the years 2000 to 9999.
    #[oai(nullable)]
    to: Option<Instant>,
    /// At most this many items; 20 if absent.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    limit: Option<u32>,
    /// `next` of the page before.
    #[oai(nullable, validator(min_length = 1, max_length = 86))]
    cursor: Option<String>,
}

impl Example for NewEventSearch {
    fn example() -> Self {
        Self {
            openid: Some(example::OPENID.to_owned()),
            event_type: Some("message.*".to_owned()),
            authorizer_appid: Some(example::AUTHORIZER_APPID.to_owned()),
            from: None,
            to: None,
            limit: Some(50),
            cursor: None,
        }
    }
}

#[OpenApi(tag = "Group::Events")]
impl EventsApi {
    /// List the events.
    ///
    /// Newest first: what WeChat pushed for your accounts, and lingpai's own. They are kept for 30 days,
    /// unless the operator set another time. Needs the scope `event:read`.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/events", method = "get", operation_id = "list_events")]
    async fn list(
        &self,
        auth: TenantAuth<EventRead>,
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
    ) -> Result<Json<PageView<EventSummaryView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let narrowed = Narrowed {
            event_type: r#type.as_deref(),
            authorizer_appid: authorizer_appid.as_deref(),
            openid: None,
            from: *from,
            to: *to,
        };
        let found = self.events.list(auth.scope(), &narrowed.query()?, &page).await?;
        Ok(Json(PageView::of(found, EventSummaryView::from)))
    }

    /// Search the events, also by fan.
    ///
    /// Newest first, as they are listed. Changes nothing. Needs the scope `event:read`.
    #[oai(path = "/events/search", method = "post", operation_id = "search_events")]
    async fn search(
        &self,
        auth: TenantAuth<EventRead>,
        input: Input<NewEventSearch>,
    ) -> Result<Json<PageView<EventSummaryView>>> {
        let Input(search) = input;
        let page = page::request(search.limit.map(u64::from), search.cursor.as_deref())?;
        let narrowed = Narrowed {
            event_type: search.event_type.as_deref(),
            authorizer_appid: search.authorizer_appid.as_deref(),
            openid: search.openid.as_deref(),
            from: search.from,
            to: search.to,
        };
        let found = self.events.list(auth.scope(), &narrowed.query()?, &page).await?;
        Ok(Json(PageView::of(found, EventSummaryView::from)))
    }

    /// Look up one event.
    ///
    /// With what it has to say, decoded and raw. Needs the scope `event:read`.
    #[oai(path = "/events/:id", method = "get", operation_id = "get_event")]
    async fn get(
        &self,
        auth: TenantAuth<EventRead>,
        /// The event.
        id: Path<EventIdText>,
    ) -> Result<Json<EventView>> {
        let event = self.events.get(auth.scope(), &event_id(&id)?).await?;
        Ok(Json(event.into()))
    }
}

/// Reads the id in a path; one that cannot be is one of no event.
pub(super) fn event_id(text: &str) -> Result<EventId> {
    EventId::parse(text).map_err(|_| Problem::event_not_found())
}
