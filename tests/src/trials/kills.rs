use anyhow::Result;
use lingpai_emulator::{Fault, FaultKind};
use lingpai_storage::testing::Backend;

use super::{Report, Stage, wait_for_a_refresh, wait_for_an_answer};
use crate::{
    cluster::{Ask, Callers, Cluster, Plan},
    oracle::{AUTHORIZER_TOKEN, Oracle},
};

/// How long WeChat's answer is on its way, in milliseconds: long enough to be killed meanwhile.
const ANSWER_MS: u64 = 150;

/// How long a token lives, in seconds: there is always something to refresh.
const LIFE_SECS: u64 = 8;

/// kill -9 while refreshes are under way and refresh tokens rotate: none is lost.
///
/// In turns the process dies after WeChat has rotated the token and before the answer is there, and
/// at the moment when the answer arrives.
#[derive(Debug, Clone)]
pub struct Kills {
    /// How many instances there are; they are killed in turns.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// How many kills.
    pub kills: usize,
    /// How many callers there are meanwhile.
    pub callers: usize,
}

impl Kills {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, kills, callers } = self;
        let on = stage.backend.name();
        let mut report = Report::of(format!(
            "{kills} times kill -9 on {instances} instances ({on}) × {authorizers} authorizers"
        ));
        let plan = Plan::new(&stage.backend, instances, authorizers);
        let plan = plan.token_life(LIFE_SECS).rotating();
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            let oracle = Oracle::watch(&cluster.emulator, LIFE_SECS);
            let slow = FaultKind::Latency { ms: ANSWER_MS };
            cluster.emulator.set_fault(Fault::new(AUTHORIZER_TOKEN, slow));
            let working = Callers::start(cluster, callers, &[Ask::Proxy]);
            for kill in 0..kills {
                let instance = kill % instances;
                match kill % 2 {
                    0 => wait_for_a_refresh(cluster).await?,
                    _ => wait_for_an_answer(cluster).await?,
                }
                cluster.kill(instance)?;
                if instances == 1 && stage.backend != Backend::Sqlite {
                    // Nobody is left whom an unfinished refresh could belong to.
                    cluster.sql("UPDATE tokens SET leased_until = 0")?;
                }
                cluster.start(instance).await?;
                if kill % 10 == 9 {
                    (stage.tell)(&format!("{} of {kills} kills", kill + 1));
                }
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
