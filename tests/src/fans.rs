//! Fans: what they write and do, as WeChat tells an account of it, and what they see of the answer.

use lingpai_emulator::PushOutcome;

use crate::xml::{cdata, element};

/// 小林, a fan of 令牌小店.
pub const FAN: &str = "oLingPai000000000000000fan01";

/// Ada, another one.
pub const OTHER_FAN: &str = "oLingPai000000000000000fan02";

/// One thing that a fan writes or does.
///
/// Source: WeChat docs, "Receive standard messages" and "Receive event pushes".
#[derive(Debug, Clone)]
pub struct Said {
    /// The fan.
    pub openid: String,
    /// `CreateTime`, in Unix seconds.
    pub at_secs: i64,
    /// What follows the common elements.
    pub rest: String,
}

impl Said {
    /// A message with a `MsgId` of its own: `MsgType` and the elements that belong to it.
    #[must_use]
    pub fn message(at_secs: i64, msg_id: u64, msg_type: &str, fields: &str) -> Self {
        let rest = format!("{}{fields}<MsgId>{msg_id}</MsgId>", cdata("MsgType", msg_type));
        Self { openid: FAN.to_owned(), at_secs, rest }
    }

    /// A text.
    #[must_use]
    pub fn text(at_secs: i64, msg_id: u64, content: &str) -> Self {
        Self::message(at_secs, msg_id, "text", &cdata("Content", content))
    }

    /// An event: `Event` and the elements that belong to it.
    #[must_use]
    pub fn event(at_secs: i64, event: &str, fields: &str) -> Self {
        let rest = format!("{}{}{fields}", cdata("MsgType", "event"), cdata("Event", event));
        Self { openid: FAN.to_owned(), at_secs, rest }
    }

    /// The same of another fan.
    #[must_use]
    pub fn by(mut self, openid: &str) -> Self {
        openid.clone_into(&mut self.openid);
        self
    }

    /// The whole message, to the account with this original id.
    #[must_use]
    pub fn to(&self, user_name: &str) -> String {
        format!(
            "<xml>{}{}<CreateTime>{}</CreateTime>{}</xml>",
            cdata("ToUserName", user_name),
            cdata("FromUserName", &self.openid),
            self.at_secs,
            self.rest
        )
    }
}

/// How a push of a fan's message was answered.
#[derive(Debug, Clone)]
pub struct Talk {
    /// The answer as it was on the wire.
    pub outcome: PushOutcome,
    /// The reply in clear, if the answer was a reply that WeChat can open.
    pub reply: Option<String>,
}

impl Talk {
    /// Whether the answer was the word `success`, which fans see nothing of.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome.is_accepted()
    }

    /// Whether the answer was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outcome.status == Some(200) && self.outcome.body.is_empty()
    }

    /// One element of the reply; empty without a reply.
    #[must_use]
    pub fn element(&self, name: &str) -> String {
        self.reply.as_deref().and_then(|reply| element(reply, name)).unwrap_or_default()
    }

    /// The text that the fan reads; empty if he reads none.
    #[must_use]
    pub fn text(&self) -> String {
        self.element("Content")
    }
}
