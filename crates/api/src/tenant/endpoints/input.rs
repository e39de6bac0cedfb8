//! What is sent in to create or change an endpoint.

use lingpai_model::{
    Appid, Secret,
    endpoint::{LateReplies, Mode, Role, WechatHandler},
    event::{EventFilter, EventPattern},
};
use lingpai_webhook::{self as webhook, HandlerChange, NewKind, Wanted};
use poem_openapi::{Object, types::Example};

use super::view::{EndpointKindView, LateReplyView, ModeView};
use crate::{
    parameter::parsed,
    problem::{Problem, Result},
};

/// An endpoint to create.
#[derive(Object)]
#[oai(rename = "NewEndpoint", skip_serializing_if_is_none, example)]
pub(super) struct NewEndpoint {
    /// In which form it gets events; never changes.
    kind: EndpointKindView,
    /// Where they are posted: `http` or `https`, a public address.
    #[oai(validator(min_length = 1, max_length = 1024))]
    url: String,
    /// What you call it.
    #[oai(nullable, validator(max_length = 64))]
    name: Option<String>,
    /// Which event types it wants: a type as in `message.text`, a family as in `message.*`, or `*`;
    /// absent or empty: all.
    #[oai(nullable, validator(max_items = 100, min_length = 1, max_length = 66))]
    event_types: Option<Vec<String>>,
    /// Of which authorizers, by appid; absent or empty: of all, and what is about none.
    #[oai(nullable, validator(max_items = 100, min_length = 1, max_length = 64))]
    authorizers: Option<Vec<String>>,
    /// 令牌 (Token) that signs the pushes; for the kind `wechat`, which needs it.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    token: Option<String>,
    /// 消息加解密密钥 (EncodingAESKey), 43 characters; for the kind `wechat`, which needs it.
    #[oai(nullable, validator(min_length = 43, max_length = 43))]
    encoding_aes_key: Option<String>,
    /// How the pushes are protected, for the kind `wechat`; absent: `secure`.
    #[oai(nullable)]
    mode: Option<ModeView>,
    /// Whether its passive replies go back to WeChat, for the kind `wechat`; absent: they do not.
    #[oai(nullable)]
    replying: Option<bool>,
    /// What becomes of a reply that comes too late, for a replying endpoint; absent: `drop`.
    #[oai(nullable)]
    late_reply: Option<LateReplyView>,
}

impl Example for NewEndpoint {
    fn example() -> Self {
        Self {
            kind: EndpointKindView::Webhook,
            url: "https://shop.example/hooks/wechat".to_owned(),
            name: Some("shop backend".to_owned()),
            event_types: Some(vec!["message.*".to_owned(), "authorizer.*".to_owned()]),
            authorizers: None,
            token: None,
            encoding_aes_key: None,
            mode: None,
            replying: None,
            late_reply: None,
        }
    }
}

impl TryFrom<NewEndpoint> for webhook::NewEndpoint {
    type Error = Problem;

    fn try_from(input: NewEndpoint) -> Result<Self> {
        let filter = EventFilter {
            authorizers: appids(input.authorizers.as_deref().unwrap_or_default())?,
            event_types: patterns(input.event_types.as_deref().unwrap_or_default())?,
        };
        let form = Handler {
            token: input.token,
            encoding_aes_key: input.encoding_aes_key,
            mode: input.mode,
            replying: input.replying,
            late_reply: input.late_reply,
        };
        let kind = match input.kind {
            EndpointKindView::Webhook => form.none()?,
            EndpointKindView::Wechat => NewKind::Wechat(form.whole()?),
        };
        Ok(Self { name: input.name.unwrap_or_default(), url: input.url, kind, filter })
    }
}

/// What to change of an endpoint; what is absent stays.
#[derive(Object)]
#[oai(rename = "EndpointChange", skip_serializing_if_is_none, example)]
pub(super) struct EndpointChange {
    /// Where events are posted: `http` or `https`, a public address.
    #[oai(nullable, validator(min_length = 1, max_length = 1024))]
    url: Option<String>,
    /// What you call it.
    #[oai(nullable, validator(max_length = 64))]
    name: Option<String>,
    /// Which event types it wants: a type as in `message.text`, a family as in `message.*`, or `*`. An
    /// empty list: all.
    #[oai(nullable, validator(max_items = 100, min_length = 1, max_length = 66))]
    event_types: Option<Vec<String>>,
    /// Of which authorizers, by appid. An empty list: of all, and what is about none.
    #[oai(nullable, validator(max_items = 100, min_length = 1, max_length = 64))]
    authorizers: Option<Vec<String>>,
    /// Whether events wait. `false` lets them go again, also to an endpoint that was disabled.
    #[oai(nullable)]
    paused: Option<bool>,
    /// 令牌 (Token), for the kind `wechat`.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    token: Option<String>,
    /// 消息加解密密钥 (EncodingAESKey), 43 characters, for the kind `wechat`.
    #[oai(nullable, validator(min_length = 43, max_length = 43))]
    encoding_aes_key: Option<String>,
    /// How the pushes are protected, for the kind `wechat`.
    #[oai(nullable)]
    mode: Option<ModeView>,
    /// Whether its passive replies go back to WeChat, for the kind `wechat`. `true` drops late ones
    /// unless `late_reply` says otherwise.
    #[oai(nullable)]
    replying: Option<bool>,
    /// What becomes of a reply that comes too late; makes a `wechat` endpoint replying.
    #[oai(nullable)]
    late_reply: Option<LateReplyView>,
}

impl Example for EndpointChange {
    fn example() -> Self {
        Self {
            url: None,
            name: None,
            event_types: Some(vec!["*".to_owned()]),
            authorizers: None,
            paused: Some(false),
            token: None,
            encoding_aes_key: None,
            mode: None,
            replying: None,
            late_reply: None,
        }
    }
}

impl TryFrom<EndpointChange> for webhook::EndpointChange {
    type Error = Problem;

    fn try_from(input: EndpointChange) -> Result<Self> {
        let handler = HandlerChange {
            push_token: input.token.map(Secret::from),
            encoding_aes_key: input.encoding_aes_key.map(Secret::from),
            mode: input.mode.map(Mode::from),
            role: role(input.replying, input.late_reply)?,
        };
        Ok(Self {
            name: input.name,
            url: input.url,
            authorizers: input.authorizers.as_deref().map(appids).transpose()?,
            event_types: input.event_types.as_deref().map(patterns).transpose()?,
            handler,
            wanted: input.paused.map(|paused| if paused { Wanted::Paused } else { Wanted::Active }),
        })
    }
}

/// The fields that only a handler of WeChat's pushes has.
struct Handler {
    token: Option<String>,
    encoding_aes_key: Option<String>,
    mode: Option<ModeView>,
    replying: Option<bool>,
    late_reply: Option<LateReplyView>,
}

impl Handler {
    /// None of them is given.
    fn none(self) -> Result<NewKind> {
        let given = [
            ("token", self.token.is_some()),
            ("encoding_aes_key", self.encoding_aes_key.is_some()),
            ("mode", self.mode.is_some()),
            ("replying", self.replying == Some(true)),
            ("late_reply", self.late_reply.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => {
                Err(Problem::invalid_field(field, "only an endpoint of the kind wechat has this"))
            }
            None => Ok(NewKind::Webhook),
        }
    }

    /// All that is needed is given.
    fn whole(self) -> Result<WechatHandler> {
        let needed = |field| {
            Problem::invalid_field(field, "an endpoint of the kind wechat needs this field")
        };
        Ok(WechatHandler {
            push_token: Secret::from(self.token.ok_or_else(|| needed("token"))?),
            encoding_aes_key: Secret::from(
                self.encoding_aes_key.ok_or_else(|| needed("encoding_aes_key"))?,
            ),
            mode: self.mode.map_or(Mode::Secure, Mode::from),
            role: role(self.replying, self.late_reply)?.unwrap_or(Role::Listening),
        })
    }
}

/// The role that is asked for, if one is.
fn role(replying: Option<bool>, late_reply: Option<LateReplyView>) -> Result<Option<Role>> {
    let late = late_reply.map(LateReplies::from);
    match (replying, late) {
        (None, None) => Ok(None),
        (Some(false), None) => Ok(Some(Role::Listening)),
        (Some(true) | None, late) => {
            Ok(Some(Role::Replying { late: late.unwrap_or(LateReplies::Drop) }))
        }
        (Some(false), Some(_)) => Err(Problem::invalid_field(
            "late_reply",
            "an endpoint that is not replying has no late replies: leave the field out, or set \
             replying",
        )),
    }
}

fn appids(texts: &[String]) -> Result<Vec<Appid>> {
    texts.iter().map(|text| parsed("authorizers", text, Appid::parse)).collect()
}

fn patterns(texts: &[String]) -> Result<Vec<EventPattern>> {
    texts.iter().map(|text| parsed("event_types", text, EventPattern::parse)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{input, problem::Code};

    fn created(body: &Value) -> Result<webhook::NewEndpoint> {
        input::read::<NewEndpoint>(body.to_string().as_bytes())?.try_into()
    }

    fn changed(body: &Value) -> Result<webhook::EndpointChange> {
        input::read::<EndpointChange>(body.to_string().as_bytes())?.try_into()
    }

    fn wechat() -> Value {
        json!({
            "kind": "wechat", "url": "https://shop.example/wx", "token": "canary",
            "encoding_aes_key": "a".repeat(43), "mode": "compatible", "replying": true,
        })
    }

    fn with(mut body: Value, field: &str, value: Value) -> Value {
        body[field] = value;
        body
    }

    #[test]
    fn a_webhook_needs_an_address_only() {
        let body = json!({ "kind": "webhook", "url": "https://shop.example/" });
        let new = created(&body).unwrap();
        assert!(matches!(new.kind, NewKind::Webhook));
        assert_eq!((new.filter, new.name.as_str()), (EventFilter::default(), ""));
        for field in ["token", "encoding_aes_key", "mode", "replying", "late_reply"] {
            let problem = created(&with(body.clone(), field, given(field))).err().unwrap();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
        }
    }

    /// A value that the field takes where it is fitting.
    fn given(field: &str) -> Value {
        let whole = with(wechat(), "late_reply", json!("drop"));
        whole[field].clone()
    }

    #[test]
    fn a_handler_of_wechats_pushes_needs_token_and_key() {
        let NewKind::Wechat(handler) = created(&wechat()).unwrap().kind else {
            panic!("a handler")
        };
        assert_eq!(handler.mode, Mode::Compatible);
        assert_eq!(handler.role, Role::Replying { late: LateReplies::Drop });
        for field in ["token", "encoding_aes_key"] {
            let problem = created(&with(wechat(), field, Value::Null)).err().unwrap();
            assert_eq!(problem.field(), Some(field));
            assert!(!problem.to_string().contains("canary"), "{problem}");
        }
        let plain = with(with(wechat(), "mode", Value::Null), "replying", Value::Null);
        let NewKind::Wechat(handler) = created(&plain).unwrap().kind else { panic!("a handler") };
        assert_eq!((handler.mode, handler.role), (Mode::Secure, Role::Listening));
        let late = with(wechat(), "late_reply", json!("customer_service"));
        let NewKind::Wechat(handler) = created(&late).unwrap().kind else { panic!("a handler") };
        assert_eq!(handler.role, Role::Replying { late: LateReplies::CustomerService });
        let silent = with(late, "replying", json!(false));
        assert_eq!(created(&silent).err().unwrap().field(), Some("late_reply"));
    }

    #[test]
    fn filters_are_read_at_the_door() {
        let body = |field: &str, value: Value| {
            let body = json!({ "kind": "webhook", "url": "https://shop.example/" });
            created(&with(body, field, value))
        };
        let filter = body("event_types", json!(["*", "message.*", "event.scan"])).unwrap().filter;
        assert_eq!(filter.event_types.len(), 3);
        for (field, value) in [
            ("event_types", json!(["message*"])),
            ("event_types", json!(["Message.text"])),
            ("authorizers", json!(["wx/1"])),
        ] {
            let problem = body(field, value).err().unwrap();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
        }
        let problem = body("authorizers", json!([7])).err().unwrap();
        assert_eq!(problem.field(), Some("authorizers[0]"));
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let nothing = changed(&json!({})).unwrap();
        assert!(nothing.name.is_none() && nothing.url.is_none() && nothing.wanted.is_none());
        assert!(nothing.authorizers.is_none() && nothing.event_types.is_none());
        assert!(nothing.handler.role.is_none() && nothing.handler.push_token.is_none());
        let change = changed(&json!({ "paused": true, "authorizers": [], "token": "canary" }));
        let change = change.unwrap();
        assert!(matches!(change.wanted, Some(Wanted::Paused)));
        assert_eq!(change.authorizers, Some(vec![]));
        assert!(!format!("{:?}", change.handler.push_token).contains("canary"));
        let change = changed(&json!({ "paused": false, "replying": false })).unwrap();
        assert!(matches!(change.wanted, Some(Wanted::Active)));
        assert_eq!(change.handler.role, Some(Role::Listening));
    }
}
