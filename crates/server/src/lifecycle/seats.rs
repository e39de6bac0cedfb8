//! How many connections there may be, in total and from one peer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The seats of one listener.
#[derive(Debug)]
pub(super) struct Seats {
    total: usize,
    per_peer: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    House,
    /// This peer holds as many as one may.
    Peer,
}

impl Full {
    /// One word for logs and metric labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::House => "total",
            Self::Peer => "peer",
        }
    }
}

impl Seats {
    /// `total` seats, of which one peer may hold `per_peer`.
    pub(super) fn new(total: usize, per_peer: Option<usize>) -> Arc<Self> {
        Arc::new(Self { total, per_peer, taken: Mutex::default() })
    }

    /// Takes a seat for `peer`; it is free again when the seat is dropped.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Seat, Full> {
        let peer = who(peer);
        let mut taken = self.taken();
        if taken.total >= self.total {
            return Err(Full::House);
        }
        let held = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if self.per_peer.is_some_and(|limit| held >= limit) {
            return Err(Full::Peer);
        }
        taken.total += 1;
        taken.by_peer.insert(peer, held + 1);
        Ok(Seat { seats: Arc::clone(self), peer })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom an address stands for: whoever has one address of IPv6 has its whole /64.
fn who(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// One seat.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    peer: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.total -= 1;
        if let Some(held) = taken.by_peer.get_mut(&self.peer) {
            *held -= 1;
            if *held == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_seat_is_free_again_when_it_is_left() {
        let seats = Seats::new(1, None);
        let seat = seats.take(ip("10.0.0.1")).expect("the first");
        assert_eq!(seats.take(ip("10.0.0.2")).err(), Some(Full::House));
        drop(seat);
        assert!(seats.take(ip("10.0.0.2")).is_ok());
        assert!(seats.taken().by_peer.is_empty(), "peers that left are forgotten");
    }

    #[test]
    fn one_peer_cannot_take_all_seats_with_its_many_addresses() {
        let seats = Seats::new(10, Some(1));
        let _seat = seats.take(ip("2001:db8::1")).expect("the first");
        assert_eq!(seats.take(ip("2001:db8::ffff:2")).err(), Some(Full::Peer));
        let _other = seats.take(ip("2001:db8:0:1::1")).expect("another network");
        let _mapped = seats.take(ip("::ffff:10.0.0.1")).expect("another peer");
        assert_eq!(seats.take(ip("10.0.0.1")).err(), Some(Full::Peer));
    }
}
