//! HTTP as bytes on a socket, for requests that no library would send.

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The most of an answer that is read: nothing here is answered with more.
const ANSWER_BYTES: u64 = 1024 * 1024;

/// An answer as it came over the socket.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// Its status; 0 when the connection was closed without one.
    pub status: u16,
    /// Everything that came, head and body.
    pub text: String,
}

impl RawAnswer {
    /// The body of an answer that tells its length.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.body()).unwrap_or_default()
    }
}

/// Sends `request` to `address` as it stands, on a connection of its own, and reads until the other
/// side closes. A connection that is closed in the middle is an answer too.
///
/// # Errors
/// When nobody listens at `address`.
pub async fn exchange(address: &str, request: &[u8]) -> Result<RawAnswer> {
    let mut stream = TcpStream::connect(address).await?;
    // Who refuses by the first line may close before the rest is written.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.take(ANSWER_BYTES).read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok(RawAnswer { status, text })
}

/// The bytes of a request without a body: its first line as it is given, and `headers` of whole
/// lines. The connection ends with it.
#[must_use]
pub fn head(first_line: &[u8], host: &str, headers: &[&str]) -> Vec<u8> {
    let mut request = first_line.to_vec();
    request.extend_from_slice(format!("\r\nHost: {host}\r\nConnection: close\r\n").as_bytes());
    for header in headers {
        request.extend_from_slice(header.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Opens a connection for a request whose body is written piece by piece.
///
/// # Errors
/// When nobody listens at `address`.
pub async fn open(address: &str, head: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head).await.context("the head could not be sent")?;
    Ok(stream)
}
