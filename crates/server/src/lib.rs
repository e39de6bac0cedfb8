#![doc = include_str!("../README.md")]

pub mod app;
pub mod cli;
mod crank;
pub mod database;
pub mod doctor;
pub mod lifecycle;
mod listen;
pub mod master_key;
pub mod settings;
pub mod telemetry;
pub mod workers;
