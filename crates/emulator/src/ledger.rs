//! The ledger: every API call that arrived, and how many of a kind were in flight at once.
//!
//! Tests count refreshes here: "one per expiry" and "never two in flight" are read off, not guessed
//! from the service's side.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// How many calls are remembered one by one; older ones live on in the counters only.
const CALLS_KEPT: usize = 10_000;

/// How many different (path, appid) pairs are counted.
const PAIRS_KEPT: usize = 10_000;

/// Which kind of token a call is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// No token, or one that was never issued.
    None,
    /// A `component_access_token`.
    Component,
    /// An `authorizer_access_token`.
    Authorizer,
}

/// One API call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Counts all calls from 1.
    pub seq: u64,
    /// When it had its effect, Unix milliseconds of the emulator's clock.
    pub at_ms: i64,
    /// HTTP method.
    pub method: String,
    /// The path as received.
    pub path: String,
    /// The kind of the token in the query.
    pub token: TokenKind,
    /// The account or component the call was about; empty when neither is known.
    pub appid: String,
    /// 0 for success, else WeChat's number.
    pub errcode: i64,
    /// The faults that hit it.
    pub faults: Vec<&'static str>,
}

/// The counters of one (path, appid).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FlightStats {
    /// Calls that had `errcode` 0.
    pub succeeded: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that have arrived and are not answered yet.
    pub in_flight: u64,
    /// The most there ever were in flight at once.
    pub max_in_flight: u64,
}

#[derive(Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    last_seq: u64,
    calls: VecDeque<Call>,
    stats: HashMap<(String, String), FlightStats>,
}

/// A call on its way. Dropped when it is answered, or when the caller hung up.
pub(crate) struct Flight {
    ledger: Arc<Ledger>,
    key: (String, String),
}

impl Ledger {
    /// Counts a call as in flight until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>, path: &str, appid: &str) -> Flight {
        let key = (path.to_owned(), appid.to_owned());
        let mut book = self.book();
        if book.stats.len() < PAIRS_KEPT || book.stats.contains_key(&key) {
            let stats = book.stats.entry(key.clone()).or_default();
            stats.in_flight += 1;
            stats.max_in_flight = stats.max_in_flight.max(stats.in_flight);
        }
        Flight { ledger: Arc::clone(self), key }
    }

    /// Writes a call down; `call.seq` is set here.
    pub(crate) fn record(&self, mut call: Call) {
        let mut book = self.book();
        book.last_seq += 1;
        call.seq = book.last_seq;
        if let Some(stats) = book.stats.get_mut(&(call.path.clone(), call.appid.clone())) {
            *if call.errcode == 0 { &mut stats.succeeded } else { &mut stats.refused } += 1;
        }
        if book.calls.len() == CALLS_KEPT {
            book.calls.pop_front();
        }
        book.calls.push_back(call);
    }

    /// The remembered calls, oldest first, of one path or of all.
    pub(crate) fn calls(&self, path: Option<&str>) -> Vec<Call> {
        let book = self.book();
        book.calls
            .iter()
            .filter(|call| path.is_none_or(|path| call.path == path))
            .cloned()
            .collect()
    }

    /// The newest `count` calls, newest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<Call> {
        self.book().calls.iter().rev().take(count).cloned().collect()
    }

    pub(crate) fn stats(&self, path: &str, appid: &str) -> FlightStats {
        self.book().stats.get(&(path.to_owned(), appid.to_owned())).copied().unwrap_or_default()
    }

    /// All counters, sorted.
    pub(crate) fn all_stats(&self) -> Vec<(String, String, FlightStats)> {
        let mut all: Vec<_> = self
            .book()
            .stats
            .iter()
            .map(|((path, appid), stats)| (path.clone(), appid.clone(), *stats))
            .collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(stats) = self.ledger.book().stats.get_mut(&self.key) {
            stats.in_flight = stats.in_flight.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_in_flight_is_remembered_after_landing() {
        let ledger = Arc::new(Ledger::default());
        let first = ledger.begin("/a", "wx1");
        let second = ledger.begin("/a", "wx1");
        let other = ledger.begin("/a", "wx2");
        drop((first, second, other));
        let stats = ledger.stats("/a", "wx1");
        assert_eq!((stats.in_flight, stats.max_in_flight), (0, 2));
        assert_eq!(ledger.stats("/a", "wx2").max_in_flight, 1);
    }

    #[test]
    fn old_calls_leave_the_book_and_stay_in_the_counters() {
        let ledger = Arc::new(Ledger::default());
        let _flight = ledger.begin("/a", "");
        for _ in 0..=CALLS_KEPT {
            ledger.record(Call {
                seq: 0,
                at_ms: 0,
                method: "POST".to_owned(),
                path: "/a".to_owned(),
                token: TokenKind::None,
                appid: String::new(),
                errcode: 0,
                faults: Vec::new(),
            });
        }
        let calls = ledger.calls(Some("/a"));
        assert_eq!((calls.len(), calls[0].seq), (CALLS_KEPT, 2));
        assert_eq!(ledger.stats("/a", "").succeeded, CALLS_KEPT as u64 + 1);
    }
}
