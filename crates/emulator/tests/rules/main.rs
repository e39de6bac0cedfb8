//! The emulator's rules, over its real listener.

mod api;
mod consent;
mod control;
mod faults;
mod media;
mod own_secret;
mod pushes;
mod quotas;
mod tokens;
mod web_oauth;
mod world;
