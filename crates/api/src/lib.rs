#![doc = include_str!("../README.md")]

mod admin;
mod answer;
mod auth;
mod docs;
mod door;
mod example;
mod files;
mod forward;
mod gateway;
mod health;
mod input;
mod middleware;
mod narrowed;
mod page;
mod parameter;
mod problem;
mod routes;
#[cfg(test)]
mod sample;
mod spec;
mod tenant;
mod token;
mod view;
mod wechat;

pub use gateway::Mount;
pub use health::{MetricsPage, NotReady, Readiness};
pub use middleware::{REQUEST_ID_HEADER, REQUEST_SECONDS, REQUESTS_TOTAL};
pub use problem::Code;
pub use routes::{ApiSettings, Services, gateway_routes, routes};
pub use spec::{admin_document, tenant_document};
