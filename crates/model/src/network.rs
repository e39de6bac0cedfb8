//! Networks: from which addresses a key may be used.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

/// The addresses that share a prefix; a single address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or an address and a prefix length as in `192.0.2.0/24`")]
pub struct InvalidNetwork;

/// How many bits of an IPv6 address stand before the IPv4 address that it maps.
///
/// Source: RFC 4291, section 2.5.5.2, read 2026-11-20.
const MAPPED_PREFIX: u8 = 96;

impl Network {
    /// Reads an address, or an address and a prefix length. Bits behind the prefix are dropped.
    ///
    /// # Errors
    /// [`InvalidNetwork`] when the text is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| InvalidNetwork)?,
        };
        Ok(Self(unmapped(network).trunc()))
    }

    /// Whether `address` is within. An IPv4 address that is written as an IPv6 one counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// A network of IPv4 addresses that are written as IPv6 ones is one of IPv4.
fn unmapped(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else { return network };
    let Some(prefix) = network.prefix_len().checked_sub(MAPPED_PREFIX) else { return network };
    Ipv4Net::new(address, prefix).map_or(network, IpNet::V4)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).expect("a network")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        let private = network("10.1.2.3/8");
        assert_eq!(private.to_string(), "10.0.0.0/8");
        assert!(private.contains(ip("10.255.0.1")));
        assert!(!private.contains(ip("11.0.0.1")));
        assert!(!private.contains(ip("2001:db8::1")));
        assert!(network("2001:db8::/32").contains(ip("2001:db8:1::1")));
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")));
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        assert_eq!(network("192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::1").to_string(), "2001:db8::1/128");
        assert!(!network("192.0.2.7").contains(ip("192.0.2.8")));
    }

    #[test]
    fn a_mapped_address_counts_as_what_it_maps() {
        assert!(network("192.0.2.0/24").contains(ip("::ffff:192.0.2.9")));
        assert!(network("::ffff:192.0.2.0/120").contains(ip("192.0.2.9")));
        assert_eq!(network("::ffff:192.0.2.7").to_string(), "192.0.2.7/32");
        assert!(
            !network("::/0").contains(ip("::ffff:192.0.2.9")),
            "IPv4 is not within all of IPv6"
        );
        assert_eq!(network("::ffff:0.0.0.0/8").to_string(), "::/8");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "::/129", "*", "10.0.0.0/8 ", "a.b"]
        {
            assert_eq!(Network::parse(text), Err(InvalidNetwork), "{text:?}");
        }
    }
}
