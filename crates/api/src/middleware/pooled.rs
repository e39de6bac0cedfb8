//! Pushes, each API and proxied calls have a pool each: a flood of one takes neither memory nor the
//! database from the others.

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, IntoEndpoint, Request};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::problem::Problem;

/// How long a request waits for a seat before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(2);

/// A number of seats for requests that are worked on at the same time. Who waits for one has read
/// no body yet.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Semaphore>);

impl Pool {
    /// A pool of so many seats.
    pub(crate) fn of(seats: usize) -> Self {
        Self(Arc::new(Semaphore::new(seats)))
    }

    /// Waits for a seat, however long that takes.
    pub(crate) async fn seat(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("nobody closes a pool")
    }

    /// Waits for so many seats, however long that takes; seats are given in the order of asking. The pool
    /// must have as many.
    pub(crate) async fn seats(&self, count: u32) -> SemaphorePermit<'_> {
        self.0.acquire_many(count).await.expect("nobody closes a pool")
    }

    /// Waits for a seat as long as a request may wait.
    ///
    /// # Errors
    /// A problem `overloaded`.
    pub(crate) async fn seat_soon(&self) -> Result<SemaphorePermit<'_>, Problem> {
        timeout(PATIENCE, self.seat()).await.map_err(|_| Problem::overloaded())
    }
}

/// An endpoint whose requests take a seat each.
pub(crate) struct Pooled<E> {
    inner: E,
    pool: Pool,
}

impl<E: Endpoint> Pooled<E> {
    pub(crate) fn new(inner: impl IntoEndpoint<Endpoint = E>, pool: Pool) -> Self {
        Self { inner: inner.into_endpoint(), pool }
    }
}

impl<E: Endpoint> Endpoint for Pooled<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> poem::Result<Self::Output> {
        let _seat = self.pool.seat_soon().await?;
        self.inner.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use poem::{Response, endpoint::make, http::StatusCode};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_sends_away_and_a_free_seat_is_taken() {
        let (gate, entered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_gate, inner_entered) = (Arc::clone(&gate), Arc::clone(&entered));
        let slow = make(move |_| {
            let (gate, entered) = (Arc::clone(&inner_gate), Arc::clone(&inner_entered));
            async move {
                entered.notify_one();
                gate.notified().await;
                Ok::<_, poem::Error>(Response::from(StatusCode::OK))
            }
        });
        let pooled = Pooled::new(slow, Pool::of(1));
        let first = pooled.call(Request::default());
        let second = async {
            entered.notified().await;
            let refused = pooled.call(Request::default()).await.expect_err("the seat is taken");
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            gate.notify_one();
        };
        let (first, ()) = tokio::join!(first, second);
        assert!(first.is_ok());
        gate.notify_one();
        assert!(pooled.call(Request::default()).await.is_ok(), "the seat was given back");
    }
}
