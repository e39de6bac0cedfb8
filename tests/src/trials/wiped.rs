use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Result;
use lingpai_emulator::Kill;

use super::{Report, Stage, USUAL_LIFE_SECS};
use crate::{
    cluster::{Cluster, LONG, Plan},
    oracle::Oracle,
    processes::within,
};

/// What is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// The refresh tokens in use; the history of all that came is there.
    InUse,
    /// The history as well: only WeChat still knows them.
    History,
    /// The same, and WeChat tells them in its list of accounts only.
    HistoryAndInfo,
}

/// Refresh tokens vanish from our tables and no access token is left: everything is usable again
/// with nobody's help.
#[derive(Debug, Clone)]
pub struct Wiped {
    /// How many instances there are.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// What is wiped, one after the other.
    pub wipes: Vec<Wipe>,
    /// How long each may take until everything is usable, if that is asked.
    pub limit: Option<Duration>,
}

impl Wiped {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, wipes, limit } = self;
        let mut report = Report::of(format!(
            "refresh tokens wiped, {instances} instances × {authorizers} authorizers"
        ));
        let plan = Plan::new(&stage.backend, instances, authorizers).paced();
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            (stage.tell)("all authorized");
            for wipe in wipes {
                let oracle = Oracle::watch(&cluster.emulator, USUAL_LIFE_SECS);
                let began = Instant::now();
                perform(cluster, wipe)?;
                wait_for_all(cluster, &oracle, stage).await?;
                let took = began.elapsed();
                report.figure(format!("{wipe:?}: usable again after {:.1} s", took.as_secs_f64()));
                let in_time = limit.is_none_or(|limit| took <= limit);
                report.require(in_time, format!("{wipe:?}: that is too long"));
                let finding = oracle.finding(&cluster.emulator, &cluster.appids);
                report.require_none_early(&finding);
                report.require_one_in_flight(&finding);
                report.require_nothing_lost(cluster).await?;
            }
            Ok(report.done())
        })
        .await
    }
}

/// Wipes, and ends every access token, at WeChat and in our tables.
fn perform(cluster: &Cluster, wipe: Wipe) -> Result<()> {
    let without_info = wipe == Wipe::HistoryAndInfo;
    cluster.emulator.change_switches(|it| it.info_without_refresh_token = without_info);
    cluster.emulator.kill(&Kill::AllAuthorizerTokens);
    let history = if wipe == Wipe::InUse { "" } else { "DELETE FROM refresh_tokens; " };
    cluster.sql(&format!(
        "{history}UPDATE tokens SET refresh_token_sealed = NULL, expires_at = obtained_at + 1, \
         due_at = obtained_at WHERE owner_id LIKE 'aut_%'"
    ))?;
    Ok(())
}

/// Waits until each account has a new token. Nobody calls meanwhile.
async fn wait_for_all(cluster: &Cluster, oracle: &Oracle, stage: &Stage) -> Result<()> {
    let told = Mutex::new(0);
    within(LONG, "everything is usable again", async || {
        let finding = oracle.finding(&cluster.emulator, &cluster.appids);
        let usable = finding.refreshes.values().filter(|count| **count > 0).count();
        let mut told = told.lock().expect("nobody panics with it");
        if usable >= *told + 100 {
            *told = usable;
            (stage.tell)(&format!("{usable} of {} usable again", cluster.appids.len()));
        }
        Ok((usable == cluster.appids.len()).then_some(()))
    })
    .await
}
