//! The command line.
//!
//! What a command is asked for goes to standard output, everything else to standard error, so that
//! `lingpai operator-key create NAME` can be captured by a script. Exit codes: 0 done, 1 failed,
//! 2 called wrongly or with wrong settings.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use lingpai_model::{
    Appid,
    audit::Act,
    clock::{Entropy, SharedClock, SystemClock},
    event::{EventFilter, EventPattern},
};
use lingpai_tenant::Operators;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Roles},
    database,
    doctor::{self, Verdict},
    lifecycle,
    listen::{Wish, listen},
    settings::{self, Faults, Settings, Sources},
    telemetry,
};

/// Called wrongly, or with settings that cannot be used.
const USAGE: u8 = 2;

/// A multi-tenant WeChat Open Platform third-party platform in one binary.
#[derive(Debug, Parser)]
#[command(name = "lingpai", version)]
pub struct Cli {
    /// A TOML file with settings; LINGPAI_SECTION__KEY in the environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP and do the work behind it.
    Serve {
        /// Leave the work behind it to `lingpai worker`.
        #[arg(long)]
        no_worker: bool,
    },
    /// Do the work behind the HTTP surface, without serving it.
    Worker,
    /// Bring the schema of the database up to date.
    Migrate,
    /// Look for what is wrong with this installation and say what to do.
    Doctor,
    /// Print the OpenAPI documents.
    Openapi {
        /// Which document; both when left out, which needs `--out`.
        #[arg(required_unless_present = "out")]
        document: Option<DocumentName>,
        /// Write `tenant.json` and `admin.json` into this folder instead.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Play WeChat's whole-network publish test (全网发布检测) against the live addresses.
    Rehearse {
        /// The component's appid.
        component_appid: String,
    },
    /// Bring a tenant's events to a handler on this machine, and its replies back.
    Listen(ListenArguments),
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Operator keys, which open the admin API.
    #[command(subcommand)]
    OperatorKey(OperatorKeyCommand),
}

/// One of the two OpenAPI documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentName {
    /// What tenants use.
    Tenant,
    /// What operators and the console use.
    Admin,
}

/// What to listen to. Server, key and the handler's own keys are settings: section `[listen]`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListenArguments {
    /// Post what WeChat pushed to this address, as WeChat would. Left out, events are only shown.
    #[arg(long, value_name = "URL")]
    pub forward: Option<String>,
    /// Only what is about this account; may be given several times.
    #[arg(long, value_name = "APPID")]
    pub authorizer: Vec<String>,
    /// Only events of this type, such as `message.*`; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
}

/// Look at the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Name everything that is wrong with them.
    Check,
    /// Show every setting and where it comes from, secrets masked.
    Print,
}

/// Operator keys.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OperatorKeyCommand {
    /// Make a key and print it, alone and only this once.
    Create {
        /// What to call it.
        name: String,
    },
}

impl DocumentName {
    const BOTH: [Self; 2] = [Self::Tenant, Self::Admin];

    fn file_name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant.json",
            Self::Admin => "admin.json",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Tenant => lingpai_api::tenant_document(),
            Self::Admin => lingpai_api::admin_document(),
        }
    }
}

/// Does what the command line says. For `main`, which has installed the TLS provider.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lingpai: {error:#}");
            if error.is::<Faults>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let sources = Sources::of_process(cli.config);
    match cli.command {
        Command::Openapi { document, out } => openapi(document, out.as_deref())?,
        Command::Config(ConfigCommand::Print) => say(&settings::print(&sources)?)?,
        Command::Config(ConfigCommand::Check) => {
            Settings::load(&sources)?;
            say("the settings are complete and consistent\n")?;
        }
        Command::Serve { no_worker } => {
            let roles = if no_worker { Roles::SERVE } else { Roles::ALL };
            return stay_on_runtime(Settings::load(&sources)?, roles);
        }
        Command::Worker => return stay_on_runtime(Settings::load(&sources)?, Roles::WORK),
        Command::Migrate => return on_runtime(migrate(Settings::load(&sources)?)),
        Command::Doctor => return on_runtime(examine(Settings::load(&sources)?)),
        Command::Rehearse { component_appid } => {
            return on_runtime(rehearse(Settings::load(&sources)?, component_appid));
        }
        Command::Listen(arguments) => {
            return on_runtime(follow(Settings::load(&sources)?, arguments));
        }
        Command::OperatorKey(OperatorKeyCommand::Create { name }) => {
            return on_runtime(create_operator_key(Settings::load(&sources)?, name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn on_runtime(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    run_on(&mut runtime::Builder::new_multi_thread(), command)
}

/// As [`on_runtime`]. One processor is left to SQLite, if that is the database: its statements run on
/// threads of its own, and a commit that has to wait for a processor holds up all pushes.
fn stay_on_runtime(settings: Settings, roles: Roles) -> anyhow::Result<ExitCode> {
    let mut runtime = runtime::Builder::new_multi_thread();
    if settings.database.is_sqlite() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        runtime.worker_threads((processors - 1).max(1));
    }
    run_on(&mut runtime, stay(settings, roles))
}

fn run_on(
    runtime: &mut runtime::Builder,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime = runtime.enable_all().build().context("the runtime cannot be started")?;
    runtime.block_on(command)
}

/// `serve` and `worker`: stay until a signal says otherwise.
async fn stay(settings: Settings, roles: Roles) -> anyhow::Result<ExitCode> {
    telemetry::install_log(settings.log)?;
    let stop = CancellationToken::new();
    let running = async {
        let app = App::open(settings, Entropy::system()).await?;
        app.run(roles, stop.clone()).await
    };
    tokio::select! {
        ended = running => ended.map(|()| ExitCode::SUCCESS),
        signals = lifecycle::signals(stop.clone()) => {
            signals.context("signals cannot be listened to")?;
            tracing::warn!("stopped at once by a second signal");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn migrate(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::QUIET)?;
    let (db, key) = database::connect(&settings, &Entropy::system()).await?;
    let steps = database::migrate(&db).await?;
    database::check_key(&settings, &db, &key).await?;
    db.close().await;
    say(&match steps {
        0 => "the schema was up to date\n".to_owned(),
        steps => format!("the schema is up to date now; that took {steps} step(s)\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn examine(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::QUIET)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let findings = doctor::examine(&settings, &clock, &Entropy::system()).await;
    for finding in &findings {
        say(&format!("{finding}\n"))?;
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn create_operator_key(settings: Settings, name: String) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::QUIET)?;
    let entropy = Entropy::system();
    let db = database::open(&settings, &entropy).await?;
    let operators = Operators::new(db.clone(), Arc::new(SystemClock), entropy);
    let (_, key) =
        operators.create(&Act::of_lingpai(), name).await.context("the key cannot be stored")?;
    say(&format!("{}\n", key.into_text().expose()))?;
    drop(operators);
    db.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Plays the publish test and tells how each step went; fails if one did.
async fn rehearse(settings: Settings, component_appid: String) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::QUIET)?;
    let appid = Appid::parse(&component_appid).context("this is no appid of a component")?;
    let app = App::open(settings, Entropy::system()).await?;
    let verdicts = app.rehearse(&appid).await?;
    let mut failed = false;
    for verdict in &verdicts {
        failed |= !verdict.passed;
        say(&format!("{verdict}\n"))?;
    }
    app.close().await;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `listen`: stays until a signal says otherwise.
async fn follow(settings: Settings, arguments: ListenArguments) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::QUIET)?;
    let pattern = |text: &String| EventPattern::parse(text).with_context(|| text.clone());
    let account = |text: &String| Appid::parse(text).with_context(|| text.clone());
    let filter = EventFilter {
        authorizers: arguments.authorizer.iter().map(account).collect::<anyhow::Result<_>>()?,
        event_types: arguments.types.iter().map(pattern).collect::<anyhow::Result<_>>()?,
    };
    let wish = Wish { forward: arguments.forward, filter };
    let stop = CancellationToken::new();
    let world: (SharedClock, Entropy) = (Arc::new(SystemClock), Entropy::system());
    tokio::select! {
        ended = listen(&settings.listen, wish, world, stop.clone()) => {
            ended.map(|()| ExitCode::SUCCESS)
        }
        signals = lifecycle::signals(stop.clone()) => {
            signals.context("signals cannot be listened to")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn openapi(document: Option<DocumentName>, out: Option<&Path>) -> anyhow::Result<()> {
    let wanted = document.map_or_else(|| DocumentName::BOTH.to_vec(), |one| vec![one]);
    for name in wanted {
        match out {
            None => say(&name.text())?,
            Some(folder) => {
                let path = folder.join(name.file_name());
                std::fs::write(&path, name.text())
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Writes to standard output; a reader that went away is an error, not a panic.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("standard output cannot be written")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_command_is_understood() {
        for line in [
            "lingpai serve",
            "lingpai serve --no-worker",
            "lingpai --config a.toml worker",
            "lingpai worker --config a.toml",
            "lingpai migrate",
            "lingpai doctor",
            "lingpai openapi tenant",
            "lingpai openapi admin --out dir",
            "lingpai openapi --out dir",
            "lingpai config check",
            "lingpai config print",
            "lingpai operator-key create me",
            "lingpai rehearse wx0000000000000001",
            "lingpai listen",
            "lingpai listen --forward http://localhost:3000/wx --type message.* --authorizer wx1",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let cli = parse("lingpai serve --no-worker --config a.toml").expect("it is documented");
        assert!(matches!(cli.command, Command::Serve { no_worker: true }));
        assert_eq!(cli.config, Some(PathBuf::from("a.toml")));
    }

    #[test]
    fn what_is_not_understood_exits_as_usage() {
        for line in ["lingpai", "lingpai reboot", "lingpai openapi", "lingpai operator-key create"]
        {
            let error = parse(line).expect_err("no such command");
            assert_eq!(error.exit_code(), i32::from(USAGE), "{line}");
        }
    }
}
