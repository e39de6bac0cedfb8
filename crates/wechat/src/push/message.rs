//! What WeChat pushes to the message-and-event URL (消息与事件接收URL), after decryption: its head.
//!
//! Only what routing, order and repetition are judged by is read. Each kind of message has elements
//! of its own below the common ones; those go on as they came, so that a new kind needs no change.

use std::{borrow::Cow, fmt};

use super::{PushError, field::Fields};
use crate::xml::Node;

/// Tells that a fan withdrew what he had consented to.
///
/// Source: WeChat docs, "Authorized user information change" (user_authorization_revoke): his tokens
/// and data must go.
const USER_AUTHORIZATION_REVOKE: &str = "user_authorization_revoke";

/// The head of one decrypted message or event of an account. Its `Debug` names no person.
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
    about: About,
}

/// What an event is about. It tells events apart that share sender, second, name and key.
#[derive(Clone, PartialEq, Eq)]
struct About {
    /// `OpenID`: the fan, where the platform is the sender.
    openid: Option<String>,
    /// `AppID`: where that fan had consented.
    appid: Option<String>,
    /// `MsgID`: the message that was sent, where the event reports what became of it.
    sent_msg_id: Option<String>,
    /// `trace_id`: the check whose result this is.
    trace_id: Option<String>,
}

impl MessagePush {
    /// Reads the head of the decrypted message, which is XML.
    ///
    /// # Errors
    /// [`PushError::Xml`] when it breaks a bound, [`PushError::Missing`] without one of the three
    /// elements that every message has, [`PushError::Malformed`] when its time is none. Such a push is
    /// authentic all the same: keep it.
    pub fn parse(plaintext: &[u8]) -> Result<Self, PushError> {
        let root = Node::parse(plaintext)?;
        let fields = Fields(&root);
        Ok(Self {
            to_user_name: fields.needed("ToUserName")?.to_owned(),
            from_user_name: fields.needed("FromUserName")?.to_owned(),
            create_time: fields.number("CreateTime")?,
            msg_type: fields.needed("MsgType")?.to_owned(),
            event: fields.text("Event"),
            msg_id: fields.text("MsgId"),
            event_key: fields.text("EventKey"),
            about: About {
                openid: fields.text("OpenID"),
                appid: fields.text("AppID"),
                sent_msg_id: fields.text("MsgID"),
                trace_id: fields.text("trace_id"),
            },
        })
    }

    /// What WeChat's repetitions of one push have in common, and two pushes of one account have not:
    /// a message's id; for an event its sender, second, name, key and what it is about. `None` when
    /// nothing of that says enough: then only the whole text does.
    ///
    /// Source: WeChat docs, "Receive standard messages" and "Receive event pushes": repetitions of
    /// messages are told by MsgId, those of events by FromUserName and CreateTime.
    /// Observed: one sender's second can hold several events; revocations all come from one sender.
    #[must_use]
    pub fn dedupe_parts(&self) -> Option<Vec<Cow<'_, str>>> {
        fn told(field: Option<&String>) -> Cow<'_, str> {
            Cow::Borrowed(field.map_or("", String::as_str))
        }
        if let (None, Some(msg_id)) = (&self.event, &self.msg_id) {
            return Some(vec![Cow::Borrowed(msg_id)]);
        }
        Some(vec![
            Cow::Borrowed(&self.from_user_name),
            Cow::Owned(self.create_time?.to_string()),
            Cow::Borrowed(&self.msg_type),
            told(self.event.as_ref()),
            told(self.event_key.as_ref()),
            told(self.msg_id.as_ref()),
            told(self.about.openid.as_ref()),
            told(self.about.sent_msg_id.as_ref()),
            told(self.about.trace_id.as_ref()),
        ])
    }

    /// The fan who withdrew his consent, if that is what the push tells. His openid stands in
    /// `OpenID`: `FromUserName` is the platform's.
    #[must_use]
    pub fn revoked_openid(&self) -> Option<&str> {
        self.revocation().and_then(|about| about.openid.as_deref())
    }

    /// The app that he had consented to, if the push tells that a fan withdrew his consent.
    #[must_use]
    pub fn revoked_appid(&self) -> Option<&str> {
        self.revocation().and_then(|about| about.appid.as_deref())
    }

    fn revocation(&self) -> Option<&About> {
        let event = self.event.as_deref()?;
        event.eq_ignore_ascii_case(USER_AUTHORIZATION_REVOKE).then_some(&self.about)
    }
}

impl fmt::Debug for MessagePush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessagePush({}, {})", self.to_user_name, self.msg_type)?;
        self.event.as_ref().map_or(Ok(()), |event| write!(f, " {event}"))
    }
}
