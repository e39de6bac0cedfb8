#![doc = include_str!("../README.md")]

mod account_push;
mod component_push;
mod error;
mod processor;
mod recipient;

pub use account_push::AccountPushes;
pub use component_push::ComponentPushes;
pub use error::{Error, Refusal};
pub use processor::Processor;
