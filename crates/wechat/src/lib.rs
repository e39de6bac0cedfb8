#![doc = include_str!("../README.md")]

pub mod call;
pub mod catalogue;
#[cfg(feature = "client")]
pub mod client;
pub mod crypt;
pub mod errcode;
pub mod func_scope;
pub mod id;
mod json;
pub mod jssdk;
pub mod mini_program;
pub mod oauth;
pub mod push;
pub mod secret;
pub mod xml;
