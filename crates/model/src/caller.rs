//! Who is calling, and what that opens.

use crate::{
    api_key::{Scope, Scopes},
    id::{ApiKeyId, OperatorId, TenantId},
};

/// The right to reach one tenant's rows. Every repository method on tenant-owned rows asks for it.
///
/// Invariant: only authentication in `lingpai-tenant` makes one; the architecture test holds the
/// rest of the house to that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// The scope of a tenant whose key has just been verified.
    #[must_use]
    pub fn authenticated(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// Whose rows these are.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.0
    }
}

/// A tenant's program that showed a valid key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The rows it may reach.
    pub scope: TenantScope,
    /// The key it showed.
    pub key_id: ApiKeyId,
    /// What that key may do.
    pub scopes: Scopes,
}

impl Caller {
    /// Whether the key carries `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}

/// An operator that showed a valid key.
#[derive(Debug, Clone)]
pub struct OperatorCaller {
    /// Who it is.
    pub id: OperatorId,
}
