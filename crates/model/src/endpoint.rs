//! An endpoint: where a tenant wants its events, and in which form.

use crate::{
    Appid, Instant, Secret,
    event::{Event, EventFilter, EventType},
    id::{EndpointId, TenantId},
};

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What its tenant calls it; may be empty.
    pub name: String,
    /// Where events are posted: `http` or `https`.
    pub url: String,
    /// In which form, and with which secrets.
    pub kind: EndpointKind,
    /// Which events are wanted.
    pub filter: EventFilter,
    /// Whether anything is sent to it.
    pub state: EndpointState,
    /// How sending to it went of late.
    pub health: EndpointHealth,
    /// When it was created.
    pub created_at: Instant,
    /// When its tenant last changed it.
    pub updated_at: Instant,
}

impl Endpoint {
    /// Whether `event` is to be delivered to it. What is no push of WeChat's has no form that a
    /// handler of WeChat's pushes could read.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        (event.content.is_pushed() || self.kind.has_form_for_ours())
            && self.takes(&event.event_type, event.authorizer_appid.as_ref())
    }

    /// Whether events of this type about this authorizer are to be delivered to it, as far as there is
    /// a form for them.
    #[must_use]
    pub fn takes(&self, event_type: &EventType, authorizer: Option<&Appid>) -> bool {
        let is_taken = !matches!(self.state, EndpointState::Disabled { .. });
        is_taken && self.filter.matches(event_type, authorizer)
    }

    /// Whether its answers become WeChat's for messages of `authorizer`.
    #[must_use]
    pub fn replies_for(&self, authorizer: &Appid) -> bool {
        let EndpointKind::Wechat(handler) = &self.kind else { return false };
        let accounts = &self.filter.authorizers;
        matches!(handler.role, Role::Replying { .. })
            && (accounts.is_empty() || accounts.contains(authorizer))
    }

    /// Whether there is an account for which this one and `other` would both reply.
    #[must_use]
    pub fn replies_beside(&self, other: &Self) -> bool {
        let replies = |endpoint: &Self| match &endpoint.kind {
            EndpointKind::Wechat(handler) => matches!(handler.role, Role::Replying { .. }),
            EndpointKind::Webhook(_) => false,
        };
        let (ours, theirs) = (&self.filter.authorizers, &other.filter.authorizers);
        let meet =
            ours.is_empty() || theirs.is_empty() || ours.iter().any(|appid| theirs.contains(appid));
        replies(self) && replies(other) && meet
    }
}

/// In which form an endpoint gets events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointKind {
    /// As JSON, signed by the rules of Standard Webhooks.
    Webhook(WebhookSecrets),
    /// As WeChat itself would push them to the account's own server.
    Wechat(WechatHandler),
}

impl EndpointKind {
    /// Whether there is a form for events of our own, which WeChat did not push.
    #[must_use]
    pub fn has_form_for_ours(&self) -> bool {
        match self {
            Self::Webhook(_) => true,
            Self::Wechat(_) => false,
        }
    }

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Wechat(_) => "wechat",
        }
    }
}

/// With what webhooks to an endpoint are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// The present secret: `whsec_` and base64 of 32 bytes.
    pub current: Secret<String>,
    /// The one before it, and until when both sign.
    pub previous: Option<(Secret<String>, Instant)>,
}

/// How a handler of WeChat's pushes is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WechatHandler {
    /// Token (令牌): signs every push to it.
    pub push_token: Secret<String>,
    /// EncodingAESKey (消息加解密密钥): encrypts every push to it, unless the mode is plain.
    pub encoding_aes_key: Secret<String>,
    /// How much is encrypted.
    pub mode: Mode,
    /// What its answers are worth.
    pub role: Role,
}

/// How pushes are protected.
///
/// Source: WeChat docs, "Message encryption and decryption" (消息加解密): 明文, 兼容, 安全模式.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 明文模式: the message itself.
    Plain,
    /// 兼容模式: the message, and beside it the encrypted one.
    Compatible,
    /// 安全模式: the encrypted message only.
    Secure,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Compatible, Self::Secure];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Compatible => "compatible",
            Self::Secure => "secure",
        }
    }

    /// Reads a mode.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What the answers of a handler are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is told, and its answers are not passed on.
    Listening,
    /// Its answer goes back to WeChat.
    Replying {
        /// What becomes of an answer that comes too late for that.
        late: LateReplies,
    },
}

/// What becomes of a reply that comes too late to be WeChat's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateReplies {
    /// It is dropped.
    Drop,
    /// It goes to the fan through the customer-service API (客服消息).
    CustomerService,
}

/// Whether anything is sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointState {
    /// Events are sent.
    Active,
    /// Its tenant holds it: events wait.
    Paused {
        /// Since when.
        since: Instant,
    },
    /// It failed for too long, or said that it is gone: nothing new is kept for it.
    Disabled {
        /// Since when.
        since: Instant,
        /// Why, in words.
        reason: String,
    },
}

impl EndpointState {
    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused { .. } => "paused",
            Self::Disabled { .. } => "disabled",
        }
    }
}

/// How sending to an endpoint went of late.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// How many attempts in a row have failed.
    pub failures_in_row: u32,
    /// When the first of them failed.
    pub failing_since: Option<Instant>,
    /// Until when nothing is sent, after too many of them.
    pub blocked_until: Option<Instant>,
    /// When an attempt last went well.
    pub last_success_at: Option<Instant>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Instant>,
    /// Why, in words.
    pub last_failure: Option<String>,
}

impl EndpointHealth {
    /// Whether nothing is sent at this instant, after too many failures.
    #[must_use]
    pub fn is_blocked(&self, at: Instant) -> bool {
        self.blocked_until.is_some_and(|until| at < until)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_block_ends_at_its_end() {
        let until = Instant::UNIX_EPOCH;
        let health = EndpointHealth { blocked_until: Some(until), ..EndpointHealth::default() };
        assert!(health.is_blocked(until - TimeDelta::milliseconds(1)));
        assert!(!health.is_blocked(until));
        assert!(!EndpointHealth::default().is_blocked(until));
    }
}
