//! Bodies are counted and timed while they are read.

use std::{io, time::Duration};

use bytes::Bytes;
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

/// Takes the body out of `request` and reads it as a whole.
///
/// # Errors
/// A problem `body_too_large`, `body_timeout` or `invalid_request`.
pub(crate) async fn whole_body(
    request: &mut Request,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    let body = read_bounded(request.take_body(), limit, deadline).await;
    body.map_err(|fault| match fault {
        ReadFault::TooLarge => Problem::body_too_large(limit),
        ReadFault::TooSlow => Problem::body_timeout(),
        ReadFault::Broken => Problem::invalid_request("the body broke off: send the request again"),
    })
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
        let body = whole_body(&mut request, self.limit, self.deadline).await?;
        request.set_body(body);
        self.inner.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

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
        let silence =
            stream::once(async { Err::<Bytes, io::Error>(io::ErrorKind::TimedOut.into()) });
        let ended_by_the_listener = Body::from_bytes_stream(silence);
        let fault = read_bounded(ended_by_the_listener, 4, deadline).await;
        assert_eq!(fault, Err(ReadFault::TooSlow));
    }
}
