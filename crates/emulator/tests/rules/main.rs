//! The emulator's rules, over its real listener.

mod api;
mod consent;
mod control;
mod fans;
mod faults;
mod media;
mod own_secret;
mod publish_test;
mod pushes;
mod quotas;
mod service;
mod tokens;
mod web_oauth;
mod world;
