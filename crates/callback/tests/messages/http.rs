//! The least of an HTTP server: what a test has to say, to whoever posts.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Raw.
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
}

/// What is answered: a status and a body.
pub(crate) type Said = (u16, Vec<u8>);

type Answering = Arc<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Said> + Send>> + Send + Sync>;

/// Answers everybody at `address`, until the test ends.
pub(crate) async fn serve<F, Saying>(answer: F) -> SocketAddr
where
    F: Fn(Asked) -> Saying + Send + Sync + 'static,
    Saying: Future<Output = Said> + Send + 'static,
{
    let answer: Answering = Arc::new(move |asked| Box::pin(answer(asked)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, Arc::clone(&answer)));
        }
    });
    address
}

/// One request and one answer.
async fn converse(mut socket: TcpStream, answer: Answering) -> Option<()> {
    let asked = read(&mut socket).await?;
    let (status, body) = answer(asked).await;
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(&[head.as_bytes(), &body].concat()).await.ok()
}

async fn read(socket: &mut TcpStream) -> Option<Asked> {
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
    let head = String::from_utf8(bytes).ok()?;
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Asked { method, path: path.to_owned(), query: query.to_owned(), body })
}
