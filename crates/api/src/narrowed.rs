//! Which events are asked for, read at the door of both APIs.

use lingpai_model::{Appid, Instant, event::EventPattern};
use lingpai_webhook::EventQuery;

use crate::{
    parameter::{instant, parsed},
    problem::Result,
};

/// What events are narrowed by, as it is sent in.
#[derive(Debug, Default)]
pub(crate) struct Narrowed<'a> {
    pub(crate) event_type: Option<&'a str>,
    pub(crate) authorizer_appid: Option<&'a str>,
    pub(crate) openid: Option<&'a str>,
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

impl Narrowed<'_> {
    /// The same in words of the services.
    ///
    /// # Errors
    /// A problem `invalid_field` that names the field or parameter.
    pub(crate) fn query(&self) -> Result<EventQuery> {
        let event_type = self.event_type.map(|text| parsed("type", text, EventPattern::parse));
        let appid =
            self.authorizer_appid.map(|text| parsed("authorizer_appid", text, Appid::parse));
        Ok(EventQuery {
            event_type: event_type.transpose()?,
            authorizer_appid: appid.transpose()?,
            openid: self.openid.map(str::to_owned),
            from: instant("from", self.from)?,
            until: instant("to", self.to)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn what_narrows_is_read_at_the_door() {
        let query = Narrowed {
            event_type: Some("message.*"),
            authorizer_appid: Some("wx1"),
            openid: Some("o1"),
            from: Some(example::instant()),
            to: None,
        };
        let query = query.query().unwrap();
        assert_eq!(query.event_type, EventPattern::parse("message.*").ok());
        assert_eq!(query.authorizer_appid, Appid::parse("wx1").ok());
        assert_eq!((query.openid.as_deref(), query.from), (Some("o1"), Some(example::instant())));
        let none = Narrowed::default().query().unwrap();
        assert!(none.event_type.is_none() && none.openid.is_none() && none.until.is_none());
        for (field, narrowed) in [
            ("type", Narrowed { event_type: Some("message*"), ..Narrowed::default() }),
            ("authorizer_appid", Narrowed { authorizer_appid: Some("a/b"), ..Narrowed::default() }),
            ("from", Narrowed { from: Some(Instant::MIN_UTC), ..Narrowed::default() }),
            ("to", Narrowed { to: Some(Instant::MAX_UTC), ..Narrowed::default() }),
        ] {
            assert_eq!(narrowed.query().unwrap_err().field(), Some(field));
        }
    }
}
