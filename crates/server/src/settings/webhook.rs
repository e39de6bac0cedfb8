//! Section `[webhook]`: whom deliveries may reach.

use lingpai_model::network::Network;

use super::reader::Reader;

/// Whom deliveries may reach.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// What they may reach beside public addresses, on any port.
    pub allow_private: Vec<Network>,
    /// The ports of public addresses that they may reach.
    pub ports: Vec<u16>,
}

impl Webhook {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let allow_private = reader.networks("webhook.allow_private");
        let ports = reader.parsed("webhook.ports", "ports such as 443, 8443", |text| {
            let ports: Option<Vec<u16>> =
                text.split(',').map(|port| port.trim().parse().ok()).collect();
            ports.filter(|ports| !ports.contains(&0))
        });
        Some(Self { allow_private: allow_private?, ports: ports? })
    }
}
