//! The emulator's rules, over its real listener.

mod api;
mod consent;
mod control;
mod fans;
mod faults;
mod js_sdk;
mod media;
mod mini_programs;
mod own_secret;
mod publish_test;
mod pushes;
mod quotas;
mod service;
mod tokens;
mod web_consents;
mod web_oauth;
mod web_tokens;
mod world;
