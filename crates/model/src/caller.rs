//! Who is calling, and what that opens.

use std::net::IpAddr;

use crate::{
    api_key::{Scope, Scopes},
    audit::{Act, Actor},
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

/// By which request somebody acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Via {
    /// The request's id, as it is answered and logged; empty if it is no request.
    pub request_id: String,
    /// The address it came from, where that is known.
    pub peer: Option<IpAddr>,
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
    /// How many requests a second that key may make, if it has a limit of its own.
    pub requests_per_second: Option<u32>,
    /// The request it makes.
    pub via: Via,
}

impl Caller {
    /// Whether the key carries `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }

    /// What it does now, as the audit trail tells it: something of its own tenant's.
    #[must_use]
    pub fn act(&self) -> Act {
        Act {
            actor: Actor::ApiKey(self.key_id.clone()),
            tenant_id: Some(self.scope.tenant_id().clone()),
            via: self.via.clone(),
        }
    }
}

/// An operator that showed a valid key.
#[derive(Debug, Clone)]
pub struct OperatorCaller {
    /// Who it is.
    pub id: OperatorId,
    /// The request it makes.
    pub via: Via,
}

impl OperatorCaller {
    /// What it does now, as the audit trail tells it: something of the installation, unless
    /// [`Act::about`] names a tenant.
    #[must_use]
    pub fn act(&self) -> Act {
        Act { actor: Actor::Operator(self.id.clone()), tenant_id: None, via: self.via.clone() }
    }
}
