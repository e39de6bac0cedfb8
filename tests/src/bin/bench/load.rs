//! The load: prepared HTTP/1.1 requests over kept-alive connections, each answer read to its end.
//!
//! Written by hand on TCP because on a small machine the generator shares the processors with what
//! it measures: a full HTTP client would use more than the server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep_until,
};

/// Kept-alive connections when calls are made as fast as they are answered.
pub(crate) const CONNECTIONS: usize = 64;

/// The same for pushes: two batches of SQLite's group commit, and what gathers meanwhile.
pub(crate) const PUSH_CONNECTIONS: usize = 384;

/// Who the connections come from: WeChat has many addresses, and one peer may hold 256 connections.
const PEERS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(127, 0, 0, 1),
    Ipv4Addr::new(127, 0, 0, 2),
    Ipv4Addr::new(127, 0, 0, 3),
    Ipv4Addr::new(127, 0, 0, 4),
];

/// Kept-alive connections at a fixed pace: enough that an answer may be late without the next
/// request waiting for it.
const CALM_CONNECTIONS: usize = 32;

/// Requests per second at a fixed pace.
pub(crate) const CALM_PACE: u32 = 500;

/// Whole requests, head and body, as they go over the wire.
pub(crate) type Requests = Arc<Vec<Arc<[u8]>>>;

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// How long each answer took.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// How many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this share of the answers did not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&mut self, share: f64) -> f64 {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Sends `requests`, each once, over so many connections as fast as they are answered, until `limit` is
/// over or none is left.
///
/// # Errors
/// When an answer is not 200.
pub(crate) async fn saturate(
    address: &str,
    requests: &Requests,
    (connections, limit): (usize, Duration),
) -> Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let connections = connect(address, connections).await?;
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for mut connection in connections {
        let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < limit
                && let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let sent = Instant::now();
                connection.exchange(request).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    collect(tasks, started).await
}

/// Sends `requests`, each once, at [`CALM_PACE`]. A request that has to wait for a connection
/// counts from when it should have been sent.
///
/// # Errors
/// When an answer is not 200.
pub(crate) async fn keep_pace(address: &str, requests: &Requests) -> Result<Outcome> {
    let connections = connect(address, CALM_CONNECTIONS).await?;
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let requests = Arc::clone(requests);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for at in (number..requests.len()).step_by(CALM_CONNECTIONS) {
                let due = started + Duration::from_secs(1) * u32::try_from(at)? / CALM_PACE;
                let is_late = Instant::now() > due;
                if !is_late {
                    sleep_until(due.into()).await;
                }
                let counted_from = if is_late { due } else { Instant::now() };
                connection.exchange(&requests[at]).await?;
                latencies.push(counted_from.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    collect(tasks, started).await
}

async fn collect(mut tasks: JoinSet<Result<Vec<Duration>>>, started: Instant) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while let Some(ended) = tasks.join_next().await {
        outcome.latencies.append(&mut ended??);
    }
    outcome.took = started.elapsed();
    ensure!(outcome.answered() > 0, "nothing was answered");
    Ok(outcome)
}

async fn connect(address: &str, count: usize) -> Result<Vec<Connection>> {
    let address: SocketAddr = address.parse()?;
    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let socket = TcpSocket::new_v4()?;
        let from = PEERS[number % PEERS.len()];
        socket.bind((from, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        connections.push(Connection { stream, answer: Vec::with_capacity(4096) });
    }
    Ok(connections)
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer to the end.
    async fn exchange(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            ensure!(read > 0, "the server hung up");
            if is_whole(&self.answer)? {
                return Ok(());
            }
        }
    }
}

/// Whether the answer has come to its end.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = head_end(answer) else { return Ok(false) };
    let head = &answer[..end];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        bail!("not answered with 200: {}", String::from_utf8_lossy(answer));
    }
    Ok(answer.len() >= end + content_length(head)?)
}

/// Where the head of a message ends and its body begins.
pub(crate) fn head_end(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The length that the head of a message announces.
pub(crate) fn content_length(head: &[u8]) -> Result<usize> {
    let lines = head.split(|byte| *byte == b'\n');
    let name = b"content-length:";
    let mut values = lines.filter_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(value)
    });
    let value = values.next().context("a message without a length")?;
    Ok(std::str::from_utf8(value)?.trim().parse()?)
}
