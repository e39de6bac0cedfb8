#![doc = include_str!("../README.md")]

mod authorizer_api;
mod browser;
mod clock;
mod config;
mod consent;
mod control;
mod emulator;
mod fan_messages;
mod faults;
mod gateway;
mod ledger;
mod open_platform;
mod own_secret;
mod pages;
mod publish_test;
mod pusher;
mod refusal;
mod replies;
mod seal;
mod serve;
mod state;
mod talk;
mod web_oauth;
mod world;

pub use config::{
    AccountConfig, AccountKind, ComponentConfig, EmulatorConfig, Fan, MessageFormat, PushOrder,
    PushPolicy, Switches,
};
pub use emulator::Emulator;
pub use fan_messages::FanMessage;
pub use faults::{Fault, FaultKind, StandingFault};
pub use ledger::{Call, FlightStats, TokenKind};
pub use publish_test::{StepVerdict, TestStep};
pub use pusher::{PushOutcome, PushRecord};
pub use state::Kill;
pub use state::accounts::SentMessage;
pub use state::issues::Issue;
pub use state::quota::Rate;
pub use state::snapshot::{
    AccountSnapshot, GrantSnapshot, Snapshot, TicketSnapshot, TokenSnapshot,
};
pub use state::web::WebTokens;
