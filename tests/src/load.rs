//! Fans of many accounts who write at a rate, past the emulator: each message is sealed with the
//! component's keys, pushed over one of many kept connections, and repeated as WeChat repeats it.
//!
//! Written by hand on TCP, because the load shares the processors with what it loads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{fans::Said, seals::Seals};

/// How long WeChat waits for an answer.
///
/// Source: WeChat docs, "Receive standard messages" (接收普通消息): five seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often WeChat sends a message at most.
///
/// Source: WeChat docs, "Receive standard messages" (接收普通消息): three attempts in all.
const ATTEMPTS: u32 = 3;

/// Between two attempts at one message.
const PAUSE: Duration = Duration::from_millis(100);

/// Kept connections: enough that an answer may be late without the next push waiting for it.
const CONNECTIONS: u64 = 64;

/// An account whose fans write.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its appid.
    pub appid: String,
    /// Its original id.
    pub user_name: String,
}

/// Who writes, to whom, and how fast.
#[derive(Debug)]
pub struct Load {
    /// The component's keys.
    pub seals: Seals,
    /// The component's appid.
    pub component_appid: String,
    /// To whom, in turn.
    pub accounts: Vec<Account>,
    /// Where the instances are, host and port: each push goes to the next one.
    pub addresses: Vec<String>,
    /// How many pushes a second.
    pub per_second: u32,
    /// How often each message is pushed, however well it is answered.
    pub copies: u64,
    /// `CreateTime` of all messages, in Unix seconds.
    pub at_secs: i64,
}

/// One push and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// The number of the message, from 1: its `MsgId`.
    pub number: u64,
    /// From when it was due to its last answer.
    pub took: Duration,
    /// When that was.
    pub at: Instant,
    /// Whether it was answered with `success`.
    pub is_success: bool,
}

/// A load under way.
pub struct Pushing {
    stop: CancellationToken,
    succeeded: Arc<AtomicU64>,
    tasks: JoinSet<Vec<Answered>>,
}

impl Pushing {
    /// Begins to push: this many messages, or until it is stopped.
    #[must_use]
    pub fn start(load: Load, messages: Option<u64>) -> Self {
        let (stop, succeeded) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let (load, began) = (Arc::new(load), Instant::now());
        let last = messages.map_or(u64::MAX, |messages| messages * load.copies);
        let mut tasks = JoinSet::new();
        for first in 0..CONNECTIONS.min(last) {
            let (load, stop, succeeded) = (Arc::clone(&load), stop.clone(), Arc::clone(&succeeded));
            tasks.spawn(async move {
                let mut line = Line::default();
                let mut answers = Vec::new();
                for push in (first..last).step_by(CONNECTIONS as usize) {
                    let due = began + load.due(push);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep_until(due.into()) => {}
                    }
                    let answered = load.push(&mut line, push, due.max(began)).await;
                    succeeded.fetch_add(u64::from(answered.is_success), Ordering::Relaxed);
                    answers.push(answered);
                }
                answers
            });
        }
        Self { stop, succeeded, tasks }
    }

    /// How many pushes were answered with `success` by now.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Ends it after the answers to what is under way.
    ///
    /// # Errors
    /// When a pusher died.
    pub async fn stop(self) -> Result<Ledger> {
        self.stop.cancel();
        self.done().await
    }

    /// Waits until everything is pushed.
    ///
    /// # Errors
    /// When a pusher died, or nothing was pushed.
    pub async fn done(mut self) -> Result<Ledger> {
        let mut answers = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            answers.append(&mut ended?);
        }
        ensure!(!answers.is_empty(), "nothing was pushed");
        Ok(Ledger { answers })
    }
}

impl Load {
    fn due(&self, push: u64) -> Duration {
        Duration::from_nanos(push.saturating_mul(1_000_000_000) / u64::from(self.per_second))
    }

    /// One push, with its repetitions; a late start counts.
    async fn push(&self, line: &mut Line, push: u64, due: Instant) -> Answered {
        let number = push / self.copies + 1;
        let account = pick(&self.accounts, number);
        let said = Said::text(self.at_secs, number, &format!("第{number}句"));
        let xml = said.by(&format!("oLoad{:023}", number % 997)).to(&account.user_name);
        let address = pick(&self.addresses, push);
        let mut is_success = false;
        for attempt in 1..=ATTEMPTS {
            let request = self.request(account, &xml, address);
            let answer = timeout(ANSWER_WITHIN, line.exchange(address, &request)).await;
            is_success = matches!(answer, Ok(Ok(true)));
            if is_success || attempt == ATTEMPTS {
                break;
            }
            line.hang_up();
            sleep(PAUSE).await;
        }
        let at = Instant::now();
        Answered { number, took: at.saturating_duration_since(due), at, is_success }
    }

    /// A whole request; each attempt is sealed anew, as WeChat does.
    fn request(&self, account: &Account, xml: &str, address: &str) -> Vec<u8> {
        let sealed = self.seals.push(&account.user_name, xml, self.at_secs);
        let (component, appid) = (&self.component_appid, &account.appid);
        let head = format!(
            "POST /wechat/components/{component}/authorizers/{appid}/events?{} HTTP/1.1\r\n\
             Host: {address}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
            sealed.query,
            sealed.body.len()
        );
        [head.as_bytes(), sealed.body.as_bytes()].concat()
    }
}

fn pick<T>(list: &[T], number: u64) -> &T {
    &list[usize::try_from(number).unwrap_or_default() % list.len()]
}

/// One kept connection, made anew when it broke or leads elsewhere.
#[derive(Default)]
struct Line {
    stream: Option<(String, TcpStream)>,
    answer: Vec<u8>,
}

impl Line {
    fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Sends a request; whether it was answered with 200 and `success`.
    async fn exchange(&mut self, address: &str, request: &[u8]) -> Result<bool> {
        let kept = self.stream.take().filter(|(to, _)| to == address);
        let mut stream = match kept {
            Some((_, stream)) => stream,
            None => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(request).await?;
        self.answer.clear();
        loop {
            ensure!(stream.read_buf(&mut self.answer).await? > 0, "hung up");
            let Some(body) = whole_body(&self.answer)? else { continue };
            let is_success = self.answer.starts_with(b"HTTP/1.1 200 ") && body == b"success";
            self.stream = Some((address.to_owned(), stream));
            return Ok(is_success);
        }
    }
}

/// The body of an answer that has come whole.
fn whole_body(answer: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer has a length")?;
    let length: usize = length.1.trim().parse()?;
    Ok(answer.get(end + 4..end + 4 + length))
}

/// What came of a load.
#[derive(Debug)]
pub struct Ledger {
    answers: Vec<Answered>,
}

impl Ledger {
    /// How many pushes there were.
    #[must_use]
    pub fn pushes(&self) -> usize {
        self.answers.len()
    }

    /// Those that were answered with `success`.
    pub fn succeeded(&self) -> impl Iterator<Item = &Answered> {
        self.answers.iter().filter(|answered| answered.is_success)
    }

    /// How many were not.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.answers.len() - self.succeeded().count()
    }

    /// How long their answers took.
    #[must_use]
    pub fn latencies(&self) -> Spread {
        Spread::of(self.answers.iter().map(|answered| answered.took))
    }
}

/// Durations, to be told by their percentiles.
#[derive(Debug, Clone)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// The spread of these.
    #[must_use]
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = durations.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    /// What this share of them did not exceed.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.0.get(at).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |share| self.percentile(share).as_secs_f64() * 1e3;
        let [median, p99, most] = [0.5, 0.99, 1.0].map(ms);
        write!(f, "median {median:.1} ms, p99 {p99:.1} ms, at most {most:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use lingpai_emulator::EmulatorConfig;

    use super::*;
    use crate::{
        people::Component,
        receiver::{Manner, Receiver},
        xml::element,
    };

    fn load(address: &str) -> Load {
        let component = Component::of(&EmulatorConfig::default());
        let account = Account { appid: "wx0".to_owned(), user_name: "gh_0".to_owned() };
        Load {
            seals: Seals::of(&component).unwrap(),
            component_appid: component.appid,
            accounts: vec![account],
            addresses: vec![address.to_owned()],
            per_second: 10_000,
            copies: 2,
            at_secs: 1_700_000_000,
        }
    }

    #[tokio::test]
    async fn each_message_is_pushed_in_so_many_copies() {
        let well = Manner::Answer(200, "success".to_owned());
        let receiver = Receiver::start(well).await.unwrap();
        let ledger = Pushing::start(load(receiver.address()), Some(5)).done().await.unwrap();
        assert_eq!((ledger.pushes(), ledger.failed()), (10, 0));
        let seals = Seals::of(&Component::of(&EmulatorConfig::default())).unwrap();
        let open = |taken: &crate::receiver::Taken| seals.open_push(taken.query(), &taken.body);
        let mut ids: Vec<_> = receiver
            .taken()
            .iter()
            .map(|taken| element(&open(taken).unwrap(), "MsgId").unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"]);
    }

    #[tokio::test]
    async fn what_is_refused_is_repeated_three_times_and_counts_as_failed() {
        let receiver = Receiver::start(Manner::status(503)).await.unwrap();
        let ledger = Pushing::start(load(receiver.address()), Some(1)).done().await.unwrap();
        assert_eq!((ledger.pushes(), ledger.failed()), (2, 2));
        assert_eq!(receiver.counts().taken, 6);
    }
}
