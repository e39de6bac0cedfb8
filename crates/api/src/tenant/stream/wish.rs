//! What a stream is asked for: which events, from where on, for how long.

use std::time::Duration;

use lingpai_model::{
    Appid,
    event::{EventFilter, EventPattern},
    id::EventId,
};
use poem::{Request, http::HeaderName};
use url::form_urlencoded;

use crate::{
    parameter::parsed,
    problem::{Problem, Result},
};

/// Where who was cut off goes on. Source: HTML Standard, section 9.2.4, "The `Last-Event-ID` header".
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most types or accounts that are named.
const MOST: usize = 100;

/// The longest that a stream is asked to last.
pub(super) const MAX_SECS: u64 = 24 * 60 * 60;

/// What a stream is asked for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) filter: EventFilter,
    /// Whether who follows replies to messages.
    pub(super) is_replying: bool,
    /// The event behind which it begins; from now on if absent.
    pub(super) after: Option<EventId>,
    pub(super) lasting: Option<Duration>,
}

impl Wish {
    /// What `request` asks for.
    ///
    /// # Errors
    /// A problem `invalid_field` that names the parameter or the header.
    pub(super) fn of(request: &Request) -> Result<Self> {
        let mut wish = Self { after: last_event(request)?, ..Self::default() };
        let query = request.uri().query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            wish.read(&name, &value)?;
        }
        Ok(wish)
    }

    fn read(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "types" => self.filter.event_types = list("types", value, EventPattern::parse)?,
            "authorizers" => self.filter.authorizers = list("authorizers", value, Appid::parse)?,
            "replying" => {
                self.is_replying = value.parse().map_err(|_| {
                    Problem::invalid_field("replying", "this must be true or false")
                })?;
            }
            "for_secs" => self.lasting = Some(duration(value)?),
            // What is not asked for by us is nothing to us, as everywhere in queries.
            _ => {}
        }
        Ok(())
    }
}

fn last_event(request: &Request) -> Result<Option<EventId>> {
    let Some(header) = request.headers().get(LAST_EVENT_ID) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default();
    // A client that has seen no event yet may send the header empty.
    if text.is_empty() {
        return Ok(None);
    }
    parsed("Last-Event-ID", text, EventId::parse).map(Some)
}

/// Reads a list with commas between its items.
fn list<T, E: std::fmt::Display>(
    name: &'static str,
    text: &str,
    parse: impl Fn(&str) -> std::result::Result<T, E>,
) -> Result<Vec<T>> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let items = items.map(|item| parsed(name, item, &parse)).collect::<Result<Vec<T>>>()?;
    if items.len() > MOST {
        return Err(Problem::invalid_field(name, format!("this has at most {MOST} items")));
    }
    Ok(items)
}

fn duration(text: &str) -> Result<Duration> {
    let secs = text.parse::<u64>().ok().filter(|secs| (1..=MAX_SECS).contains(secs));
    secs.map(Duration::from_secs).ok_or_else(|| {
        Problem::invalid_field("for_secs", format!("this is a number from 1 to {MAX_SECS}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn asked(query: &str, last: Option<&str>) -> Result<Wish> {
        let request = Request::builder().uri(format!("/v1/events/stream?{query}").parse().unwrap());
        let request = match last {
            Some(last) => request.header(LAST_EVENT_ID, last).finish(),
            None => request.finish(),
        };
        Wish::of(&request)
    }

    #[test]
    fn without_a_word_everything_is_followed_from_now_on() {
        let wish = asked("", None).unwrap();
        assert_eq!((wish.filter, wish.after), (EventFilter::default(), None));
        assert!(!wish.is_replying && wish.lasting.is_none());
        assert_eq!(asked("other=1", Some("")).unwrap().after, None);
    }

    #[test]
    fn types_accounts_place_and_time_are_read() {
        let query = "types=message.*,%20event.scan,&authorizers=wx1,wx2&replying=true&for_secs=60";
        let wish = asked(query, Some(example::EVENT_ID)).unwrap();
        let types: Vec<_> = wish.filter.event_types.iter().map(EventPattern::as_str).collect();
        assert_eq!(types, ["message.*", "event.scan"]);
        assert_eq!(wish.filter.authorizers.len(), 2);
        assert_eq!(wish.after, EventId::parse(example::EVENT_ID).ok());
        assert_eq!((wish.is_replying, wish.lasting), (true, Some(Duration::from_secs(60))));
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_parameter() {
        let many = format!("authorizers={}", vec!["wx1"; MOST + 1].join(","));
        for (query, last, field) in [
            ("types=message*", None, "types"),
            ("authorizers=a/b", None, "authorizers"),
            (many.as_str(), None, "authorizers"),
            ("replying=yes", None, "replying"),
            ("for_secs=0", None, "for_secs"),
            ("for_secs=86401", None, "for_secs"),
            ("", Some("evt_1"), "Last-Event-ID"),
        ] {
            assert_eq!(asked(query, last).unwrap_err().field(), Some(field), "{query}");
        }
    }
}
