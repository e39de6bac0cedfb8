//! A component: one registered third-party platform (第三方平台), and the tickets pushed to it.

use crate::{Appid, Instant, Secret, digest::Digest, id::ComponentId};

/// One component with what it needs to be recognised by WeChat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its id.
    pub id: ComponentId,
    /// Its appid at WeChat.
    pub appid: Appid,
    /// The name people read, also on the authorization page.
    pub name: String,
    /// The component secret.
    pub appsecret: Secret<String>,
    /// 消息校验Token: signs every push.
    pub push_token: Secret<String>,
    /// The push token before the present one, and until when pushes may still be signed with it.
    pub previous_push_token: Option<(Secret<String>, Instant)>,
    /// 消息加解密Key: encrypts every push.
    pub encoding_aes_key: Secret<String>,
    /// The key before the present one: pushes in flight may still use it.
    pub previous_encoding_aes_key: Option<Secret<String>>,
    /// When the present key took the place of the one before; `None` if none was before it, or it was
    /// changed by a release that did not note it.
    pub encoding_aes_key_changed_at: Option<Instant>,
    /// Whether WeChat's whole-network publish test (全网发布检测) is answered for it now.
    pub answers_publish_test: bool,
    /// When it was registered here.
    pub created_at: Instant,
    /// When it was last changed here.
    pub updated_at: Instant,
}

/// What is watched about a component: its tickets, and how it compares with WeChat's own list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentWatch {
    /// When WeChat was last asked to push tickets again.
    pub ticket_asked_at: Option<Instant>,
    /// Since when tickets are late; `None` while they come.
    pub ticket_late_since: Option<Instant>,
    /// The last reconciliation that went to its end.
    pub reconciliation: Option<Reconciliation>,
}

/// What a comparison of our authorizers with WeChat's list of accounts brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// When it began.
    pub at: Instant,
    /// How many accounts the list had.
    pub listed: u32,
    /// How many of ours got a refresh token back that was missing, or stand again.
    pub recovered: u32,
    /// How many nobody knew: they are unclaimed now.
    pub found: u32,
    /// How many of ours have withdrawn, as WeChat confirmed.
    pub withdrawn: u32,
}

/// One pushed `component_verify_ticket`.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Whose ticket it is.
    pub component_id: ComponentId,
    /// The ticket itself.
    pub value: Secret<String>,
    /// `CreateTime` inside the push: the newest by this time is the one to use.
    pub issued_at: Instant,
    /// When the push reached us.
    pub received_at: Instant,
}

impl Ticket {
    /// Recognises the same ticket pushed twice.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"ticket", self.value.expose().as_bytes()])
    }
}
