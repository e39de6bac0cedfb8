//! The client against a peer on loopback that misbehaves on demand.

#![expect(clippy::disallowed_methods, reason = "a peer in a test needs no orderly shutdown")]

mod calls;
mod fans;
mod forward;
mod peer;
mod queries;
