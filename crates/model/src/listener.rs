//! A listener: a program of a tenant, mostly on a developer's laptop, that follows the tenant's events
//! as they come and may reply to messages while it is there.

use crate::{
    Instant,
    event::EventFilter,
    id::{ListenerId, TenantId},
};

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which events it follows, and to which it replies.
    pub filter: EventFilter,
    /// When it was last known to be there.
    pub seen_at: Instant,
}
