//! The `lingpai` binary; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use lingpai_server::cli::{self, Cli};

/// Requests allocate in small pieces on every thread, which glibc's allocator serves under a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything builds a TLS client. It fails only when a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(Cli::parse())
}
