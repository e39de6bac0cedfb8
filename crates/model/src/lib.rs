#![doc = include_str!("../README.md")]

pub mod api_key;
pub mod authorization;
pub mod authorizer;
pub mod caller;
pub mod clock;
pub mod component;
pub mod digest;
pub mod event;
pub mod exchange;
pub mod id;
pub mod operator;
pub mod page;
pub mod push;
pub mod tenant;
pub mod token;
pub mod web_token;

pub use lingpai_wechat::{
    id::{Appid, InvalidAppid},
    secret::Secret,
};

/// An instant in UTC. Every instant of the house has this type.
pub type Instant = chrono::DateTime<chrono::Utc>;
