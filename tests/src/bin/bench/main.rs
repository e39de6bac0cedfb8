//! Measures lingpai over loopback beside nginx and beside its databases, all in the same run and
//! in turns, and writes the tables of `docs/benchmarks.md`. `make bench` calls it.
//!
//! It measures and asserts no time: what it refuses is a wrong answer or a push that was answered
//! and is not stored.

mod calls;
mod deliveries;
mod limits;
mod load;
mod machine;
mod nginx;
mod pushes;
mod redis;
mod report;
mod service;
mod tokens;
mod wire;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use lingpai_storage::testing::{Backend, TestDb};
use tokio::time::sleep;
use url::Url;

use crate::{
    calls::Target,
    deliveries::Delivered,
    limits::Limits,
    load::{CALM_PACE, Outcome, Requests},
    machine::{Cores, Watch},
    nginx::Nginx,
    service::Service,
    tokens::TokenReads,
};

/// How often everything is measured; the tables show the medians.
const ROUNDS: usize = 5;

/// How many distinct pushes are prepared: more than are answered in [`FULL_LOAD`].
const PUSHES: usize = 90_000;

/// How long everybody gets as much as they can answer.
const FULL_LOAD: Duration = Duration::from_secs(3);

/// How many requests are sent at a fixed pace: two seconds of them.
const CALM_REQUESTS: usize = 2 * CALM_PACE as usize;

/// How long is looked at what the machine does by itself, before each round.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// How long a fresh service is left alone before its memory is looked at.
const SETTLED: Duration = Duration::from_secs(1);

/// How it is called.
const USAGE: &str = "usage: bench FOLDER [ROUNDS [pushes|tokens]]; FOLDER holds wire.txt and takes the \
                     databases; with a section that alone is measured and printed";

/// The page with the tables.
const PAGE: &str = "docs/benchmarks.md";

/// One contender in one round.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Answers per second under full load.
    rate: f64,
    /// Who used the processors meanwhile.
    cores: Cores,
    /// Latencies under full load, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
    /// Latency at a fixed pace, in milliseconds; not a number where there is no such pace.
    calm_p99_ms: f64,
}

/// All rounds of all contenders.
#[derive(Debug, Default)]
struct Figures {
    /// nginx that answers pushes and does nothing with them.
    answer: Vec<Sample>,
    /// lingpai on SQLite, and SQLite alone.
    sqlite: Vec<Sample>,
    sqlite_limits: Vec<Limits>,
    /// lingpai on PostgreSQL, and PostgreSQL alone. Empty where there is none.
    postgres: Vec<Sample>,
    postgres_limits: Vec<Limits>,
    /// What came of deliveries.
    deliveries: Vec<Delivered>,
    /// nginx that passes calls on.
    proxy_pass: Vec<Sample>,
    /// lingpai that passes calls on: to a program with a key, and to an SDK.
    forwarded: Vec<Sample>,
    gateway: Vec<Sample>,
    /// Tokens that are read, also while they are refreshed.
    token_reads: TokenReads,
    /// lingpai's memory in MB.
    idle_mb: Vec<f64>,
    after_pushes_mb: Vec<f64>,
    after_calls_mb: Vec<f64>,
    /// What other programs used before each round, in cores.
    others: Vec<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let folder = PathBuf::from(args.next().context(USAGE)?);
    let rounds = args.next().map_or(Ok(ROUNDS), |rounds| rounds.parse()).context(USAGE)?;
    if let Some(section) = args.next() {
        let tables = match section.as_str() {
            "pushes" => report::push_tables(&measure_pushes(&folder, rounds).await?)?,
            "tokens" => report::token_tables(&tokens::measure(&folder, rounds).await?)?,
            _ => bail!(USAGE),
        };
        println!("{tables}");
        return Ok(());
    }
    let wire = fs::read_to_string(folder.join("wire.txt")).context(USAGE)?;

    let mut figures = measure(&folder, rounds).await?;
    figures.token_reads = tokens::measure(&folder, rounds).await?;
    let tables = report::tables(&wire::read(&wire), &figures, rounds)?;
    println!("{tables}");
    if rounds < ROUNDS {
        eprintln!("   {PAGE} stays as it is: it takes {ROUNDS} rounds");
        return Ok(());
    }
    report::write(Path::new(PAGE), &tables)
}

/// What is sent at a fixed pace, and what is sent as fast as it is answered.
struct Prepared {
    calm: Requests,
    full: Requests,
    /// Over how many connections `full` is sent.
    connections: usize,
}

/// Who takes pushes: nginx, which stores nothing, and lingpai on its databases.
struct PushTakers {
    prepared: Prepared,
    answering: Nginx,
    postgres: Option<Backend>,
}

impl PushTakers {
    async fn start(folder: &Path) -> Result<Self> {
        step("preparing the pushes and an authorizer");
        let all = pushes::prepare(PUSHES).await?;
        let (calm, full) = all.split_at(CALM_REQUESTS);
        let (calm, full) = (Arc::new(calm.to_vec()), Arc::new(full.to_vec()));
        let prepared = Prepared { calm, full, connections: load::PUSH_CONNECTIONS };
        let say_success = "server { listen $ADDRESS; location / { return 200 success; } }";
        let answering = Nginx::start(&folder.join("nginx-answer"), say_success).await?;
        let mut backends = Backend::available().into_iter();
        let postgres = backends.find(|it| matches!(it, Backend::Postgres(_)));
        Ok(Self { prepared, answering, postgres })
    }

    async fn take(&self, folder: &Path, figures: &mut Figures) -> Result<()> {
        let around = Watch::start(process::id())?;
        sleep(LOOK_AROUND).await;
        figures.others.push(around.stop()?.rest);
        let Self { prepared, answering, postgres } = self;
        let (sample, _) = take(&answering.address, answering.id(), prepared).await?;
        figures.answer.push(sample);
        on_sqlite(&folder.join("sqlite"), prepared, figures).await?;
        if let Some(postgres) = postgres {
            on_postgres(&folder.join("postgres"), postgres, prepared, figures).await?;
        }
        Ok(())
    }
}

async fn measure_pushes(folder: &Path, rounds: usize) -> Result<Figures> {
    let takers = PushTakers::start(folder).await?;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        step(&format!("round {round} of {rounds}: pushes"));
        takers.take(folder, &mut figures).await?;
    }
    Ok(figures)
}

async fn measure(folder: &Path, rounds: usize) -> Result<Figures> {
    let takers = PushTakers::start(folder).await?;
    let upstream = calls::upstream(&folder.join("nginx-upstream")).await?;
    let passing = calls::proxy_pass(&folder.join("nginx-proxy"), &upstream).await?;
    let wechat = format!("http://{}/", upstream.address).parse()?;
    let service = Service::start(&folder.join("calls"), None, &wechat).await?;
    let through_lingpai = Target::lingpai(service.address(), &service.tenant).await?;
    let through_gateway = Target::gateway(service.address(), &service.tenant).await?;
    let through_nginx = Target::nginx(&passing.address, through_lingpai.key());

    let mut figures = Figures::default();
    for round in 1..=rounds {
        step(&format!("round {round} of {rounds}: pushes"));
        takers.take(folder, &mut figures).await?;
        step(&format!("round {round} of {rounds}: deliveries"));
        let (to_tenants, pushes) = (folder.join("deliveries"), &takers.prepared);
        let delivered = deliveries::measure(&to_tenants, &takers.answering, pushes).await?;
        figures.deliveries.push(delivered);
        step(&format!("round {round} of {rounds}: calls"));
        figures.proxy_pass.push(take_calls(&through_nginx, passing.id()).await?);
        figures.forwarded.push(take_calls(&through_lingpai, service.id()).await?);
        figures.gateway.push(take_calls(&through_gateway, service.id()).await?);
        figures.after_calls_mb.push(machine::resident_mb(service.id())?);
    }
    Ok(figures)
}

async fn on_sqlite(folder: &Path, pushes: &Prepared, figures: &mut Figures) -> Result<()> {
    let service = Service::start(folder, None, &nobody()?).await?;
    sleep(SETTLED).await;
    figures.idle_mb.push(machine::resident_mb(service.id())?);
    deliveries::want_all_and_wait(&service.tenant).await?;
    let (sample, answered) = take(service.address(), service.id(), pushes).await?;
    figures.after_pushes_mb.push(machine::resident_mb(service.id())?);
    figures.sqlite.push(sample);
    // Kills it: what was answered has to be in the file all the same.
    drop(service);
    let file = folder.join("lingpai.db");
    figures.sqlite_limits.push(limits::of_sqlite(&file, answered, FULL_LOAD)?);
    Ok(())
}

async fn on_postgres(
    folder: &Path,
    backend: &Backend,
    pushes: &Prepared,
    figures: &mut Figures,
) -> Result<()> {
    let database = TestDb::open_empty(backend).await;
    let service = Service::start(folder, Some(&database.config.url), &nobody()?).await?;
    deliveries::want_all_and_wait(&service.tenant).await?;
    let (sample, answered) = take(service.address(), service.id(), pushes).await?;
    figures.postgres.push(sample);
    drop(service);
    let limits = limits::of_postgres(&database.config.url, answered)?;
    figures.postgres_limits.extend(limits);
    database.remove().await;
    Ok(())
}

/// Where WeChat would be: pushes come in, and nothing goes out to it.
fn nobody() -> Result<Url> {
    Ok("http://127.0.0.1:9/".parse()?)
}

/// Sends all requests to a server; gives the number of those that it answered as well.
async fn take(address: &str, server: u32, prepared: &Prepared) -> Result<(Sample, usize)> {
    let mut calm = load::keep_pace(address, &prepared.calm).await?;
    let watch = Watch::start(server)?;
    let mut full =
        load::saturate(address, &prepared.full, (prepared.connections, FULL_LOAD)).await?;
    let cores = watch.stop()?;
    let sample = Sample {
        rate: per_second(&full),
        cores,
        p50_ms: full.percentile_ms(0.50),
        p99_ms: full.percentile_ms(0.99),
        calm_p99_ms: calm.percentile_ms(0.99),
    };
    Ok((sample, calm.answered() + full.answered()))
}

async fn take_calls(target: &Target, server: u32) -> Result<Sample> {
    let requests = target.requests(CALM_REQUESTS);
    let mut calm = load::keep_pace(target.address(), &requests).await?;
    let watch = Watch::start(server)?;
    let full = target.saturate(FULL_LOAD)?;
    let cores = watch.stop()?;
    let calm_p99_ms = calm.percentile_ms(0.99);
    Ok(Sample { rate: full.rate, cores, p50_ms: full.p50_ms, p99_ms: full.p99_ms, calm_p99_ms })
}

fn per_second(outcome: &Outcome) -> f64 {
    outcome.answered() as f64 / outcome.took.as_secs_f64()
}

fn step(what: &str) {
    eprintln!("   {what}");
}
