//! Several real instances of lingpai on one database, with an emulator inside the test: to be
//! killed, frozen, started again, cut off and called while they refresh.
//!
//! Nothing here looks inside. What was handed out tells the emulator's ledger, which
//! [`crate::oracle`] reads; the database is touched by [`Cluster::sql`] alone, for the faults that
//! happen there.

mod callers;
mod provision;

use std::{fs, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_storage::testing::{Backend, TestDb};
use tempfile::TempDir;

pub use self::callers::{Ask, Callers, Tally, ask_once, renew};
use crate::{
    load::{Account, Load},
    people::{Component, Program},
    processes::{Process, Start},
    seals::Seals,
    world::ALLOW_LOOPBACK,
};

/// Base64 of 32 bytes that keep nothing secret.
const MASTER_KEY: &str = "Y2x1c3RlcnMga2VlcCBubyBzZWNyZXRzLCBub25lISE=";

/// What holds refreshes to a pace.
const CEILINGS: [&str; 3] = [
    "LINGPAI_TOKENS__REFRESHES_PER_SECOND",
    "LINGPAI_TOKENS__CEILING_PER_SECOND",
    "LINGPAI_TOKENS__REFRESHES_PER_TOKEN_HOUR",
];

/// Far above what tokens need that live for seconds.
const NO_CEILING: &str = "100000";

/// One tenant stands for many here: its rates are counted, and never reached.
const TENANTS_MAY_HURRY: [(&str, &str); 2] = [
    ("LINGPAI_LIMITS__REQUESTS_PER_SECOND", "1000000"),
    ("LINGPAI_LIMITS__CHANGES_PER_MINUTE", "1000000"),
];

/// Connections per instance: eight instances stay below the hundred that PostgreSQL has by default.
const CONNECTIONS: &str = "8";

/// How long many authorizers together may take for something before it is wrong.
pub const LONG: Duration = Duration::from_secs(10 * 60);

/// What a cluster is made of.
#[derive(Clone)]
pub struct Plan {
    /// The database of all instances; SQLite serves one.
    pub backend: Backend,
    /// How many instances there are.
    pub instances: usize,
    /// WeChat, with as many generated accounts as authorizers are wanted.
    pub emulator: EmulatorConfig,
    /// Settings and surroundings of single instances, beside those of all.
    pub own: Vec<Vec<(String, String)>>,
    /// Whether tokens are refreshed at the usual pace and not as fast as they can be.
    pub is_paced: bool,
}

impl Plan {
    /// Instances on `backend` for this many authorizers; WeChat behaves as documented.
    #[must_use]
    pub fn new(backend: &Backend, instances: usize, authorizers: u32) -> Self {
        let mut emulator = EmulatorConfig::for_tests();
        emulator.accounts.clear();
        emulator.many_accounts = authorizers;
        Self { backend: backend.clone(), instances, emulator, own: Vec::new(), is_paced: false }
    }

    /// Access tokens that live this long.
    #[must_use]
    pub fn token_life(mut self, secs: u64) -> Self {
        self.emulator.switches.token_life_secs = secs;
        self
    }

    /// Refresh tokens that are replaced by every refresh.
    #[must_use]
    pub fn rotating(mut self) -> Self {
        self.emulator.switches.rotate_refresh_tokens = true;
        self
    }

    /// Refreshes at the usual pace: for trials whose tokens live as long as they usually do.
    #[must_use]
    pub fn paced(mut self) -> Self {
        self.is_paced = true;
        self
    }
}

/// Running instances and everything around them.
pub struct Cluster {
    /// WeChat.
    pub emulator: Arc<Emulator>,
    /// The component that is registered.
    pub component: Component,
    /// The accounts that are, or will be, authorizers.
    pub appids: Vec<String>,
    database_url: String,
    tenant: Program,
    instances: Vec<Instance>,
}

struct Instance {
    start: Start,
    process: Option<Process>,
}

impl Cluster {
    /// Makes a cluster on a fresh database, lets `body` have it and takes it down again, whatever
    /// came of it. The logs of a failed run stay, and the error says where.
    ///
    /// # Errors
    /// What does not start, and what `body` fails with.
    pub async fn with<T>(plan: Plan, body: impl AsyncFnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let dir = TempDir::new()?;
        let database = TestDb::open_empty(&plan.backend).await;
        let outcome = match Self::open(&plan, &database.config.url, &dir).await {
            // The processes end with the cluster, before their database goes.
            Ok(mut cluster) => body(&mut cluster).await,
            Err(error) => Err(error),
        };
        database.remove().await;
        outcome.with_context(|| format!("the logs are in {}", dir.keep().display()))
    }

    async fn open(plan: &Plan, database_url: &str, dir: &TempDir) -> Result<Self> {
        ensure!(plan.instances > 0, "a cluster has an instance");
        ensure!(
            plan.backend != Backend::Sqlite || plan.instances == 1,
            "SQLite serves one instance"
        );
        let component = Component::of(&plan.emulator);
        let emulator = Arc::new(Emulator::start(plan.emulator.clone()).await?);
        let mut instances = Vec::new();
        for number in 0..plan.instances {
            let folder = dir.path().join(number.to_string());
            fs::create_dir(&folder)?;
            let settings = settings(plan, number, database_url);
            let start = Start::service(&folder, &emulator.base_url().parse()?, &settings)?;
            // One after the other: the first brings the schema up to date.
            let process = Some(start.run().await?);
            instances.push(Instance { start, process });
        }
        let first = &instances[0].start;
        let key = first.command(&["operator-key", "create", "cluster"])?;
        let operator = Program::new(first.url().clone(), key.trim());
        let registered = operator.register(&component).await?;
        emulator.set_events_url(&registered.field("events_url")?);
        emulator.set_messages_url(&registered.field("messages_url")?);
        let (_, tenant) = operator.create_tenant("cluster").await?;
        let pushed = emulator.push_ticket().await;
        ensure!(pushed.is_accepted(), "the ticket was answered with {pushed:?}");
        let appids = emulator.snapshot().accounts.into_iter().map(|it| it.appid).collect();
        let database_url = database_url.to_owned();
        Ok(Self { emulator, component, appids, database_url, tenant, instances })
    }

    /// How many instances there are, running or not.
    #[must_use]
    pub fn size(&self) -> usize {
        self.instances.len()
    }

    /// The tenant's program, calling this instance.
    #[must_use]
    pub fn tenant(&self, instance: usize) -> Program {
        self.tenant.at(self.instances[instance].start.url().clone())
    }

    /// The tenant's program once for each instance.
    #[must_use]
    pub fn tenants(&self) -> Vec<Program> {
        (0..self.size()).map(|instance| self.tenant(instance)).collect()
    }

    /// Fans of all accounts who write so many pushes a second to all instances, each of them so often.
    ///
    /// # Errors
    /// When the component's keys cannot be read.
    pub fn load(&self, per_second: u32, copies: u64) -> Result<Load> {
        let accounts = self.emulator.snapshot().accounts.into_iter();
        Ok(Load {
            seals: Seals::of(&self.component)?,
            component_appid: self.component.appid.clone(),
            accounts: accounts
                .map(|it| Account { appid: it.appid, user_name: it.user_name })
                .collect(),
            addresses: (0..self.size()).map(|instance| self.address(instance)).collect(),
            per_second,
            copies,
            at_secs: self.emulator.now_ms() / 1000,
        })
    }

    /// Where an instance listens, running or not: host and port.
    #[must_use]
    pub fn address(&self, instance: usize) -> String {
        self.instances[instance].start.url().authority().to_owned()
    }

    /// Starts an instance that does not run, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends at once or does not answer.
    pub async fn start(&mut self, instance: usize) -> Result<()> {
        let instance = &mut self.instances[instance];
        instance.process = Some(instance.start.run().await?);
        Ok(())
    }

    /// Kills an instance as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self, instance: usize) -> Result<()> {
        match self.instances[instance].process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Kills all instances.
    ///
    /// # Errors
    /// When one cannot be killed.
    pub fn kill_all(&mut self) -> Result<()> {
        (0..self.size()).try_for_each(|instance| self.kill(instance))
    }

    /// A running instance, to be frozen or thawed.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self, instance: usize) -> Result<&Process> {
        self.instances[instance].process.as_ref().context("the instance does not run")
    }

    /// Runs statements on the database, past lingpai, and gives what they print: a row per line,
    /// columns divided by `|`. PostgreSQL only.
    ///
    /// # Errors
    /// When there is no `psql`, or a statement fails.
    pub fn sql(&self, statements: &str) -> Result<String> {
        psql(&self.database_url, statements)
    }

    /// The address of the database, for those who run statements beside everything else.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }
}

/// Settings and surroundings of one instance.
fn settings<'a>(plan: &'a Plan, instance: usize, database_url: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![
        ("LINGPAI_DATABASE__URL", database_url),
        ("LINGPAI_DATABASE__MAX_CONNECTIONS", CONNECTIONS),
        ("LINGPAI_SECRETS__MASTER_KEY", MASTER_KEY),
        ALLOW_LOOPBACK,
    ];
    settings.extend(TENANTS_MAY_HURRY);
    if !plan.is_paced {
        settings.extend(CEILINGS.map(|setting| (setting, NO_CEILING)));
    }
    let own = plan.own.get(instance).map_or(&[][..], Vec::as_slice);
    settings.extend(own.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    settings
}

/// Runs statements on a PostgreSQL.
///
/// # Errors
/// When there is no `psql`, or a statement fails.
pub fn psql(url: &str, statements: &str) -> Result<String> {
    ensure!(url.starts_with("postgres"), "faults inside the database need PostgreSQL");
    let output = Command::new("psql")
        .args([url, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set=ON_ERROR_STOP=1", "--command", statements])
        .output()
        .context("psql could not be started; it comes with PostgreSQL")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the database refused: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
