//! The faults that token keeping and events have to bear, one trial for each, in any size: small ones
//! are tests, large ones are `make soak-tokens` and `make soak-events`.
//!
//! What a trial of tokens refuses is a refresh too many, two in flight for one account, a call that
//! should have succeeded, and a refresh token that is gone; what one of events refuses is a push that
//! is not answered, and an event that is lost or doubled. Small ones assert no time.

mod cold;
mod cut;
mod expiries;
mod frozen;
mod killed_pushes;
mod killed_tokens;
mod kills;
mod lost_answers;
mod pushed;
mod wiped;

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use lingpai_storage::testing::Backend;
use tokio::time::timeout;

pub use self::{
    cold::Cold,
    cut::Cut,
    expiries::Expiries,
    frozen::{Frozen, LeaseEnd},
    killed_pushes::KilledPushes,
    killed_tokens::KilledTokens,
    kills::Kills,
    lost_answers::LostAnswers,
    pushed::{Pace, Pushed},
    wiped::{Wipe, Wiped},
};
use crate::{
    cluster::{Cluster, LONG},
    oracle::{AUTHORIZER_TOKEN, Finding, Oracle, Proof},
};

/// How long WeChat's tokens live where a trial does not want them to run out, in seconds.
const USUAL_LIFE_SECS: u64 = 7200;

/// Where trials run, and who hears how they go.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The database under all instances.
    pub backend: Backend,
    /// Hears one line now and then.
    pub tell: fn(&str),
}

/// What a trial came to.
#[derive(Debug)]
pub struct Report {
    /// Which trial it was, and how large.
    pub trial: String,
    /// What was counted.
    pub figures: Vec<String>,
    /// What must not be.
    pub violations: Vec<String>,
    began: Instant,
    took: Duration,
}

impl Report {
    fn of(trial: String) -> Self {
        let (figures, violations) = (Vec::new(), Vec::new());
        Self { trial, figures, violations, began: Instant::now(), took: Duration::ZERO }
    }

    fn figure(&mut self, figure: impl Display) {
        self.figures.push(figure.to_string());
    }

    fn require(&mut self, holds: bool, otherwise: impl Display) {
        if !holds {
            self.violations.push(otherwise.to_string());
        }
    }

    /// At most one in flight, for everybody, always.
    fn require_one_in_flight(&mut self, finding: &Finding) {
        let most = finding.most_in_flight;
        self.figure(format!("at most {most} in flight for one account"));
        self.require(most <= 1, format!("{most} refreshes of one account were in flight at once"));
    }

    /// How many refreshes there were, one at a time for each account, and how many refresh tokens
    /// WeChat refused on the way.
    fn tell_refreshes(&mut self, cluster: &Cluster, oracle: &Oracle) {
        let finding = oracle.finding(&cluster.emulator, &cluster.appids);
        self.figure(format!("{} refreshes", finding.total()));
        self.require_one_in_flight(&finding);
        let of = |appid: &String| cluster.emulator.stats(AUTHORIZER_TOKEN, appid).refused;
        let refused: u64 = cluster.appids.iter().map(of).sum();
        self.figure(format!("{refused} times a refresh token was refused on the way"));
    }

    /// No token is refreshed while more than its last part is left.
    fn require_none_early(&mut self, finding: &Finding) {
        let early = finding.early.len();
        self.figure(format!("{early} early, {} after the end", finding.late));
        let first = finding.early.first().map_or("", String::as_str);
        self.require(early == 0, format!("{early} refreshes too many, the first {first}"));
    }

    /// Every account is usable, also after all that happened. A kill between WeChat's answer and our
    /// commit leaves an older refresh token behind, which is looked for when it is needed.
    async fn require_nothing_lost(&mut self, cluster: &Cluster) -> Result<()> {
        let proof = Proof::of(cluster).await?;
        let (all, lost) = (cluster.appids.len(), proof.lost.len());
        self.figure(format!("{} of {all} refresh tokens work at the end", all - lost));
        let first = proof.lost.first().map_or("", String::as_str);
        self.require(lost == 0, format!("{lost} accounts are lost, the first {first}"));
        let refused = proof.refused;
        self.figure(format!("{refused} stored refresh tokens were not the last"));
        Ok(())
    }

    /// As [`Report::require_nothing_lost`], and each stored refresh token is WeChat's last: where no
    /// answer is lost, none has to be looked for.
    async fn require_nothing_stale(&mut self, cluster: &Cluster) -> Result<()> {
        let refused = Proof::of(cluster).await?.refused;
        self.require(refused == 0, format!("{refused} stored refresh tokens were not the last"));
        self.require_nothing_lost(cluster).await
    }

    fn done(mut self) -> Self {
        self.took = self.began.elapsed();
        self
    }

    /// How long the trial took, from its first process to its last look.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Passes if nothing was violated.
    ///
    /// # Errors
    /// All violations.
    pub fn hold(&self) -> Result<()> {
        if self.violations.is_empty() {
            return Ok(());
        }
        let figures = self.figures.join("; ");
        bail!("{}: {}\n({figures})", self.trial, self.violations.join("\n"))
    }
}

/// Waits until a refresh of one of the cluster's accounts is under way at WeChat.
async fn wait_for_a_refresh(cluster: &Cluster) -> Result<()> {
    let under_way = cluster.emulator.wait_until(|wechat| {
        let in_flight = |appid: &String| wechat.stats(AUTHORIZER_TOKEN, appid).in_flight > 0;
        cluster.appids.iter().any(in_flight)
    });
    Ok(timeout(LONG, under_way).await?)
}

/// Waits until WeChat has answered a refresh of one of the cluster's accounts.
async fn wait_for_an_answer(cluster: &Cluster) -> Result<()> {
    let mut before = 0;
    let landed = cluster.emulator.wait_until(|wechat| {
        let in_flight = |appid: &String| wechat.stats(AUTHORIZER_TOKEN, appid).in_flight;
        let now: u64 = cluster.appids.iter().map(in_flight).sum();
        let fewer = now < before;
        before = now;
        fewer
    });
    Ok(timeout(LONG, landed).await?)
}
