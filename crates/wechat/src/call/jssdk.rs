//! The tickets with which an account's pages and cards are signed for the JS-SDK.

use std::time::Duration;

use serde::Deserialize;

use super::{Answer, AnswerError, Call, field, lifetime, needed_token, parse};
use crate::secret::Secret;

/// Gets a ticket. GET, everything in the query.
///
/// Source: WeChat docs, "Get sdk temporary ticket" (getTicket): kept by the caller for `expires_in`,
/// since the number of calls is strictly limited.
pub const GET_JSSDK_TICKET: Call =
    Call { name: "ticket/getticket", path: "/cgi-bin/ticket/getticket" };

/// What a ticket signs. Each kind has a ticket of its own.
///
/// Source: WeChat docs, "Get sdk temporary ticket" (getTicket), parameter `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JssdkTicketKind {
    /// Pages (`jsapi_ticket`).
    Jsapi,
    /// Cards and coupons (卡券, `api_ticket`).
    WxCard,
}

impl JssdkTicketKind {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Jsapi, Self::WxCard];

    /// As WeChat writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsapi => "jsapi",
            Self::WxCard => "wx_card",
        }
    }
}

/// Answer of [`GET_JSSDK_TICKET`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JssdkTicket {
    /// The ticket.
    pub value: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

impl Answer for JssdkTicket {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            ticket: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            expires_in: Option<i64>,
        }
        let wire: Wire = parse(json)?;
        Ok(Self { value: needed_token(wire.ticket)?, expires_in: lifetime(wire.expires_in)? })
    }
}
