//! Events on their way to endpoints that are well, slow, broken, gone, or taken away in the middle.

#![expect(clippy::disallowed_methods, reason = "a receiver in a test needs no orderly shutdown")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod asking;
mod auto_replies;
mod breaking;
mod dispatching;
mod ending;
mod endpoints;
mod erasing;
mod fences;
mod listening;
mod receiver;
mod replays;
mod retries;
mod tail;
mod turns;
mod world;
