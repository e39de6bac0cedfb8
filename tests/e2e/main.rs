//! The whole product over HTTP: one file for each flow.
#![recursion_limit = "256"]

mod access;
mod accounts;
mod audit;
mod authorizations;
mod browser;
mod canaries;
mod claims;
mod cluster;
mod crashes;
mod cures;
mod databases;
mod etags;
mod files;
mod gateway;
mod hostile;
mod idempotency;
mod keys;
mod limits;
mod outages;
mod peers;
mod proxy;
mod pushes;
mod quotas;
mod reconciliations;
mod settings;
mod streams;
mod tickets;
mod tokens;
mod usage;
