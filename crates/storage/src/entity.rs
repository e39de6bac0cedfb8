//! The tables as sea-orm sees them. Rows never leave this crate: repositories make records of them.

pub(crate) mod api_keys;
pub(crate) mod authorization_visits;
pub(crate) mod authorizations;
pub(crate) mod authorizer_tokens;
pub(crate) mod authorizers;
pub(crate) mod component_tickets;
pub(crate) mod component_tokens;
pub(crate) mod components;
pub(crate) mod events;
pub(crate) mod exchanges;
pub(crate) mod installation;
pub(crate) mod leases;
pub(crate) mod operators;
pub(crate) mod pushes;
pub(crate) mod redirect_uris;
pub(crate) mod refresh_tokens;
pub(crate) mod tenants;

/// Every table of ours.
pub(crate) const TABLES: [&str; 17] = [
    "api_keys",
    "authorization_visits",
    "authorizations",
    "authorizer_tokens",
    "authorizers",
    "component_tickets",
    "component_tokens",
    "components",
    "events",
    "exchanges",
    "installation",
    "leases",
    "operators",
    "pushes",
    "redirect_uris",
    "refresh_tokens",
    "tenants",
];
