use anyhow::{Context as _, Result};
use lingpai_emulator::{Fault, FaultKind, Kill};
use tokio::{task::JoinSet, time::timeout};

use super::{Report, Stage};
use crate::{
    cluster::{Cluster, LONG, Plan, ask_once},
    oracle::AUTHORIZER_TOKEN,
    processes::within,
};

/// What a late refresher would change if it could.
const STORED: &str = "SELECT generation, expires_at, obtained_at, encode(value_sealed, 'hex'), \
                      encode(refresh_token_sealed, 'hex') FROM tokens WHERE owner_id LIKE 'aut_%'";

/// How the lease of the frozen holder comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// By waiting as long as it lasts.
    Waited,
    /// By hand in the database, as if that time had passed.
    Taken,
}

/// A holder is frozen while WeChat's answer is on its way, somebody else refreshes, and the frozen
/// one wakes with what it believes is news: nothing changes.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// How its lease ends.
    pub lease_end: LeaseEnd,
}

impl Frozen {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::of("a frozen holder wakes after another has refreshed".to_owned());
        let plan = Plan::new(&stage.backend, 2, 1).rotating();
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            cluster.kill(1)?;
            let mut waiting = freeze_a_holder(cluster).await?;
            if self.lease_end == LeaseEnd::Taken {
                cluster.sql("UPDATE tokens SET leased_until = 0")?;
            }
            cluster.start(1).await?;
            let (tenant, appid) = (cluster.tenant(1), cluster.appids[0].clone());
            within(LONG, "another instance refreshes", async || {
                Ok(ask_once(&tenant, &appid).await?.ok())
            })
            .await?;
            let before = cluster.sql(STORED)?;
            cluster.process(0)?.thaw()?;
            let woken = timeout(LONG, waiting.join_next()).await?.context("its caller waits")??;
            report.figure(format!("the caller who had waited got {}", told(&woken)));
            let after = cluster.sql(STORED)?;
            report.require(before == after, "the woken holder changed what is stored");
            report.figure(format!("stored token unchanged: {}", before == after));
            report.require_nothing_stale(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}

fn told(outcome: &Result<Result<(), String>>) -> &str {
    match outcome {
        Ok(Ok(())) => "its answer",
        Ok(Err(code)) => code,
        Err(_) => "no answer",
    }
}

/// Has the first instance ask WeChat for a token, and freezes it before the answer gets there. The
/// answer then lies at its door.
async fn freeze_a_holder(cluster: &Cluster) -> Result<JoinSet<Result<Result<(), String>>>> {
    cluster.emulator.kill(&Kill::AllAuthorizerTokens);
    cluster.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, FaultKind::Hold));
    let mut waiting = JoinSet::new();
    let (tenant, appid) = (cluster.tenant(0), cluster.appids[0].clone());
    waiting.spawn(async move { ask_once(&tenant, &appid).await });
    timeout(LONG, cluster.emulator.wait_until(|wechat| !wechat.held().is_empty())).await?;
    cluster.process(0)?.freeze()?;
    cluster.emulator.clear_faults();
    cluster.emulator.release(None);
    Ok(waiting)
}
