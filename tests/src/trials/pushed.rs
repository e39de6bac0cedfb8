use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Report, Stage};
use crate::{
    cluster::{Cluster, LONG, Plan},
    load::{Ledger, Pushing, Spread},
    processes::within,
    receiver::{Manner, Receiver, Taken},
};

/// How long nobody waits longer for an answer.
const NOBODY_WAITS: Duration = Duration::from_secs(4);

/// Fans write at a rate while one endpoint of their tenant hangs, one drips and one answers 500:
/// every push is answered with `success`, and every message reaches the healthy endpoints, once.
///
/// With copies it is the same for repetitions: of many copies of a message there is one event.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// How many instances there are; they are pushed to in turns. SQLite serves one.
    pub instances: usize,
    /// How many authorizers are written to.
    pub authorizers: u32,
    /// How many messages there are.
    pub messages: u64,
    /// How often each is pushed.
    pub copies: u64,
    /// How many pushes a second.
    pub per_second: u32,
    /// Whether an answer may be later than WeChat waits for.
    pub pace: Pace,
}

/// Whether the answers' times are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// They are told only: whatever else runs here has a part in them.
    Told,
    /// None is over four seconds.
    Judged,
}

impl Pushed {
    /// Runs it.
    ///
    /// # Errors
    /// When the cluster cannot be run at all; what lingpai does wrong is in the report.
    pub async fn run(self, stage: &Stage) -> Result<Report> {
        let Self { instances, authorizers, messages, copies, per_second, pace } = self;
        let on = stage.backend.name();
        let mut report = Report::of(format!(
            "{messages} messages × {copies} at {per_second}/s, {instances} instances ({on}), three \
             endpoints broken"
        ));
        Cluster::with(Plan::new(&stage.backend, instances, authorizers), async |cluster| {
            cluster.authorize_all().await?;
            let stand = Stand::build(cluster).await?;
            let load = cluster.load(per_second, copies)?;
            let ledger = Pushing::start(load, Some(messages)).done().await?;
            report.figure(format!("{} pushes: {}", ledger.pushes(), ledger.latencies()));
            let failed = ledger.failed();
            report.require(failed == 0, format!("{failed} pushes were not answered with success"));
            let latest = ledger.latencies().percentile(1.0);
            let in_time = pace == Pace::Told || latest <= NOBODY_WAITS;
            report.require(in_time, format!("an answer took {latest:?}"));
            (stage.tell)(&format!("{} pushes are answered", ledger.pushes()));
            stand.require_each_once(cluster, &ledger, &mut report).await?;
            Ok(report.done())
        })
        .await
    }
}

/// The endpoints of the tenant: two healthy ones among three that are not.
struct Stand {
    healthy: Vec<(String, Receiver)>,
    _broken: Vec<Receiver>,
}

impl Stand {
    async fn build(cluster: &Cluster) -> Result<Self> {
        let mut receivers = Vec::new();
        for manner in
            [Manner::Hang, Manner::well(), Manner::Drip, Manner::status(500), Manner::well()]
        {
            let receiver = Receiver::start(manner).await?;
            receivers.push((wants_messages(cluster, &receiver).await?, receiver));
        }
        let last = receivers.pop().context("five were made")?;
        let second = receivers.remove(1);
        let broken = receivers.into_iter().map(|(_, receiver)| receiver).collect();
        Ok(Self { healthy: vec![second, last], _broken: broken })
    }

    /// Every acknowledged message is at each healthy endpoint, in one event, delivered once.
    async fn require_each_once(
        &self,
        cluster: &Cluster,
        ledger: &Ledger,
        report: &mut Report,
    ) -> Result<()> {
        for (id, receiver) in &self.healthy {
            let acknowledged = settle(cluster, id, receiver, ledger).await?;
            let taken = receiver.taken();
            let arrived = Arrivals::of(&taken);
            arrived.require_none_lost(&acknowledged, report);
            let doubled = arrived.deliveries - arrived.events();
            report.require(doubled == 0, format!("{doubled} deliveries were made twice"));
            report.figure(format!("{} delivered, {}", arrived.events(), arrived.delay(ledger)));
        }
        Ok(())
    }
}

/// An endpoint that wants all messages; gives its id.
pub(super) async fn wants_messages(cluster: &Cluster, receiver: &Receiver) -> Result<String> {
    let endpoint = json!({
        "kind": "webhook", "url": receiver.url(), "event_types": ["message.*"],
    });
    cluster.tenant(0).create_endpoint(&endpoint).await?.field("id")
}

/// Waits until nothing is on its way to an endpoint any more; gives the numbers of the acknowledged
/// messages.
pub(super) async fn settle(
    cluster: &Cluster,
    endpoint: &str,
    receiver: &Receiver,
    ledger: &Ledger,
) -> Result<Vec<u64>> {
    let mut acknowledged: Vec<u64> = ledger.succeeded().map(|answered| answered.number).collect();
    acknowledged.sort_unstable();
    acknowledged.dedup();
    let tenant = cluster.tenant(0);
    let pending = format!("/v1/deliveries?endpoint_id={endpoint}&state=pending&limit=1");
    within(LONG, "every acknowledged message is delivered", async || {
        let all_came = receiver.counts().taken >= acknowledged.len();
        let answer = if all_came { tenant.get(&pending).await? } else { return Ok(None) };
        Ok(answer.json["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await?;
    Ok(acknowledged)
}

/// What came to one endpoint.
pub(super) struct Arrivals<'a> {
    /// The events of each message, with the first delivery of each.
    by_number: BTreeMap<u64, BTreeMap<&'a str, &'a Taken>>,
    pub(super) deliveries: usize,
}

impl<'a> Arrivals<'a> {
    pub(super) fn of(taken: &'a [Taken]) -> Self {
        let mut by_number = BTreeMap::<u64, BTreeMap<&str, &Taken>>::new();
        for delivery in taken {
            let number = delivery.json()["data"]["message"]["MsgId"].as_str().map(str::parse);
            let number = number.and_then(Result::ok).unwrap_or_default();
            let events = by_number.entry(number).or_default();
            events.entry(delivery.header("webhook-id")).or_insert(delivery);
        }
        Self { by_number, deliveries: taken.len() }
    }

    /// How many events came.
    pub(super) fn events(&self) -> usize {
        self.by_number.values().map(BTreeMap::len).sum()
    }

    /// The ids of the events.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_number.values().flat_map(|events| events.keys().copied())
    }

    /// Each of these messages came, and no message came under two ids.
    pub(super) fn require_none_lost(&self, acknowledged: &[u64], report: &mut Report) {
        let lost = acknowledged.iter().filter(|number| !self.by_number.contains_key(number));
        let lost: Vec<_> = lost.collect();
        let first = lost.first();
        report.require(lost.is_empty(), format!("{} are lost, the first {first:?}", lost.len()));
        let twice = self.by_number.iter().filter(|(_, events)| events.len() > 1).count();
        report.require(twice == 0, format!("{twice} messages are two events"));
    }

    /// How long after the answer to WeChat a message was there.
    fn delay(&self, ledger: &Ledger) -> Spread {
        let delays = ledger.succeeded().filter_map(|answered| {
            let first = self.by_number.get(&answered.number)?.values().next()?;
            Some(first.at.saturating_duration_since(answered.at))
        });
        Spread::of(delays)
    }
}
