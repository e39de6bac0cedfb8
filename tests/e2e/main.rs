//! The whole product over HTTP: one file for each flow.
#![recursion_limit = "256"]

mod access;
mod accounts;
mod authorizations;
mod canaries;
mod cluster;
mod crashes;
mod cures;
mod databases;
mod outages;
mod peers;
mod proxy;
mod pushes;
mod reconciliations;
mod settings;
mod tickets;
mod tokens;
