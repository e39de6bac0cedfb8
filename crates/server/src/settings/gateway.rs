//! Section `[gateway]`: the base URL for WeChat's SDKs.

use std::net::SocketAddr;

use lingpai_authorizer::Uncatalogued;

use super::reader::Reader;

/// The base URL for WeChat's SDKs.
#[derive(Debug, Clone, Copy)]
pub struct Gateway {
    /// A listener that serves it at its root; `None`: only under `/gateway`.
    pub listen: Option<SocketAddr>,
    /// What becomes of a path that the catalogue does not know.
    pub uncatalogued: Uncatalogued,
}

impl Gateway {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.optional_address("gateway.listen");
        let uncatalogued =
            reader.parsed("gateway.uncatalogued", "allow or deny", |text| match text {
                "allow" => Some(Uncatalogued::Allow),
                "deny" => Some(Uncatalogued::Deny),
                _ => None,
            });
        Some(Self { listen, uncatalogued: uncatalogued? })
    }
}
