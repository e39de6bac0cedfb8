//! The machine that keeps tokens, at work on the `component_access_token`: a real database, the
//! emulator for WeChat, and a clock that stands still.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod component_tokens;
mod components;
mod fences;
mod limits;
mod world;
