#![doc = include_str!("../README.md")]

mod components;
mod error;
mod flight;
mod tickets;
mod tokens;

pub use components::{Components, NewComponent};
pub use error::{Error, Result, UpstreamFault};
pub use flight::{Flight, Flights, LEASE_TTL, LeasedWork, under_lease};
pub use tickets::{Tickets, oldest_usable_ticket};
pub use tokens::{ComponentTokens, PreAuthCode};
