use anyhow::Result;
use lingpai_emulator::{Fault, FaultKind};
use tokio::task::spawn_blocking;

use super::{Report, Stage, wait_for_a_refresh};
use crate::{
    cluster::{Ask, Callers, Cluster, Plan, psql},
    oracle::{AUTHORIZER_TOKEN, Oracle},
};

/// How long a token lives, in seconds.
const LIFE_SECS: u64 = 8;

/// How long WeChat's answer is on its way, in milliseconds: the commit falls among the cuts.
const ANSWER_MS: u64 = 100;

/// Cuts every connection to the database but its own, again and again for about a second, at
/// moments that fall anywhere in a transaction.
const CUT: &str = "DO $$ BEGIN FOR cut IN 1..25 LOOP \
                     PERFORM pg_stat_clear_snapshot(); \
                     PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid(); \
                     PERFORM pg_sleep(random() * 0.08); \
                   END LOOP; END $$";

/// Connections to the database are cut around the commits of refreshes, and refresh tokens rotate:
/// none is lost.
#[derive(Debug, Clone)]
pub struct Cut {
    /// How many instances there are.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// How many rounds of cuts there are; a refresh is under way when one begins.
    pub rounds: usize,
    /// How many callers there are meanwhile.
    pub callers: usize,
}

impl Cut {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, rounds, callers } = self;
        let mut report = Report::of(format!(
            "connections cut in {rounds} rounds, {instances} instances × {authorizers} authorizers"
        ));
        let plan = Plan::new(&stage.backend, instances, authorizers);
        let plan = plan.token_life(LIFE_SECS).rotating();
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            let oracle = Oracle::watch(&cluster.emulator, LIFE_SECS);
            let slow = FaultKind::Latency { ms: ANSWER_MS };
            cluster.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, slow));
            let working = Callers::start(cluster, callers, &[Ask::Proxy]);
            for round in 1..=rounds {
                wait_for_a_refresh(cluster).await?;
                let url = cluster.database_url().to_owned();
                spawn_blocking(move || psql(&url, CUT)).await??;
                (stage.tell)(&format!("{round} of {rounds} rounds of cuts"));
            }
            let tally = working.stop().await?;
            cluster.emulator.clear_faults();
            report.tell_refreshes(cluster, &oracle);
            report.figure(&tally);
            report.require_nothing_lost(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}
