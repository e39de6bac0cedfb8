//! An event: something that happened, in our words. Written in the transaction of its cause.

use std::{borrow::Cow, fmt};

use crate::{
    Appid, Instant, Secret,
    id::{EventId, TenantId},
};

/// The most bytes an event type has.
pub const MAX_EVENT_TYPE_BYTES: usize = 64;

/// One event in a tenant's stream, or in the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose stream it is in; the operator's if nobody's.
    pub tenant_id: Option<TenantId>,
    /// The component it is about, or the one that the authorizer granted to.
    pub component_appid: Option<Appid>,
    /// The authorizer it is about, if it is about one.
    pub authorizer_appid: Option<Appid>,
    /// What happened.
    pub event_type: EventType,
    /// The fan who caused it, if a fan did.
    pub openid: Option<String>,
    /// When it happened, by the clock of whoever caused it.
    pub occurred_at: Instant,
    /// When we learnt of it.
    pub received_at: Instant,
    /// What there is to say.
    pub content: EventContent,
}

/// What an event has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventContent {
    /// Of our own: a few words about it, if there is more to say than the type; never a secret.
    Ours(Option<serde_json::Value>),
    /// What WeChat pushed, decrypted, byte for byte: XML, or JSON where the account chose that.
    Pushed(Secret<Vec<u8>>),
}

impl EventContent {
    /// Whether WeChat pushed it.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        matches!(self, Self::Pushed(_))
    }
}

/// Something of our own that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An account granted rights for the first time, or again after it had withdrawn them.
    Authorized,
    /// An account changed what it grants.
    Updated,
    /// An account withdrew its grant.
    Unauthorized,
    /// WeChat no longer takes an account's refresh token, and none could be recovered.
    NeedsReauthorization,
    /// WeChat refused a call for an account because its quota is used up.
    QuotaWarning,
    /// WeChat has stopped pushing tickets to a component.
    TicketLate,
    /// An endpoint failed for so long that nothing is sent to it any more.
    EndpointDisabled,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Authorized,
        Self::Updated,
        Self::Unauthorized,
        Self::NeedsReauthorization,
        Self::QuotaWarning,
        Self::TicketLate,
        Self::EndpointDisabled,
    ];

    /// The event type as tenants read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorizer.authorized",
            Self::Updated => "authorizer.updated",
            Self::Unauthorized => "authorizer.unauthorized",
            Self::NeedsReauthorization => "authorizer.needs_reauthorization",
            Self::QuotaWarning => "authorizer.quota_warning",
            Self::TicketLate => "component.ticket_late",
            Self::EndpointDisabled => "endpoint.disabled",
        }
    }
}

/// What happened, as tenants read it: dotted lower case, at most [`MAX_EVENT_TYPE_BYTES`].
///
/// WeChat's messages are `message.` and its `MsgType`, its events `event.` and its `Event`, both in
/// lower case, since WeChat's letter case is inconsistent. What cannot stand in a type becomes `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Cow<'static, str>);

/// The text is no event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event type is lower-case words joined by dots, as in message.text")]
pub struct InvalidEventType;

impl EventType {
    /// The type of a message with this `MsgType`.
    #[must_use]
    pub fn of_message(msg_type: &str) -> Self {
        Self::joined("message.", msg_type)
    }

    /// The type of an event of WeChat's with this `Event`.
    #[must_use]
    pub fn of_event(event: &str) -> Self {
        Self::joined("event.", event)
    }

    /// Reads a type.
    ///
    /// # Errors
    /// [`InvalidEventType`].
    pub fn parse(text: &str) -> Result<Self, InvalidEventType> {
        if is_type(text) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(InvalidEventType) }
    }

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn joined(prefix: &'static str, name: &str) -> Self {
        let mut text = prefix.to_owned();
        let fitting = |c: char| if is_letter(c) { c } else { '_' };
        let room = MAX_EVENT_TYPE_BYTES - prefix.len();
        text.extend(name.chars().map(|c| fitting(c.to_ascii_lowercase())).take(room));
        if text.len() == prefix.len() {
            text.push('_');
        }
        Self(Cow::Owned(text))
    }
}

impl From<EventKind> for EventType {
    fn from(kind: EventKind) -> Self {
        Self(Cow::Borrowed(kind.as_str()))
    }
}

impl PartialEq<EventKind> for EventType {
    fn eq(&self, kind: &EventKind) -> bool {
        self.as_str() == kind.as_str()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which event types are meant: one (`message.text`), all of one family (`message.*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(String);

impl EventPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidEventType`] for anything but a type, a type's beginning up to a dot with `*` behind
    /// it, or `*` alone.
    pub fn parse(text: &str) -> Result<Self, InvalidEventType> {
        let family = text.strip_suffix(".*").is_some_and(is_type);
        if text == "*" || family || is_type(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEventType)
        }
    }

    /// Whether `event_type` is meant.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => event_type.as_str().starts_with(beginning),
            None => event_type.as_str() == self.0,
        }
    }

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which events somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these authorizers only; of all, and of what is about none, if empty.
    pub authorizers: Vec<Appid>,
    /// Of these types only; of all if empty.
    pub event_types: Vec<EventPattern>,
}

impl EventFilter {
    /// Whether an event of this type about this authorizer is wanted.
    #[must_use]
    pub fn matches(&self, event_type: &EventType, authorizer: Option<&Appid>) -> bool {
        let of_account = self.authorizers.is_empty()
            || authorizer.is_some_and(|appid| self.authorizers.contains(appid));
        let of_type = self.event_types.is_empty()
            || self.event_types.iter().any(|pattern| pattern.matches(event_type));
        of_account && of_type
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
}

fn is_type(text: &str) -> bool {
    text.len() <= MAX_EVENT_TYPE_BYTES
        && text.split('.').all(|word| !word.is_empty() && word.chars().all(is_letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_names_become_types() {
        assert_eq!(EventType::of_message("text").as_str(), "message.text");
        assert_eq!(EventType::of_event("SCAN").as_str(), "event.scan");
        assert_eq!(EventType::of_event("weird name.é").as_str(), "event.weird_name__");
        assert_eq!(EventType::of_event("").as_str(), "event._");
        let longest = EventType::of_event(&"x".repeat(1000));
        assert_eq!(longest.as_str().len(), MAX_EVENT_TYPE_BYTES);
        for kind in EventKind::ALL {
            assert_eq!(EventType::parse(kind.as_str()), Ok(kind.into()));
        }
    }

    #[test]
    fn a_type_reads_back_and_nothing_else_does() {
        for made in [EventType::of_message("text"), EventType::of_event("a b")] {
            assert_eq!(EventType::parse(made.as_str()), Ok(made));
        }
        for wrong in ["", ".", "message.", ".text", "message..text", "Message.text", "a b", "*"] {
            assert_eq!(EventType::parse(wrong), Err(InvalidEventType), "{wrong}");
        }
    }

    #[test]
    fn patterns_mean_one_a_family_or_all() {
        let text = EventType::of_message("text");
        for (pattern, expected) in [
            ("*", true),
            ("message.*", true),
            ("message.text", true),
            ("message.tex", false),
            ("event.*", false),
        ] {
            assert_eq!(EventPattern::parse(pattern).unwrap().matches(&text), expected, "{pattern}");
        }
        for wrong in ["", "message*", "*.text", "message.*.x", "**", "message.**"] {
            assert!(EventPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_by_account_leaves_out_what_is_about_none() {
        let appid = Appid::parse("wx0000000000000001").unwrap();
        let other = Appid::parse("wx0000000000000002").unwrap();
        let late = EventType::from(EventKind::TicketLate);
        let filter = EventFilter { authorizers: vec![appid.clone()], ..EventFilter::default() };
        assert!(filter.matches(&late, Some(&appid)));
        assert!(!filter.matches(&late, Some(&other)));
        assert!(!filter.matches(&late, None));
        assert!(EventFilter::default().matches(&late, None));
    }
}
