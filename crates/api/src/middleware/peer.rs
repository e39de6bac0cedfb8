//! Whose request it is: the peer of the socket, or what a proxy of ours says of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lingpai_model::caller::Via;
use lingpai_model::network::Network;
use poem::{Request, http::HeaderMap};

use super::RequestId;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose word on where a request comes from is taken.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    pub(crate) fn of(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// On which way `request` came.
    pub(crate) fn via(&self, request: &Request) -> Via {
        let socket = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
        Via {
            request_id: RequestId::of(request).into_text(),
            peer: socket.and_then(|socket| self.peer(socket, request.headers())),
        }
    }

    /// The address of the client, as far as it is known.
    ///
    /// Security invariant: each proxy adds its peer at the right end of `X-Forwarded-For`, so what
    /// stands left of the first hop that is not ours may be invented and is never looked at. A hop
    /// that cannot be read leaves the peer unknown.
    fn peer(&self, socket: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut peer = socket.to_canonical();
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        // A line that is no text becomes a hop that cannot be read.
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        while self.trusts(peer) {
            match hops.next() {
                Some(hop) => peer = address_in(hop.trim())?,
                None => break,
            }
        }
        Some(peer)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Reads an address as proxies write it: alone, or with its port.
fn address_in(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn peer(socket: &str, lines: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| Network::parse(network).unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let peer = TrustedProxies::of(&trusted).peer(socket.parse().unwrap(), &headers);
        peer.map(|peer| peer.to_string())
    }

    #[test]
    fn a_stranger_is_not_believed_whatever_he_says() {
        assert_eq!(peer("203.0.113.9", &[]).as_deref(), Some("203.0.113.9"));
        assert_eq!(peer("203.0.113.9", &["198.51.100.7"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(peer("203.0.113.9", &["rubbish"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(peer("::ffff:203.0.113.9", &["1.1.1.1"]).as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn a_hop_that_the_client_invented_is_not_reached() {
        for lines in [
            &["192.0.2.1, 198.51.100.7"][..],
            &["10.1.1.1, 198.51.100.7"],
            &["192.0.2.1", "198.51.100.7"],
            &["rubbish, 198.51.100.7, 10.2.2.2"],
            &["192.0.2.1", "198.51.100.7,10.2.2.2", "10.3.3.3"],
        ] {
            assert_eq!(peer("10.0.0.1", lines).as_deref(), Some("198.51.100.7"), "{lines:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (hop, read) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(peer("10.0.0.1", &[hop]).as_deref(), Some(read), "{hop}");
            assert_eq!(peer("fd00::1", &[hop]).as_deref(), Some(read), "{hop}");
        }
    }

    #[test]
    fn a_hop_that_cannot_be_read_leaves_the_peer_unknown() {
        for hop in ["unknown", "", "198.51.100.7 ,", "999.1.1.1", "_hidden", "caf\u{e9}"] {
            assert_eq!(peer("10.0.0.1", &[hop]), None, "{hop:?}");
        }
    }

    #[test]
    fn a_request_of_the_proxy_itself_is_the_proxys() {
        assert_eq!(peer("10.0.0.1", &[]).as_deref(), Some("10.0.0.1"));
        assert_eq!(peer("10.0.0.1", &["10.0.0.2, 10.0.0.3"]).as_deref(), Some("10.0.0.2"));
    }
}
