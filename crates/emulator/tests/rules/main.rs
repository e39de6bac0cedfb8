//! The emulator's rules, over its real listener.

mod api;
mod consent;
mod control;
mod faults;
mod pushes;
mod world;
