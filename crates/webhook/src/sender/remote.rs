//! Another lingpai, followed from a developer's machine: its events as they come, and replies back.

use std::time::Duration;

use lingpai_model::{
    Appid, Secret,
    event::{EventFilter, EventPattern},
};
use serde_json::{Value, json};
use url::Url;

/// The most that one event may have on the stream: the largest push, written twice as JSON text.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// How long the stream may be silent. The other side says something every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a reply may take to be handed in.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// The most of a refusal that is read.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// Another lingpai, with a tenant's key to it.
#[derive(Debug, Clone)]
pub struct Remote {
    http: reqwest::Client,
    server: Url,
    key: Secret<String>,
}

/// One event as the stream tells it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event's id.
    pub id: String,
    /// The body that a webhook would have had.
    pub body: Value,
}

/// Why another lingpai cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It refused: the key is wrong, lacks a scope, or too many listen.
    #[error("{server} refused: {detail}")]
    Refused {
        /// Who.
        server: Url,
        /// With which HTTP status.
        status: u16,
        /// Why, in its words.
        detail: String,
    },
    /// The connection could not be made, or broke.
    #[error("the connection to {server} failed: {cause}")]
    Broken {
        /// To whom.
        server: Url,
        /// Why.
        cause: String,
    },
    /// What came was no event stream of ours.
    #[error("{server} sent what is no event stream of lingpai's")]
    Garbled {
        /// Who.
        server: Url,
    },
}

impl RemoteError {
    /// Whether the same may succeed a little later: the connection broke, the other side is restarted
    /// or has too much to do. It is otherwise with what is wrong with the key or the question.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Broken { .. } | Self::Garbled { .. } => true,
        }
    }
}

/// What the other side is told of who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// He looks on: nobody waits for him.
    Watching,
    /// He hands in a reply to every message, an empty one too: whoever answers WeChat waits for it.
    Replying,
}

/// What became of a reply that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandedIn {
    /// It counts.
    Taken,
    /// It does not count: another one was first, or it came too late.
    Refused {
        /// Why, in the other side's words.
        detail: String,
    },
}

impl Remote {
    /// The lingpai at `server`, with a tenant's `key`. The process must have a TLS provider installed.
    ///
    /// # Errors
    /// [`RemoteError::Broken`] when the client cannot be made, for instance without root certificates.
    pub fn new(server: Url, key: Secret<String>) -> Result<Self, RemoteError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(REPLY_TIME)
            .read_timeout(SILENCE)
            .user_agent(concat!("lingpai/", env!("CARGO_PKG_VERSION")))
            .build();
        let http = http.map_err(|error| broken(&server, error))?;
        Ok(Self { http, server, key })
    }

    /// Follows the events that `filter` lets through, as `part` says; behind `after` if that is given,
    /// from now on otherwise.
    ///
    /// # Errors
    /// As [`RemoteError`] says.
    pub async fn follow(
        &self,
        filter: &EventFilter,
        part: Part,
        after: Option<&str>,
    ) -> Result<Following, RemoteError> {
        let mut url = self.at("/v1/events/stream");
        let joined = |parts: Vec<&str>| parts.join(",");
        let types = joined(filter.event_types.iter().map(EventPattern::as_str).collect());
        let accounts = joined(filter.authorizers.iter().map(Appid::as_str).collect());
        let replying = match part {
            Part::Watching => String::new(),
            Part::Replying => "true".to_owned(),
        };
        for (name, value) in [("replying", replying), ("types", types), ("authorizers", accounts)] {
            if !value.is_empty() {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        let mut request = self.http.get(url).bearer_auth(self.key.expose());
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = request.send().await.map_err(|error| broken(&self.server, error))?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        Ok(Following { server: self.server.clone(), answer, read: Vec::new() })
    }

    /// Hands in the passive reply to an event: plain XML, or that there is none.
    ///
    /// # Errors
    /// As [`RemoteError`] says.
    pub async fn reply(
        &self,
        event_id: &str,
        reply: Option<&str>,
    ) -> Result<HandedIn, RemoteError> {
        let url = self.at(&format!("/v1/events/{event_id}/reply"));
        let body = reply.map_or_else(|| json!({}), |xml| json!({ "xml": xml }));
        let request = self.http.post(url).bearer_auth(self.key.expose()).timeout(REPLY_TIME);
        let answer =
            request.json(&body).send().await.map_err(|error| broken(&self.server, error))?;
        match answer.status().as_u16() {
            200..=299 => Ok(HandedIn::Taken),
            409 => Ok(HandedIn::Refused { detail: told(answer).await }),
            _ => Err(self.refused(answer).await),
        }
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    async fn refused(&self, answer: reqwest::Response) -> RemoteError {
        let (server, status) = (self.server.clone(), answer.status().as_u16());
        RemoteError::Refused { server, status, detail: told(answer).await }
    }
}

/// What a problem says, or else its status.
async fn told(mut answer: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REFUSAL_BYTES {
            break;
        }
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    problem["detail"].as_str().map_or_else(|| answer.status().to_string(), str::to_owned)
}

/// A stream of events that is open.
#[derive(Debug)]
pub struct Following {
    server: Url,
    answer: reqwest::Response,
    /// What came and is not yet a whole event.
    read: Vec<u8>,
}

impl Following {
    /// The next event; `None` when the other side ended the stream.
    ///
    /// # Errors
    /// [`RemoteError::Broken`], [`RemoteError::Garbled`].
    pub async fn next(&mut self) -> Result<Option<Told>, RemoteError> {
        loop {
            while let Some(block) = take_block(&mut self.read) {
                if let Some(told) = self.told(&block)? {
                    return Ok(Some(told));
                }
            }
            if self.read.len() > MAX_EVENT_BYTES {
                return Err(RemoteError::Garbled { server: self.server.clone() });
            }
            let chunk = self.answer.chunk().await;
            match chunk.map_err(|error| broken(&self.server, error))? {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The event in a block; `None` when it only keeps the connection alive.
    fn told(&self, block: &[u8]) -> Result<Option<Told>, RemoteError> {
        let garbled = || RemoteError::Garbled { server: self.server.clone() };
        let text = std::str::from_utf8(block).map_err(|_| garbled())?;
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let lines: Vec<&str> =
                lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        let (Some(id), Some(data)) = (field("id"), field("data")) else { return Ok(None) };
        let body = serde_json::from_str(&data).map_err(|_| garbled())?;
        Ok(Some(Told { id, body }))
    }
}

/// Takes what stands before the first empty line out of `read`.
fn take_block(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = read.windows(2).position(|pair| pair == b"\n\n")?;
    let mut block: Vec<u8> = read.drain(..end + 2).collect();
    block.truncate(end);
    Some(block)
}

/// The transport's error without the address: that may hold what a developer asked for.
fn broken(server: &Url, error: reqwest::Error) -> RemoteError {
    let mut cause = error.without_url().to_string();
    if cause.is_empty() {
        cause.push_str("no reason was given");
    }
    RemoteError::Broken { server: server.clone(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_an_empty_line() {
        let mut read = b": here\n\nid: evt_1\ndata: {}\n\nid: e".to_vec();
        assert_eq!(take_block(&mut read).unwrap(), b": here");
        assert_eq!(take_block(&mut read).unwrap(), b"id: evt_1\ndata: {}");
        assert_eq!(take_block(&mut read), None);
        assert_eq!(read, b"id: e");
    }
}
