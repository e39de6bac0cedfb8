//! Who may do what, on a real database and with a clock that stands still.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod audit;
mod files;
mod idempotency;
mod keys;
mod networks;
mod operators;
mod redirect_uris;
mod tenants;
mod virtual_tokens;
mod world;
