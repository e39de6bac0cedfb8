//! Tickets of the JS-SDK: one of each kind for each account, the same one while it lives.
//!
//! Source: WeChat docs, "JS-SDK" (JS-SDK说明文档), appendix 1 (`jsapi_ticket`) and 4 (`api_ticket` of
//! cards and coupons).

use std::collections::HashMap;

use crate::config::Switches;
use crate::state::tokens::Life;
use crate::state::{AccessToken, Platform, mint};

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TicketKind {
    /// Signs pages.
    Jsapi,
    /// Signs cards and coupons.
    WxCard,
}

/// The tickets that were issued last.
#[derive(Default)]
pub(crate) struct JssdkTickets(HashMap<(String, TicketKind), Ticket>);

struct Ticket {
    value: String,
    expires_at: i64,
}

impl TicketKind {
    /// The kind with this `type`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "jsapi" => Some(Self::Jsapi),
            "wx_card" => Some(Self::WxCard),
            _ => None,
        }
    }
}

impl JssdkTickets {
    /// Ends both tickets of an account.
    pub(super) fn kill(&mut self, appid: &str) {
        self.0.retain(|(owner, _), _| owner != appid);
    }
}

impl Switches {
    /// How long tickets live that are issued now.
    pub(crate) fn ticket_life(&self) -> Life {
        Life::of_secs(self.ticket_life_secs)
    }
}

impl Platform {
    /// The ticket that lives, else a new one.
    pub(crate) fn jssdk_ticket(
        &mut self,
        appid: &str,
        kind: TicketKind,
        life: Life,
        now: i64,
    ) -> AccessToken {
        let key = (appid.to_owned(), kind);
        // One that has less than a second left could not be told with its rest.
        let living = self.jssdk_tickets.0.get(&key).filter(|one| one.expires_at - now >= 1000);
        if let Some(Ticket { value, expires_at }) = living {
            let expires_in_secs = (expires_at - now) / 1000;
            return AccessToken { value: value.clone(), expires_in_secs };
        }
        let value = mint::jssdk_ticket();
        let ticket = Ticket { value: value.clone(), expires_at: now + life.ms() };
        self.jssdk_tickets.0.insert(key, ticket);
        AccessToken { value, expires_in_secs: life.secs() }
    }

    /// The ticket of an account that works.
    pub(crate) fn ticket_of(&self, appid: &str, kind: TicketKind, now: i64) -> Option<String> {
        let ticket = self.jssdk_tickets.0.get(&(appid.to_owned(), kind))?;
        (now < ticket.expires_at).then(|| ticket.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmulatorConfig;
    use crate::state::Kill;

    const SHOP: &str = "wxa0b1c2d3e4f50617";
    const HOURS: i64 = 7_200_000;

    #[test]
    fn a_ticket_is_the_same_while_it_lives_and_new_afterwards() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let life = Life::of_secs(7200);
        let mut ask = |kind, now| platform.jssdk_ticket(SHOP, kind, life, now);
        let first = ask(TicketKind::Jsapi, 0);
        let again = ask(TicketKind::Jsapi, HOURS - 1000);
        assert_eq!((&again.value, again.expires_in_secs), (&first.value, 1));
        assert_ne!(ask(TicketKind::WxCard, 0).value, first.value);
        let next = ask(TicketKind::Jsapi, HOURS - 999);
        assert_eq!(next.expires_in_secs, 7200);
        assert_ne!(next.value, first.value);
    }

    #[test]
    fn an_ended_or_killed_ticket_does_not_count() {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        platform.jssdk_ticket(SHOP, TicketKind::Jsapi, Life::of_secs(7200), 0);
        assert!(platform.ticket_of(SHOP, TicketKind::Jsapi, HOURS - 1).is_some());
        assert!(platform.ticket_of(SHOP, TicketKind::Jsapi, HOURS).is_none());
        assert!(platform.ticket_of(SHOP, TicketKind::WxCard, 0).is_none());
        platform.kill(&Kill::JssdkTickets { appid: SHOP.to_owned() }, 0);
        assert!(platform.ticket_of(SHOP, TicketKind::Jsapi, 0).is_none());
    }
}
