//! Sends pushes: sealed as WeChat seals them, repeated until answered, each attempt recorded.
//!
//! A push runs in a task of its own, so a browser that hangs up in the middle of a consent does
//! not take the push with it. Every attempt has a fresh random, nonce and time stamp.

mod record;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lingpai_wechat::crypt;
use tokio::time::sleep;
use url::Url;

use crate::config::{AccountKind, MessageFormat, PushPolicy};
use crate::fan_messages::Written;
use crate::replies::{self, Judged};
use crate::seal::Seal;
use crate::world::World;

pub use record::{PushOutcome, PushRecord};

/// How many attempts are remembered.
const RECORDS_KEPT: usize = 1000;

/// How often a message is sent at most.
///
/// Source: WeChat docs, "Receiving messages" (接收普通消息): three attempts in all.
const MESSAGE_ATTEMPTS: u32 = 3;

/// How much of an answer is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Something to push.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    series: u64,
    name: String,
    plaintext: String,
    to: Addressee,
    /// The fan behind it, who stands in the query as well.
    openid: Option<String>,
}

#[derive(Debug, Clone)]
enum Addressee {
    Component,
    Account { appid: String, user_name: String, kind: AccountKind },
}

/// Where a push goes, and how it is sealed and wrapped.
struct Way {
    url: Url,
    seal: Arc<Seal>,
    format: MessageFormat,
}

/// What was answered.
struct Posted {
    status: u16,
    body: String,
    judged: Judged,
}

impl Push {
    /// The account it goes to; none for the component's own pushes.
    fn appid(&self) -> Option<&str> {
        match &self.to {
            Addressee::Component => None,
            Addressee::Account { appid, .. } => Some(appid),
        }
    }

    /// Whether an answer ends the repeats. An event wants the word `success`. A message wants an
    /// answer: the word, nothing, or a reply.
    ///
    /// Assumed: a body that is no valid reply is shown to the user as an error, not repeated (#2).
    fn is_settled_by(&self, outcome: &PushOutcome) -> bool {
        match self.to {
            Addressee::Component => outcome.is_accepted(),
            Addressee::Account { .. } => outcome.status == Some(200),
        }
    }

    fn attempts_at_most(&self) -> u32 {
        match self.to {
            Addressee::Component => u32::MAX,
            Addressee::Account { .. } => MESSAGE_ATTEMPTS,
        }
    }
}

/// The sending side's own state.
pub(crate) struct Pusher {
    http: reqwest::Client,
    last_series: AtomicU64,
    records: Mutex<VecDeque<PushRecord>>,
    /// Kept back: behind a redirect, or until a partner to change places with comes.
    kept_back: Mutex<Vec<Push>>,
    partner: Mutex<Option<Push>>,
}

impl Pusher {
    pub(crate) fn new(policy: &PushPolicy) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(policy.answer_within_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("the client that pushes")?;
        Ok(Self {
            http,
            last_series: AtomicU64::new(0),
            records: Mutex::default(),
            kept_back: Mutex::default(),
            partner: Mutex::default(),
        })
    }

    /// The remembered attempts, oldest first.
    pub(crate) fn records(&self) -> Vec<PushRecord> {
        lock(&self.records).iter().cloned().collect()
    }

    /// The newest `count` attempts, newest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<PushRecord> {
        lock(&self.records).iter().rev().take(count).cloned().collect()
    }

    fn next_series(&self) -> u64 {
        self.last_series.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn record(&self, record: PushRecord) {
        let mut records = lock(&self.records);
        if records.len() == RECORDS_KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }
}

impl World {
    /// A push to the component, with the common fields in front of `fields`.
    pub(crate) fn info_push(&self, info_type: &str, fields: &[(&str, &str)]) -> Push {
        let mut xml = format!(
            "<xml><AppId><![CDATA[{}]]></AppId><CreateTime>{}</CreateTime>\
             <InfoType><![CDATA[{info_type}]]></InfoType>",
            self.platform().component.appid,
            self.now() / 1000,
        );
        for (name, value) in fields {
            xml.push_str(&format!("<{name}><![CDATA[{value}]]></{name}>"));
        }
        xml.push_str("</xml>");
        self.raw_push(info_type, xml)
    }

    /// A push to the component with any text inside.
    pub(crate) fn raw_push(&self, name: &str, plaintext: String) -> Push {
        let series = self.pusher.next_series();
        let to = Addressee::Component;
        Push { series, name: name.to_owned(), plaintext, to, openid: None }
    }

    /// A push to an account's message URL with any text inside; `None` for an unknown account.
    pub(crate) fn message_push(&self, appid: &str, plaintext: String) -> Option<Push> {
        let to = self.addressee(appid)?;
        let series = self.pusher.next_series();
        Some(Push { series, name: "message".to_owned(), plaintext, to, openid: None })
    }

    /// A push of what a fan wrote or did; `None` for an unknown account.
    pub(crate) fn fan_push(&self, appid: &str, written: Written) -> Option<Push> {
        let to = self.addressee(appid)?;
        let series = self.pusher.next_series();
        let Written { name, plaintext, openid } = written;
        Some(Push { series, name, plaintext, to, openid: Some(openid) })
    }

    fn addressee(&self, appid: &str) -> Option<Addressee> {
        let platform = self.platform();
        let config = &platform.accounts.get(appid)?.config;
        let (user_name, kind) = (config.user_name.clone(), config.kind);
        Some(Addressee::Account { appid: appid.to_owned(), user_name, kind })
    }

    /// Mints a ticket and pushes it.
    pub(crate) async fn push_ticket(self: &Arc<Self>) -> PushOutcome {
        let ticket = self.platform().new_ticket(self.now());
        let push = self.info_push("component_verify_ticket", &[("ComponentVerifyTicket", &ticket)]);
        self.dispatch(push).await.outcome
    }

    /// Sends a push in a task of its own and gives the first attempt.
    pub(crate) async fn dispatch(self: &Arc<Self>, push: Push) -> PushRecord {
        let unsent = PushRecord::unsent(&push, self.now(), "the emulator is stopping");
        let world = Arc::clone(self);
        let task = self.tasks.spawn(async move { world.send(push).await });
        task.await.unwrap_or(unsent)
    }

    /// Keeps a push back so that a redirect arrives first; it goes after the head start.
    pub(crate) fn dispatch_behind_redirect(self: &Arc<Self>, push: Push) {
        let series = push.series;
        lock(&self.pusher.kept_back).push(push);
        let world = Arc::clone(self);
        self.tasks.spawn(async move {
            let head_start = Duration::from_millis(world.push_policy.redirect_head_start_ms);
            if world.sleeps(head_start).await {
                let push = {
                    let mut kept_back = lock(&world.pusher.kept_back);
                    let at = kept_back.iter().position(|push| push.series == series);
                    at.map(|at| kept_back.remove(at))
                };
                if let Some(push) = push {
                    world.dispatch(push).await;
                }
            }
        });
    }

    /// Sends everything that is kept back, oldest first.
    pub(crate) async fn flush_pushes(self: &Arc<Self>) -> Vec<PushOutcome> {
        let mut waiting: Vec<Push> = std::mem::take(&mut *lock(&self.pusher.kept_back));
        waiting.extend(lock(&self.pusher.partner).take());
        let mut outcomes = Vec::new();
        for push in waiting {
            outcomes.push(self.deliver(&push).await.outcome);
        }
        outcomes
    }

    /// Pushes tickets until the world stops: one at once, then one per interval.
    pub(crate) async fn push_tickets_forever(self: Arc<Self>, interval: Duration) {
        let mut changes = self.changes();
        loop {
            while self.targets().events_url.is_none() {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = self.stop.cancelled() => return,
                }
            }
            if !self.switches().tickets_stopped {
                self.push_ticket().await;
            }
            if !self.sleeps(interval).await {
                return;
            }
        }
    }

    async fn send(self: Arc<Self>, push: Push) -> PushRecord {
        let switches = self.switches();
        let mut batch = vec![push];
        if switches.reorder_pushes {
            let mut partner = lock(&self.pusher.partner);
            match partner.take() {
                Some(first) => batch.push(first),
                None => {
                    let push = batch.remove(0);
                    let why = "kept back for the next one";
                    let unsent = PushRecord::unsent(&push, self.now(), why);
                    *partner = Some(push);
                    return unsent;
                }
            }
        }
        let mut first = None;
        for push in &batch {
            let record = self.deliver(push).await;
            first.get_or_insert(record);
            if switches.duplicate_pushes {
                self.deliver(push).await;
            }
        }
        first.expect("a batch has at least one push")
    }

    /// The first attempt; if it settles nothing the repeats run in the background.
    async fn deliver(self: &Arc<Self>, push: &Push) -> PushRecord {
        let record = self.attempt(push, 1).await;
        let was_sent = record.outcome.status.is_some() || self.way_of(push).is_ok();
        if !push.is_settled_by(&record.outcome) && was_sent {
            let (world, push) = (Arc::clone(self), push.clone());
            self.tasks.spawn(async move { world.repeat(&push).await });
        }
        record
    }

    async fn repeat(&self, push: &Push) {
        for (attempt, pause) in (2..).zip(&self.push_policy.pauses_ms) {
            let goes_on = attempt <= push.attempts_at_most()
                && self.sleeps(Duration::from_millis(*pause)).await;
            if !goes_on || push.is_settled_by(&self.attempt(push, attempt).await.outcome) {
                return;
            }
        }
    }

    async fn attempt(&self, push: &Push, attempt: u32) -> PushRecord {
        let mut record = PushRecord::unsent(push, self.now(), "");
        record.attempt = attempt;
        let started = Instant::now();
        let posted = tokio::select! {
            posted = self.post(push) => posted,
            () = self.stop.cancelled() => Err(anyhow::anyhow!("the emulator is stopping")),
        };
        match posted {
            Ok(Posted { status, body, judged }) => {
                record.outcome.status = Some(status);
                record.outcome.body = body;
                record.outcome.error = None;
                (record.reply, record.invalid_reply) = (judged.reply, judged.invalid);
            }
            Err(error) => record.outcome.error = Some(error.root_cause().to_string()),
        }
        tracing::info!(
            push = %record.outcome.name, series = push.series, attempt,
            status = record.outcome.status, accepted = record.outcome.is_accepted(),
            invalid_reply = record.invalid_reply, "pushed"
        );
        record.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.pusher.record(record.clone());
        self.changed();
        record
    }

    async fn post(&self, push: &Push) -> anyhow::Result<Posted> {
        let Way { mut url, seal, format } = self.way_of(push)?;
        let encrypt = seal.seal(&push.plaintext, self.now() / 1000, &mut url);
        if let Some(openid) = &push.openid {
            url.query_pairs_mut().append_pair("openid", openid);
        }
        let (content_type, body) = match (&push.to, format) {
            (Addressee::Component, _) => {
                let appid = self.platform().component.appid.clone();
                ("text/xml", crypt::envelope_to_component(&appid, &encrypt))
            }
            (Addressee::Account { user_name, .. }, MessageFormat::Xml) => {
                ("text/xml", crypt::envelope_to_account(user_name, &encrypt))
            }
            (Addressee::Account { user_name, .. }, MessageFormat::Json) => {
                ("application/json", crypt::json_envelope_to_account(user_name, &encrypt))
            }
        };
        let request = self.pusher.http.post(url).header("content-type", content_type).body(body);
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            answer.extend_from_slice(&chunk);
            anyhow::ensure!(answer.len() <= ANSWER_BYTES, "the answer is too long");
        }
        let status = response.status().as_u16();
        let judged = match &push.to {
            Addressee::Account { kind, .. } if status == 200 => {
                replies::judge(&seal, *kind, &push.plaintext, &answer)
            }
            Addressee::Account { .. } | Addressee::Component => Judged::default(),
        };
        Ok(Posted { status, body: String::from_utf8_lossy(&answer).into_owned(), judged })
    }

    /// Where a push goes and what it is sealed with: the component's, or what an account has of
    /// its own.
    fn way_of(&self, push: &Push) -> anyhow::Result<Way> {
        let targets = self.targets();
        let component = Arc::clone(&self.seal);
        let (text, seal, format) = match &push.to {
            Addressee::Component => {
                let url = targets.events_url.context("no events_url is set")?;
                (url, component, MessageFormat::Xml)
            }
            Addressee::Account { appid, .. } => {
                let platform = self.platform();
                let own = &platform.accounts.get(appid).context("no such account")?.config;
                let url = own.messages_url.clone().or(targets.messages_url);
                let url = url.context("no messages_url is set")?.replace("$APPID$", appid);
                let seal = Seal::of_account(own)?.map_or(component, Arc::new);
                (url, seal, own.format())
            }
        };
        let url = Url::parse(&text).context("the push URL cannot be read")?;
        Ok(Way { url, seal, format })
    }

    /// Sleeps; false when the world stops meanwhile.
    async fn sleeps(&self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
