//! Where something is sent: a URL that was judged.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use super::address::AddressClass;

/// The most bytes that the URL of an endpoint has.
pub const MAX_URL_BYTES: usize = 1024;

/// Why a URL, or what its host's name turned out to be, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// It is no absolute URL.
    #[error("the URL cannot be read: write it whole, as in https://example.com/path")]
    Malformed,
    /// It is of another scheme.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// It has a name or a password before the host.
    #[error("the URL must not hold a user name or a password")]
    Credentials,
    /// It has a part behind `#`, which no server ever sees.
    #[error("the URL must not hold a fragment (#)")]
    Fragment,
    /// Public addresses are not reached on this port.
    #[error("the URL's port is not one that deliveries may use")]
    Port,
    /// The host is, or one of its addresses is, not public.
    #[error("the URL's host is {0}, and deliveries go to public addresses only")]
    NotPublic(AddressClass),
    /// The host is this installation.
    #[error("the URL leads back to this installation")]
    OwnListener,
}

/// A URL that was judged. It is made by [`super::Sender::judge`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
}

impl Destination {
    /// Reads a URL and judges all of it but its host.
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_URL_BYTES {
            return Err(Refusal::TooLong);
        }
        // The parser drops some of these without a word: what is judged must be what was written.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(Refusal::Malformed);
        }
        let url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        // `https:example.com` is read like `https://example.com`, but nobody means it.
        let begins_fully =
            text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
        if !begins_fully || url.host().is_none() || url.port() == Some(0) {
            return Err(Refusal::Malformed);
        }
        Ok(Self { url })
    }

    /// The same with `query` behind the query that it has.
    #[must_use]
    pub fn with_query(&self, query: &str) -> Self {
        let mut url = self.url.clone();
        match self.url.query() {
            Some(own) if !own.is_empty() => url.set_query(Some(&format!("{own}&{query}"))),
            Some(_) | None => url.set_query(Some(query)),
        }
        Self { url }
    }

    /// The whole URL as it is sent. Its query may hold what the tenant keeps secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The port, also where the URL leaves it to the scheme.
    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// The host's address, if the host is written as one, in whatever spelling.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// Whether the host's name means the machine itself, wherever it is asked for.
    ///
    /// Source: RFC 6761, section 6.3, read 2026-11-20: `localhost` and every name below it.
    pub(super) fn is_localhost(&self) -> bool {
        let Some(Host::Domain(name)) = self.url.host() else { return false };
        let name = name.strip_suffix('.').unwrap_or(name);
        name == "localhost" || name.ends_with(".localhost")
    }

    pub(super) fn into_url(self) -> Url {
        self.url
    }
}

impl fmt::Debug for Destination {
    /// Scheme, host and port; never path and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.url.origin().ascii_serialization())
    }
}
