//! A tiny HTTP peer: one request and one raw answer per connection.

use std::{sync::Once, time::Duration};

use lingpai_wechat::client::{Client, ClientConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The values of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("our calls have JSON bodies")
    }
}

/// What a peer does after its answer.
#[derive(Clone, Copy)]
enum Afterwards {
    HangUp,
    Wait,
}

/// A peer that gives the same answer to everybody.
pub(crate) struct Peer {
    pub(crate) url: Url,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Peer {
    /// Answers with these bytes, head included, and hangs up.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(answer.into(), Afterwards::HangUp).await
    }

    /// Never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(Vec::new(), Afterwards::Wait).await
    }

    /// Answers with these bytes and then neither goes on nor hangs up.
    pub(crate) async fn falling_silent(answer: &[u8]) -> Self {
        Self::start(answer.to_vec(), Afterwards::Wait).await
    }

    async fn start(answer: Vec<u8>, afterwards: Afterwards) -> Self {
        let (listener, url) = listen().await;
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("a connection");
                let (sender, answer) = (sender.clone(), answer.clone());
                tokio::spawn(async move {
                    let Some(request) = read_request(&mut socket).await else { return };
                    // The test may be over, and nobody be left to look at what came.
                    let _ = sender.send(request);
                    // The client may hang up in the middle of an answer that is too large.
                    drop(socket.write_all(&answer).await);
                    match afterwards {
                        Afterwards::HangUp => {}
                        Afterwards::Wait => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, received }
    }

    /// The next request that came in.
    pub(crate) async fn next(&mut self) -> Received {
        self.received.recv().await.expect("a request came in")
    }

    pub(crate) fn client(&self) -> Client {
        client(self.url.clone())
    }
}

/// A listener on a free port and its address.
pub(crate) async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, Url::parse(&format!("http://127.0.0.1:{port}")).expect("an address"))
}

/// A client that loses patience soon.
pub(crate) fn client(api_url: Url) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("nobody was first");
    });
    Client::new(ClientConfig {
        mp_url: api_url.clone(),
        api_url,
        connect_timeout: Duration::from_secs(5),
        call_timeout: Duration::from_millis(300),
        silence_timeout: Duration::from_millis(300),
    })
    .expect("a client")
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// JSON as WeChat mostly sends it.
pub(crate) fn json(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: application/json; encoding=utf-8\r\n", body)
}

/// Reads the head of a request and as much of its body as its `Content-Length` says.
pub(crate) async fn read_request(socket: &mut TcpStream) -> Option<Received> {
    let (mut request, rest) = read_head(socket).await?;
    let length = request.header("content-length").first().map_or(0, |n| n.parse().expect("n"));
    request.body = rest;
    while request.body.len() < length {
        if socket.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

/// Reads the head of a request; what came behind it stands beside it.
pub(crate) async fn read_head(socket: &mut TcpStream) -> Option<(Received, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let rest = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().expect("a request line").split(' ');
    let headers = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let method = first.next().expect("a method").to_owned();
    let target = first.next().expect("a target").to_owned();
    Some((Received { method, target, headers, body: Vec::new() }, rest))
}
