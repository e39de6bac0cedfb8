//! An event: something that happened, in our words. Written in the transaction of its cause.

use crate::{
    Appid, Instant,
    id::{EventId, TenantId},
};

/// One event in a tenant's stream, or in the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose stream it is in; the operator's if nobody's.
    pub tenant_id: Option<TenantId>,
    /// The component it is about, or the one that the authorizer granted to.
    pub component_appid: Option<Appid>,
    /// The authorizer it is about, if it is about one.
    pub authorizer_appid: Option<Appid>,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, by the clock of whoever caused it.
    pub occurred_at: Instant,
    /// What else there is to say, in a few words of our own; never a secret.
    pub detail: Option<serde_json::Value>,
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
    /// WeChat no longer takes an account's refresh token, and none could be recovered.
    NeedsReauthorization,
    /// WeChat refused a call for an account because its quota is used up.
    QuotaWarning,
    /// WeChat has stopped pushing tickets to a component.
    TicketLate,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Authorized,
        Self::Updated,
        Self::Unauthorized,
        Self::NeedsReauthorization,
        Self::QuotaWarning,
        Self::TicketLate,
    ];

    /// The event type as tenants read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorizer.authorized",
            Self::Updated => "authorizer.updated",
            Self::Unauthorized => "authorizer.unauthorized",
            Self::NeedsReauthorization => "authorizer.needs_reauthorization",
            Self::QuotaWarning => "authorizer.quota_warning",
            Self::TicketLate => "component.ticket_late",
        }
    }
}
