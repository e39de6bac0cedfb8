#![doc = include_str!("../README.md")]

mod component_push;
mod error;
mod processor;

pub use component_push::ComponentPushes;
pub use error::{Error, Refusal};
pub use processor::Processor;
