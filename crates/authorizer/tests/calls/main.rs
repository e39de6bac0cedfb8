//! What tenants and operators do with accounts: calls, quotas, claims, links. A real database, the
//! emulator for WeChat, and a clock that stands still.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod authorizations;
mod authorizers;
mod claims;
mod customer_service;
mod erasure;
mod fans;
mod hints;
mod jssdk;
mod ledger;
mod mini_programs;
mod proxy;
mod publish_tests;
mod quotas;
mod renewals;
mod site;
mod web_authorizations;
#[path = "../tokens/world.rs"]
#[expect(dead_code, reason = "the tests of tokens need more of it")]
mod world;
