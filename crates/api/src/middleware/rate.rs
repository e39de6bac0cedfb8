//! How much a caller may still ask, told in every answer to it.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use lingpai_tenant::RateState;
use poem::http::{HeaderMap, HeaderName, HeaderValue};

/// What the limit is. Source: IETF draft "RateLimit header fields for HTTP"
/// (draft-ietf-httpapi-ratelimit-headers-10), section 3: `"name";q=QUOTA;w=SECONDS`.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of it. Source: the same draft, section 4: `"name";r=LEFT;t=SECONDS`.
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Over how many seconds the limit is counted: a caller may ask for so many seconds' worth at once.
const WINDOW_SECS: u32 = 2;

/// The headers that tell a caller its limit and what is left. They ride on answers, and on errors
/// that become answers further out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateHeaders {
    policy: HeaderValue,
    state: HeaderValue,
}

impl RateHeaders {
    /// What is to be told of `rate`.
    pub(crate) fn of(rate: &RateState) -> Self {
        Self::new(rate.limit, rate.remaining, rate.reset_secs)
    }

    /// Nothing is left of `limit` requests a second before `wait` has passed.
    pub(crate) fn used_up(limit: u32, wait: Duration) -> Self {
        Self::new(limit, 0, whole_secs(wait))
    }

    fn new(limit: u32, left: u32, reset_secs: u32) -> Self {
        let quota = limit.saturating_mul(WINDOW_SECS);
        Self {
            policy: value(&format_args!("\"tenant\";q={quota};w={WINDOW_SECS}")),
            state: value(&format_args!("\"tenant\";r={left};t={reset_secs}")),
        }
    }

    /// Adds them to an answer's head.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy);
        headers.insert(STATE, self.state);
    }
}

/// Made without going through a `String`: it happens for every call.
fn value(text: &std::fmt::Arguments<'_>) -> HeaderValue {
    let mut bytes = BytesMut::with_capacity(32).writer();
    // Writing to memory cannot fail.
    _ = std::io::Write::write_fmt(&mut bytes, *text);
    HeaderValue::from_maybe_shared(bytes.into_inner().freeze())
        .expect("digits and quotes make a header")
}

/// `wait` in whole seconds, at least one.
pub(crate) fn whole_secs(wait: Duration) -> u32 {
    let secs = wait.as_millis().div_ceil(1000).max(1);
    u32::try_from(secs).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: RateHeaders) -> [String; 2] {
        let mut map = HeaderMap::new();
        headers.write(&mut map);
        [POLICY, STATE].map(|name| map[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_limit_is_told_for_its_window_and_what_is_left_until_when() {
        let rate = RateState { limit: 10, remaining: 17, reset_secs: 1 };
        assert_eq!(told(RateHeaders::of(&rate)), ["\"tenant\";q=20;w=2", "\"tenant\";r=17;t=1"]);
    }

    #[test]
    fn who_is_too_fast_is_told_the_whole_seconds_to_wait() {
        for (millis, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_000, 59)] {
            let headers = RateHeaders::used_up(5, Duration::from_millis(millis));
            let [policy, state] = told(headers);
            assert_eq!(policy, "\"tenant\";q=10;w=2");
            assert_eq!(state, format!("\"tenant\";r=0;t={secs}"));
        }
    }

    #[test]
    fn no_limit_is_too_large_to_be_told() {
        let [policy, _] = told(RateHeaders::used_up(u32::MAX, Duration::MAX));
        assert_eq!(policy, format!("\"tenant\";q={};w=2", u32::MAX));
    }
}
