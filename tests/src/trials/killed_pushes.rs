use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    Report, Stage,
    pushed::{Arrivals, settle, wants_messages},
};
use crate::{
    cluster::{Cluster, LONG, Plan},
    load::Pushing,
    processes::within,
    receiver::{Manner, Receiver},
};

/// How many pushes are answered at least before the next kill.
const BETWEEN_KILLS: u64 = 30;

/// kill -9 while fans write: every message whose push was answered with `success` is stored, once, and
/// reaches its endpoint, always under the same id.
#[derive(Debug, Clone)]
pub struct KilledPushes {
    /// How many instances there are; they are killed in turns, and pushed to in turns.
    pub instances: usize,
    /// How many authorizers are written to.
    pub authorizers: u32,
    /// How many kills.
    pub kills: usize,
    /// How many pushes a second.
    pub per_second: u32,
}

impl KilledPushes {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, kills, per_second } = self;
        let on = stage.backend.name();
        let mut report = Report::of(format!(
            "{kills} times kill -9 on {instances} instances ({on}) under {per_second} pushes/s"
        ));
        Cluster::with(Plan::new(&stage.backend, instances, authorizers), async |cluster| {
            cluster.authorize_all().await?;
            let receiver = Receiver::start(Manner::well()).await?;
            let endpoint = wants_messages(cluster, &receiver).await?;
            let pushing = Pushing::start(cluster.load(per_second, 1)?, None);
            for kill in 0..kills {
                let instance = kill % instances;
                // Another moment each time: between two commits, in one, while deliveries are made.
                let wanted = pushing.succeeded() + BETWEEN_KILLS + (kill as u64 * 7) % 23;
                within(LONG, "pushes are answered again", async || {
                    Ok((pushing.succeeded() >= wanted).then_some(()))
                })
                .await?;
                cluster.kill(instance)?;
                cluster.start(instance).await?;
                if kill % 10 == 9 {
                    (stage.tell)(&format!("{} of {kills} kills", kill + 1));
                }
            }
            let ledger = pushing.stop().await?;
            report.figure(format!("{} pushes, {} unanswered", ledger.pushes(), ledger.failed()));
            let acknowledged = settle(cluster, &endpoint, &receiver, &ledger).await?;
            let taken = receiver.taken();
            let arrived = Arrivals::of(&taken);
            arrived.require_none_lost(&acknowledged, &mut report);
            let again = arrived.deliveries - arrived.events();
            report.figure(format!("{} acknowledged, {again} delivered again", acknowledged.len()));
            require_stored(cluster, &arrived, &mut report).await?;
            Ok(report.done())
        })
        .await
    }
}

/// What was delivered is what is stored.
async fn require_stored(
    cluster: &Cluster,
    arrived: &Arrivals<'_>,
    report: &mut Report,
) -> Result<()> {
    let listed = cluster.tenant(0).list_all("/v1/events?type=message.*").await?;
    let stored: BTreeSet<&str> = listed.iter().filter_map(|event| event["id"].as_str()).collect();
    report.figure(format!("{} events are stored", stored.len()));
    let delivered: BTreeSet<&str> = arrived.ids().collect();
    let lost = delivered.symmetric_difference(&stored).count();
    report.require(lost == 0, format!("{lost} events are either not stored or not delivered"));
    Ok(())
}
