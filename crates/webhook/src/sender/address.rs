//! Which addresses are public, and what the others are.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What an address is that is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// No address: `0.0.0.0/8`, `::`. Systems take it for themselves.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// Of a private network.
    Private,
    /// Of a provider's inner network (CGNAT).
    SharedSpace,
    /// Of the link that the machine is on; clouds tell their machines' secrets there.
    LinkLocal,
    /// Of a private network, in IPv6.
    UniqueLocal,
    /// Of many at once.
    Multicast,
    /// For examples in documents.
    Documentation,
    /// For measurements in laboratories.
    Benchmarking,
    /// An IPv4 address written as an IPv6 one.
    Mapped,
    /// An IPv4 address behind a translator.
    Nat64,
    /// An IPv4 address behind a tunnel of the kind 6to4, or such a tunnel's relay.
    SixToFour,
    /// An IPv4 address behind a tunnel of the kind Teredo.
    Teredo,
    /// Of no use that anybody could be reached by, or of none yet.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "an address of a private network",
            Self::SharedSpace => "an address of a provider's inner network",
            Self::LinkLocal => "a link-local address",
            Self::UniqueLocal => "a unique-local address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarking",
            Self::Mapped => "an IPv4 address written as an IPv6 one",
            Self::Nat64 => "an IPv4 address behind NAT64",
            Self::SixToFour => "an IPv4 address behind 6to4",
            Self::Teredo => "an IPv4 address behind Teredo",
            Self::Reserved => "a reserved address",
        })
    }
}

/// What is not public in IPv4: a network, the length of its prefix, what it is. The first that fits.
///
/// Source: IANA, "IPv4 Special-Purpose Address Registry" (RFC 6890) and "IPv4 Multicast Address Space
/// Registry", read 2026-11-20. The few addresses in there that are reachable from everywhere
/// (192.0.0.9, 192.0.0.10, AS112, AMT) are nobody's web server.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u32, AddressClass)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressClass::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressClass::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressClass::SharedSpace),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressClass::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressClass::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressClass::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressClass::Documentation),
    (Ipv4Addr::new(192, 31, 196, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 52, 193, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressClass::SixToFour),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressClass::Private),
    (Ipv4Addr::new(192, 175, 48, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressClass::Benchmarking),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressClass::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressClass::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressClass::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressClass::Reserved),
];

/// What is not public in IPv6. The first that fits; what is not within [`GLOBAL_UNICAST`] is reserved
/// besides.
///
/// Source: IANA, "IPv6 Special-Purpose Address Registry" (RFC 6890) and "IPv6 Address Space", read
/// 2026-11-20; site-local by RFC 3879, ORCHID by RFC 4843 and 7343.
const NOT_PUBLIC_V6: &[(Ipv6Addr, u32, AddressClass)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, AddressClass::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressClass::Loopback),
    // ::a.b.c.d, given up by RFC 4291, and ::ffff:a.b.c.d, and ::ffff:0:a.b.c.d of RFC 2765.
    (Ipv6Addr::UNSPECIFIED, 96, AddressClass::Mapped),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, AddressClass::Mapped),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, AddressClass::Mapped),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, AddressClass::Nat64),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, AddressClass::Nat64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, AddressClass::Teredo),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, AddressClass::Benchmarking),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressClass::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, AddressClass::Documentation),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressClass::SixToFour),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, AddressClass::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressClass::Documentation),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressClass::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressClass::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressClass::Multicast),
];

/// The only part of IPv6 from which addresses are given to hosts on the Internet: `2000::/3`.
///
/// Source: IANA, "IPv6 Address Space", read 2026-11-20.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What `address` is if it is not public; `None` for a public one.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<AddressClass> {
    match address {
        IpAddr::V4(address) => NOT_PUBLIC_V4
            .iter()
            .find(|(network, prefix, _)| shares_v4(address, *network, *prefix))
            .map(|(_, _, class)| *class),
        IpAddr::V6(address) => NOT_PUBLIC_V6
            .iter()
            .find(|(network, prefix, _)| shares_v6(address, *network, *prefix))
            .map(|(_, _, class)| *class)
            .or_else(|| {
                let (network, prefix) = GLOBAL_UNICAST;
                (!shares_v6(address, network, prefix)).then_some(AddressClass::Reserved)
            }),
    }
}

/// Whether both addresses begin with the same `prefix` bits, of which there is at least one.
fn shares_v4(address: Ipv4Addr, network: Ipv4Addr, prefix: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (Ipv4Addr::BITS - prefix) == 0
}

fn shares_v6(address: Ipv6Addr, network: Ipv6Addr, prefix: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (Ipv6Addr::BITS - prefix) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Option<AddressClass> {
        not_public(text.parse().expect("an address"))
    }

    #[test]
    fn the_edges_of_every_network_belong_to_it() {
        for (network, prefix, expected) in NOT_PUBLIC_V4 {
            let last = Ipv4Addr::from_bits(network.to_bits() | u32::MAX.unbounded_shr(*prefix));
            for address in [*network, last] {
                assert_eq!(not_public(address.into()), Some(*expected), "{address}");
            }
        }
        for (network, prefix, _) in NOT_PUBLIC_V6 {
            let last = Ipv6Addr::from_bits(network.to_bits() | u128::MAX.unbounded_shr(*prefix));
            for address in [*network, last] {
                assert!(not_public(address.into()).is_some(), "{address}");
            }
        }
    }

    #[test]
    fn what_lies_beside_a_network_is_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2400:3200::1",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert_eq!(class(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_global_unicast_is_reserved() {
        for text in ["100::1", "1fff::1", "4000::1", "5f00::1", "fec0::1", "fbff::1"] {
            assert_eq!(class(text), Some(AddressClass::Reserved), "{text}");
        }
    }
}
