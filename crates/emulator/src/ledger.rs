//! The ledger: every API call that arrived, and how many of a kind were in flight at once.
//!
//! Tests count refreshes here: "one per expiry" and "never two in flight" are read off, not guessed
//! from the service's side.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poem::http::Method;
use serde::Serialize;

/// How many calls are remembered one by one; older ones live on in the counters only.
const CALLS_KEPT: usize = 10_000;

/// How many different (path, appid) pairs are counted.
const PAIRS_KEPT: usize = 200_000;

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
    /// An ordinary access token, got with the account's own secret.
    Ordinary,
    /// A fan's access token of web authorization.
    Web,
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
    calls: VecDeque<Entry>,
    stats: HashMap<Key, FlightStats>,
    /// Paths and appids, each once: calls come by the thousand and name few.
    names: HashSet<Arc<str>>,
}

/// Path and appid.
type Key = (Arc<str>, Arc<str>);

/// A [`Call`] as it is kept.
struct Entry {
    seq: u64,
    key: Key,
    seen: Seen,
}

/// What is written down of a call, beside its path and appid.
pub(crate) struct Seen {
    pub(crate) at_ms: i64,
    pub(crate) method: Method,
    pub(crate) token: TokenKind,
    pub(crate) errcode: i64,
    pub(crate) faults: Vec<&'static str>,
}

/// A call on its way. Dropped when it is answered, or when the caller hung up.
pub(crate) struct Flight {
    ledger: Arc<Ledger>,
    key: Key,
}

impl Ledger {
    /// Counts a call as in flight until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>, path: &str, appid: &str) -> Flight {
        let mut book = self.book();
        let key = (book.name(path), book.name(appid));
        if book.stats.len() < PAIRS_KEPT || book.stats.contains_key(&key) {
            let stats = book.stats.entry(key.clone()).or_default();
            stats.in_flight += 1;
            stats.max_in_flight = stats.max_in_flight.max(stats.in_flight);
        }
        Flight { ledger: Arc::clone(self), key }
    }

    /// The remembered calls, oldest first, of one path or of all.
    pub(crate) fn calls(&self, path: Option<&str>) -> Vec<Call> {
        let book = self.book();
        let of_path = |entry: &&Entry| path.is_none_or(|path| *entry.key.0 == *path);
        book.calls.iter().filter(of_path).map(Call::from).collect()
    }

    /// The newest `count` calls, newest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<Call> {
        self.book().calls.iter().rev().take(count).map(Call::from).collect()
    }

    pub(crate) fn stats(&self, path: &str, appid: &str) -> FlightStats {
        self.book().stats.get(&(path.into(), appid.into())).copied().unwrap_or_default()
    }

    /// All counters, sorted.
    pub(crate) fn all_stats(&self) -> Vec<(String, String, FlightStats)> {
        let mut all: Vec<_> = self
            .book()
            .stats
            .iter()
            .map(|((path, appid), stats)| (path.to_string(), appid.to_string(), *stats))
            .collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = text.into();
        if self.names.len() < PAIRS_KEPT {
            self.names.insert(Arc::clone(&name));
        }
        name
    }
}

impl Flight {
    /// Writes the call down.
    pub(crate) fn record(&self, seen: Seen) {
        let mut book = self.ledger.book();
        book.last_seq += 1;
        if let Some(stats) = book.stats.get_mut(&self.key) {
            *if seen.errcode == 0 { &mut stats.succeeded } else { &mut stats.refused } += 1;
        }
        if book.calls.len() == CALLS_KEPT {
            book.calls.pop_front();
        }
        let entry = Entry { seq: book.last_seq, key: self.key.clone(), seen };
        book.calls.push_back(entry);
    }
}

impl From<&Entry> for Call {
    fn from(Entry { seq, key: (path, appid), seen }: &Entry) -> Self {
        Self {
            seq: *seq,
            at_ms: seen.at_ms,
            method: seen.method.to_string(),
            path: path.to_string(),
            token: seen.token,
            appid: appid.to_string(),
            errcode: seen.errcode,
            faults: seen.faults.clone(),
        }
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
        let flight = ledger.begin("/a", "");
        for _ in 0..=CALLS_KEPT {
            flight.record(Seen {
                at_ms: 0,
                method: Method::POST,
                token: TokenKind::None,
                errcode: 0,
                faults: Vec::new(),
            });
        }
        let calls = ledger.calls(Some("/a"));
        assert_eq!((calls.len(), calls[0].seq), (CALLS_KEPT, 2));
        assert_eq!(ledger.stats("/a", "").succeeded, CALLS_KEPT as u64 + 1);
    }
}
