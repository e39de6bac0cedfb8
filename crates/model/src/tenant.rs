//! A tenant: a SaaS team that serves accounts through lingpai.

use crate::{Instant, id::TenantId};

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The name people read, also on the authorization page.
    pub name: String,
    /// When it was created.
    pub created_at: Instant,
}
