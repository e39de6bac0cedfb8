//! The tables as sea-orm sees them. Rows never leave this crate: repositories make records of them.

pub(crate) mod account_secrets;
pub(crate) mod api_keys;
pub(crate) mod audit_entries;
pub(crate) mod authorization_visits;
pub(crate) mod authorizations;
pub(crate) mod authorizers;
pub(crate) mod auto_replies;
pub(crate) mod component_tickets;
pub(crate) mod components;
pub(crate) mod deliveries;
pub(crate) mod delivery_attempts;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod exchanges;
pub(crate) mod idempotency_keys;
pub(crate) mod installation;
pub(crate) mod late_replies;
pub(crate) mod leases;
pub(crate) mod listener_replies;
pub(crate) mod listeners;
pub(crate) mod mini_program_sessions;
pub(crate) mod operators;
pub(crate) mod publish_checks;
pub(crate) mod pushes;
pub(crate) mod quarantined_messages;
pub(crate) mod quota_marks;
pub(crate) mod redirect_uris;
pub(crate) mod refresh_tokens;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod usage_figures;
pub(crate) mod verification_files;
pub(crate) mod web_authorizations;
pub(crate) mod web_tokens;

/// Every table of ours.
pub(crate) const TABLES: [&str; 34] = [
    "account_secrets",
    "api_keys",
    "audit_entries",
    "authorization_visits",
    "authorizations",
    "authorizers",
    "auto_replies",
    "component_tickets",
    "components",
    "deliveries",
    "delivery_attempts",
    "endpoints",
    "events",
    "exchanges",
    "idempotency_keys",
    "installation",
    "late_replies",
    "leases",
    "listener_replies",
    "listeners",
    "mini_program_sessions",
    "operators",
    "publish_checks",
    "pushes",
    "quarantined_messages",
    "quota_marks",
    "redirect_uris",
    "refresh_tokens",
    "tenants",
    "tokens",
    "usage_figures",
    "verification_files",
    "web_authorizations",
    "web_tokens",
];
