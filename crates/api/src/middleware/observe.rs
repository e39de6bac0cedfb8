//! The outermost layer: names the request, catches panics, makes answers of errors, measures, and
//! writes a line for what did not go well. It knows the route's pattern, never the query.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use lingpai_model::clock::{Entropy, SharedClock};
use poem::{Endpoint, IntoEndpoint, IntoResponse, PathPattern, Request, Response};
use tracing::{Instrument as _, field::Empty};

use super::{REQUEST_ID_HEADER, RateHeaders, RequestId, headers, measure};
use crate::{problem::Problem, view};

/// A request that takes longer is told even when it goes well.
const SLOW: Duration = Duration::from_secs(1);

/// Why an answer is our fault, for the log. Rides on the answer, invisible to clients.
#[derive(Debug, Clone)]
pub(crate) struct Cause(String);

impl Cause {
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self(cause.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An endpoint whose every request is named, guarded, measured and logged; it never fails.
pub(crate) struct Observed<E> {
    inner: E,
    /// Tells how long it is until a problem may have passed.
    clock: SharedClock,
    entropy: Entropy,
}

impl<E: Endpoint> Observed<E> {
    pub(crate) fn new(
        inner: impl IntoEndpoint<Endpoint = E>,
        (clock, entropy): (SharedClock, Entropy),
    ) -> Self {
        Self { inner: inner.into_endpoint(), clock, entropy }
    }

    /// The answer, whatever happens inside, and the pattern of the route it came from.
    async fn answer(&self, request: Request, id: &RequestId) -> (Response, String) {
        let answered = AssertUnwindSafe(self.inner.call(request)).catch_unwind().await;
        let answer = match answered {
            Ok(Ok(output)) => output.into_response(),
            Ok(Err(error)) => answer_of(error, id, &self.clock),
            Err(_) => answer_of(Problem::panicked().into(), id, &self.clock),
        };
        let pattern = answer.data::<PathPattern>();
        let route =
            pattern.map_or_else(|| "unmatched".to_owned(), |PathPattern(it)| it.to_string());
        (answer, route)
    }
}

/// The answer that `error` becomes. What was laid on the error on its way out goes with it.
pub(crate) fn answer_of(error: poem::Error, id: &RequestId, clock: &SharedClock) -> Response {
    let pattern = error.data::<PathPattern>().cloned();
    let rate = error.data::<RateHeaders>().cloned();
    let mut answer = Problem::of_framework(error).into_answer(id, clock.now());
    if let Some(pattern) = pattern {
        answer.set_data(pattern);
    }
    if let Some(rate) = rate {
        rate.write(answer.headers_mut());
    }
    answer
}

impl<E: Endpoint> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = RequestId::draw(&self.entropy);
        request.extensions_mut().insert(id.clone());
        let method = measure::method_label(request.method());
        let span = tracing::info_span!(
            "request",
            request.id = id.as_str(),
            tenant.id = Empty,
            operator.id = Empty
        );
        let answer = async {
            let (mut answer, route) = self.answer(request, &id).await;
            answer.headers_mut().insert(REQUEST_ID_HEADER, id.header());
            headers::secure(&mut answer);
            let took = started.elapsed();
            measure::record(&route, method, answer.status(), took);
            let status = answer.status().as_u16();
            if status >= 500
                && let Some(cause) = answer.data::<Cause>()
            {
                tracing::error!(error = cause.as_str(), "{method} {route} failed");
            }
            tell(method, &route, status, took);
            answer
        };
        Ok(answer.instrument(span).await)
    }
}

/// Writes the line of a request. What went well and in time is told to who asks for more than the
/// usual: at thousands of requests a second their lines would cost more than the requests.
fn tell(method: &str, route: &str, status: u16, took: Duration) {
    let duration_ms = view::millis(took);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                "{method} {route} {status}"
            )
        };
    }
    if status >= 400 || took >= SLOW { line!(info) } else { line!(debug) }
}

#[cfg(test)]
mod tests {
    use poem::{Route, endpoint::make_sync, get, http::HeaderValue, test::TestClient};

    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn a_request_gets_an_id_of_ours_whatever_it_brings() {
        let echo = make_sync(|request| RequestId::of(&request).as_str().to_owned());
        let route = Route::new().at("/", get(echo));
        let client = TestClient::new(Observed::new(route, sample::world()));
        let brought = HeaderValue::from_static("mine");
        let answer = client.get("/").header(REQUEST_ID_HEADER, brought).send().await.0;
        let named = answer.header("lingpai-request-id").unwrap().to_owned();
        assert_eq!(named.len(), 32);
        let seen = answer.into_body().into_bytes_limit(100).await.unwrap();
        assert_eq!(seen, named.as_bytes());
    }

    #[tokio::test]
    async fn answers_carry_the_security_headers_unless_they_bring_their_own() {
        let own =
            make_sync(|_| Response::builder().header("Referrer-Policy", "origin").body("own"));
        let route = Route::new().at("/", get(own));
        let client = TestClient::new(Observed::new(route, sample::world()));
        let answer = client.get("/").send().await;
        answer.assert_header("x-content-type-options", "nosniff");
        answer.assert_header("cache-control", "no-store");
        answer.assert_header_all("referrer-policy", ["origin"]);
        let missing = client.get("/missing").send().await;
        missing.assert_header("referrer-policy", "no-referrer");
        missing.assert_header_exist("content-security-policy");
    }
}
