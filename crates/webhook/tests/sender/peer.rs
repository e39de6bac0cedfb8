//! A tiny HTTP peer, names that answer by a script, and senders for both.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use lingpai_webhook::{
    Incoming, Outgoing, SendError, Sender, SenderPolicy,
    sender::{Names, SystemNames},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// How long [`impatient`] waits.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

/// A request as it came in: its head in lower case, and its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What a peer does when a request has come in.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Answers with these bytes, head included, and hangs up.
    Answer(Vec<u8>),
    /// Answers with the first bytes, and then with the second ones again and again, without end.
    Flood(&'static [u8], &'static [u8]),
    /// The same, but one byte at a time and slowly.
    Drip(&'static [u8], &'static [u8]),
    /// Answers with these bytes, and then says nothing more.
    Stall(&'static [u8]),
    /// Says this before anything was asked.
    Hello(&'static [u8]),
    /// Never answers.
    Silence,
}

/// A peer that treats everybody alike.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Peer {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::at("127.0.0.1:0", manner).await
    }

    pub(crate) async fn at(address: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(socket, manner.clone(), sender.clone()));
            }
        });
        Self { address, received }
    }

    /// Its URL, with something behind it that nobody may tell.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=canary", self.address)
    }

    /// All requests that have come in.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

async fn serve(
    mut socket: TcpStream,
    manner: Manner,
    received: mpsc::UnboundedSender<Received>,
) -> Option<()> {
    if let Manner::Hello(words) = manner {
        socket.write_all(words).await.ok()?;
    }
    let request = read_request(&mut socket).await?;
    // The test may be over, and nobody be left to look at what came.
    let _ = received.send(request);
    match manner {
        Manner::Answer(answer) => socket.write_all(&answer).await.ok()?,
        Manner::Flood(first, then) => {
            socket.write_all(first).await.ok()?;
            loop {
                socket.write_all(then).await.ok()?;
            }
        }
        Manner::Drip(first, then) => {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            for byte in first.iter().chain(then.iter().cycle()) {
                ticks.tick().await;
                socket.write_all(&[*byte]).await.ok()?;
            }
        }
        Manner::Stall(first) => {
            socket.write_all(first).await.ok()?;
            std::future::pending::<()>().await;
        }
        Manner::Hello(_) | Manner::Silence => std::future::pending().await,
    }
    Some(())
}

async fn read_request(socket: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).expect("a head is text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { head, body })
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Manner {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    Manner::Answer([head.as_bytes(), body].concat())
}

/// Names with prepared answers, the last of which stays. Nobody else is asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    /// Each entry: a name, and for each time that it is asked for the addresses, with blanks between.
    pub(crate) fn of(entries: &[(&str, &[&str])]) -> Arc<Self> {
        let addresses = |text: &&str| {
            text.split_whitespace().map(|address| address.parse().expect("an address")).collect()
        };
        let answers = entries
            .iter()
            .map(|(name, answers)| ((*name).to_owned(), answers.iter().map(addresses).collect()))
            .collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Names for Script {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().expect("a lock").push(host.to_owned());
        let mut answers = self.answers.lock().expect("a lock");
        let next = answers.get_mut(host).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        let next = next.ok_or_else(|| io::Error::other("nobody of this name"));
        Box::pin(async move { next })
    }
}

/// A policy under which these networks may be reached.
pub(crate) fn policy(allow_private: &[&str]) -> SenderPolicy {
    let network = |text: &&str| lingpai_model::network::Network::parse(text).expect("a network");
    SenderPolicy {
        allow_private: allow_private.iter().map(network).collect(),
        ..SenderPolicy::default()
    }
}

pub(crate) fn sender_with(policy: SenderPolicy, names: Arc<dyn Names>) -> Sender {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("nobody was first");
    });
    Sender::with_names(policy, names).expect("a sender")
}

/// A sender that may reach this machine.
pub(crate) fn sender() -> Sender {
    sender_with(policy(&["127.0.0.0/8"]), Arc::new(SystemNames::default()))
}

/// The same, but it loses patience soon.
pub(crate) fn impatient() -> Sender {
    let policy = SenderPolicy { deadline: PATIENCE, ..policy(&["127.0.0.0/8"]) };
    sender_with(policy, Arc::new(SystemNames::default()))
}

/// Posts a body that nobody may tell.
pub(crate) async fn post(sender: &Sender, url: &str) -> Result<Incoming, SendError> {
    let destination = sender.judge(url)?;
    let json = HeaderValue::from_static("application/json");
    let outgoing = Outgoing::post(destination, &br#"{"text":"canary"}"#[..]);
    sender.send(outgoing.with_header(header::CONTENT_TYPE, json)).await
}
