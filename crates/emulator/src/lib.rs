#![doc = include_str!("../README.md")]

mod authorizer_api;
mod browser;
mod clock;
mod config;
mod consent;
mod control;
mod emulator;
mod fan_messages;
mod fan_pages;
mod faults;
mod gateway;
mod js_sdk;
mod ledger;
mod mini_program;
mod open_data;
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
mod web_link;
mod web_oauth;
mod world;

pub use config::{
    AccountConfig, AccountKind, ComponentConfig, EmulatorConfig, Fan, MessageFormat, PushOrder,
    PushPolicy, Switches,
};
pub use emulator::Emulator;
pub use emulator::fans::FanChoice;
pub use fan_messages::FanMessage;
pub use faults::{Fault, FaultKind, StandingFault};
pub use js_sdk::PageSignature;
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
pub use state::web_codes::{ConsentOutcome, WebConsent};
