//! The store on all three databases: the same bodies on each.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod accounts;
mod arrivals;
mod authorizations;
mod authorizers;
mod clock;
mod components;
mod due_tokens;
mod exchanges;
mod leases;
mod migrations;
mod open;
mod pushes;
mod refresh_tokens;
mod sealed;
mod tenancy;
mod token_leases;
mod tokens;
mod transactions;
mod unlisted;
mod web_tokens;
mod world;
