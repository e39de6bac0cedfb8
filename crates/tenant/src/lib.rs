#![doc = include_str!("../README.md")]

mod api_keys;
mod error;
mod operators;
mod redirect_uris;
mod tenants;

pub use api_keys::ApiKeys;
pub use error::{Error, Result};
pub use operators::Operators;
pub use redirect_uris::RedirectUris;
pub use tenants::Tenants;
