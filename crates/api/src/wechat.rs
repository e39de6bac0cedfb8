//! What WeChat and the browsers of administrators reach. Plain handlers: these routes stand in the
//! guide, not in the documents of the two APIs.

mod account_events;
mod authorization_head;
mod authorization_return;
mod authorization_start;
mod authorizer_events;
mod browser;
mod component_events;
mod events;
mod html;
mod language;
mod logo;
mod outcome;
mod pages;
mod return_cookie;
mod rights;

pub(crate) use account_events::AccountEvents;
pub(crate) use authorizer_events::AuthorizerEvents;
pub(crate) use component_events::ComponentEvents;
pub(crate) use pages::AuthorizationPages;
