//! What a tenant can change of an endpoint.

use lingpai_model::{
    Appid, Instant, Secret,
    endpoint::{Endpoint, EndpointHealth, EndpointKind, EndpointState, Mode, Role, WechatHandler},
    event::EventPattern,
};
use lingpai_wechat::crypt::EncodingAesKey;

use crate::{Error, Result};

/// How many characters a token has.
///
/// Source: WeChat docs, "Access guide" (接入指南): letters and digits, 3 to 32 of them.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 3..=32;

/// What is to be changed of an endpoint; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// What it is called.
    pub name: Option<String>,
    /// Where events are posted.
    pub url: Option<String>,
    /// Of which authorizers it gets events; empty means of all.
    pub authorizers: Option<Vec<Appid>>,
    /// Of which types it gets events; empty means of all.
    pub event_types: Option<Vec<EventPattern>>,
    /// How a handler of WeChat's pushes is spoken to.
    pub handler: HandlerChange,
    /// Whether anything is sent to it.
    pub wanted: Option<Wanted>,
}

/// What is to be changed of how a handler is spoken to; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandlerChange {
    /// Its token.
    pub push_token: Option<Secret<String>>,
    /// Its `EncodingAESKey`.
    pub encoding_aes_key: Option<Secret<String>>,
    /// How much is encrypted.
    pub mode: Option<Mode>,
    /// What its answers are worth.
    pub role: Option<Role>,
}

/// Whether a tenant wants anything to be sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Events are to be sent.
    Active,
    /// Events are to wait.
    Paused,
}

impl EndpointChange {
    /// The endpoint as it is after the change, at `now`.
    pub(super) fn apply(self, endpoint: Endpoint, now: Instant) -> Result<Endpoint> {
        let mut changed = endpoint;
        if let Some(name) = self.name {
            changed.name = name;
        }
        if let Some(url) = self.url {
            changed.url = url;
        }
        if let Some(authorizers) = self.authorizers {
            changed.filter.authorizers = authorizers;
        }
        if let Some(event_types) = self.event_types {
            changed.filter.event_types = event_types;
        }
        if let Some(field) = self.handler.first_field() {
            match &mut changed.kind {
                EndpointKind::Wechat(handler) => self.handler.apply(handler),
                EndpointKind::Webhook(_) => {
                    return Err(Error::WrongKind { id: changed.id, field });
                }
            }
        }
        if let Some(wanted) = self.wanted {
            wanted.apply(&mut changed, now)?;
        }
        changed.updated_at = now;
        Ok(changed)
    }
}

impl HandlerChange {
    /// One of what is to be changed, as tenants name it; `None` if nothing is.
    fn first_field(&self) -> Option<&'static str> {
        let Self { push_token, encoding_aes_key, mode, role } = self;
        let given = [
            (push_token.is_some(), "token"),
            (encoding_aes_key.is_some(), "encoding_aes_key"),
            (mode.is_some(), "mode"),
            (role.is_some(), "replying"),
        ];
        given.into_iter().find_map(|(is_given, field)| is_given.then_some(field))
    }

    fn apply(self, handler: &mut WechatHandler) {
        if let Some(push_token) = self.push_token {
            handler.push_token = push_token;
        }
        if let Some(key) = self.encoding_aes_key {
            handler.encoding_aes_key = key;
        }
        if let Some(mode) = self.mode {
            handler.mode = mode;
        }
        if let Some(role) = self.role {
            handler.role = role;
        }
    }
}

impl Wanted {
    fn apply(self, endpoint: &mut Endpoint, now: Instant) -> Result<()> {
        match (self, &endpoint.state) {
            (Self::Active, EndpointState::Active)
            | (Self::Paused, EndpointState::Paused { .. }) => {}
            (Self::Active, EndpointState::Paused { .. } | EndpointState::Disabled { .. }) => {
                endpoint.state = EndpointState::Active;
                // Whoever says that it is to be sent to has mended it.
                endpoint.health = EndpointHealth {
                    failures_in_row: 0,
                    failing_since: None,
                    blocked_until: None,
                    ..endpoint.health.clone()
                };
            }
            (Self::Paused, EndpointState::Active) => {
                endpoint.state = EndpointState::Paused { since: now };
            }
            (Self::Paused, EndpointState::Disabled { .. }) => {
                return Err(Error::EndpointNotActive { id: endpoint.id.clone() });
            }
        }
        Ok(())
    }
}

/// Refuses secrets that could never work.
pub(super) fn check_handler(handler: &WechatHandler) -> Result<()> {
    let token = handler.push_token.expose();
    let is_token =
        TOKEN_CHARS.contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_token {
        return Err(Error::BadToken);
    }
    EncodingAesKey::parse(handler.encoding_aes_key.expose())
        .map(drop)
        .map_err(Error::BadEncodingAesKey)
}
