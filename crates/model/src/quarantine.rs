//! Quarantine: authentic pushes that could not be taken the usual way. They are kept raw until
//! somebody has looked, or until what was missing is there.

use crate::{
    Appid, Instant, Secret,
    digest::Digest,
    id::{AuthorizerId, ComponentId, PushId},
};

/// A message or event of an account on its way into quarantine.
#[derive(Debug, Clone)]
pub struct NewQuarantined {
    /// Its id.
    pub id: PushId,
    /// Whose account it is for.
    pub recipient: QuarantinedFor,
    /// The account's appid, as the path named it.
    pub appid: Appid,
    /// Why it is here.
    pub reason: QuarantineReason,
    /// Recognises WeChat's repetition.
    pub dedupe: Digest,
    /// The decrypted message, byte for byte.
    pub payload: Secret<Vec<u8>>,
    /// When it reached us.
    pub received_at: Instant,
}

/// By whose keys a message was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantinedFor {
    /// By the component's: a message of one of its accounts.
    Component(ComponentId),
    /// By those of an account that is connected by its own secret.
    Account(AuthorizerId),
}

/// Why a push is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineReason {
    /// It breaks the bounds of our parser, or misses what every message has.
    Unreadable,
    /// Nobody here knows the account: its authorization may still be under way.
    UnknownAuthorizer,
    /// It came by the path of one account, and is addressed to another.
    Misaddressed,
    /// It was sealed with a master key that is no longer in the ring.
    Unopenable,
}

impl QuarantineReason {
    /// All reasons.
    pub const ALL: [Self; 4] =
        [Self::Unreadable, Self::UnknownAuthorizer, Self::Misaddressed, Self::Unopenable];

    /// As the API and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownAuthorizer => "unknown_authorizer",
            Self::Misaddressed => "misaddressed",
            Self::Unopenable => "unopenable",
        }
    }
}

/// One push in quarantine, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its id.
    pub id: PushId,
    /// What was pushed.
    pub what: QuarantinedPush,
    /// Why it is here.
    pub reason: QuarantineReason,
    /// When it reached us.
    pub received_at: Instant,
}

/// What is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantinedPush {
    /// A push to a component's event URL.
    ToComponent(ComponentId),
    /// A message or event of an account.
    ToAccount {
        /// By whose keys it was verified.
        recipient: QuarantinedFor,
        /// The account's appid.
        appid: Appid,
    },
}
