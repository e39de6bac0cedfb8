//! The store on all three databases: the same bodies on each.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod arrivals;
mod authorizations;
mod authorizers;
mod exchanges;
mod leases;
mod open;
mod pushes;
mod sealed;
mod tenancy;
mod tokens;
mod transactions;
mod world;
