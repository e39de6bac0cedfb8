//! A tenant's own server, to which lingpai delivers. It writes down what comes and answers as it is
//! told: well, badly, by drops, or not at all.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep, timeout},
};

use crate::{
    handler::Handler,
    shop::{Page, Shop},
};

/// How long something may be waited for before it is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(200);

/// How the receiver answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// With this status and body.
    Answer(u16, String),
    /// With this status and these header lines, each ended by CRLF, and no body.
    AnswerWith(u16, String),
    /// Not at all: the connection is cut when the receiver is told to let go.
    Hang,
    /// A byte at a time, to no end; cut when the receiver is told to let go.
    Drip,
    /// When the receiver is told to let go, in this manner.
    Late(Box<Manner>),
    /// As a handler of WeChat's pushes.
    Handle(Arc<Handler>),
    /// As a shop that fans visit.
    Shop(Arc<Shop>),
}

impl Manner {
    /// As every healthy server does.
    #[must_use]
    pub fn well() -> Self {
        Self::Answer(204, String::new())
    }

    /// With this status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new())
    }
}

impl From<Handler> for Manner {
    fn from(handler: Handler) -> Self {
        Self::Handle(Arc::new(handler))
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Path and query.
    pub target: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// The message in clear, if a handler of WeChat's pushes could open it.
    pub message: Option<String>,
    /// When it had come whole.
    pub at: Instant,
}

impl Taken {
    /// One header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The raw query.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// One parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.query().as_bytes());
        pairs.into_owned().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// A running receiver. It ends when it is dropped.
pub struct Receiver {
    address: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

struct State {
    manner: Mutex<Manner>,
    taken: Mutex<Vec<Taken>>,
    /// How many requests came, and how many wait for their answer.
    counts: watch::Sender<Counts>,
    /// How often everybody was told to let go.
    let_go: watch::Sender<u64>,
}

/// How many requests there were and are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// That came.
    pub taken: usize,
    /// That wait for their answer now.
    pub in_flight: usize,
    /// The most that ever did at once.
    pub most_in_flight: usize,
}

impl Receiver {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(manner: impl Into<Manner>) -> Result<Self> {
        Self::start_at("127.0.0.1:0", manner).await
    }

    /// Starts one at this address.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_at(address: &str, manner: impl Into<Manner>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(State {
            manner: Mutex::new(manner.into()),
            taken: Mutex::default(),
            counts: watch::Sender::default(),
            let_go: watch::Sender::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, _serving: serving })
    }

    /// Where it takes deliveries.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Changes how it answers from now on.
    pub fn answer(&self, manner: impl Into<Manner>) {
        *lock(&self.state.manner) = manner.into();
    }

    /// Lets everything go that hangs, drips or is late.
    pub fn let_go(&self) {
        self.state.let_go.send_modify(|times| *times += 1);
    }

    /// Everything that came, in the order in which it came.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.state.taken).clone()
    }

    /// Everything that came since this was last asked for.
    #[must_use]
    pub fn take(&self) -> Vec<Taken> {
        mem::take(&mut *lock(&self.state.taken))
    }

    /// The one request that came since this was last asked for.
    ///
    /// # Errors
    /// When it was another number.
    pub fn take_one(&self) -> Result<Taken> {
        let mut taken = self.take();
        let one = taken.pop().context("nothing came")?;
        anyhow::ensure!(taken.is_empty(), "{} requests came instead of one", taken.len() + 1);
        Ok(one)
    }

    /// How many requests there were and are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.state.counts.borrow()
    }

    /// Waits until the counts are as wanted.
    ///
    /// # Errors
    /// When they do not become so.
    pub async fn wait_until(&self, wanted: impl FnMut(&Counts) -> bool) -> Result<()> {
        let mut counts = self.state.counts.subscribe();
        let waited = timeout(PATIENCE, counts.wait_for(wanted)).await;
        waited.with_context(|| format!("still {:?}", self.counts()))??;
        Ok(())
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // Whoever hangs up, hangs up.
            let _ = converse(stream, &state).await;
        });
    }
}

async fn converse(mut stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        let Some(length) = whole_length(&bytes)? else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request: Vec<u8> = bytes.drain(..length).collect();
        let mut taken = read(&request)?;
        // Before the manner is looked at: who is told to let go afterwards hears of it.
        let let_go = state.let_go.subscribe();
        let manner = lock(&state.manner).clone();
        if let Manner::Handle(handler) = innermost(&manner) {
            taken.message = handler.open(&taken);
        }
        lock(&state.taken).push(taken.clone());
        let _flight = Flight::begin(&state.counts);
        respond(&mut stream, manner, &taken, let_go).await?;
    }
}

fn innermost(manner: &Manner) -> &Manner {
    match manner {
        Manner::Late(inner) => innermost(inner),
        other => other,
    }
}

/// Counts a request while it waits for its answer, however that ends.
struct Flight<'a>(&'a watch::Sender<Counts>);

impl<'a> Flight<'a> {
    fn begin(counts: &'a watch::Sender<Counts>) -> Self {
        counts.send_modify(|counts| {
            counts.taken += 1;
            counts.in_flight += 1;
            counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
        });
        Self(counts)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.in_flight -= 1);
    }
}

async fn respond(
    stream: &mut TcpStream,
    manner: Manner,
    taken: &Taken,
    mut let_go: watch::Receiver<u64>,
) -> Result<()> {
    let mut manner = manner;
    while let Manner::Late(inner) = manner {
        until_let_go(stream, &mut let_go).await?;
        manner = *inner;
    }
    let (status, headers, body) = match manner {
        Manner::Answer(status, body) => (status, String::new(), body),
        Manner::AnswerWith(status, headers) => (status, headers, String::new()),
        Manner::Handle(handler) => {
            let (status, body) = handler.answer(taken);
            (status, "Content-Type: application/xml\r\n".to_owned(), body)
        }
        Manner::Shop(shop) => {
            let Page { status, headers, body } = shop.page(taken).await;
            (status, headers, body)
        }
        Manner::Hang | Manner::Late(_) => {
            until_let_go(stream, &mut let_go).await?;
            anyhow::bail!("let go");
        }
        Manner::Drip => {
            tokio::select! {
                dripped = drip(stream) => dripped?,
                changed = let_go.changed() => changed?,
            }
            anyhow::bail!("let go");
        }
    };
    let head = format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    Ok(())
}

/// Waits until it is told to let go, or until whoever asked has gone.
async fn until_let_go(stream: &TcpStream, let_go: &mut watch::Receiver<u64>) -> Result<()> {
    let gone = async {
        let mut byte = [0];
        while stream.peek(&mut byte).await.is_ok_and(|read| read > 0) {
            sleep(DRIP).await;
        }
    };
    tokio::select! {
        changed = let_go.changed() => Ok(changed?),
        () = gone => anyhow::bail!("nobody waits any more"),
    }
}

async fn drip(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n").await?;
    loop {
        stream.write_all(b"x").await?;
        sleep(DRIP).await;
    }
}

/// How many bytes the first request in `bytes` has, if it has come whole.
fn whole_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, length)| length.trim().parse::<usize>())?;
    let whole = end + 4 + length;
    Ok((bytes.len() >= whole).then_some(whole))
}

fn read(request: &[u8]) -> Result<Taken> {
    let text = std::str::from_utf8(request)?;
    let (head, body) = text.split_once("\r\n\r\n").context("a request has a head")?;
    let mut lines = head.lines();
    let first = lines.next().context("a head has a first line")?;
    let target = first.split(' ').nth(1).context("a request has a target")?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let (headers, body) = (headers.collect(), body.to_owned());
    Ok(Taken { target, headers, body, message: None, at: Instant::now() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::http_client;

    #[tokio::test]
    async fn what_comes_is_written_down_and_answered_as_told() {
        let receiver = Receiver::start(Manner::well()).await.unwrap();
        let url = format!("{}?a=b%20c", receiver.url());
        let send = |body: &'static str| http_client().post(&url).body(body).send();
        assert_eq!(send("one").await.unwrap().status(), 204);
        receiver.answer(Manner::Answer(500, "no".to_owned()));
        let refused = send("两").await.unwrap();
        assert_eq!((refused.status().as_u16(), &*refused.text().await.unwrap()), (500, "no"));
        let taken = receiver.take();
        assert_eq!(taken.iter().map(|it| &*it.body).collect::<Vec<_>>(), ["one", "两"]);
        assert_eq!(taken[0].parameter("a").unwrap(), "b c");
        assert_eq!(taken[0].header("content-length"), "3");
    }

    #[tokio::test]
    async fn what_hangs_is_cut_and_what_is_late_comes_when_it_is_let_go() {
        let receiver = Receiver::start(Manner::Hang).await.unwrap();
        for (manner, comes) in [
            (Manner::Hang, false),
            (Manner::Drip, false),
            (Manner::Late(Box::new(Manner::well())), true),
        ] {
            receiver.answer(manner);
            let call = async { http_client().post(receiver.url()).send().await?.bytes().await };
            let (answer, ()) = tokio::join!(call, async {
                receiver.wait_until(|counts| counts.in_flight == 1).await.unwrap();
                receiver.let_go();
            });
            assert_eq!(answer.is_ok(), comes);
            receiver.wait_until(|counts| counts.in_flight == 0).await.unwrap();
        }
        assert_eq!(receiver.counts().taken, 3);
    }
}
