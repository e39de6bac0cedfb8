#![doc = include_str!("../README.md")]

mod ceiling;
mod components;
mod error;
mod flight;
mod keeper;
mod patience;
mod reaction;
mod tickets;
mod tokens;
mod trail;
mod watch;

pub use ceiling::{Ceiling, RefreshLimits};
pub use components::{ComponentChange, Components, NewComponent, PUSH_TOKEN_OVERLAP};
pub use error::{Error, Result, UpstreamFault};
pub use flight::{Flight, Flights, LEASE_TTL, LeasedWork, under_lease};
pub use keeper::{Cured, Hold, Keeper, KeeperBase, Landed, Obtained, Source, Wanted};
pub use patience::patiently;
pub use reaction::{PROBE_PAUSE, Reaction};
pub use tickets::{Tickets, oldest_usable_ticket};
pub use tokens::{ComponentTokens, PreAuthCode};
pub use trail::keep_entry;
pub use watch::{TICKET_LATE_AFTER, TicketWatch};
