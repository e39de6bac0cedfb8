//! An event: something that happened, in our words. Written in the transaction of its cause.

use crate::{
    Appid, Instant,
    id::{EventId, TenantId},
};

/// One event in a tenant's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose stream it is in.
    pub tenant_id: TenantId,
    /// The component the authorizer granted to.
    pub component_appid: Appid,
    /// The authorizer it is about.
    pub authorizer_appid: Appid,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, by the clock of whoever caused it.
    pub occurred_at: Instant,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An account granted rights for the first time, or again after it had withdrawn them.
    Authorized,
    /// An account changed what it grants.
    Updated,
    /// An account withdrew its grant.
    Unauthorized,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Authorized, Self::Updated, Self::Unauthorized];

    /// The event type as tenants read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorizer.authorized",
            Self::Updated => "authorizer.updated",
            Self::Unauthorized => "authorizer.unauthorized",
        }
    }
}
