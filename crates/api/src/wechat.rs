//! What WeChat and the browsers of administrators and fans reach. Plain handlers: these routes stand
//! in the guide, not in the documents of the two APIs.

mod account_events;
mod authorization_head;
mod authorization_return;
mod authorization_start;
mod authorizer_events;
mod browser;
mod component_events;
mod events;
mod fan_notice;
mod fan_pages;
mod html;
mod language;
mod logo;
mod outcome;
mod pages;
mod raw_query;
mod return_cookie;
mod rights;
mod web_authorization_query;

pub(crate) use account_events::AccountEvents;
pub(crate) use authorizer_events::AuthorizerEvents;
pub(crate) use component_events::ComponentEvents;
pub(crate) use events::PUSH_SEAT_BYTES;
pub(crate) use fan_pages::{FanPages, FanReturn};
pub(crate) use pages::AuthorizationPages;
pub(crate) use return_cookie::FAN_RETURN_PATH;
