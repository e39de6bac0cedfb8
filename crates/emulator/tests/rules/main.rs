//! The emulator's rules, over its real listener.

mod api;
mod consent;
mod control;
mod faults;
mod own_secret;
mod pushes;
mod tokens;
mod web_oauth;
mod world;
