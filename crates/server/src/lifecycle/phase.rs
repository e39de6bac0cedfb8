//! What one connection is doing, and how long it may go on doing it.
//!
//! hyper has one timer for "the header takes too long" and "nothing was asked for a while", and it
//! does not run before the first byte. So it stays off; the socket and the service report here what
//! happens, and the connection's task asks here when its time is up.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How long a connection may do what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the first byte of a header to its end, and from the start to the first byte.
    pub(super) header: Duration,
    /// From the end of an answer to the next byte, and without progress in writing an answer.
    pub(super) idle: Duration,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Not a single byte came.
    Silent,
    /// A header was begun and not finished.
    HeaderLate,
    /// No further request came.
    Idle,
    /// The peer does not take its answer.
    Stalled,
}

impl Reason {
    /// One word for logs and metric labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::HeaderLate => "header_late",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
        }
    }
}

/// What the connection is doing; shared by its socket, its service and its task.
#[derive(Debug)]
pub(super) struct Phase {
    patience: Patience,
    state: Mutex<State>,
    /// Told when the deadline moved nearer.
    nearer: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests whose answer is not yet handed over entirely. More than one with HTTP/2 only.
    running: usize,
    /// Whether the body of the running HTTP/1 request is still being read.
    body_open: bool,
    /// Whether the peer speaks HTTP/2, where bytes between requests are not always a header.
    multiplexed: bool,
    /// Since when a header is under way.
    header_since: Option<Instant>,
    /// Since when nothing was asked; `None` before the first request.
    quiet_since: Option<Instant>,
    /// Since when the peer takes nothing.
    blocked_since: Option<Instant>,
    opened: Instant,
}

impl Phase {
    /// A connection that was just accepted.
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        let state = State {
            running: 0,
            body_open: false,
            multiplexed: false,
            header_since: None,
            quiet_since: None,
            blocked_since: None,
            opened: Instant::now(),
        };
        Arc::new(Self { patience, state: Mutex::new(state), nearer: Notify::new() })
    }

    /// Bytes came in.
    ///
    /// While no body is open they belong to a header. Bytes of a next header that came in one piece
    /// with the end of the request before cannot be told apart and count as idleness, which gains
    /// their sender nothing over an idle connection.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if state.multiplexed || state.body_open || state.header_since.is_some() {
            return;
        }
        state.header_since = Some(Instant::now());
        if state.running == 0 {
            self.nearer.notify_one();
        }
    }

    /// Bytes went out.
    ///
    /// After an HTTP/1 answer was handed over they are its tail, and idleness begins anew. HTTP/2
    /// also answers each PING: that is no sign of a request, or a peer could stay for ever.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        state.blocked_since = None;
        if state.running == 0 && !state.multiplexed && state.quiet_since.is_some() {
            state.quiet_since = Some(Instant::now());
        }
    }

    /// Bytes should go out, but the peer takes none.
    pub(super) fn blocked(&self) {
        self.state().blocked_since.get_or_insert_with(Instant::now);
    }

    /// A request's header is complete; the request runs until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, framing: Framing, body: BodyPresence) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.multiplexed = framing == Framing::Multiplexed;
        state.header_since = None;
        state.body_open = body == BodyPresence::Follows;
        drop(state);
        Running(Arc::clone(self))
    }

    /// The running request's body was read or given up.
    pub(super) fn body_ended(&self) {
        self.state().body_open = false;
    }

    /// When to look again, or why the connection is to be closed now.
    pub(super) fn judge(&self) -> Result<Instant, Reason> {
        let state = self.state();
        let now = Instant::now();
        let (due, reason) = match &*state {
            State { running: 1.., blocked_since: Some(since), .. } => {
                (*since + self.patience.idle, Reason::Stalled)
            }
            State { running: 1.., .. } => return Ok(now + self.patience.idle),
            State { header_since: Some(since), .. } => {
                (*since + self.patience.header, Reason::HeaderLate)
            }
            State { quiet_since: Some(since), .. } => (*since + self.patience.idle, Reason::Idle),
            State { opened, .. } => (*opened + self.patience.header, Reason::Silent),
        };
        if due <= now { Err(reason) } else { Ok(due) }
    }

    /// Returns when the deadline moved nearer than [`Phase::judge`] last said.
    pub(super) async fn nearer(&self) {
        self.nearer.notified().await;
    }

    fn end(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.running -= 1;
        state.body_open = false;
        if state.running == 0 {
            state.quiet_since = Some(now);
            // The next header came early and had to wait for us: its time begins now.
            if state.header_since.is_some() {
                state.header_since = Some(now);
                self.nearer.notify_one();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How requests share the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One after the other: HTTP/1.
    Serial,
    /// Several at a time: HTTP/2.
    Multiplexed,
}

/// Whether a request has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyPresence {
    /// It ends with its header.
    Absent,
    /// A body follows.
    Follows,
}

/// A request that runs; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(Arc<Phase>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { header: Duration::from_secs(1), idle: Duration::from_secs(1) };

    /// What is said of a connection whose idle time is over when bytes go out.
    fn judged_after_sending(framing: Framing) -> Result<Instant, Reason> {
        let phase = Phase::new(PATIENCE);
        drop(phase.begin(framing, BodyPresence::Absent));
        phase.state().quiet_since = Instant::now().checked_sub(PATIENCE.idle);
        assert_eq!(phase.judge(), Err(Reason::Idle));
        phase.sent();
        phase.judge()
    }

    #[test]
    fn the_tail_of_an_answer_is_no_idleness() {
        assert!(judged_after_sending(Framing::Serial).is_ok());
    }

    #[test]
    fn what_http_2_sends_between_requests_does_not_end_idleness() {
        assert_eq!(judged_after_sending(Framing::Multiplexed), Err(Reason::Idle));
    }
}
