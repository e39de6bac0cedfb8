//! A push: what WeChat sent, kept before it is answered.

use crate::{
    Appid, Instant, Secret,
    delivery::NewDelivery,
    digest::Digest,
    event::Event,
    id::{AuthorizerId, ComponentId, PushId},
};

/// A verified, decrypted push on its way into the database.
#[derive(Debug, Clone)]
pub struct NewPush {
    /// Its id.
    pub id: PushId,
    /// The component it was sent to.
    pub component_id: ComponentId,
    /// Recognises WeChat's repetition of the same push.
    pub dedupe: Digest,
    /// `InfoType` as sent; empty when the inner message could not be read.
    pub info_type: String,
    /// The account it speaks of, if it names one.
    pub authorizer_appid: Option<Appid>,
    /// The decrypted message, byte for byte.
    pub payload: Secret<Vec<u8>>,
    /// What is to be done with it.
    pub disposition: Disposition,
    /// `CreateTime` inside the push; when it was received if it has none.
    pub issued_at: Instant,
    /// When it reached us.
    pub received_at: Instant,
}

/// What is to be done with a push after it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// A worker acts on it.
    Process,
    /// Nothing acts on it yet; it is kept whole.
    Keep,
    /// Authentic, but it broke the bounds of our parser: kept raw until somebody looked.
    Quarantine,
}

/// How far a kept push got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushState {
    /// Waits for a worker.
    Pending,
    /// A worker acted on it.
    Done,
    /// Kept whole; nothing acts on it.
    Kept,
    /// Kept raw until somebody looked.
    Quarantined,
    /// Every attempt to act on it failed.
    Failed,
}

impl PushState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Done, Self::Kept, Self::Quarantined, Self::Failed];

    /// As the database writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Kept => "kept",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }
}

impl From<Disposition> for PushState {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Process => Self::Pending,
            Disposition::Keep => Self::Kept,
            Disposition::Quarantine => Self::Quarantined,
        }
    }
}

/// A push that a worker has claimed.
#[derive(Debug, Clone)]
pub struct Push {
    /// Its id.
    pub id: PushId,
    /// The component it was sent to.
    pub component_id: ComponentId,
    /// The decrypted message, byte for byte.
    pub payload: Secret<Vec<u8>>,
    /// How often it was tried before.
    pub attempts: u32,
    /// Which claim this is: what is written about the push counts under the latest claim only.
    pub lease_epoch: i64,
    /// When it reached us.
    pub received_at: Instant,
}

/// A verified, decrypted message or event of an account on its way into the database, together with
/// the deliveries that it causes.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// What is told: its content is the decrypted message, byte for byte.
    pub event: Event,
    /// The account it was sent to.
    pub authorizer_id: AuthorizerId,
    /// Recognises WeChat's repetition of the same message.
    pub dedupe: Digest,
    /// Where it goes, one for each endpoint that wants it.
    pub deliveries: Vec<NewDelivery>,
}

/// Whether something that was recorded was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was.
    New,
    /// It had been recorded before: WeChat repeats itself.
    Repeated,
}
