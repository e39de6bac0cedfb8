//! Whoever follows a tenant's events as they come: server-sent events, read line by line.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, Response, StatusCode, header::ACCEPT};
use serde_json::Value;
use tokio::time::timeout;

use crate::people::{Answer, Program};

/// How long an event may be waited for before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Its id.
    pub id: String,
    /// Its name.
    pub event: String,
    /// What it says, as JSON.
    pub data: Value,
}

/// A stream that is open.
#[derive(Debug)]
pub struct Listening {
    response: Response,
    text: Vec<u8>,
}

impl Listening {
    /// Opens the stream of a program's tenant with this query, behind the event that was last heard.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn open(tenant: &Program, query: &str, last: Option<&str>) -> Result<Self> {
        match Self::ask(tenant, query, last).await? {
            Ok(open) => Ok(open),
            Err(refused) => bail!("the stream is refused: {}", refused.text),
        }
    }

    /// As [`Listening::open`]; a refusal is no error.
    ///
    /// # Errors
    /// When lingpai cannot be reached.
    pub async fn ask(
        tenant: &Program,
        query: &str,
        last: Option<&str>,
    ) -> Result<Result<Self, Answer>> {
        let path = format!("/v1/events/stream?{query}");
        let mut request = tenant.request(Method::GET, &path).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Ok(Err(Answer::read(response).await?));
        }
        Ok(Ok(Self { response, text: Vec::new() }))
    }

    /// The next event.
    ///
    /// # Errors
    /// When none comes, or the stream ends.
    pub async fn next(&mut self) -> Result<Heard> {
        timeout(PATIENCE, self.read()).await.context("no event came")?
    }

    async fn read(&mut self) -> Result<Heard> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                // A block of comments only keeps the connection alive.
                if let Some(heard) = heard(&String::from_utf8(block)?)? {
                    return Ok(heard);
                }
            }
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.text.extend(chunk.iter().filter(|byte| **byte != b'\r'));
        }
    }
}

/// Reads one block.
///
/// Source: HTML Standard, "Server-sent events".
fn heard(block: &str) -> Result<Option<Heard>> {
    let (mut heard, mut data) = (Heard::default(), String::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut heard.id),
            "event" => value.clone_into(&mut heard.event),
            "data" => data.push_str(value),
            _ => {}
        }
    }
    if data.is_empty() {
        return Ok(None);
    }
    heard.data = serde_json::from_str(&data).context("an event says JSON")?;
    Ok(Some(heard))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_read_and_comments_are_none() {
        let block = "id: evt_1\nevent: message.text\ndata: {\"a\":\ndata: 1}\n\n";
        let expected = Heard {
            id: "evt_1".to_owned(),
            event: "message.text".to_owned(),
            data: json!({ "a": 1 }),
        };
        assert_eq!(heard(block).unwrap(), Some(expected));
        assert_eq!(heard(": still here\n\n").unwrap(), None);
    }
}
