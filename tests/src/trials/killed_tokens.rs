use anyhow::Result;
use lingpai_emulator::Kill;

use super::{Report, Stage, USUAL_LIFE_SECS};
use crate::{
    cluster::{Ask, Callers, Cluster, LONG, Plan, Tally, renew},
    oracle::Oracle,
    processes::within,
};

/// How many tokens are renewed before all are killed: what others remember fades within seconds.
const RENEWED: usize = 10;

/// WeChat ends every access token at once under load, moments after one instance has renewed some:
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
            let (mut tally, mut total) = (Tally::default(), 0);
            for time in 1..=times {
                // Each time others: who still holds the token before the last has lost his right to
                // a second try.
                let working = Callers::start(cluster, callers, &[Ask::Proxy]);
                renew_some(cluster, &mut report).await?;
                let oracle = Oracle::watch(&cluster.emulator, USUAL_LIFE_SECS);
                cluster.emulator.kill(&Kill::AllAuthorizerTokens);
                within(LONG, "every token is replaced", async || {
                    let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                    Ok((finding.fewest() > 0).then_some(()))
                })
                .await?;
                tally.add(working.stop().await?);
                let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                let most = finding.most();
                report.require(most == 1, format!("{most} refreshes of one after one kill"));
                report.require(finding.most_in_flight <= 1, "two in flight for one account");
                total += finding.total();
                (stage.tell)(&format!("killed and cured {time} of {times} times"));
            }
            report.figure(format!(
                "{total} refreshes, {} tokens killed",
                authorizers as usize * times
            ));
            report.figure(&tally);
            report.require(tally.failures() + tally.unreachable == 0, &tally);
            report.require_nothing_stale(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}

/// Has the first instance renew some tokens, so that the others remember an older one.
async fn renew_some(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let tenant = cluster.tenant(0);
    for appid in cluster.appids.iter().take(RENEWED) {
        let renewed = renew(cluster, &tenant, appid).await?;
        report.require(renewed.is_ok(), format!("{appid} was not renewed: {renewed:?}"));
    }
    Ok(())
}
