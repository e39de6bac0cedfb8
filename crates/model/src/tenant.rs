//! A tenant: a SaaS team that serves accounts through lingpai.

use crate::{Instant, id::TenantId};

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The name people read, also on the authorization page.
    pub name: String,
    /// Where its logo is, for the authorization page.
    pub logo_url: Option<String>,
    /// How much it may ask of us.
    pub limits: TenantLimits,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// How much a tenant may ask of us; what is not said here, the installation says for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// Requests a second, over all its keys.
    pub requests_per_second: Option<u32>,
    /// Requests that are being answered at the same time.
    pub concurrent_requests: Option<u32>,
}
