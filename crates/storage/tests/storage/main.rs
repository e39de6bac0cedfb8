//! The store on all three databases: the same bodies on each.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod accounts;
mod api_keys;
mod arrivals;
mod audit;
mod authorizations;
mod authorizers;
mod auto_replies;
mod claims;
mod clock;
mod components;
mod deliveries;
mod due_tokens;
mod endpoints;
mod event_steps;
mod events;
mod exchanges;
mod files;
mod idempotency;
mod late_replies;
mod later_steps;
mod leases;
mod listeners;
mod message_steps;
mod messages;
mod migrations;
mod open;
mod operators;
mod publish_checks;
mod pushes;
mod quarantine;
mod quotas;
mod redirect_uris;
mod refresh_tokens;
mod sealed;
mod sealed_messages;
mod tenancy;
mod tenants;
mod token_leases;
mod tokens;
mod transactions;
mod unlisted;
mod usage;
mod web_tokens;
mod world;
