//! What is told of an event, to who asks and to who is called.

use lingpai_model::{
    Appid, Instant,
    event::{Event, EventContent},
};
use lingpai_webhook::{EventHead, form};
use poem_openapi::{
    Object,
    types::{Any, Example},
};
use serde_json::{Value, json};

use crate::example;

/// What is told of every event.
#[derive(Debug, Object)]
#[oai(rename = "EventHead", example)]
pub(crate) struct EventHeadView {
    /// Its id: the same wherever it is told, also on every attempt to deliver it.
    id: String,
    /// What happened: `message.` or `event.` and WeChat's name for it in lower case, or one of
    /// lingpai's own; more may come.
    #[oai(rename = "type")]
    event_type: String,
    /// The component it is about, or the one that the authorizer granted to; null if there is none.
    #[oai(nullable)]
    component_appid: Option<String>,
    /// The authorizer it is about; null if it is about none.
    #[oai(nullable)]
    authorizer_appid: Option<String>,
    /// When it happened, by the clock of whoever caused it.
    occurred_at: Instant,
    /// When we learnt of it.
    received_at: Instant,
}

impl Example for EventHeadView {
    fn example() -> Self {
        Self {
            id: example::EVENT_ID.to_owned(),
            event_type: "message.text".to_owned(),
            component_appid: Some(example::COMPONENT_APPID.to_owned()),
            authorizer_appid: Some(example::AUTHORIZER_APPID.to_owned()),
            occurred_at: example::instant(),
            received_at: example::instant(),
        }
    }
}

/// One event in the stream, without what it has to say.
#[derive(Debug, Object)]
#[oai(rename = "EventSummary", example)]
pub(crate) struct EventSummaryView {
    #[oai(flatten)]
    head: EventHeadView,
    /// The fan who caused it; null if no fan did.
    #[oai(nullable)]
    openid: Option<String>,
}

impl Example for EventSummaryView {
    fn example() -> Self {
        Self { head: EventHeadView::example(), openid: Some(example::OPENID.to_owned()) }
    }
}

/// One event in the stream of some tenant or of none, without what it has to say and without the fan:
/// fans are their tenants' business.
#[derive(Debug, Object)]
#[oai(rename = "OperatorEventSummary", example)]
pub(crate) struct OperatorEventView {
    /// Whose it is; null for what belongs to no tenant.
    #[oai(nullable)]
    tenant_id: Option<String>,
    #[oai(flatten)]
    head: EventHeadView,
}

impl Example for OperatorEventView {
    fn example() -> Self {
        Self { tenant_id: Some(example::TENANT_ID.to_owned()), head: EventHeadView::example() }
    }
}

fn text(appid: Option<&Appid>) -> Option<String> {
    appid.map(Appid::to_string)
}

impl From<EventHead> for EventSummaryView {
    fn from(head: EventHead) -> Self {
        Self { openid: head.openid.clone(), head: head.into() }
    }
}

impl From<EventHead> for OperatorEventView {
    fn from(head: EventHead) -> Self {
        Self { tenant_id: head.tenant_id.as_ref().map(ToString::to_string), head: head.into() }
    }
}

impl From<EventHead> for EventHeadView {
    fn from(head: EventHead) -> Self {
        Self {
            id: head.id.to_string(),
            event_type: head.event_type.to_string(),
            component_appid: text(head.component_appid.as_ref()),
            authorizer_appid: text(head.authorizer_appid.as_ref()),
            occurred_at: head.occurred_at,
            received_at: head.received_at,
        }
    }
}

/// One event with what it has to say. Names and messages are text of others: escape them.
#[derive(Debug, Object)]
#[oai(rename = "Event", example)]
pub(crate) struct EventView {
    #[oai(flatten)]
    summary: EventSummaryView,
    /// Every field of what WeChat pushed, under WeChat's names: texts, objects, and lists where a name
    /// comes more than once. Null for lingpai's own events, and where it cannot be read.
    #[oai(nullable)]
    message: Option<Any<Value>>,
    /// What WeChat pushed, decrypted: XML, or JSON where the account chose that, with a blank for each
    /// byte that is no UTF-8. Null for lingpai's own events.
    #[oai(nullable)]
    raw: Option<String>,
    /// What there is to say of one of lingpai's own events; null if nothing is.
    #[oai(nullable)]
    detail: Option<Any<Value>>,
}

impl Example for EventView {
    fn example() -> Self {
        Self {
            summary: EventSummaryView::example(),
            message: Some(example_message()),
            raw: Some(example::MESSAGE_XML.to_owned()),
            detail: None,
        }
    }
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let (message, raw, detail) = match event.content {
            EventContent::Ours(detail) => (None, None, detail.map(Any)),
            EventContent::Pushed(pushed) => {
                let raw = Some(form::text(&pushed).into_owned());
                (form::decoded(&pushed).ok().map(Any), raw, None)
            }
        };
        let head = EventHeadView {
            id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            component_appid: text(event.component_appid.as_ref()),
            authorizer_appid: text(event.authorizer_appid.as_ref()),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
        };
        Self { summary: EventSummaryView { head, openid: event.openid }, message, raw, detail }
    }
}

fn example_message() -> Any<Value> {
    Any(json!({
        "ToUserName": example::USER_NAME,
        "FromUserName": example::OPENID,
        "CreateTime": example::instant().timestamp().to_string(),
        "MsgType": "text",
        "Content": "你好",
        "MsgId": "23456789012345678",
    }))
}

/// The body of a webhook, and the `data` of an event in the stream.
#[derive(Debug, Object)]
#[oai(rename = "WebhookEvent", example)]
pub(crate) struct WebhookEventView {
    /// The event's id, also in the header `webhook-id`: the same on every attempt.
    id: String,
    /// What happened, as in `GET /v1/events`.
    #[oai(rename = "type")]
    event_type: String,
    /// When it happened, by the clock of whoever caused it.
    timestamp: Instant,
    /// What there is to say.
    data: WebhookDataView,
}

impl Example for WebhookEventView {
    fn example() -> Self {
        Self {
            id: example::EVENT_ID.to_owned(),
            event_type: "message.text".to_owned(),
            timestamp: example::instant(),
            data: WebhookDataView::example(),
        }
    }
}

/// What a webhook has to say: `message` and `raw` of what WeChat pushed, `detail` of lingpai's own.
#[derive(Debug, Object)]
#[oai(rename = "WebhookData", skip_serializing_if_is_none, example)]
struct WebhookDataView {
    /// The component it is about, or the one that the authorizer granted to; null if there is none.
    #[oai(nullable)]
    component_appid: Option<String>,
    /// The authorizer it is about; null if it is about none.
    #[oai(nullable)]
    authorizer_appid: Option<String>,
    /// Every field of what WeChat pushed, under WeChat's names: texts, objects, and lists where a name
    /// comes more than once.
    #[oai(nullable)]
    message: Option<Any<Value>>,
    /// What WeChat pushed, decrypted: XML, or JSON where the account chose that.
    #[oai(nullable)]
    raw: Option<String>,
    /// What there is to say of one of lingpai's own events.
    #[oai(nullable)]
    detail: Option<Any<Value>>,
}

impl Example for WebhookDataView {
    fn example() -> Self {
        Self {
            component_appid: Some(example::COMPONENT_APPID.to_owned()),
            authorizer_appid: Some(example::AUTHORIZER_APPID.to_owned()),
            message: Some(example_message()),
            raw: Some(example::MESSAGE_XML.to_owned()),
            detail: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        Secret,
        event::{EventKind, EventType},
        id::EventId,
    };
    use poem_openapi::types::ToJSON as _;

    use super::*;

    fn event(event_type: EventType, content: EventContent) -> Event {
        Event {
            id: EventId::parse(example::EVENT_ID).unwrap(),
            tenant_id: None,
            component_appid: Some(Appid::parse(example::COMPONENT_APPID).unwrap()),
            authorizer_appid: Some(Appid::parse(example::AUTHORIZER_APPID).unwrap()),
            event_type,
            openid: Some(example::OPENID.to_owned()),
            occurred_at: example::instant(),
            received_at: example::instant(),
            content,
        }
    }

    fn pushed() -> Event {
        let payload = Secret::new(example::MESSAGE_XML.as_bytes().to_vec());
        event(EventType::of_message("text"), EventContent::Pushed(payload))
    }

    fn ours() -> Event {
        let detail = json!({ "errcode": 45_009 });
        let event = event(EventKind::QuotaWarning.into(), EventContent::Ours(Some(detail)));
        Event { openid: None, ..event }
    }

    #[test]
    fn the_example_is_told_as_such_a_message_is() {
        let told = EventView::from(pushed()).to_json().unwrap();
        assert_eq!(told, EventView::example().to_json().unwrap());
    }

    #[test]
    fn an_event_of_ours_has_a_detail_and_no_message() {
        let told = EventView::from(ours()).to_json().unwrap();
        assert_eq!(told["detail"], json!({ "errcode": 45_009 }));
        assert_eq!(
            (told.get("message"), told.get("raw")),
            (Some(&Value::Null), Some(&Value::Null))
        );
        assert_eq!(told["type"], "authorizer.quota_warning");
    }

    #[test]
    fn what_cannot_be_decoded_is_told_raw_with_blanks_for_what_is_no_text() {
        let told = |payload: &[u8]| {
            let content = EventContent::Pushed(Secret::new(payload.to_vec()));
            EventView::from(event(EventType::of_message("text"), content)).to_json().unwrap()
        };
        let garbled = told(b"<xml");
        assert_eq!((garbled.get("message"), &garbled["raw"]), (Some(&Value::Null), &json!("<xml")));
        let binary = told(b"<xml>\xff</xml>");
        assert_eq!(binary["raw"], "<xml> </xml>");
        assert_eq!(binary["openid"], example::OPENID);
    }

    #[test]
    fn webhooks_are_as_the_document_shows_them() {
        let sent = |event: &Event| -> Value {
            serde_json::from_slice(&form::webhook(event).unwrap()).unwrap()
        };
        let example = WebhookEventView::example().to_json().unwrap();
        let message = sent(&pushed());
        for name in ["id", "type", "data"] {
            assert_eq!(message[name], example[name], "{name}");
        }
        let at =
            |body: &Value| body["timestamp"].as_str().and_then(|at| at.parse::<Instant>().ok());
        assert_eq!(at(&message), Some(example::instant()));
        assert_eq!(sent(&ours())["data"]["detail"], json!({ "errcode": 45_009 }));
    }
}
