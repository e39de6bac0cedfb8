//! What the serving loop does to peers, seen from raw sockets.
//!
//! No test measures time. Deadlines are short where they must strike and long where they must not,
//! and whoever waits, waits for what the other side does.

mod http2;

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use lingpai_server::lifecycle::{Limits, serve};
use poem::{Body, Endpoint, Request, Response, endpoint::make, http::StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SHORT: Duration = Duration::from_millis(400);
/// Strikes only when a test fails, which it ends then.
const LONG: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        header_timeout: LONG,
        idle_timeout: LONG,
        body_timeout: LONG,
        max_headers: 16,
        max_connections: 100,
        max_connections_per_peer: None,
        shutdown_grace: LONG,
    }
}

/// A handler that answers at once, except that `/gate` waits at a gate and `/endless` never ends.
#[derive(Clone)]
struct Gate {
    someone_entered: Arc<Notify>,
    open: Arc<Semaphore>,
    endless_ended: Arc<Notify>,
}

impl Gate {
    fn new() -> Self {
        Self {
            someone_entered: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
            endless_ended: Arc::default(),
        }
    }

    fn endpoint(&self) -> impl Endpoint + use<> {
        let gate = self.clone();
        make(move |request: Request| {
            let gate = gate.clone();
            async move { Ok::<_, poem::Error>(gate.answer(request).await) }
        })
    }

    async fn answer(&self, mut request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let Ok(bytes) = request.take_body().into_bytes_limit(1024 * 1024).await else {
            return StatusCode::REQUEST_TIMEOUT.into();
        };
        match path.as_str() {
            "/gate" => {
                self.someone_entered.notify_one();
                self.open.acquire().await.expect("never closed").forget();
            }
            "/endless" => {
                let ended = NotifyOnDrop(Arc::clone(&self.endless_ended));
                let bytes = futures_util::stream::repeat_with(move || {
                    let _lives_with_the_body = &ended;
                    Ok::<_, std::io::Error>(vec![0; 64 * 1024])
                });
                return Body::from_bytes_stream(bytes).into();
            }
            _ => {}
        }
        format!("got {}", bytes.len()).into()
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct Served {
    address: SocketAddr,
    gate: Gate,
    stop: CancellationToken,
    done: JoinHandle<()>,
}

async fn served(limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (gate, stop) = (Gate::new(), CancellationToken::new());
    let (endpoint, stopping) = (gate.endpoint(), stop.clone());
    let done = TaskTracker::new().spawn(async move {
        serve(listener, endpoint, &limits, stopping).await;
    });
    Served { address, gate, stop, done }
}

struct Peer(TcpStream);

impl Peer {
    async fn connect(served: &Served) -> Self {
        Self(TcpStream::connect(served.address).await.expect("it listens"))
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the connection is open");
    }

    /// One answer's head and body; bodies here end with their `content-length`.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            let byte = self.0.read_u8().await.expect("an answer");
            answer.push(byte);
            if answer.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let head = String::from_utf8(answer).expect("a head is ASCII").to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").expect("a sized body");
        let length = length.split("\r\n").next().and_then(|n| n.parse().ok()).expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("a body");
        head + &String::from_utf8(body).expect("text")
    }

    /// Everything up to the end of the connection, however it ends.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const GATED: &str = "GET /gate HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_that_never_speaks_is_closed() {
    let served = served(Limits { header_timeout: SHORT, ..limits() }).await;
    assert_eq!(Peer::connect(&served).await.rest().await, "");
}

#[tokio::test]
async fn half_a_header_is_closed_also_after_a_first_request() {
    let served = served(Limits { header_timeout: SHORT, ..limits() }).await;
    let mut fresh = Peer::connect(&served).await;
    fresh.send("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(fresh.rest().await, "");

    let mut kept = Peer::connect(&served).await;
    kept.send(GET).await;
    assert!(kept.answer().await.starts_with("http/1.1 200"));
    kept.send("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(kept.rest().await, "");
}

#[tokio::test]
async fn dripping_bytes_do_not_extend_the_header_deadline() {
    let served = served(Limits { header_timeout: SHORT, ..limits() }).await;
    let mut clock = Peer::connect(&served).await;
    let mut peer = Peer::connect(&served).await;
    peer.send("GET / HTTP/1.1\r\nx: ").await;
    // Far fewer bytes than the largest header: only the deadline can close the connection.
    for _ in 0..50_000 {
        if peer.0.write_all(b"x").await.is_err() {
            return;
        }
        clock.send(GET).await;
        clock.answer().await;
    }
    panic!("the header was given as much time as it wanted");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_deadline() {
    let served = served(Limits { header_timeout: SHORT, ..limits() }).await;
    let mut kept = Peer::connect(&served).await;
    kept.send(GET).await;
    kept.answer().await;
    // This one starts later and is cut by the header deadline: so that has passed for both.
    Peer::connect(&served).await.rest().await;
    kept.send(GET).await;
    assert!(kept.answer().await.ends_with("got 0"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let served = served(Limits { idle_timeout: SHORT, ..limits() }).await;
    let mut peer = Peer::connect(&served).await;
    peer.send(GET).await;
    peer.answer().await;
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn a_running_request_is_cut_by_no_deadline() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..limits() };
    let served = served(limits).await;
    let mut running = Peer::connect(&served).await;
    running.send(GATED).await;
    served.gate.someone_entered.notified().await;
    // Both deadlines strike somebody else before the gate opens.
    Peer::connect(&served).await.rest().await;
    let mut idle = Peer::connect(&served).await;
    idle.send(GET).await;
    idle.rest().await;
    served.gate.open.add_permits(1);
    assert!(running.answer().await.ends_with("got 0"));
}

#[tokio::test]
async fn a_next_header_that_came_early_gets_its_time_after_the_answer() {
    let served = served(Limits { header_timeout: SHORT, ..limits() }).await;
    let mut peer = Peer::connect(&served).await;
    peer.send(GATED).await;
    served.gate.someone_entered.notified().await;
    peer.send("GET / HTTP/1.1\r\n").await;
    // The header deadline strikes somebody else meanwhile, but not the one who waits for us.
    Peer::connect(&served).await.rest().await;
    served.gate.open.add_permits(1);
    peer.answer().await;
    peer.send("host: x\r\n\r\n").await;
    assert!(peer.answer().await.ends_with("got 0"));
}

#[tokio::test]
async fn silence_inside_a_body_ends_the_connection() {
    let served = served(Limits { body_timeout: SHORT, ..limits() }).await;
    let mut peer = Peer::connect(&served).await;
    peer.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await;
    let rest = peer.rest().await;
    assert!(rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[tokio::test]
async fn a_whole_body_arrives() {
    let served = served(limits()).await;
    let mut peer = Peer::connect(&served).await;
    peer.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await;
    peer.send("second").await;
    assert!(peer.answer().await.ends_with("got 10"));
    peer.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    peer.send("0\r\n\r\n").await;
    assert!(peer.answer().await.ends_with("got 3"), "the connection can be used again");
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_refused() {
    let served = served(limits()).await;
    let many = (0..20).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for headers in [many, format!("x: {}\r\n", "y".repeat(100 * 1024))] {
        let mut peer = Peer::connect(&served).await;
        // The server may have refused before the last byte is sent.
        let text = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        let _ = peer.0.write_all(text.as_bytes()).await;
        let rest = peer.rest().await;
        assert!(!rest.contains("200"), "{rest}");
    }
    let mut peer = Peer::connect(&served).await;
    peer.send(&format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(17))).await;
    assert!(peer.rest().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_closed() {
    for limits in [
        Limits { max_connections: 1, ..limits() },
        Limits { max_connections_per_peer: Some(1), ..limits() },
    ] {
        let served = served(limits).await;
        let mut first = Peer::connect(&served).await;
        first.send(GET).await;
        first.answer().await;
        assert_eq!(Peer::connect(&served).await.rest().await, "");
        first.send(GET).await;
        assert!(first.answer().await.ends_with("got 0"), "who is in, stays in");
        drop(first);
        // The seat is free as soon as the server sees the end of the first connection.
        loop {
            let mut next = Peer::connect(&served).await;
            if next.0.write_all(GET.as_bytes()).await.is_ok() && next.0.read_u8().await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn refused_connections_do_not_fill_the_log() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let writer = Mutex::new(log.reopen().expect("it was just made"));
    let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
    let _captured = tracing::subscriber::set_default(subscriber);
    let served = served(Limits { max_connections_per_peer: Some(1), ..limits() }).await;
    for _ in 0..3 {
        // Refused until the server sees that the seat of the round before is free.
        let _seated = loop {
            let mut peer = Peer::connect(&served).await;
            if peer.0.write_all(GET.as_bytes()).await.is_ok() && peer.0.read_u8().await.is_ok() {
                break peer;
            }
        };
        assert_eq!(Peer::connect(&served).await.rest().await, "");
    }
    let text = fs::read_to_string(log.path()).expect("text");
    assert_eq!(text.matches("no more connections are taken").count(), 1, "{text}");
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish() {
    let served = served(limits()).await;
    let mut idle = Peer::connect(&served).await;
    idle.send(GET).await;
    idle.answer().await;
    let mut running = Peer::connect(&served).await;
    running.send(GATED).await;
    served.gate.someone_entered.notified().await;
    served.stop.cancel();
    assert_eq!(idle.rest().await, "", "idle connections close at once");
    while TcpStream::connect(served.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    served.gate.open.add_permits(1);
    assert!(running.answer().await.ends_with("got 0"));
    assert_eq!(running.rest().await, "");
    served.done.await.expect("serving ended by itself");
}

#[tokio::test]
async fn shutdown_cuts_what_outlasts_the_grace_period() {
    let served = served(Limits { shutdown_grace: SHORT, ..limits() }).await;
    let mut running = Peer::connect(&served).await;
    running.send(GATED).await;
    served.gate.someone_entered.notified().await;
    served.stop.cancel();
    assert_eq!(running.rest().await, "");
    served.done.await.expect("serving ended by itself");
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_is_cut() {
    let served = served(Limits { idle_timeout: SHORT, ..limits() }).await;
    let mut peer = Peer::connect(&served).await;
    peer.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    served.gate.endless_ended.notified().await;
}
