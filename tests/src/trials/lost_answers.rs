use anyhow::Result;
use lingpai_emulator::{Fault, FaultKind};

use super::{Report, Stage};
use crate::{
    cluster::{Ask, Callers, Cluster, LONG, Plan},
    oracle::{AUTHORIZER_TOKEN, Oracle},
    processes::within,
};

/// How long a token lives, in seconds.
const LIFE_SECS: u64 = 8;

/// WeChat rotates the refresh token and its answer never arrives.
#[derive(Debug, Clone)]
pub struct LostAnswers {
    /// How many instances there are.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// How often each loses an answer.
    pub times: usize,
    /// How many callers there are meanwhile.
    pub callers: usize,
}

impl LostAnswers {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, times, callers } = self;
        let mut report = Report::of(format!(
            "{times} answers lost for each of {authorizers} authorizers on {instances} instances"
        ));
        let plan = Plan::new(&stage.backend, instances, authorizers);
        let plan = plan.token_life(LIFE_SECS).rotating();
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            let working = Callers::start(cluster, callers, &[Ask::Proxy]);
            let all = Oracle::watch(&cluster.emulator, LIFE_SECS);
            for time in 1..=times {
                let oracle = Oracle::watch(&cluster.emulator, LIFE_SECS);
                for appid in &cluster.appids {
                    let lost = Fault::new(AUTHORIZER_TOKEN, FaultKind::LoseAnswer);
                    cluster.emulator.set_fault(lost.for_appid(appid).times(1));
                }
                // The one whose answer is lost, and the one that finds the token again.
                within(LONG, "each found its refresh token again", async || {
                    let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                    Ok((cluster.emulator.faults().is_empty() && finding.fewest() >= 2)
                        .then_some(()))
                })
                .await?;
                (stage.tell)(&format!("{time} of {times} answers lost and made up for"));
            }
            let tally = working.stop().await?;
            let finding = all.finding(&cluster.emulator, &cluster.appids);
            report.figure(format!("{} refreshes", finding.total()));
            report.require_one_in_flight(&finding);
            report.figure(&tally);
            report.require_nothing_lost(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}
