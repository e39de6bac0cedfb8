#![doc = include_str!("../README.md")]

pub mod api_key;
pub mod audit;
pub mod authorization;
pub mod authorizer;
pub mod auto_reply;
pub mod caller;
pub mod clock;
pub mod component;
pub mod delivery;
pub mod digest;
pub mod endpoint;
pub mod event;
pub mod exchange;
pub mod file;
pub mod id;
pub mod late_reply;
pub mod listener;
pub mod mini_program_session;
pub mod network;
pub mod operator;
pub mod page;
pub mod publish_test;
pub mod push;
pub mod quarantine;
pub mod quota;
pub mod tenant;
pub mod token;
pub mod usage;
pub mod web_authorization;
pub mod web_token;

pub use lingpai_wechat::{
    id::{Appid, InvalidAppid},
    secret::Secret,
};

/// An instant in UTC. Every instant of the house has this type.
pub type Instant = chrono::DateTime<chrono::Utc>;
