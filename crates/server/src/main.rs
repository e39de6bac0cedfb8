//! The `lingpai` binary; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use lingpai_server::cli::{self, Cli};

fn main() -> ExitCode {
    // Before anything builds a TLS client. It fails only when a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(Cli::parse())
}
