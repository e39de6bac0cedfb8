//! Replays: events that are delivered again.

use lingpai_model::{Instant, id::EndpointId, page::Cursor};
use lingpai_webhook::{Deliveries, ReplayOf};
use poem_openapi::{Object, OpenApi, param::Path, types::Example};

use super::{Group, deliveries::delivery_id, events::event_id};
use crate::{
    answer::Created,
    auth::{EndpointWrite, TenantAuth},
    example,
    input::Input,
    narrowed::Narrowed,
    parameter::{DeliveryIdText, EventIdText, parsed},
    problem::Result,
    view::delivery::ReplayedView,
};

pub(crate) struct ReplaysApi {
    pub(super) deliveries: Deliveries,
}

/// Where to deliver an event again.
#[derive(Debug, Object)]
#[oai(rename = "NewEventReplay", skip_serializing_if_is_none, example)]
struct NewEventReplay {
    /// To this endpoint, whatever its filters say; absent: to all that want it and are not
    /// disabled; at one that is paused it waits.
    #[oai(nullable, validator(min_length = 30, max_length = 30))]
    endpoint_id: Option<String>,
}

impl Example for NewEventReplay {
    fn example() -> Self {
        Self { endpoint_id: Some(example::ENDPOINT_ID.to_owned()) }
    }
}

/// Which events to deliver again, and where to.
#[derive(Debug, Object)]
#[oai(rename = "NewReplay", skip_serializing_if_is_none, example)]
struct NewReplay {
    /// Only those of this type, or of this family as in `message.*`.
    #[oai(rename = "type", nullable, validator(min_length = 1, max_length = 66))]
    event_type: Option<String>,
    /// Only those about this account.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    authorizer_appid: Option<String>,
    /// Those that we learnt of at this instant or later; of the years 2000 to 9999.
    from: Instant,
    /// Those that we learnt of before this instant; of the years 2000 to 9999.
    to: Instant,
    /// To this endpoint, whatever its filters say; absent: to all that want them and are not
    /// disabled; at one that is paused they wait.
    #[oai(nullable, validator(min_length = 30, max_length = 30))]
    endpoint_id: Option<String>,
    /// `next` of the answer before.
    #[oai(nullable, validator(min_length = 1, max_length = 86))]
    cursor: Option<String>,
}

impl Example for NewReplay {
    fn example() -> Self {
        Self {
            event_type: Some("message.*".to_owned()),
            authorizer_appid: None,
            from: example::instant() - chrono::Duration::hours(2),
            to: example::instant(),
            endpoint_id: Some(example::ENDPOINT_ID.to_owned()),
            cursor: None,
        }
    }
}

#[OpenApi(tag = "Group::Events")]
impl ReplaysApi {
    /// Deliver one event again.
    ///
    /// Under the id it has: who took it before sees it again. Needs the scope `endpoint:write`.
    #[oai(path = "/events/:id/replay", method = "post", operation_id = "replay_event")]
    async fn one(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The event.
        id: Path<EventIdText>,
        input: Input<NewEventReplay>,
    ) -> Result<Created<ReplayedView>> {
        let of = ReplayOf::Event(event_id(&id)?);
        let to = endpoint(input.0.endpoint_id.as_deref())?;
        Ok(Created(self.deliveries.replay(auth.caller(), of, to).await?.into()))
    }

    /// Deliver a range of events again.
    ///
    /// The newest first, at most 1,000 of them with each call: `next` goes on. Under the ids they have:
    /// who took one before sees it again. Needs the scope `endpoint:write`.
    #[oai(path = "/events/replay", method = "post", operation_id = "replay_events")]
    async fn range(
        &self,
        auth: TenantAuth<EndpointWrite>,
        input: Input<NewReplay>,
    ) -> Result<Created<ReplayedView>> {
        let Input(replay) = input;
        let narrowed = Narrowed {
            event_type: replay.event_type.as_deref(),
            authorizer_appid: replay.authorizer_appid.as_deref(),
            openid: None,
            from: Some(replay.from),
            to: Some(replay.to),
        };
        let after = replay.cursor.as_deref().map(Cursor::parse).transpose()?;
        let of = ReplayOf::Range { query: narrowed.query()?, after };
        let to = endpoint(replay.endpoint_id.as_deref())?;
        Ok(Created(self.deliveries.replay(auth.caller(), of, to).await?.into()))
    }

    /// Make a delivery once more.
    ///
    /// Of the same event to the same endpoint; the delivery itself stays as it ended. Needs the scope
    /// `endpoint:write`.
    #[oai(path = "/deliveries/:id/replay", method = "post", operation_id = "replay_delivery")]
    async fn delivery(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The delivery.
        id: Path<DeliveryIdText>,
    ) -> Result<Created<ReplayedView>> {
        let of = ReplayOf::Delivery(delivery_id(&id)?);
        Ok(Created(self.deliveries.replay(auth.caller(), of, None).await?.into()))
    }
}

fn endpoint(text: Option<&str>) -> Result<Option<EndpointId>> {
    text.map(|text| parsed("endpoint_id", text, EndpointId::parse)).transpose()
}
