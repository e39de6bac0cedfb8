//! lingpai itself: the release binary as a process of its own, with default settings.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_tests::{
    people::{Administrator, Component, Program},
    processes::{Process, Start, eventually},
    world::SHOP,
};
use reqwest::StatusCode;
use url::Url;

/// Base64 of 32 bytes that keep nothing secret.
const MASTER_KEY: (&str, &str) =
    ("LINGPAI_SECRETS__MASTER_KEY", "YmVuY2htYXJrcyBrZWVwIG5vIHNlY3JldHMsIG5vbmU=");

/// One tenant makes all calls: its rates are counted, and never reached.
const TENANTS_MAY_HURRY: [(&str, &str); 2] = [
    ("LINGPAI_LIMITS__REQUESTS_PER_SECOND", "1000000"),
    ("LINGPAI_LIMITS__CHANGES_PER_MINUTE", "1000000"),
];

/// Deliveries go to programs on this machine.
const TENANTS_ARE_HERE: (&str, &str) = ("LINGPAI_WEBHOOK__ALLOW_PRIVATE", "127.0.0.0/8");

/// A running lingpai whose tenant has an authorizer with a fresh token.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    /// The tenant.
    pub(crate) tenant: Program,
}

impl Service {
    /// Starts one on an empty database: this one, or SQLite in `folder`. It takes `wechat` for WeChat;
    /// the emulator plays WeChat until it is asked for the first time. `folder` is emptied.
    ///
    /// # Errors
    /// When it does not start or a step of the authorization fails.
    pub(crate) async fn start(folder: &Path, database: Option<&str>, wechat: &Url) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("the last run's folder cannot be removed")?;
        }
        fs::create_dir_all(folder)?;
        let emulator = Emulator::start(EmulatorConfig::for_tests()).await?;
        let first = Start::service(folder, &emulator.base_url().parse()?, &settings(database))?;
        let process = first.run().await?;
        let key = first.command(&["operator-key", "create", "bench"])?;
        let operator = Program::new(first.url().clone(), key.trim());
        let registered = operator.register(&component()).await?;
        emulator.set_events_url(&registered.field("events_url")?);
        let pushed = emulator.push_ticket().await;
        ensure!(pushed.is_accepted(), "the ticket was answered with {pushed:?}");
        let (_, tenant) = operator.create_tenant("bench").await?;
        let (id, link) = tenant.start_authorization(&component().appid).await?;
        Administrator::new("en").authorize(&link, SHOP).await?.expect(StatusCode::OK)?;
        let path = format!("/v1/authorizations/{id}");
        eventually("the authorizer is stored", async || {
            let seen = tenant.get(&path).await?;
            Ok((seen.json["state"] == "finished").then_some(()))
        })
        .await?;
        drop(process);
        emulator.shutdown().await;

        let again = Start::service(folder, wechat, &settings(database))?;
        let process = again.run().await?;
        let tenant = tenant.at(process.url.clone());
        Ok(Self { process, tenant })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.process.url.authority()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The component that all pushes are for.
pub(crate) fn component() -> Component {
    Component::of(&EmulatorConfig::for_tests())
}

fn settings(database: Option<&str>) -> Vec<(&'static str, &str)> {
    let database = database.map(|url| ("LINGPAI_DATABASE__URL", url));
    [MASTER_KEY, TENANTS_ARE_HERE].into_iter().chain(TENANTS_MAY_HURRY).chain(database).collect()
}
