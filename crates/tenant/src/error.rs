use lingpai_model::id::{ApiKeyId, TenantId};

/// What can go wrong with tenants, keys and operators.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is unknown, revoked or not a key at all; which of these is not told.
    #[error("the key is not valid")]
    Unauthenticated,
    /// There is no such tenant.
    #[error("there is no tenant {id}")]
    TenantNotFound {
        /// The id that was asked for.
        id: TenantId,
    },
    /// This tenant has no such key.
    #[error("tenant {tenant_id} has no API key {id}")]
    ApiKeyNotFound {
        /// The tenant that was asked about.
        tenant_id: TenantId,
        /// The key that was asked for.
        id: ApiKeyId,
    },
    /// The address cannot be registered as a place to send people to.
    #[error("{reason}")]
    BadRedirectUri {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
