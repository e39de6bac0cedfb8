//! The tickets of QR codes.

use std::collections::VecDeque;

use crate::state::{Platform, mint};

/// How many are remembered; the oldest goes first.
const TICKETS_KEPT: usize = 1000;

/// The tickets whose pictures can be seen.
#[derive(Default)]
pub(crate) struct QrTickets(VecDeque<String>);

impl Platform {
    /// A new ticket.
    pub(crate) fn new_qr_ticket(&mut self) -> String {
        let QrTickets(tickets) = &mut self.qr_tickets;
        if tickets.len() == TICKETS_KEPT {
            tickets.pop_front();
        }
        let ticket = mint::qr_ticket();
        tickets.push_back(ticket.clone());
        ticket
    }

    /// Whether there is a picture for this ticket.
    pub(crate) fn has_qr_ticket(&self, ticket: &str) -> bool {
        self.qr_tickets.0.iter().any(|known| known == ticket)
    }
}
