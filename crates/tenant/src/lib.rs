#![doc = include_str!("../README.md")]

mod api_keys;
mod audit;
mod error;
mod files;
mod idempotency;
mod limits;
mod operators;
mod redirect_uris;
mod tenants;
mod virtual_tokens;

pub use api_keys::{ApiKeyChange, ApiKeys, MAX_NETWORKS, MAX_OVERLAP, NewApiKey};
pub use audit::AuditTrail;
pub use error::{Error, Result};
pub use files::Files;
pub use idempotency::{Begun, Claim, IdempotencyKeys, IdempotencyOwner, StoredAnswer};
pub use limits::{
    Admission, LimitDefaults, Limits, LimitsInForce, MAX_CONCURRENT_REQUESTS, RateState,
};
pub use lingpai_storage::AuditFilter;
pub use operators::Operators;
pub use redirect_uris::RedirectUris;
pub use tenants::{NewTenant, TenantChange, Tenants};
pub use virtual_tokens::{
    ShownKey, Subject, SubjectKind, VIRTUAL_TOKEN_LIFE, VirtualCaller, VirtualTokens,
};
