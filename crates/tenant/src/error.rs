use std::time::Duration;

use lingpai_model::{
    file::FileName,
    id::{ApiKeyId, OperatorId, TenantId},
};

/// What can go wrong with tenants, keys, operators and what they may do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is unknown, ended or not a key at all; which of these is not told.
    #[error("the key is not valid")]
    Unauthenticated,
    /// The key is valid, but not from where it was used.
    #[error("the key may not be used from this address: ask the operator to add it to the key's")]
    AddressRefused,
    /// There is no such tenant.
    #[error("there is no tenant {id}")]
    TenantNotFound {
        /// The id that was asked for.
        id: TenantId,
    },
    /// This tenant has no such key, or had it revoked.
    #[error("tenant {tenant_id} has no API key {id}")]
    ApiKeyNotFound {
        /// The tenant that was asked about.
        tenant_id: TenantId,
        /// The key that was asked for.
        id: ApiKeyId,
    },
    /// There is no such operator.
    #[error("there is no operator {id}")]
    OperatorNotFound {
        /// The id that was asked for.
        id: OperatorId,
    },
    /// Without this operator nobody could use the admin API any more.
    #[error("this is the last operator key: create another one before you revoke it")]
    LastOperator,
    /// The address cannot be registered as a place to send people to.
    #[error("{reason}")]
    BadRedirectUri {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The tenant has not registered this address.
    #[error("this redirect URI is not registered")]
    RedirectUriNotFound,
    /// One value is not acceptable.
    #[error("{field}: {reason}")]
    BadField {
        /// Which one, as the APIs call it.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The tenant or its key sends more requests than it may.
    #[error("more than {limit} requests a second: wait {retry_after:?}")]
    TooFast {
        /// How many it may send a second.
        limit: u32,
        /// How long the next one has to wait.
        retry_after: Duration,
    },
    /// The tenant has as many requests open as it may have.
    #[error("more than {limit} requests at once: wait until one is answered")]
    TooManyAtOnce {
        /// How many it may have open.
        limit: u32,
    },
    /// The tenant sends more requests that change something than it may.
    #[error("more than {limit} requests a minute that change something: wait {retry_after:?}")]
    TooManyChanges {
        /// How many it may send in a minute.
        limit: u32,
        /// How long the next one has to wait.
        retry_after: Duration,
    },
    /// The text cannot be an idempotency key.
    #[error("an idempotency key is 1 to 255 visible ASCII characters")]
    BadIdempotencyKey,
    /// The idempotency key was used for a request that differs from this one.
    #[error("the idempotency key was used for another request: draw a new one for each request")]
    IdempotencyMismatch,
    /// The first request with this idempotency key is not answered yet.
    #[error("the first request with this idempotency key is under way: wait and repeat it")]
    IdempotencyUnderWay,
    /// The first request with this idempotency key was never answered: nobody knows whether it had
    /// its effect.
    #[error(
        "the first request with this idempotency key broke off: look whether it had its effect, \
         and if not, repeat it with a new key"
    )]
    IdempotencyInterrupted,
    /// The text is no virtual token, or its key has ended; which of these is not told.
    #[error("the virtual token is not valid: fetch a new one")]
    VirtualTokenRefused,
    /// The virtual token was good and has run out.
    #[error("the virtual token has expired: fetch a new one")]
    VirtualTokenExpired,
    /// Somebody else keeps a verification file of this name.
    #[error("the file name {name} is taken by somebody else: fetch a new file from WeChat")]
    FileTaken {
        /// The name.
        name: FileName,
    },
    /// The tenant, or the operator, keeps no verification file of this name.
    #[error("there is no file {name}")]
    FileNotFound {
        /// The name.
        name: FileName,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
