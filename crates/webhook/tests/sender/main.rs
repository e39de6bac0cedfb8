//! The sending client against names that lie and peers that misbehave.

#![expect(clippy::disallowed_methods, reason = "a peer in a test needs no orderly shutdown")]

mod environment;
mod exchange;
mod names;
mod peer;
mod remote;
mod urls;
