use anyhow::Result;
use lingpai_emulator::Kill;

use super::{Report, Stage, USUAL_LIFE_SECS};
use crate::{
    cluster::{Ask, Callers, Cluster, LONG, Plan, Tally, renew},
    oracle::Oracle,
    processes::within,
};

/// WeChat ends every access token at once under load, moments after one instance has renewed them:
/// every call succeeds, and each token is refreshed once.
#[derive(Debug, Clone)]
pub struct KilledTokens {
    /// How many instances there are.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// How many callers use them.
    pub callers: usize,
    /// How often everything is killed.
    pub times: usize,
}

impl KilledTokens {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, callers, times } = self;
        let mut report = Report::of(format!(
            "all tokens killed {times} times, {instances} instances × {authorizers} authorizers"
        ));
        let plan = Plan::new(&stage.backend, instances, authorizers);
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            let mut tally = Tally::default();
            for time in 1..=times {
                // Each time others: who still holds the token before the last has lost his right to
                // a second try.
                let working = Callers::start(cluster, callers, &[Ask::Proxy]);
                renew_all(cluster, &mut report).await?;
                let oracle = Oracle::watch(&cluster.emulator, USUAL_LIFE_SECS);
                cluster.emulator.kill(&Kill::AllAuthorizerTokens);
                within(LONG, "every token is replaced", async || {
                    let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                    Ok((finding.fewest() > 0).then_some(()))
                })
                .await?;
                tally.add(working.stop().await?);
                let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                report.require(finding.most() == 1, format!("{} refreshes of one", finding.most()));
                report.require_none_early(&finding);
                report.require_one_in_flight(&finding);
                (stage.tell)(&format!("killed and cured {time} of {times} times"));
            }
            report.figure(&tally);
            report.require(tally.failures() + tally.unreachable == 0, &tally);
            report.require_nothing_lost(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}

/// Has the first instance renew every token, so that the others remember an older one.
async fn renew_all(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let tenant = cluster.tenant(0);
    for appid in &cluster.appids {
        let renewed = renew(cluster, &tenant, appid).await?;
        report.require(renewed.is_ok(), format!("{appid} was not renewed: {renewed:?}"));
    }
    Ok(())
}
