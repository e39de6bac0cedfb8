//! Problems with keys, limits and what tenants keep.

use std::time::Duration;

use lingpai_model::{api_key::Scope, file::FileName};
use lingpai_tenant::Error;

use super::{Code, Problem, Retry};
use crate::middleware::RateHeaders;

impl Problem {
    /// No valid key was shown; what was wrong with it is not told.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            "send a valid key as `Authorization: Bearer …`: lpk_… for /v1, lpo_… for /admin/v1",
        )
    }

    /// The key lacks `scope`.
    pub(crate) fn scope_missing(scope: Scope) -> Self {
        let scope = scope.as_str();
        Self::new(
            Code::ScopeMissing,
            format!("the key lacks the scope {scope}: ask your operator for a key that has it"),
        )
    }

    /// The key is valid, but not from where it was shown.
    pub(crate) fn address_refused() -> Self {
        Self::new(
            Code::AddressRefused,
            "the key may be used from certain addresses only, and this is none of them: call from \
             one of those, or ask your operator to add yours",
        )
    }

    /// No such tenant.
    pub(crate) fn tenant_not_found() -> Self {
        Self::new(Code::TenantNotFound, "no tenant has this id: GET /admin/v1/tenants lists them")
    }

    /// The tenant has no such API key.
    pub(crate) fn api_key_not_found() -> Self {
        Self::new(
            Code::ApiKeyNotFound,
            "the tenant has no API key of this id: GET /admin/v1/tenants/{id}/api-keys lists them",
        )
    }

    /// An idempotency key that is none.
    pub(crate) fn bad_idempotency_key() -> Self {
        Self::invalid_field(
            "Idempotency-Key",
            "send one key, of 1 to 255 visible ASCII characters, for instance a UUID",
        )
    }

    /// No such verification file, or not the caller's: both look alike.
    pub(crate) fn file_not_found() -> Self {
        Self::new(
            Code::FileNotFound,
            "no file of yours has this name: GET /files of this API lists them",
        )
    }

    /// No such operator.
    pub(crate) fn operator_not_found() -> Self {
        Self::new(
            Code::OperatorNotFound,
            "no operator has this id: GET /admin/v1/operators lists them",
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        of(&error).caused_by(error)
    }
}

fn of(error: &Error) -> Problem {
    match error {
        // The gateway refuses virtual tokens itself, in WeChat's words.
        Error::Unauthenticated | Error::VirtualTokenRefused | Error::VirtualTokenExpired => {
            Problem::unauthenticated()
        }
        Error::AddressRefused => Problem::address_refused(),
        Error::TenantNotFound { .. } => Problem::tenant_not_found(),
        Error::ApiKeyNotFound { .. } => Problem::api_key_not_found(),
        Error::OperatorNotFound { .. } => Problem::operator_not_found(),
        Error::LastOperator => Problem::new(
            Code::LastOperator,
            "this is the last operator key that is valid: create another one first, with \
             POST /admin/v1/operators",
        ),
        Error::BadRedirectUri { reason } => Problem::invalid_field("uri", *reason),
        Error::RedirectUriNotFound => Problem::new(
            Code::RedirectUriNotFound,
            "this redirect URI is not registered: GET /v1/redirect-uris lists those that are",
        ),
        Error::BadField { field, reason } => Problem::invalid_field(*field, *reason),
        Error::TooFast { limit, retry_after } => too_fast(*limit, *retry_after),
        Error::TooManyAtOnce { limit } => too_many_at_once(*limit),
        Error::TooManyChanges { limit, retry_after } => too_many_changes(*limit, *retry_after),
        Error::BadIdempotencyKey => Problem::bad_idempotency_key(),
        Error::IdempotencyMismatch => Problem::new(
            Code::IdempotencyMismatch,
            "this Idempotency-Key was sent with another request before: draw a new one for each \
             request",
        ),
        Error::IdempotencyUnderWay => Problem::new(
            Code::IdempotencyUnderWay,
            "the first request with this Idempotency-Key is still worked on, or broke off within the \
             last minute: send it again in a second",
        ),
        Error::IdempotencyInterrupted => Problem::new(
            Code::IdempotencyInterrupted,
            "the first request with this Idempotency-Key broke off, and nobody knows whether it had \
             its effect: look, and if it had none, send it with a new key",
        ),
        Error::FileTaken { name } => file_taken(name),
        Error::FileNotFound { .. } => Problem::file_not_found(),
        Error::Storage(error) => Problem::storage(error.is_transient()),
    }
}

fn too_fast(limit: u32, wait: Duration) -> Problem {
    let detail = format!(
        "at most {limit} requests a second are answered: wait as long as `Retry-After` says; \
         `RateLimit` in each answer tells how many are left"
    );
    let rate = Some(Box::new(RateHeaders::used_up(limit, wait)));
    Problem { retry: Some(Retry::In(wait)), rate, ..Problem::new(Code::RateLimited, detail) }
}

fn too_many_at_once(limit: u32) -> Problem {
    Problem::new(
        Code::TooManyAtOnce,
        format!(
            "{limit} requests of yours are under way, and that is as many as there may be at the \
             same time: wait until one of them is answered"
        ),
    )
}

fn too_many_changes(limit: u32, wait: Duration) -> Problem {
    let detail = format!(
        "a tenant may make {limit} requests a minute that change something: wait as long as \
         `Retry-After` says; what only reads goes on"
    );
    Problem { retry: Some(Retry::In(wait)), ..Problem::new(Code::RateLimited, detail) }
}

fn file_taken(name: &FileName) -> Problem {
    Problem::new(
        Code::FileTaken,
        format!(
            "somebody else has uploaded {name}: ask the operator whose it is, or download a new \
             file from WeChat's console"
        ),
    )
}
