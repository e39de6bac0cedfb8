//! The emulator as a program of its own: listens until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use lingpai_emulator::{Emulator, EmulatorConfig};
use tokio::signal::unix::{SignalKind, signal};

/// A WeChat to develop and test against, on loopback.
#[derive(Parser)]
#[command(name = "lingpai-emulator", version)]
struct Args {
    /// Where to listen, such as 127.0.0.1:8190.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where authorization events are pushed.
    #[arg(long)]
    events_url: Option<String>,
    /// Where messages are pushed; `$APPID$` stands for the account's appid.
    #[arg(long)]
    messages_url: Option<String>,
    /// Seconds between two tickets; 0 pushes none by itself.
    #[arg(long)]
    ticket_interval_secs: Option<u64>,
    /// How many generated accounts there are beside the configured ones.
    #[arg(long)]
    accounts: Option<u32>,
    /// A JSON file; what it leaves out has its default.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Prints the configuration in use as JSON and ends.
    #[arg(long)]
    print_config: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config = config(&args)?;
    if args.print_config {
        println!("{}", serde_json::to_string_pretty(&config)?);
        return Ok(());
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let emulator = Emulator::start(config).await?;
    println!("emulator listening on {}", emulator.base_url());
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("SIGINT")?,
        _ = terminate.recv() => {}
    }
    emulator.shutdown().await;
    Ok(())
}

fn config(args: &Args) -> anyhow::Result<EmulatorConfig> {
    let mut config = match &args.config {
        None => EmulatorConfig::default(),
        Some(path) => {
            let text = std::fs::read(path).with_context(|| format!("cannot read {path:?}"))?;
            serde_json::from_slice(&text).with_context(|| format!("cannot understand {path:?}"))?
        }
    };
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(url) = &args.events_url {
        config.component.events_url = Some(url.clone());
    }
    if let Some(url) = &args.messages_url {
        config.component.messages_url = Some(url.clone());
    }
    if let Some(secs) = args.ticket_interval_secs {
        config.ticket_interval_secs = secs;
    }
    if let Some(number) = args.accounts {
        config.many_accounts = number;
    }
    Ok(config)
}
