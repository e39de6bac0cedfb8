//! The whole product over HTTP: one file for each flow.
#![recursion_limit = "256"]

mod access;
mod authorizations;
mod canaries;
mod crashes;
mod databases;
mod outages;
mod peers;
mod proxy;
mod pushes;
mod settings;
mod tickets;
mod tokens;
