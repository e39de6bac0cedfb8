use anyhow::Result;
use lingpai_emulator::{Fault, FaultKind, Kill};
use tokio::task::JoinSet;

use super::{Report, Stage, USUAL_LIFE_SECS};
use crate::{
    cluster::{Cluster, Plan, Tally, ask_once},
    oracle::{AUTHORIZER_TOKEN, Oracle},
};

/// Many callers meet instances that have just started and a token that has just ended, while
/// WeChat takes its time: one call upstream, and everybody gets an answer.
#[derive(Debug, Clone)]
pub struct Cold {
    /// How many instances there are.
    pub instances: usize,
    /// How many callers there are, all at once.
    pub callers: usize,
    /// How long WeChat takes, in milliseconds.
    pub answer_ms: u64,
}

impl Cold {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, callers, answer_ms } = self;
        let mut report = Report::of(format!(
            "{callers} cold callers on {instances} instances, WeChat answers in {answer_ms} ms"
        ));
        let plan = Plan::new(&stage.backend, instances, 1);
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            cluster.kill_all()?;
            // While nobody runs, nobody remembers: for those who start now the token has ended.
            cluster.sql(
                "UPDATE tokens SET expires_at = obtained_at + 1, due_at = obtained_at \
                 WHERE owner_id LIKE 'aut_%'",
            )?;
            cluster.emulator.kill(&Kill::AllAuthorizerTokens);
            let slow = FaultKind::Latency { ms: answer_ms };
            cluster.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, slow));
            let oracle = Oracle::watch(&cluster.emulator, USUAL_LIFE_SECS);
            for instance in 0..instances {
                cluster.start(instance).await?;
            }
            let mut calls = JoinSet::new();
            for caller in 0..callers {
                let tenant = cluster.tenant(caller % instances);
                let appid = cluster.appids[0].clone();
                calls.spawn(async move { ask_once(&tenant, &appid).await });
            }
            let mut tally = Tally::default();
            while let Some(outcome) = calls.join_next().await {
                tally.count(outcome?);
            }
            let finding = oracle.finding(&cluster.emulator, &cluster.appids);
            report.figure(format!("{} upstream calls", finding.total()));
            let total = finding.total();
            report.require(total == 1, format!("{total} upstream calls instead of one"));
            report.require_one_in_flight(&finding);
            report.figure(&tally);
            report.require(tally.succeeded == callers as u64, &tally);
            cluster.emulator.clear_faults();
            report.require_nothing_stale(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}
