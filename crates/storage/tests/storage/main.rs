//! The store on all three databases: the same bodies on each.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod accounts;
mod api_keys;
mod arrivals;
mod audit;
mod authorizations;
mod authorizers;
mod claims;
mod clock;
mod components;
mod due_tokens;
mod exchanges;
mod files;
mod idempotency;
mod later_steps;
mod leases;
mod migrations;
mod open;
mod operators;
mod pushes;
mod quotas;
mod redirect_uris;
mod refresh_tokens;
mod sealed;
mod tenancy;
mod tenants;
mod token_leases;
mod tokens;
mod transactions;
mod unlisted;
mod usage;
mod web_tokens;
mod world;
