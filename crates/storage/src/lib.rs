#![doc = include_str!("../README.md")]

mod arrivals;
mod cache;
mod clock;
mod db;
mod entity;
mod error;
mod lease;
mod mac;
pub mod repo;
mod seal;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    arrivals::Arrival,
    clock::DatabaseClock,
    db::{DatabaseConfig, Db, Durability, Tx},
    error::{Error, Result, Source},
    lease::{Lease, LeaseKey},
    repo::{
        AuditFilter, AuthorizationFilter, AuthorizerFilter, Claim, DeliveryCounts, DeliveryQuery,
        EndpointLease, ErasureScope, EventHead, EventMark, EventQuery, IdempotencyEntry,
        IdempotencyState, LeasedToken, Progress, SystemAuthorizerFilter, TokenLease, UsageFilter,
    },
    seal::{KeyRing, KeyRingError},
};
