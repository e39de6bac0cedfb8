//! Everything that is served, on real services and a WeChat of the emulator's.

mod client;
mod endpoints;
mod events;
mod fan_pages;
mod gateway;
mod gateway_fans;
mod house;
mod idempotency;
mod limits;
mod pushes;
mod resources;
mod secrets;
mod stream;
mod surface;
