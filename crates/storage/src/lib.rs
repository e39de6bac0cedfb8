#![doc = include_str!("../README.md")]

mod arrivals;
mod cache;
mod db;
mod entity;
mod error;
mod lease;
pub mod repo;
mod seal;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    arrivals::Arrival,
    db::{DatabaseConfig, Db, Durability, Tx},
    error::{Error, Result, Source},
    lease::{Lease, LeaseKey},
    repo::AuthorizerFilter,
    seal::{KeyRing, KeyRingError},
};
