//! Bodies: the request's with an end to its silence, the answer's with a note when it is through.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::phase::{Phase, Running};

/// A request body that fails when its peer is silent for too long.
///
/// Time counts only while somebody waits for bytes: a handler that is slow itself (a proxy whose
/// upstream takes its time) does no harm to its caller.
pub(super) struct PatientBody<S> {
    /// The bytes; `None` after their end or a failure.
    bytes: Option<Pin<Box<S>>>,
    silence: Duration,
    /// Runs while somebody waits.
    deadline: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    phase: Arc<Phase>,
}

impl<S> PatientBody<S> {
    /// `bytes`, which may pause for `silence` at most.
    pub(super) fn new(bytes: S, silence: Duration, phase: Arc<Phase>) -> Self {
        let bytes = Some(Box::pin(bytes));
        Self { bytes, silence, deadline: None, waiting: false, phase }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let silence = self.silence;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(silence)));
        if !self.waiting {
            self.waiting = true;
            deadline.as_mut().reset(Instant::now() + silence);
        }
        deadline.as_mut().poll(cx)
    }
}

impl<S, B> Stream for PatientBody<S>
where
    S: Stream<Item = io::Result<B>>,
{
    type Item = io::Result<B>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(bytes) = self.bytes.as_mut() else { return Poll::Ready(None) };
        match bytes.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.waiting = false;
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(end) => {
                self.bytes = None;
                self.phase.body_ended();
                Poll::Ready(end)
            }
            Poll::Pending if self.poll_deadline(cx).is_ready() => {
                self.bytes = None;
                let what = "the peer fell silent inside the request body";
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, what))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S> Drop for PatientBody<S> {
    fn drop(&mut self) {
        self.phase.body_ended();
    }
}

/// An answer's body; the request counts as running until it is through or given up.
pub(super) struct CountedBody<B> {
    body: B,
    _running: Running,
}

impl<B> CountedBody<B> {
    /// `body`, which ends `running`.
    pub(super) fn new(body: B, running: Running) -> Self {
        Self { body, _running: running }
    }
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
