//! Takes the place of lingpai for one push of the emulator, to have its bytes: a genuine push that
//! a test can then bend.

use anyhow::{Context as _, Result};
use lingpai_emulator::Emulator;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use url::Url;

use crate::people::{Answer, http_client};

/// A push as it was on the wire.
#[derive(Debug, Clone)]
pub struct RawPush {
    /// Its raw query.
    pub query: String,
    /// Its body.
    pub body: String,
}

impl RawPush {
    /// Has `emulator` send this message to us instead of lingpai, and to lingpai again afterwards.
    ///
    /// # Errors
    /// When the emulator sends nothing.
    pub async fn record(emulator: &Emulator, events_url: &str, info_xml: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        emulator.set_events_url(&format!("http://{}/", listener.local_addr()?));
        let (outcome, recorded) = tokio::join!(emulator.push(info_xml), take_one(listener));
        emulator.set_events_url(events_url);
        anyhow::ensure!(outcome.is_accepted(), "the recorder was not understood: {outcome:?}");
        recorded
    }

    /// Sends it to `events_url`.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn send(&self, events_url: &str) -> Result<Answer> {
        let mut url: Url = events_url.parse()?;
        url.set_query(Some(&self.query));
        let request = http_client().post(url).header("Content-Type", "text/xml");
        Answer::read(request.body(self.body.clone()).send().await?).await
    }

    /// The same push with one text replaced in its query.
    ///
    /// # Panics
    /// When the text is not there: such a test would prove nothing.
    #[must_use]
    pub fn with_query(mut self, from: &str, to: &str) -> Self {
        assert!(self.query.contains(from), "{from} is not in {}", self.query);
        self.query = self.query.replacen(from, to, 1);
        self
    }

    /// One parameter of its query.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> String {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        let found = pairs.into_owned().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("{name} is not in {}", self.query)).1
    }
}

/// Reads one request and answers it as lingpai would.
async fn take_one(listener: TcpListener) -> Result<RawPush> {
    let (mut stream, _) = listener.accept().await?;
    let mut bytes = Vec::new();
    let request = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        anyhow::ensure!(read > 0, "the push ended early");
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(request) = whole_request(&bytes)? {
            break request;
        }
    };
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess";
    stream.write_all(answer.as_bytes()).await?;
    Ok(request)
}

fn whole_request(bytes: &[u8]) -> Result<Option<RawPush>> {
    let text = std::str::from_utf8(bytes)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("a push has a length")?;
    let length: usize = length.1.trim().parse()?;
    if body.len() < length {
        return Ok(None);
    }
    let target = head.split(' ').nth(1).context("a request has a target")?;
    let query = target.split_once('?').context("a push has a query")?.1.to_owned();
    Ok(Some(RawPush { query, body: body[..length].to_owned() }))
}
