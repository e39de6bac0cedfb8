//! The tokens of accounts and of their fans: a real database, the emulator for WeChat, and a clock
//! that stands still.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod authorizer_tokens;
mod fences;
mod limits;
mod web_tokens;
mod workers;
mod world;
