use std::sync::Mutex;

use anyhow::Result;

use super::{Report, Stage};
use crate::{
    cluster::{Ask, Callers, Cluster, LONG, Plan},
    oracle::Oracle,
    processes::within,
};

/// Tokens run out again and again under load: as many refreshes as expiries, and nobody notices.
#[derive(Debug, Clone)]
pub struct Expiries {
    /// How many instances share the work.
    pub instances: usize,
    /// How many authorizers there are.
    pub authorizers: u32,
    /// How often each one's token runs out, at least.
    pub expiries: usize,
    /// How long a token lives, in seconds.
    pub life_secs: u64,
    /// How many callers use them meanwhile.
    pub callers: usize,
    /// Settings and surroundings of single instances: a clock that goes wrong, for instance.
    pub own: Vec<Vec<(String, String)>>,
}

impl Expiries {
    /// Surroundings in which an instance sees the machine's clock shifted, each by one of
    /// `shifts` in the words of faketime (`+2h`); an empty one leaves the clock alone. `library`
    /// is `libfaketime.so.1`.
    ///
    /// Clocks that measure durations go right: they do on a machine whose time of day is wrong.
    #[must_use]
    pub fn with_clocks(mut self, library: &str, shifts: &[&str]) -> Self {
        let surroundings = |shift: &&str| {
            let shifted = [
                ("LD_PRELOAD", library),
                ("FAKETIME", *shift),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ];
            let shifted = shifted.into_iter().filter(|_| !shift.is_empty());
            shifted.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        self.own = shifts.iter().map(surroundings).collect();
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, expiries, life_secs, .. } = self;
        let clocks = if self.own.is_empty() { "" } else { ", clocks shifted" };
        let mut report = Report::of(format!(
            "{instances} instances × {authorizers} authorizers × {expiries} expiries{clocks}"
        ));
        let mut plan = Plan::new(&stage.backend, instances, authorizers).token_life(life_secs);
        plan.own = self.own;
        Cluster::with(plan, async |cluster| {
            cluster.authorize_all().await?;
            let oracle = Oracle::watch(&cluster.emulator, life_secs);
            let callers = Callers::start(cluster, self.callers, &[Ask::Proxy, Ask::Token]);
            let told = Mutex::new(0);
            within(LONG * 3, "every token has run out as often as wanted", async || {
                let fewest = oracle.finding(&cluster.emulator, &cluster.appids).fewest();
                let mut told = told.lock().expect("nobody panics with it");
                if fewest >= *told + 5 {
                    *told = fewest;
                    (stage.tell)(&format!("{fewest} of {expiries} expiries"));
                }
                Ok((fewest >= expiries).then_some(()))
            })
            .await?;
            let tally = callers.stop().await?;
            let mut watched = cluster.appids.clone();
            watched.push(cluster.component.appid.clone());
            let finding = oracle.finding(&cluster.emulator, &watched);
            let total = finding.total();
            report.figure(format!("{total} refreshes, {} expiries", total - finding.early.len()));
            report.require_none_early(&finding);
            report.require_one_in_flight(&finding);
            report.figure(&tally);
            report.require(tally.failures() + tally.unreachable == 0, &tally);
            report.require_nothing_stale(cluster).await?;
            Ok(report.done())
        })
        .await
    }
}
