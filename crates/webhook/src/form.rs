//! Events as they go out: as JSON to webhooks, and in WeChat's own form to its handlers.

mod wechat;

use std::borrow::Cow;

use chrono::SecondsFormat;
use lingpai_model::{
    Appid, Secret,
    event::{Event, EventContent},
};
use lingpai_wechat::push::{PushError, message};
use serde_json::{Value, json};

pub use wechat::{Answered, BrokenReply, WechatRequest, read_plain_reply, read_reply, wechat};

/// The event cannot be put into the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// What WeChat pushed cannot be read.
    #[error("what was pushed cannot be read: {0}")]
    Push(#[from] PushError),
    /// The event is one of ours, which has no form that a handler of WeChat's pushes could read.
    #[error("an event of ours has no form that WeChat has")]
    Ours,
    /// The event is about no account.
    #[error("the event is about no account")]
    NoAccount,
    /// The handler's EncodingAESKey is none.
    #[error("the endpoint's encoding_aes_key is not usable")]
    BadKey,
}

/// The body of a webhook: `id`, `type`, `timestamp` and `data`. What WeChat pushed is there twice,
/// with every field as `message` and as it came as `raw`, both mended where it is no UTF-8.
///
/// # Errors
/// [`Unreadable`] when what WeChat pushed cannot be read.
pub fn webhook(event: &Event) -> Result<Vec<u8>, Unreadable> {
    let appid = |appid: &Option<Appid>| appid.as_ref().map(|appid| appid.as_str().to_owned());
    let mut data = json!({
        "component_appid": appid(&event.component_appid),
        "authorizer_appid": appid(&event.authorizer_appid),
    });
    match &event.content {
        EventContent::Ours(detail) => data["detail"] = detail.clone().unwrap_or_default(),
        EventContent::Pushed(message) => {
            data["message"] = decoded(message)?;
            data["raw"] = text(message).into();
        }
    }
    let body = json!({
        "id": event.id.as_str(),
        "type": event.event_type.as_str(),
        "timestamp": event.occurred_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": data,
    });
    Ok(body.to_string().into_bytes())
}

/// What WeChat pushed with every field, as webhooks have it.
///
/// # Errors
/// [`Unreadable::Push`].
pub fn decoded(message: &Secret<Vec<u8>>) -> Result<Value, Unreadable> {
    Ok(message::to_json(message.expose())?)
}

/// What WeChat pushed, as text. Each byte that is no UTF-8 becomes a blank, as it does where the fields
/// are read: what WeChat's JSON has of them stands in a fan's words, and the rest of the message counts.
#[must_use]
pub fn text(message: &Secret<Vec<u8>>) -> Cow<'_, str> {
    let bytes = message.expose();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        mended.push_str(chunk.valid());
        mended.extend(chunk.invalid().iter().map(|_| ' '));
    }
    Cow::Owned(mended)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lingpai_model::{
        event::{EventKind, EventType},
        id::EventId,
    };

    use super::*;

    const MESSAGE: &str = "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\
        <FromUserName>o1</FromUserName><CreateTime>1700000000</CreateTime>\
        <MsgType>text</MsgType><Content><![CDATA[a\u{1f600}\"]]></Content><MsgId>9007199254740993</MsgId>\
        <New><Item>1</Item><Item>2</Item></New></xml>";

    fn event(event_type: EventType, content: EventContent) -> Event {
        let at = DateTime::from_timestamp_millis(1_700_000_000_007).unwrap();
        Event {
            id: EventId::parse("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap(),
            tenant_id: None,
            component_appid: None,
            authorizer_appid: Some(Appid::parse("wx0000000000000001").unwrap()),
            event_type,
            openid: None,
            occurred_at: at,
            received_at: at,
            content,
        }
    }

    fn pushed(message: &[u8]) -> Event {
        let content = EventContent::Pushed(Secret::new(message.to_vec()));
        event(EventType::of_message("text"), content)
    }

    #[test]
    fn what_was_pushed_is_there_with_every_field_and_as_it_came() {
        let body: Value = serde_json::from_slice(&webhook(&pushed(MESSAGE.as_bytes())).unwrap())
            .expect("it is JSON");
        assert_eq!(
            body,
            json!({
                "id": "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "type": "message.text",
                "timestamp": "2023-11-14T22:13:20.007Z",
                "data": {
                    "component_appid": null,
                    "authorizer_appid": "wx0000000000000001",
                    "message": {
                        "ToUserName": "gh_1",
                        "FromUserName": "o1",
                        "CreateTime": "1700000000",
                        "MsgType": "text",
                        "Content": "a\u{1f600}\"",
                        "MsgId": "9007199254740993",
                        "New": { "Item": ["1", "2"] },
                    },
                    "raw": MESSAGE,
                },
            })
        );
    }

    #[test]
    fn events_of_ours_say_what_there_is_to_say() {
        for (detail, expected) in
            [(None, Value::Null), (Some(json!({ "a": 1 })), json!({ "a": 1 }))]
        {
            let event = event(EventKind::QuotaWarning.into(), EventContent::Ours(detail));
            let body: Value = serde_json::from_slice(&webhook(&event).unwrap()).unwrap();
            assert_eq!(body["type"], "authorizer.quota_warning");
            assert_eq!(body["data"]["detail"], expected);
            assert!(body["data"].get("message").is_none());
        }
    }

    #[test]
    fn one_bad_byte_spoils_no_message() {
        let message = b"{\"ToUserName\":\"gh_1\",\"FromUserName\":\"o1\",\"CreateTime\":1,\
            \"MsgType\":\"text\",\"Content\":\"a\xe5\xbeb\",\"MsgId\":1}";
        let event = pushed(message);
        let body: Value = serde_json::from_slice(&webhook(&event).unwrap()).unwrap();
        assert_eq!(body["data"]["message"]["Content"], "a  b");
        let raw: Value = serde_json::from_str(body["data"]["raw"].as_str().unwrap()).unwrap();
        assert_eq!(raw["Content"], "a  b");
        let EventContent::Pushed(kept) = &event.content else { panic!("it was pushed") };
        assert_eq!(kept.expose(), message, "what is kept stays as it came");
    }

    #[test]
    fn what_cannot_be_read_has_no_form() {
        for wrong in [&b""[..], b"<xml>", b"<xml>\xff</xml>", b"{", b"<!DOCTYPE a><xml/>"] {
            assert!(webhook(&pushed(wrong)).is_err(), "{wrong:?}");
        }
    }
}
