//! Which addresses may be reached on a port.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use super::{SenderPolicy, address::not_public, destination::Refusal};

/// Which addresses may be reached on the ports of one kind.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    policy: Arc<SenderPolicy>,
    pub(super) ports: Ports,
}

/// Ports, by what may be reached on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    /// Those on which public addresses may be reached.
    Listed,
    /// All others: what is allowed beside public addresses may be reached on them.
    Unlisted,
    /// One on which we listen ourselves.
    Own(u16),
}

impl Ports {
    /// Every kind that there is under `policy`.
    pub(super) fn all(policy: &SenderPolicy) -> Vec<Self> {
        let mut own: Vec<u16> = policy.own_listeners.iter().map(SocketAddr::port).collect();
        own.sort_unstable();
        own.dedup();
        [Self::Listed, Self::Unlisted].into_iter().chain(own.into_iter().map(Self::Own)).collect()
    }

    pub(super) fn of(policy: &SenderPolicy, port: u16) -> Self {
        if policy.own_listeners.iter().any(|listener| listener.port() == port) {
            Self::Own(port)
        } else if policy.ports.contains(&port) {
            Self::Listed
        } else {
            Self::Unlisted
        }
    }
}

impl Reach {
    pub(super) fn new(policy: Arc<SenderPolicy>, ports: Ports) -> Self {
        Self { policy, ports }
    }

    /// Judges one address.
    ///
    /// # Errors
    /// [`Refusal::OwnListener`], [`Refusal::NotPublic`], [`Refusal::Port`].
    pub(super) fn judge(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.is_own(address) {
            return Err(Refusal::OwnListener);
        }
        if self.is_allowed(address) {
            return Ok(());
        }
        if let Some(class) = not_public(address) {
            return Err(Refusal::NotPublic(class));
        }
        let is_listed = match self.ports {
            Ports::Listed => true,
            Ports::Unlisted => false,
            Ports::Own(port) => self.policy.ports.contains(&port),
        };
        if is_listed { Ok(()) } else { Err(Refusal::Port) }
    }

    /// Whether the operator allows it whatever it is. An IPv4 address that is written as an IPv6 one
    /// never counts as what it stands for: who writes so wants to pass by a list.
    fn is_allowed(&self, address: IpAddr) -> bool {
        let is_plain = address.to_canonical() == address;
        is_plain && self.policy.allow_private.iter().any(|network| network.contains(address))
    }

    fn is_own(&self, address: IpAddr) -> bool {
        let Ports::Own(port) = self.ports else { return false };
        let address = address.to_canonical();
        self.policy.own_listeners.iter().filter(|listener| listener.port() == port).any(
            |listener| {
                let ip = listener.ip().to_canonical();
                ip == address || ip.is_unspecified() && is_of_this_machine(address)
            },
        )
    }
}

/// Whether the address is one of this machine's: only those can be bound to. What a translator in
/// front of the machine makes of it cannot be seen from here.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}
