//! Bodies are counted and timed while they are read.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use lingpai_authorizer::ByteStream;
use poem::{Body, Endpoint, IntoEndpoint, Request, error::ReadBodyError};
use tokio::time::timeout;

use crate::problem::Problem;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadFault {
    /// It is larger than accepted.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Reads a body of at most `limit` bytes that comes within `deadline`.
async fn read_bounded(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, ReadFault> {
    match timeout(deadline, body.into_bytes_limit(limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(ReadBodyError::PayloadTooLarge)) => Err(ReadFault::TooLarge),
        Ok(Err(ReadBodyError::Io(error))) if error.kind() == io::ErrorKind::TimedOut => {
            Err(ReadFault::TooSlow)
        }
        Ok(Err(_)) => Err(ReadFault::Broken),
        Err(_) => Err(ReadFault::TooSlow),
    }
}

/// The body as a stream that fails when nothing comes for as long as `silence`.
pub(crate) fn until_silent(body: Body, silence: Duration) -> ByteStream {
    let chunks = body.into_bytes_stream().boxed();
    stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match timeout(silence, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
    .boxed()
}

/// An endpoint that sees only bodies of at most `limit` bytes that came in time: the framework's
/// own readers have neither bound.
pub(crate) struct Bounded<E> {
    inner: E,
    limit: usize,
    deadline: Duration,
}

impl<E: Endpoint> Bounded<E> {
    pub(crate) fn new(
        inner: impl IntoEndpoint<Endpoint = E>,
        limit: usize,
        deadline: Duration,
    ) -> Self {
        Self { inner: inner.into_endpoint(), limit, deadline }
    }
}

impl<E: Endpoint> Endpoint for Bounded<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<Self::Output> {
        let body = read_bounded(request.take_body(), self.limit, self.deadline).await;
        request.set_body(body.map_err(|fault| match fault {
            ReadFault::TooLarge => Problem::body_too_large(self.limit),
            ReadFault::TooSlow => Problem::body_timeout(),
            ReadFault::Broken => Problem::invalid_request("the body broke off"),
        })?);
        self.inner.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endless() -> Body {
        Body::from_bytes_stream(stream::pending::<io::Result<Bytes>>())
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let limit = Duration::from_secs(5);
        let whole = read_bounded(Body::from("abcd"), 4, limit).await;
        assert_eq!(whole, Ok(Bytes::from_static(b"abcd")));
        assert_eq!(read_bounded(Body::from("abcde"), 4, limit).await, Err(ReadFault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_given_up() {
        let deadline = Duration::from_secs(5);
        assert_eq!(read_bounded(endless(), 4, deadline).await, Err(ReadFault::TooSlow));
        let mut silent = until_silent(endless(), deadline);
        let error = silent.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(silent.next().await.is_none());
    }
}
