//! A WeChat that answers refreshes at once, on a thread of its own, so that what it uses can be told
//! from what the keeper uses. The emulator remembers too much for a million accounts.

use std::{
    fs,
    net::TcpListener as StdListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::JoinSet,
};

use crate::machine;

/// How long WeChat's access tokens are; what is sealed and stored should weigh as much.
const TOKEN_CHARS: usize = 136;

/// The running responder. Its thread ends with the process.
pub(crate) struct Wechat {
    url: String,
    thread: String,
    counts: Arc<Counts>,
}

/// What was handed out.
#[derive(Debug, Default)]
struct Counts {
    authorizer_tokens: AtomicU64,
    component_tokens: AtomicU64,
}

impl Wechat {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub(crate) fn start() -> Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let counts = Arc::new(Counts::default());
        let (counted, (tell, told)) = (Arc::clone(&counts), mpsc::channel());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("wechat".to_owned()).spawn(move || {
            // Where the kernel counts for this thread, seen from any other.
            let _ = tell.send(fs::read_link("/proc/thread-self"));
            runtime.block_on(serve(listener, counted))
        })?;
        let thread = told.recv()??;
        let thread = format!("/proc/{}", thread.display());
        Ok(Self { url, thread, counts })
    }

    /// Where it is, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many authorizers' tokens it has handed out.
    pub(crate) fn authorizer_tokens(&self) -> u64 {
        self.counts.authorizer_tokens.load(Ordering::Relaxed)
    }

    /// How often it has handed out the component's.
    pub(crate) fn component_tokens(&self) -> u64 {
        self.counts.component_tokens.load(Ordering::Relaxed)
    }

    /// Processor seconds that it has used.
    ///
    /// # Errors
    /// When its thread has ended.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        machine::cpu_seconds_of(&self.thread)
    }
}

async fn serve(listener: StdListener, counts: Arc<Counts>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let counts = Arc::clone(&counts);
        connections.spawn(async move { connection(stream, &counts).await });
        // How a connection ended is of no interest.
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one request after the other until the other side hangs up.
async fn connection(mut stream: TcpStream, counts: &Counts) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        let Some((length, request)) = Request::read(&bytes)? else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let body = request.answer(counts).to_string();
        bytes.drain(..length);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
        stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    }
}

/// One request: the last part of its path, and its body.
#[derive(Debug)]
struct Request {
    name: String,
    body: Value,
}

impl Request {
    /// The first whole request in `bytes` with its length; `None` while more has to come.
    fn read(bytes: &[u8]) -> Result<Option<(usize, Self)>> {
        let Some(head) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..head])?;
        let target = text.split(' ').nth(1).context("a request has a target")?;
        let path = target.split('?').next().unwrap_or_default();
        let length = text.lines().filter_map(|line| line.split_once(':'));
        let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.next().map_or(Ok(0), |(_, value)| value.trim().parse())?;
        let end = head + 4 + length;
        let Some(body) = bytes.get(head + 4..end) else { return Ok(None) };
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(body).unwrap_or_default();
        Ok(Some((end, Self { name, body })))
    }

    fn answer(&self, counts: &Counts) -> Value {
        match self.name.as_str() {
            "api_component_token" => {
                let number = next(&counts.component_tokens);
                json!({ "component_access_token": token(number), "expires_in": 7200 })
            }
            "api_authorizer_token" => {
                let number = next(&counts.authorizer_tokens);
                json!({
                    "authorizer_access_token": token(number),
                    "expires_in": 7200,
                    "authorizer_refresh_token": self.body["authorizer_refresh_token"],
                })
            }
            _ => json!({ "errcode": 0, "errmsg": "ok" }),
        }
    }
}

fn next(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::Relaxed) + 1
}

fn token(number: u64) -> String {
    format!("{number:0TOKEN_CHARS$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /cgi-bin/component/api_authorizer_token?x=1 HTTP/1.1\r\n";

    #[test]
    fn a_request_is_read_when_all_of_it_is_there() {
        let whole = format!("{HEAD}content-length: 2\r\n\r\n{{}}GET");
        let (length, request) = Request::read(whole.as_bytes()).unwrap().unwrap();
        assert_eq!((length, request.name.as_str()), (whole.len() - 3, "api_authorizer_token"));
        for cut in [0, HEAD.len(), whole.len() - 4] {
            assert!(Request::read(&whole.as_bytes()[..cut]).unwrap().is_none());
        }
    }

    #[test]
    fn a_refresh_keeps_the_refresh_token_and_is_counted() {
        let body = json!({ "authorizer_refresh_token": "r" });
        let counts = Counts::default();
        let request = Request { name: "api_authorizer_token".to_owned(), body };
        let answer = request.answer(&counts);
        assert_eq!(answer["authorizer_refresh_token"], "r");
        assert_eq!(answer["authorizer_access_token"].as_str().unwrap().len(), TOKEN_CHARS);
        assert_eq!(counts.authorizer_tokens.load(Ordering::Relaxed), 1);
    }
}
