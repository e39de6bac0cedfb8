//! Tokens that are read: how many a second, and what the readers notice of a wave of refreshes.
//!
//! The wave comes by itself. Tokens that were all renewed within seconds and live shortly are due
//! together; the workers refresh them ahead of their end, at the default pace.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use lingpai_emulator::Issue;
use lingpai_storage::testing::Backend;
use lingpai_tests::{
    cluster::{Cluster, LONG, Plan},
    oracle::AUTHORIZER_TOKEN,
    processes::within,
};
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    CALM_REQUESTS, Prepared, Sample,
    load::{self, CALM_PACE, Outcome, Requests},
    nginx::Nginx,
    redis::Redis,
    step, take,
};

/// How many authorizers there are. The workers refresh 200 a second: a wave lasts 15 seconds.
///
/// At [`CALM_PACE`] each is read every six seconds, when the cache has just forgotten it: the reads
/// of a wave and those around it all ask the database that is being written.
pub(crate) const AUTHORIZERS: u32 = 3000;

/// How long tokens live in the wave: a worker refreshes them 20 to 30 seconds before their end.
/// Those that are renewed within six seconds are then due within sixteen.
pub(crate) const LIFE_SECS: u64 = 100;

/// How many reads there are in the wave, and as many before and after it: fifteen seconds of them.
const CALM_READS: usize = 15 * CALM_PACE as usize;

/// How many of the refreshes tell that the wave has begun: one in this many.
const BEGUN: usize = 50;

/// More reads than are answered under full load.
const READS: usize = 1_000_000;

/// The length in bytes of what nginx and Redis answer: about that of an answer with a token.
const ANSWER_BYTES: usize = 180;

/// All that is known of token reads.
#[derive(Debug, Default)]
pub(crate) struct TokenReads {
    /// nginx that gives every reader the same token.
    pub(crate) answer: Vec<Sample>,
    /// Redis; empty where there is none.
    pub(crate) redis: Vec<Sample>,
    /// lingpai on SQLite.
    pub(crate) lingpai: Vec<Sample>,
    /// The reads before, in and after the wave.
    pub(crate) calm: Vec<Calm>,
    /// What a token had left, at least, when the wave replaced it, in seconds.
    pub(crate) least_left_secs: f64,
}

/// Reads at a fixed pace.
#[derive(Debug)]
pub(crate) struct Calm {
    /// When they were.
    pub(crate) when: &'static str,
    /// How many.
    pub(crate) reads: usize,
    /// Latencies in milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// How many tokens WeChat gave meanwhile.
    pub(crate) refreshes: usize,
}

/// Measures reads on a lingpai of their own.
///
/// # Errors
/// When something does not start, an authorization fails or a read is not answered with a token.
pub(crate) async fn measure(folder: &Path, rounds: usize) -> Result<TokenReads> {
    step(&format!("token reads: {AUTHORIZERS} accounts authorize"));
    let mut plan = Plan::new(&Backend::Sqlite, 1, AUTHORIZERS).paced();
    // The default: instances of a cluster have fewer because they share a database.
    plan.own = vec![vec![("LINGPAI_DATABASE__MAX_CONNECTIONS".to_owned(), "16".to_owned())]];
    Cluster::with(plan, async |cluster| {
        cluster.authorize_all().await?;
        let mut reads = TokenReads::default();
        at_full_load(cluster, folder, rounds, &mut reads).await?;
        in_a_wave(cluster, &mut reads).await?;
        Ok(reads)
    })
    .await
}

async fn at_full_load(
    cluster: &Cluster,
    folder: &Path,
    rounds: usize,
    reads: &mut TokenReads,
) -> Result<()> {
    let answer = "x".repeat(ANSWER_BYTES);
    let http = format!(
        "server {{ listen $ADDRESS; location / {{ default_type application/json; \
         return 200 '{answer}'; }} }}"
    );
    let nginx = Nginx::start(&folder.join("nginx-token"), &http).await?;
    let redis = Redis::start(&folder.join("redis"), AUTHORIZERS, ANSWER_BYTES).await?;
    let service = cluster.process(0)?;
    let calm = requests(cluster, Ask::Read, CALM_REQUESTS);
    let full = requests(cluster, Ask::Read, READS);
    let prepared = Prepared { calm, full, connections: load::CONNECTIONS };
    for round in 1..=rounds {
        step(&format!("round {round} of {rounds}: token reads"));
        reads.answer.push(take(&nginx.address, nginx.id(), &prepared).await?.0);
        if let Some(redis) = &redis {
            reads.redis.push(redis.take()?);
        }
        reads.lingpai.push(take(service.url.authority(), service.id(), &prepared).await?.0);
    }
    Ok(())
}

async fn in_a_wave(cluster: &Cluster, reads: &mut TokenReads) -> Result<()> {
    step("token reads: before, in and after a wave of refreshes");
    let all = usize::try_from(AUTHORIZERS)?;
    cluster.emulator.change_switches(|switches| switches.token_life_secs = LIFE_SECS);
    send(cluster, &requests(cluster, Ask::Renew, all)).await?;
    let issued = last_issue(cluster);
    reads.calm.push(read_calmly(cluster, "before the wave").await?);
    refreshed(cluster, issued, all / BEGUN).await?;
    reads.calm.push(read_calmly(cluster, "in the wave").await?);
    refreshed(cluster, issued, all).await?;
    let left_ms = refreshes_since(cluster, issued).filter_map(|it| it.previous_remaining_ms).min();
    reads.least_left_secs = left_ms.context("nothing was refreshed")? as f64 / 1e3;
    reads.calm.push(read_calmly(cluster, "after the wave").await?);
    Ok(())
}

async fn read_calmly(cluster: &Cluster, when: &'static str) -> Result<Calm> {
    let issued = last_issue(cluster);
    let mut outcome = send(cluster, &requests(cluster, Ask::Read, CALM_READS)).await?;
    Ok(Calm {
        when,
        refreshes: refreshes_since(cluster, issued).count(),
        reads: outcome.answered(),
        p50_ms: outcome.percentile_ms(0.50),
        p99_ms: outcome.percentile_ms(0.99),
        max_ms: outcome.percentile_ms(1.0),
    })
}

/// Sends requests at a fixed pace, from a thread of their own: this one plays WeChat, and what it
/// does must not count as waiting for lingpai.
async fn send(cluster: &Cluster, requests: &Requests) -> Result<Outcome> {
    let address = cluster.process(0)?.url.authority().to_owned();
    let requests = Arc::clone(requests);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let sent = move || runtime.block_on(load::keep_pace(&address, &requests));
    spawn_blocking(sent).await?
}

/// Waits until this many tokens were refreshed after the one with this number.
async fn refreshed(cluster: &Cluster, issued: u64, count: usize) -> Result<()> {
    within(LONG, &format!("{count} tokens are refreshed"), async || {
        Ok((refreshes_since(cluster, issued).count() >= count).then_some(()))
    })
    .await
}

fn refreshes_since(cluster: &Cluster, issued: u64) -> impl Iterator<Item = Issue> {
    let issues = cluster.emulator.issues_since(issued).into_iter();
    issues.filter(|issue| issue.path == AUTHORIZER_TOKEN)
}

fn last_issue(cluster: &Cluster) -> u64 {
    cluster.emulator.issues().last().map_or(0, |issue| issue.number)
}

/// What is wanted of a token.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Read,
    Renew,
}

/// This many requests, all authorizers in turn.
fn requests(cluster: &Cluster, ask: Ask, count: usize) -> Requests {
    let tenant = cluster.tenant(0);
    let method = match ask {
        Ask::Read => "GET",
        Ask::Renew => "POST",
    };
    let one = |appid: &String| -> Arc<[u8]> {
        let request = format!(
            "{method} /v1/authorizers/{appid}/access-token HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Authorization: Bearer {}\r\nContent-Length: 0\r\n\r\n",
            tenant.key()
        );
        request.into_bytes().into()
    };
    let each: Vec<Arc<[u8]>> = cluster.appids.iter().map(one).collect();
    Arc::new(each.into_iter().cycle().take(count).collect())
}
