//! What becomes of the messages and events of accounts. A real database, the emulator for WeChat, and
//! handlers of tenants that are a few lines of HTTP.

#![expect(clippy::unwrap_used, reason = "a test may stop anywhere")]
#![expect(clippy::disallowed_methods, reason = "a handler in a test needs no orderly shutdown")]

mod account_pushes;
mod authorizer_pushes;
mod erasures;
mod http;
mod quarantine;
mod rehearsals;
mod release_check;
mod replies;
mod site;
