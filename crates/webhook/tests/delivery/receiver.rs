//! A tenant's server: what it does with a request is up to the test, and may change.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The event's id, of a webhook.
    pub(crate) fn event_id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// What is done with a request.
#[derive(Clone)]
pub(crate) enum Manner {
    /// It is answered with this status and this body.
    Answer(u16, String),
    /// The same, with one header more.
    AnswerWith(u16, &'static str, String),
    /// The same, once the test releases it.
    Hold(u16, String),
    /// It is answered with this status, and hung up on in the middle of the body.
    Cut(u16),
    /// It is never answered.
    Hang,
    /// It is answered byte by byte, without end.
    Drip,
}

impl Manner {
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, String::new())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that came in.
    pub(crate) came: usize,
    /// Requests that are not answered.
    pub(crate) open: usize,
    /// The most that were open at once.
    pub(crate) most_open: usize,
}

#[derive(Clone)]
struct Shared {
    manner: Arc<Mutex<Manner>>,
    requests: Arc<Mutex<Vec<Request>>>,
    load: watch::Sender<Load>,
    released: watch::Sender<bool>,
}

/// A server of a tenant's.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Shared,
    _running: DropGuard,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Shared {
            manner: Arc::new(Mutex::new(manner)),
            requests: Arc::default(),
            load: watch::Sender::default(),
            released: watch::Sender::new(false),
        };
        let running = CancellationToken::new();
        let (serving, stop) = (shared.clone(), running.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                let serve = serving.clone().serve(socket);
                tokio::spawn(stop.clone().run_until_cancelled_owned(serve));
            }
        }));
        Self { address, shared, _running: running.drop_guard() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What is done with requests from now on. Those that are held stay so.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Lets go what is held, and holds nothing any more.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn load(&self) -> Load {
        *self.shared.load.borrow()
    }

    /// Waits until so many requests have come in.
    pub(crate) async fn came(&self, count: usize) {
        self.until(|load| load.came >= count).await;
    }

    /// Waits until so many are open.
    pub(crate) async fn open(&self, count: usize) {
        self.until(|load| load.open >= count).await;
    }

    async fn until(&self, reached: impl FnMut(&Load) -> bool) {
        self.shared.load.subscribe().wait_for(reached).await.expect("it is being served");
    }
}

impl Shared {
    async fn serve(self, mut socket: TcpStream) -> Option<()> {
        let request = read(&mut socket).await?;
        self.requests.lock().unwrap().push(request);
        let manner = self.manner.lock().unwrap().clone();
        self.load.send_modify(|load| {
            load.came += 1;
            load.open += 1;
            load.most_open = load.most_open.max(load.open);
        });
        let _open = Open(self.load.clone());
        match manner {
            Manner::Answer(status, body) => answer(socket, status, "", &body).await,
            Manner::AnswerWith(status, header, body) => answer(socket, status, header, &body).await,
            Manner::Hold(status, body) => {
                let mut released = self.released.subscribe();
                released.wait_for(|released| *released).await.ok()?;
                answer(socket, status, "", &body).await
            }
            Manner::Cut(status) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 60000\r\n\r\n");
                socket.write_all(head.as_bytes()).await.ok()?;
                socket.shutdown().await.ok()
            }
            Manner::Hang => until_closed(socket).await,
            Manner::Drip => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await.ok()?;
                let mut ticks = tokio::time::interval(Duration::from_millis(20));
                loop {
                    ticks.tick().await;
                    socket.write_all(b".").await.ok()?;
                }
            }
        }
    }
}

/// A request that is not answered yet.
struct Open(watch::Sender<Load>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|load| load.open -= 1);
    }
}

async fn until_closed(mut socket: TcpStream) -> Option<()> {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.ok().map(drop)
}

async fn answer(mut socket: TcpStream, status: u16, header: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    socket.write_all(body.as_bytes()).await.ok()?;
    socket.shutdown().await.ok()
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
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
    let head = String::from_utf8(bytes).expect("a head is text");
    let target = head.split(' ').nth(1).expect("a request line").to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    };
    let headers: HashMap<_, _> = head.lines().skip(1).filter_map(header).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("bytes"));
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { target, headers, body })
}
