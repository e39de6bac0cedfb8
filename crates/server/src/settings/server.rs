//! Section `[server]`: where to listen and what a peer may take.

use std::{net::SocketAddr, time::Duration};

use lingpai_model::network::Network;
use url::Url;

use super::reader::Reader;

/// Where to listen and what a peer may take.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address and port to serve on.
    pub listen: SocketAddr,
    /// How WeChat and browsers reach us: scheme and host.
    pub public_url: Url,
    /// How long a started request header may take.
    pub header_timeout: Duration,
    /// How long a kept-alive connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a peer may be silent inside a request body.
    pub body_timeout: Duration,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// How many connections may be open at a time.
    pub max_connections: usize,
    /// How many of them one peer may hold; `None`: as many as there are.
    pub max_connections_per_peer: Option<usize>,
    /// The reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// How long running requests and jobs may go on after the signal to stop.
    pub shutdown_grace: Duration,
}

impl Server {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.address("server.listen");
        let public_url = reader.origin("server.public_url");
        let header_timeout = reader.seconds("server.header_timeout_secs", 1..=60);
        let idle_timeout = reader.seconds("server.idle_timeout_secs", 1..=3600);
        let body_timeout = reader.seconds("server.body_timeout_secs", 1..=300);
        let max_headers = reader.number("server.max_headers", 16..=1000);
        let max_connections = reader.number("server.max_connections", 1..=1_000_000);
        let per_peer = reader.number("server.max_connections_per_peer", 0..=1_000_000);
        let trusted_proxies = reader.networks("server.trusted_proxies");
        let shutdown_grace = reader.seconds("server.shutdown_grace_secs", 0..=600);
        Some(Self {
            listen: listen?,
            public_url: public_url?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            body_timeout: body_timeout?,
            max_headers: count(max_headers?),
            max_connections: count(max_connections?),
            max_connections_per_peer: Some(count(per_peer?)).filter(|limit| *limit > 0),
            trusted_proxies: trusted_proxies?,
            shutdown_grace: shutdown_grace?,
        })
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
