#![doc = include_str!("../README.md")]

mod admin;
mod answer;
mod auth;
mod docs;
mod example;
mod health;
mod input;
mod middleware;
mod page;
mod problem;
mod routes;
#[cfg(test)]
mod sample;
mod spec;
mod tenant;
mod token;
mod wechat;

pub use health::{MetricsPage, NotReady, Readiness};
pub use middleware::{REQUEST_ID_HEADER, REQUEST_SECONDS, REQUESTS_TOTAL};
pub use problem::Code;
pub use routes::{ApiSettings, Services, routes};
pub use spec::{admin_document, tenant_document};
