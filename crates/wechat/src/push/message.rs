//! What WeChat pushes to the message-and-event URL (消息与事件接收URL), after decryption.
//!
//! [`MessagePush`] is the head that routing, order and repetition are judged by, with the
//! [`MessageContent`] of the kinds that we know. Nothing of the content is needed: a kind or a field
//! that we do not know goes on as it came, raw and by [`to_json`], so that a new one needs no change.

mod content;
mod event;
mod store;

use std::{borrow::Cow, fmt};

pub use content::{MessageContent, Place};
pub use event::{
    CheckVerdict, MessageEvent, PublishedArticle, RevokedConsent, ScanCode, SentPictures,
    SubscribedTemplate, TrialApplication,
};
pub use store::{EventArea, StoreEvent};

use super::{PushError, field::Fields, tree};

/// The longest openid that is believed.
///
/// Assumed: real ones have 28 characters.
const MAX_OPENID_BYTES: usize = 64;

/// The `MsgType` of events.
const EVENT: &str = "event";

/// One decrypted message or event of an account. Its `Debug` names no person.
#[derive(Clone, PartialEq, Eq)]
pub struct MessagePush {
    /// `ToUserName`: the account's original id, `gh_…`.
    pub to_user_name: String,
    /// `FromUserName`: the fan's openid, or an id of the platform's own for what no fan did.
    pub from_user_name: String,
    /// `CreateTime` in Unix seconds.
    pub create_time: Option<i64>,
    /// `MsgType` as sent; `event` for events.
    pub msg_type: String,
    /// `Event` as sent. WeChat's letter case is inconsistent: compare without it.
    pub event: Option<String>,
    /// `MsgId`, which has 64 bits. `MsgID`, written so, is of something else.
    pub msg_id: Option<String>,
    /// `EventKey`: the menu key, the scene, the address.
    pub event_key: Option<String>,
    /// `MsgDataId`: the article that the message comes out of, if it comes out of one.
    pub msg_data_id: Option<String>,
    /// `Idx`: which one of several articles that is.
    pub idx: Option<String>,
    /// `BusinessId`: the merchant below the account that customer service belongs to.
    pub business_id: Option<String>,
    /// What it tells, as far as its kind is known.
    pub content: MessageContent,
    /// The fan whom an event names beside its sender, where that may be the platform.
    named_openid: Option<String>,
}

/// What kind of push it is, by WeChat's own name: what an event type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType<'a> {
    /// A message with this `MsgType`.
    Message(&'a str),
    /// An event with this `Event`; empty when it has none.
    Event(&'a str),
}

/// What a push is judged by when an account answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A fan's text, blanks included.
    Text(&'a str),
    /// Any other message of a fan.
    OtherMessage,
    /// A fan follows the account.
    Subscribe,
    /// A fan taps the menu entry with this key.
    MenuClick(&'a str),
    /// Any other event.
    OtherEvent,
}

/// The decrypted message as JSON, every field kept: an element is a text, or an object where it has
/// elements of its own; several of one name are a list. What is JSON already stays as it is.
///
/// # Errors
/// [`PushError::Xml`] and [`PushError::Json`] when it breaks a bound.
pub fn to_json(plaintext: &[u8]) -> Result<serde_json::Value, PushError> {
    tree::to_json(plaintext)
}

impl MessagePush {
    /// Reads the decrypted message, which is XML, or JSON where an account with keys of its own chose
    /// that.
    ///
    /// # Errors
    /// [`PushError::Xml`] or [`PushError::Json`] when it breaks a bound, [`PushError::Missing`]
    /// without one of the three elements that every message has, [`PushError::Malformed`] when its
    /// time is none. Such a push is authentic all the same: keep it.
    pub fn parse(plaintext: &[u8]) -> Result<Self, PushError> {
        Self::read(Fields(&tree::parse(plaintext)?))
    }

    fn read(fields: Fields<'_, '_>) -> Result<Self, PushError> {
        let msg_type = fields.needed("MsgType")?;
        let content = MessageContent::read(msg_type, fields);
        let named_openid = content.may_name_a_fan().then(|| tree::openid_in(fields.0)).flatten();
        Ok(Self {
            to_user_name: fields.needed("ToUserName")?.to_owned(),
            from_user_name: fields.needed("FromUserName")?.to_owned(),
            create_time: fields.number("CreateTime")?,
            msg_type: msg_type.to_owned(),
            event: fields.text("Event"),
            msg_id: fields.text("MsgId"),
            event_key: fields.text("EventKey"),
            msg_data_id: fields.text("MsgDataId"),
            idx: fields.text("Idx"),
            business_id: fields.text("BusinessId"),
            content,
            named_openid,
        })
    }

    /// Whether it is an event; a message otherwise.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.msg_type.eq_ignore_ascii_case(EVENT)
    }

    /// What kind it is, by WeChat's own name.
    #[must_use]
    pub fn message_type(&self) -> MessageType<'_> {
        if self.is_event() {
            MessageType::Event(self.event.as_deref().unwrap_or_default())
        } else {
            MessageType::Message(&self.msg_type)
        }
    }

    /// The fan whom it is about: who sent the message or did what the event tells; for a change of
    /// his consent the one in `OpenID`. `None` for what no fan did, and for a name that is no openid.
    ///
    /// An event of cards, stores, payment and the like, or one that we do not know, may name the fan
    /// in a field of its own; otherwise its sender is taken: rather one name too many is found when a
    /// fan's data is erased than one too few.
    ///
    /// Source: WeChat docs, "Goods delivery push" (xpay_goods_deliver_notify): `FromUserName` is always
    /// WeChat's own, the payer stands in `OpenId`, that of a mini game in `MiniGame.Payload`.
    #[must_use]
    pub fn openid(&self) -> Option<&str> {
        let sender = Some(self.from_user_name.as_str());
        let openid = match &self.content {
            MessageContent::Event(
                MessageEvent::UserInfoModified(consent)
                | MessageEvent::UserAuthorizationRevoke(consent),
            ) => consent.openid.as_deref(),
            MessageContent::Event(event) if event.is_of_platform() => None,
            _ => self.named_openid.as_deref().filter(|openid| is_openid(openid)).or(sender),
        };
        openid.filter(|openid| is_openid(openid))
    }

    /// The text of a fan's text message, blanks included.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            MessageContent::Text { content, .. } => Some(content),
            _ => None,
        }
    }

    /// What an account that answers by itself judges it by.
    #[must_use]
    pub fn heard(&self) -> Heard<'_> {
        match &self.content {
            MessageContent::Text { content, .. } => Heard::Text(content),
            MessageContent::Event(MessageEvent::Subscribe { .. }) => Heard::Subscribe,
            MessageContent::Event(MessageEvent::Click) => {
                Heard::MenuClick(self.event_key.as_deref().unwrap_or_default())
            }
            _ if self.is_event() => Heard::OtherEvent,
            _ => Heard::OtherMessage,
        }
    }

    /// Whether it is worth waiting for somebody's answer: a fan wrote, or did something after which he
    /// looks at the talk, or [`MessagePush::expects_acknowledgement`]. Nobody reads an answer to
    /// anything else.
    ///
    /// Source: WeChat docs, "Passive user reply message" (被动回复用户消息): messages and some events,
    /// such as taps on a menu, are replied to.
    #[must_use]
    pub fn awaits_reply(&self) -> bool {
        match &self.content {
            MessageContent::Event(event) => event.awaits_reply() || self.expects_acknowledgement(),
            _ => true,
        }
    }

    /// Whether WeChat wants an `ErrCode` as the answer, which only the tenant can give, in place of
    /// `success`.
    ///
    /// Assumed: so virtual payment and the events of carriers are described; what WeChat makes of
    /// `success` there is not told (#5).
    #[must_use]
    pub fn expects_acknowledgement(&self) -> bool {
        match &self.content {
            MessageContent::Event(MessageEvent::OfArea(area)) => {
                matches!(area, EventArea::VirtualPayment | EventArea::Carrier)
            }
            _ => false,
        }
    }

    /// What WeChat's repetitions of one push have in common, and two pushes of one account have not:
    /// a message's id; of a fan's simple deed the sender, second, name and key. `None` for everything
    /// else: what tells two such events apart stands where only their kind knows it, so only the whole
    /// text recognises one.
    ///
    /// Source: WeChat docs, "Receive standard messages" and "Receive event pushes": repetitions of
    /// messages are told by MsgId, those of events by FromUserName and CreateTime.
    /// Observed: one sender's second can hold several events, such as two orders that are paid; all
    /// come from the platform's one sender.
    /// Assumed: a repetition has the same text, but for a counter of repetitions (#5).
    #[must_use]
    pub fn dedupe_parts(&self) -> Option<Vec<Cow<'_, str>>> {
        fn told(field: Option<&String>) -> Cow<'_, str> {
            Cow::Borrowed(field.map_or("", String::as_str))
        }
        match (&self.content, &self.msg_id) {
            (MessageContent::Event(event), msg_id) if event.is_told_by_its_head() => Some(vec![
                Cow::Borrowed(&self.from_user_name),
                Cow::Owned(self.create_time?.to_string()),
                Cow::Borrowed(&self.msg_type),
                told(self.event.as_ref()),
                told(self.event_key.as_ref()),
                told(msg_id.as_ref()),
            ]),
            (MessageContent::Event(_), _) | (_, None) => None,
            (_, Some(msg_id)) => Some(vec![Cow::Borrowed(msg_id)]),
        }
    }

    /// The fan who withdrew his consent, if that is what the push tells. His openid stands in
    /// `OpenID`: `FromUserName` is the platform's.
    ///
    /// Source: WeChat docs, "Authorized user information change" (user_authorization_revoke): his
    /// tokens and data must go.
    #[must_use]
    pub fn revoked_openid(&self) -> Option<&str> {
        match &self.content {
            MessageContent::Event(MessageEvent::UserAuthorizationRevoke(consent)) => {
                consent.openid.as_deref()
            }
            _ => None,
        }
    }
}

fn is_openid(text: &str) -> bool {
    text.len() <= MAX_OPENID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for MessagePush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessagePush({}, {})", self.to_user_name, self.msg_type)?;
        self.event.as_ref().map_or(Ok(()), |event| write!(f, " {event}"))
    }
}
