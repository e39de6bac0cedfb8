//! The settings: layers in, one checked value out, or every fault at once.
//!
//! Layers, later ones win: `settings/default.toml` (embedded, the reference), the file of `--config`,
//! and `LINGPAI_SECTION__KEY`. They are read key by key instead of by `serde`, which stops at the
//! first fault and puts the value into its message, secret or not. The environment is read here and
//! nowhere else. Domain crates never see [`Settings`]; [`crate::app`] hands them what they need.

mod database;
mod events;
mod fault;
mod gateway;
mod layers;
mod limits;
mod listen;
mod log;
mod metrics;
mod reader;
mod secrets;
mod server;
mod tokens;
mod webhook;
mod wechat;

use std::{collections::BTreeMap, fmt::Write as _};

use config::ValueKind;

pub use self::{
    database::Database,
    events::Events,
    fault::{Fault, Faults},
    gateway::Gateway,
    layers::Sources,
    limits::Limits,
    listen::Listen,
    log::{Log, LogFormat},
    metrics::Metrics,
    secrets::{MasterKeySource, Secrets},
    server::Server,
    tokens::Tokens,
    webhook::Webhook,
    wechat::{Wechat, is_loopback},
};
use self::{
    layers::{Found, stack},
    reader::{MASK, Reader},
};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen and what a peer may take.
    pub server: Server,
    /// Where the state lives.
    pub database: Database,
    /// The key that seals what is secret there.
    pub secrets: Secrets,
    /// Which WeChat to talk to.
    pub wechat: Wechat,
    /// The base URL for WeChat's SDKs.
    pub gateway: Gateway,
    /// What one tenant may ask.
    pub limits: Limits,
    /// How fast tokens are refreshed.
    pub tokens: Tokens,
    /// Whom deliveries may reach.
    pub webhook: Webhook,
    /// How long what happened is kept.
    pub events: Events,
    /// What `lingpai listen` follows.
    pub listen: Listen,
    /// Where the figures are served.
    pub metrics: Metrics,
    /// How much is told.
    pub log: Log,
}

impl Settings {
    /// Reads and checks all layers.
    ///
    /// # Errors
    /// Every fault there is, each with its key, what was found and what is wanted. Values of secret
    /// keys are masked.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let flat = match stack(sources, &mut faults) {
            Ok(flat) => flat,
            Err(fault) => {
                faults.add(fault);
                return Err(faults);
            }
        };
        let mut reader = Reader::new(&flat, faults);
        let server = Server::read(&mut reader);
        let database = Database::read(&mut reader);
        let secrets = Secrets::read(&mut reader);
        let wechat = Wechat::read(&mut reader, server.as_ref().map(|server| &server.public_url));
        let gateway = Gateway::read(&mut reader);
        let limits = Limits::read(&mut reader);
        let tokens = Tokens::read(&mut reader);
        let webhook = Webhook::read(&mut reader);
        let events = Events::read(&mut reader);
        let listen = Listen::read(&mut reader, server.as_ref().map(|server| &server.public_url));
        let metrics = Metrics::read(&mut reader);
        let log = Log::read(&mut reader);
        let faults = reader.finish();
        let all = || {
            Some(Self {
                server: server?,
                database: database?,
                secrets: secrets?,
                wechat: wechat?,
                gateway: gateway?,
                limits: limits?,
                tokens: tokens?,
                webhook: webhook?,
                events: events?,
                listen: listen?,
                metrics,
                log: log?,
            })
        };
        if faults.is_empty() { all().ok_or(faults) } else { Err(faults) }
    }
}

/// What holds now, as TOML, each key with the layer it comes from and secrets masked.
///
/// # Errors
/// The layers cannot be read at all.
pub fn print(sources: &Sources) -> Result<String, Faults> {
    let mut faults = Faults::default();
    match stack(sources, &mut faults) {
        Ok(flat) => {
            let known = stack(&Sources::default(), &mut faults).unwrap_or_default();
            Ok(printed(&flat, &known))
        }
        Err(fault) => {
            faults.add(fault);
            Err(faults)
        }
    }
}

fn printed(flat: &BTreeMap<String, Found>, known: &BTreeMap<String, Found>) -> String {
    let mut out = String::new();
    let mut section = "";
    for (path, found) in flat {
        let (head, key) = path.split_once('.').unwrap_or(("", path));
        if head != section {
            section = head;
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}[{section}]");
        }
        // A misspelt key may hold what should have been a secret.
        let mask = ValueKind::String(MASK.to_owned());
        let value = if known.contains_key(path) { &found.value } else { &mask };
        let _ = writeln!(out, "{key} = {} # {}", shown(path, value), found.origin);
    }
    out
}

/// The value at `path` as TOML, masked when it is or may be secret.
fn shown(path: &str, value: &ValueKind) -> String {
    let text = match (path, value) {
        (_, ValueKind::String(text)) if text.is_empty() => String::new(),
        ("secrets.master_key" | "listen.key" | "listen.token" | "listen.encoding_aes_key", _) => {
            MASK.to_owned()
        }
        ("database.url", ValueKind::String(url)) => database::masked_url(url),
        ("database.url", _) => MASK.to_owned(),
        (_, ValueKind::String(text)) => text.clone(),
        (_, other) => return other.to_string(),
    };
    toml::Value::String(text).to_string()
}
