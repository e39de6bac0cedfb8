//! The one door to the addresses of tenants.
//!
//! Whoever chooses a URL chooses whom this machine talks to, so everything about the way there is
//! decided here: which addresses may be reached, that names are resolved once and by our rules, that
//! redirects, proxies and compression play no part, how long it may take and how much may come back.
//! Only this module and its children name the HTTP library, and none of its errors leaves unwrapped.
//!
//! There is one client for each kind of port, because the library asks its resolver for a name without
//! telling the port. Resolving first and pinning the result would take a client for every request,
//! with roots and connections of its own.

mod address;
mod destination;
mod failure;
mod names;
mod reach;
pub mod remote;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use lingpai_model::network::Network;
use tokio::time::{Instant, timeout_at};

pub use address::{AddressClass, not_public};
pub use destination::{Destination, MAX_URL_BYTES, Refusal};
pub use failure::SendError;
pub use names::{Names, SystemNames};

use self::{
    names::Guard,
    reach::{Ports, Reach},
};
use crate::{Error, Result};

/// The most bytes of an answer that are read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How many idle connections to one host are kept: as many as are in flight to an endpoint.
const MAX_IDLE_CONNECTIONS: usize = 4;

/// How long an idle connection is kept: shorter than the minute after which servers hang up.
const IDLE_CONNECTION_LIFETIME: Duration = Duration::from_secs(50);

/// How long an HTTP/2 connection may be silent with requests on it before it is asked for a sign of
/// life, and how long that may take: one that is dead would fail every request put on it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How much an HTTP/2 peer may send before it is read: an answer, and no more.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// The most bytes of headers that an HTTP/2 peer may send.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Whom we send to, and how long that may take.
#[derive(Debug, Clone)]
pub struct SenderPolicy {
    /// What may be reached beside public addresses, on any port.
    pub allow_private: Vec<Network>,
    /// On which ports public addresses may be reached.
    pub ports: Vec<u16>,
    /// Where we listen ourselves: never reached, not even within `allow_private`.
    pub own_listeners: Vec<SocketAddr>,
    /// The longest that making a connection may take, resolving the name included.
    pub connect_timeout: Duration,
    /// The longest that everything together may take, to the last byte of the answer.
    pub deadline: Duration,
}

impl Default for SenderPolicy {
    /// Public addresses only, on the ports of the web and the two that often stand in for them.
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            ports: vec![80, 443, 8080, 8443],
            own_listeners: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(15),
        }
    }
}

impl SenderPolicy {
    /// Every address there is, on every port: for whoever chose the URL for his own machine.
    #[must_use]
    pub fn anywhere() -> Self {
        let all = |text| Network::parse(text).expect("it is a network");
        Self { allow_private: ["0.0.0.0/0", "::/0"].map(all).to_vec(), ..Self::default() }
    }
}

/// What is sent.
#[derive(Clone)]
pub struct Outgoing {
    /// Where to.
    pub destination: Destination,
    /// How.
    pub method: Method,
    /// Headers beside those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Outgoing {
    /// A `POST` without headers of its own.
    #[must_use]
    pub fn post(destination: Destination, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { destination, method: Method::POST, headers: Vec::new(), body }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(destination: Destination) -> Self {
        let body = Bytes::new();
        Self { destination, method: Method::GET, headers: Vec::new(), body }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl fmt::Debug for Outgoing {
    /// Headers and body are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, length) = (&self.method, self.body.len());
        write!(f, "Outgoing({method} {:?}, {length} bytes)", self.destination)
    }
}

/// What came back.
#[derive(Clone)]
pub struct Incoming {
    /// The HTTP status. Redirects are not followed: theirs is an answer like any other.
    pub status: u16,
    /// The body, at most [`MAX_ANSWER_BYTES`], as it was sent.
    pub body: Bytes,
    /// How long the other side wants to be left alone.
    pub retry_after: Option<Duration>,
    /// How long it took, from before the connection was made.
    pub took: Duration,
}

impl Incoming {
    /// Whether the other side took what was sent: a status of 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Debug for Incoming {
    /// The body is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({}, {} bytes, {:?})", self.status, self.body.len(), self.took)
    }
}

/// Sends to tenants' addresses. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Sender {
    policy: Arc<SenderPolicy>,
    clients: Arc<[(Ports, reqwest::Client)]>,
}

impl Sender {
    /// A sender that asks the operating system for names. The process must have a TLS provider
    /// installed.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] when TLS cannot be set up, for instance without root certificates.
    pub fn new(policy: SenderPolicy) -> Result<Self> {
        Self::with_names(policy, Arc::new(SystemNames::default()))
    }

    /// A sender that asks `names`.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub fn with_names(policy: SenderPolicy, names: Arc<dyn Names>) -> Result<Self> {
        let policy = Arc::new(policy);
        let of_clients = policy.clone();
        let clients = Ports::all(&policy)
            .into_iter()
            .map(move |ports| Ok((ports, client(&of_clients, ports, names.clone())?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { policy, clients: clients.into() })
    }

    /// Judges a URL by its form: all that can be said without asking for the host's name. What a name
    /// stands for is judged each time a connection is made.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn judge(&self, url: &str) -> Result<Destination, Refusal> {
        let destination = Destination::read(url)?;
        self.admit(&destination)?;
        Ok(destination)
    }

    /// Sends `outgoing` once and reads the answer. Nothing is repeated here.
    ///
    /// # Errors
    /// The [`SendError`].
    pub async fn send(&self, outgoing: Outgoing) -> Result<Incoming, SendError> {
        let Outgoing { destination, method, headers, body } = outgoing;
        // A destination may come from a sender with another policy.
        let reach = self.admit(&destination)?;
        let client = self.clients.iter().find(|(ports, _)| *ports == reach.ports);
        let (_, client) = client.expect("there is a client for every kind of port");
        let headers: HeaderMap = headers.into_iter().collect();
        let mut request = client.request(method, destination.into_url()).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let (began, after) = (Instant::now(), self.policy.deadline);
        let asked = timeout_at(began + after, self.ask(&reach, request)).await;
        let mut answer = asked.map_err(|_| SendError::Timeout { after })??;
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers());
        let read = timeout_at(began + after, read(&mut answer)).await;
        let body = read.map_err(|_| SendError::AnswerCut { status })??;
        Ok(Incoming { status, body, retry_after, took: began.elapsed() })
    }

    /// What may be reached on the port of `destination`, if that goes for its host as far as it shows.
    fn admit(&self, destination: &Destination) -> Result<Reach, Refusal> {
        let ports = Ports::of(&self.policy, destination.port());
        let reach = Reach::new(self.policy.clone(), ports);
        if let Some(address) = destination.literal() {
            reach.judge(address)?;
        } else if destination.is_localhost() {
            reach.judge(Ipv4Addr::LOCALHOST.into())?;
        } else if ports == Ports::Unlisted && self.policy.allow_private.is_empty() {
            return Err(Refusal::Port);
        }
        Ok(reach)
    }

    /// Sends the request, and waits for the head of its answer.
    async fn ask(
        &self,
        reach: &Reach,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, SendError> {
        let failed = |error| SendError::from_transport(error, self.policy.connect_timeout);
        let answer = request.send().await.map_err(failed)?;
        // Security invariant: checked once more, by what the connection says itself.
        let peer = answer.remote_addr().ok_or_else(no_peer)?;
        reach.judge(peer.ip())?;
        Ok(answer)
    }
}

/// The body of an answer. Its status was told: why the rest does not come tells nothing more.
async fn read(answer: &mut reqwest::Response) -> Result<Bytes, SendError> {
    let status = answer.status().as_u16();
    let mut read = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| SendError::AnswerCut { status })? {
        if read.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(SendError::AnswerTooLarge { status });
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

fn no_peer() -> SendError {
    SendError::Broken { reason: "the connection does not tell its peer".to_owned() }
}

/// One client. Of what the library does by itself nothing is left: no redirects, no proxies from the
/// environment, no decompression even if another crate switches it on, no repetition.
fn client(
    policy: &Arc<SenderPolicy>,
    ports: Ports,
    names: Arc<dyn Names>,
) -> Result<reqwest::Client> {
    let guard = Guard { names, reach: Reach::new(policy.clone(), ports) };
    reqwest::Client::builder()
        .dns_resolver(Arc::new(guard))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .tcp_nodelay(true)
        .connect_timeout(policy.connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_CONNECTION_LIFETIME)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keep_alive_interval(SIGN_OF_LIFE)
        .http2_keep_alive_timeout(SIGN_OF_LIFE)
        .user_agent(concat!("lingpai/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::Misconfigured { what: error.without_url().to_string() })
}

/// `Retry-After`: seconds, or a date, which is compared with the answer's own.
///
/// Source: RFC 9110, sections 10.2.3 and 6.6.1, read 2026-11-20.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let value = text(header::RETRY_AFTER)?.trim();
    if let Ok(secs) = value.parse::<u32>() {
        return Some(Duration::from_secs(secs.into()));
    }
    let date = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok();
    (date(value)? - date(text(header::DATE)?)?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Write as _},
        net::{IpAddr, TcpListener},
    };

    use futures_util::future::BoxFuture;

    use super::*;

    /// What the transport connected to counts, whatever the name was found to stand for: here the
    /// names are judged by a policy that lets everything pass.
    #[tokio::test]
    async fn the_peer_is_judged_once_more() {
        // Another test of this program may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let strict = SenderPolicy { ports: vec![port], ..SenderPolicy::default() };
        let everything = Network::parse("0.0.0.0/0").unwrap();
        let lax = SenderPolicy { allow_private: vec![everything], ..strict.clone() };
        let names = Arc::new(ThisMachine);
        let lax = Sender::with_names(lax, names.clone()).unwrap();
        let strict = Sender { clients: lax.clients, ..Sender::with_names(strict, names).unwrap() };
        let destination = strict.judge(&format!("http://us.example:{port}/")).unwrap();
        let failed = strict.send(Outgoing::get(destination)).await.unwrap_err();
        assert_eq!(failed, SendError::Refused(Refusal::NotPublic(AddressClass::Loopback)));
        peer.join().unwrap();
    }

    #[derive(Debug)]
    struct ThisMachine;

    impl Names for ThisMachine {
        fn lookup<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
        }
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = "Wed, 21 Oct 2026 07:28:00 GMT";
        let later = "Wed, 21 Oct 2026 07:30:00 GMT";
        let wanted = |pairs: &[(HeaderName, &str)]| retry_after(&headers(pairs));
        assert_eq!(wanted(&[(header::RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        assert_eq!(
            wanted(&[(header::RETRY_AFTER, later), (header::DATE, at)]),
            Some(Duration::from_secs(120))
        );
        assert_eq!(wanted(&[(header::RETRY_AFTER, at), (header::DATE, later)]), None);
        assert_eq!(wanted(&[(header::RETRY_AFTER, later)]), None, "there is nothing to compare");
        for nonsense in ["-1", "soon", "99999999999999999999", "1.5"] {
            assert_eq!(wanted(&[(header::RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
    }
}
