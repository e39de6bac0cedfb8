//! Everything that is served, on real services and a WeChat of the emulator's.

mod gateway;
mod house;
mod idempotency;
mod limits;
mod resources;
mod secrets;
mod surface;
