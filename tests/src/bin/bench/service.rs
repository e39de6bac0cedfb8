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

/// A running lingpai with a registered component.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
}

impl Service {
    /// Starts one on an empty database: this one, or SQLite in `folder`. `folder` is emptied.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(folder: &Path, database: Option<&str>) -> Result<Self> {
        // Pushes come in; nothing goes out, so nobody has to be where WeChat should be.
        let nobody: Url = "http://127.0.0.1:9/".parse()?;
        let (start, process) = fresh(folder, &nobody, database).await?;
        operator(&start)?.register(&component()).await?;
        Ok(Self { process })
    }

    /// Starts one on SQLite whose tenant has an authorizer with a fresh token, and which takes
    /// `wechat` for WeChat. The emulator played WeChat until then.
    ///
    /// # Errors
    /// When it does not start or a step of the authorization fails.
    pub(crate) async fn with_authorizer(folder: &Path, wechat: &Url) -> Result<(Self, Program)> {
        let emulator = Emulator::start(EmulatorConfig::for_tests()).await?;
        let (start, process) = fresh(folder, &emulator.base_url().parse()?, None).await?;
        let operator = operator(&start)?;
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

        let again = Start::service(folder, wechat, &settings(None))?;
        let process = again.run().await?;
        let tenant = Program::new(process.url.clone(), tenant.key());
        Ok((Self { process }, tenant))
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

async fn fresh(folder: &Path, wechat: &Url, database: Option<&str>) -> Result<(Start, Process)> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("the last run's folder cannot be removed")?;
    }
    fs::create_dir_all(folder)?;
    let start = Start::service(folder, wechat, &settings(database))?;
    let process = start.run().await?;
    Ok((start, process))
}

fn settings(database: Option<&str>) -> Vec<(&'static str, &str)> {
    let database = database.map(|url| ("LINGPAI_DATABASE__URL", url));
    [MASTER_KEY].into_iter().chain(TENANTS_MAY_HURRY).chain(database).collect()
}

fn operator(start: &Start) -> Result<Program> {
    let key = start.command(&["operator-key", "create", "bench"])?;
    Ok(Program::new(start.url().clone(), key.trim()))
}
