//! A creating call with an `Idempotency-Key` is made once, however often it is sent.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use lingpai_model::{
    Secret,
    caller::{Caller, OperatorCaller},
    clock::SharedClock,
    digest::Digest,
};
use lingpai_tenant::{Begun, Claim, IdempotencyKeys, IdempotencyOwner, StoredAnswer};
use poem::{
    Endpoint, IntoEndpoint, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE},
};

use super::{Cause, RequestId, answer_of};
use crate::{
    auth::Entry,
    input::MAX_JSON_BYTES,
    problem::{Code, Problem, Result},
    tenant::is_for_fan,
};

/// The header by which a client names one creating call.
pub(crate) const IDEMPOTENCY_KEY_HEADER: &str = "Idempotency-Key";

/// Says that an answer was given before, and that nothing was done this time.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The most that is kept of an answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What is done anew each time, key or no key: it changes nothing twice, and neither a token nor a
/// profile may be kept, or answered when it is another by now. What is searched for is found anew. So
/// is what is done for fans ([`is_for_fan`]): their codes have their effect once by themselves.
const DONE_ANEW: [&str; 3] = ["/access-token", "/profile-refresh", "/events/search"];

/// Refusals that may be none tomorrow, when the key is mended or the thing is there.
const PASSING: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Whether a POST to `path` is made once for each key, as [`Idempotent`] does it.
pub(crate) fn is_made_once(path: &str) -> bool {
    !is_for_fan(path) && !DONE_ANEW.iter().any(|end| path.ends_with(end))
}

/// An endpoint whose POST requests with an `Idempotency-Key` have their effect once: their answer is
/// kept for a day and given again. Stands behind the door, which knows whose keys they are, and
/// behind what makes bodies whole.
pub(crate) struct Idempotent<E> {
    inner: E,
    keys: IdempotencyKeys,
    clock: SharedClock,
    owner: fn(&Request) -> Option<IdempotencyOwner>,
}

impl<E: Endpoint> Idempotent<E> {
    /// For what tenants call.
    pub(crate) fn of_tenants(
        inner: impl IntoEndpoint<Endpoint = E>,
        keys: IdempotencyKeys,
        clock: SharedClock,
    ) -> Self {
        let owner =
            |request: &Request| Entry::<Caller>::caller(request).ok().map(|by| (&**by).into());
        Self { inner: inner.into_endpoint(), keys, clock, owner }
    }

    /// For what operators call.
    pub(crate) fn of_operators(
        inner: impl IntoEndpoint<Endpoint = E>,
        keys: IdempotencyKeys,
        clock: SharedClock,
    ) -> Self {
        let owner = |request: &Request| {
            Entry::<OperatorCaller>::caller(request).ok().map(|by| (&**by).into())
        };
        Self { inner: inner.into_endpoint(), keys, clock, owner }
    }

    /// Whose call `request` is and what it is called, if it is to be made once.
    fn named(&self, request: &Request) -> Result<Option<(IdempotencyOwner, String)>> {
        if request.method() != Method::POST || !is_made_once(request.uri().path()) {
            return Ok(None);
        }
        let Some(owner) = (self.owner)(request) else { return Ok(None) };
        Ok(key_in(request.headers())?.map(|key| (owner, key)))
    }

    /// Makes the call that `claim` was taken for, and keeps what came of it.
    ///
    /// What is dropped on the way, with its connection or by a panic, leaves the claim as it is:
    /// nobody knows whether it had its effect, and the next to ask is told so.
    async fn first(&self, request: Request, claim: Claim) -> poem::Result<Response> {
        let id = RequestId::of(&request);
        let answered = AssertUnwindSafe(self.inner.call(request)).catch_unwind().await;
        let mut answer = match answered {
            Ok(Ok(output)) => output.into_response(),
            Ok(Err(error)) => answer_of(error, &id, &self.clock),
            Err(_) => return Err(Problem::panicked().into()),
        };
        match Outcome::of(&answer) {
            Outcome::Final => {
                let body = answer.take_body().into_bytes_limit(MAX_ANSWER_BYTES).await;
                let body = body.map_err(|_| Problem::unwritten())?;
                self.keep(claim, &answer, &body).await;
                answer.set_body(body);
            }
            Outcome::Nothing => self.give_up(claim).await,
            Outcome::Unknown => drop(claim),
        }
        Ok(answer)
    }

    /// The call was made, whatever becomes of this: the client hears what came of it, and who asks
    /// again is told that the outcome is unknown.
    async fn keep(&self, claim: Claim, answer: &Response, body: &Bytes) {
        let stored = StoredAnswer {
            status: answer.status().as_u16(),
            content_type: answer.content_type().unwrap_or_default().to_owned(),
            body: Secret::new(body.to_vec()),
        };
        if let Err(error) = self.keys.finish(claim, stored).await {
            let cause = Cause::chain(&error);
            tracing::warn!(error = cause.as_str(), "the answer of an idempotent call is not kept");
        }
    }

    async fn give_up(&self, claim: Claim) {
        if let Err(error) = self.keys.abandon(claim).await {
            let cause = Cause::chain(&error);
            tracing::warn!(error = cause.as_str(), "an idempotency key stays taken for a minute");
        }
    }
}

impl<E: Endpoint> Endpoint for Idempotent<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let Some((owner, key)) = self.named(&request)? else {
            return Ok(self.inner.call(request).await?.into_response());
        };
        let body = request.take_body().into_bytes_limit(MAX_JSON_BYTES).await;
        let body = body.map_err(|_| Problem::body_too_large(MAX_JSON_BYTES))?;
        let digest = digest_of(&request, &body);
        request.set_body(body);
        match self.keys.begin(owner, &key, digest).await.map_err(Problem::from)? {
            Begun::First(claim) => self.first(request, claim).await,
            Begun::Again(answer) => Ok(again(&answer)),
        }
    }
}

/// The key that a client gave its call. Quotes around it, which a structured field has, are not part
/// of it.
fn key_in(headers: &HeaderMap) -> Result<Option<String>> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let text = line.to_str().ok().filter(|_| lines.next().is_none());
    let text = text.ok_or_else(Problem::bad_idempotency_key)?.trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Ok(Some(bare.to_owned()))
}

/// What makes two requests of one owner the same. The path is the one within the API: owners of the
/// two APIs are never the same.
fn digest_of(request: &Request, body: &Bytes) -> Digest {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let method = request.method().as_str();
    Digest::of(&[b"idempotent", method.as_bytes(), uri.path().as_bytes(), query.as_bytes(), body])
}

/// What an answer tells about the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was made, or refused for good.
    Final,
    /// It was not made, and may well be tried again: it came too early, or from who may not yet, or
    /// something is not ready.
    Nothing,
    /// It may have had its effect: nothing but looking tells.
    Unknown,
}

impl Outcome {
    fn of(answer: &Response) -> Self {
        let status = answer.status();
        if (status.is_success() || status.is_client_error()) && !PASSING.contains(&status) {
            Self::Final
        } else if answer.data::<Code>().is_some_and(|code| code.is_without_effect()) {
            Self::Nothing
        } else {
            Self::Unknown
        }
    }
}

fn again(stored: &StoredAnswer) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Response::builder().status(status).body(stored.body.expose().clone());
    if let Ok(content_type) = HeaderValue::from_str(&stored.content_type)
        && !content_type.is_empty()
    {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    };

    use lingpai_model::{api_key::Scope, clock::ManualClock};
    use lingpai_storage::testing::TestDb;
    use poem::{EndpointExt as _, Route, endpoint::make, post, test::TestClient};

    use super::*;
    use crate::{middleware::Observed, sample, tenant::FAN_PATHS};

    /// What the creating call behind the middleware does.
    #[derive(Clone, Copy)]
    enum Does {
        Creates,
        Fails(StatusCode),
        Refuses(fn() -> Problem),
        Panics,
    }

    struct House {
        _db: TestDb,
        keys: IdempotencyKeys,
        clock: Arc<ManualClock>,
        calls: Arc<AtomicU16>,
    }

    impl House {
        async fn new() -> Self {
            let test_db = TestDb::sqlite().await;
            let clock = Arc::new(ManualClock::at(sample::world().0.now()));
            let keys = IdempotencyKeys::new(test_db.db.clone(), clock.clone());
            Self { _db: test_db, keys, clock, calls: Arc::default() }
        }

        fn calls(&self) -> u16 {
            self.calls.load(Ordering::Relaxed)
        }

        /// A call that tells the how-manieth it is, met by a caller whom the door let in.
        fn client(&self, does: Does) -> TestClient<impl Endpoint<Output = Response> + use<>> {
            let calls = Arc::clone(&self.calls);
            let creates = Arc::new(make(move |_| {
                let nth = calls.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    let created = Response::builder().status(StatusCode::CREATED);
                    let created = created.content_type("application/json");
                    match does {
                        Does::Creates => Ok(created.body(format!("{{\"nth\":{nth}}}"))),
                        Does::Fails(status) => Err(poem::Error::from_status(status)),
                        Does::Refuses(problem) => Err(problem().into()),
                        Does::Panics => panic!("row 17"),
                    }
                }
            }));
            let (clock, entropy) = sample::world();
            let route = Route::new().at("/a", creates.clone());
            let route = done_anew().fold(route, |it, path| it.at(path, creates.clone()));
            let once = Idempotent::of_tenants(route, self.keys.clone(), clock.clone());
            let by = Arc::new(sample::caller(&Scope::ALL));
            let behind = once.before(move |mut request| {
                request.extensions_mut().insert(Entry::Of(Arc::clone(&by)));
                async move { Ok(request) }
            });
            TestClient::new(Observed::new(behind, (clock, entropy)))
        }
    }

    fn done_anew() -> impl Iterator<Item = &'static str> {
        DONE_ANEW.into_iter().chain(FAN_PATHS)
    }

    async fn sent(
        client: &TestClient<impl Endpoint<Output = Response>>,
        key: &str,
        body: &'static str,
    ) -> (u16, bool, String) {
        let request = client.post("/a").header(IDEMPOTENCY_KEY_HEADER, key);
        let answer = request.body(body).send().await.0;
        let is_replayed = answer.header("idempotency-replayed") == Some("true");
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes_limit(1 << 16).await.unwrap();
        (status, is_replayed, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_was_created_once_is_answered_again_and_not_made_again() {
        let house = House::new().await;
        let client = house.client(Does::Creates);
        let first = sent(&client, "k1", "{}").await;
        assert_eq!(first, (201, false, "{\"nth\":1}".to_owned()));
        let again = sent(&client, "k1", "{}").await;
        assert_eq!(again, (201, true, "{\"nth\":1}".to_owned()));
        let quoted = sent(&client, "\"k1\"", "{}").await;
        assert_eq!(quoted, again, "quotes are no part of a key");
        assert_eq!(sent(&client, "k2", "{}").await.2, "{\"nth\":2}");
        assert_eq!(house.calls(), 2);
    }

    #[tokio::test]
    async fn another_request_with_the_same_key_is_refused() {
        let house = House::new().await;
        let client = house.client(Does::Creates);
        sent(&client, "k1", "{}").await;
        let (status, _, body) = sent(&client, "k1", "{\"a\":1}").await;
        assert_eq!(status, 422);
        assert!(body.contains("idempotency_mismatch"), "{body}");
        let elsewhere = client.post("/a?b=1").header(IDEMPOTENCY_KEY_HEADER, "k1");
        elsewhere.body("{}").send().await.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(house.calls(), 1);
    }

    #[tokio::test]
    async fn a_refusal_is_kept_as_it_was_told() {
        let house = House::new().await;
        let client = house.client(Does::Fails(StatusCode::BAD_REQUEST));
        let (status, _, first) = sent(&client, "k1", "{}").await;
        assert_eq!(status, 400);
        assert!(first.contains("invalid_request"), "{first}");
        assert_eq!(sent(&client, "k1", "{}").await, (400, true, first));
        assert_eq!(house.calls(), 1);
    }

    #[tokio::test]
    async fn what_came_too_early_or_may_pass_another_day_may_be_tried_again() {
        let house = House::new().await;
        for problem in [
            Problem::overloaded,
            Problem::body_timeout,
            Problem::unauthenticated,
            Problem::address_refused,
            Problem::authorizer_not_found,
        ] {
            let key = problem().code().as_str();
            let (status, _, _) = sent(&house.client(Does::Refuses(problem)), key, "{}").await;
            assert_eq!(status, problem().code().status().as_u16());
            let (status, is_replayed, _) = sent(&house.client(Does::Creates), key, "{}").await;
            assert_eq!((status, is_replayed), (201, false), "{key}");
        }
    }

    #[tokio::test]
    async fn tokens_profiles_and_what_is_about_fans_are_told_anew_whatever_key_is_named() {
        let house = House::new().await;
        let client = house.client(Does::Creates);
        for (nth, path) in (1..).zip(done_anew().flat_map(|path| [path, path])) {
            let request = client.post(path).header(IDEMPOTENCY_KEY_HEADER, "k1");
            let answer = request.body("{}").send().await;
            answer.assert_header_is_not_exist("idempotency-replayed");
            answer.assert_text(format!("{{\"nth\":{nth}}}")).await;
        }
    }

    #[tokio::test]
    async fn what_may_have_had_its_effect_is_not_done_again_under_the_same_key() {
        let house = House::new().await;
        for (key, does) in [
            ("k1", Does::Fails(StatusCode::BAD_GATEWAY)),
            ("k2", Does::Refuses(Problem::unrendered)),
            ("k3", Does::Panics),
        ] {
            let (status, _, _) = sent(&house.client(does), key, "{}").await;
            assert!(status >= 500, "{status}");
            let calls = house.calls();
            let creates = house.client(Does::Creates);
            let (status, _, body) = sent(&creates, key, "{}").await;
            assert!(status == 409 && body.contains("idempotency_under_way"), "{key}: {body}");
            house.clock.advance(chrono::Duration::seconds(61));
            let (status, _, body) = sent(&creates, key, "{}").await;
            assert!(status == 409 && body.contains("idempotency_interrupted"), "{key}: {body}");
            assert_eq!(house.calls(), calls, "{key}");
        }
    }

    #[test]
    fn only_what_a_lost_answer_leaves_open_is_of_unknown_effect() {
        let outcome = |code: Code| {
            let mut answer = Response::builder().status(code.status()).finish();
            answer.set_data(code);
            Outcome::of(&answer)
        };
        let told = |wanted| {
            let codes = Code::ALL.into_iter().filter(move |code| outcome(*code) == wanted);
            codes.map(Code::as_str).collect::<Vec<_>>()
        };
        let unknown = [
            "upstream_timeout",
            "upstream_unreachable",
            "upstream_garbled",
            "unavailable",
            "internal",
        ];
        assert_eq!(told(Outcome::Unknown), unknown);
        for early in ["body_timeout", "rate_limited", "upstream_rejected", "refresh_busy"] {
            assert!(told(Outcome::Nothing).contains(&early), "{early}");
        }
        for code in Code::ALL.into_iter().filter(|code| PASSING.contains(&code.status())) {
            assert_eq!(outcome(code), Outcome::Nothing, "{}", code.as_str());
        }
    }

    #[tokio::test]
    async fn a_key_that_is_none_is_refused_and_nothing_is_done() {
        let house = House::new().await;
        let client = house.client(Does::Creates);
        for key in ["", "\"\"", "two words", &"k".repeat(256)] {
            let (status, _, body) = sent(&client, key, "{}").await;
            assert_eq!(status, 422, "{key}");
            assert!(body.contains("\"field\":\"Idempotency-Key\""), "{body}");
        }
        let twice = client.post("/a").header(IDEMPOTENCY_KEY_HEADER, "k1");
        let twice = twice.header(IDEMPOTENCY_KEY_HEADER, "k2").body("{}").send().await;
        twice.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(house.calls(), 0);
    }

    #[tokio::test]
    async fn without_a_key_without_a_caller_and_for_other_methods_nothing_is_remembered() {
        let house = House::new().await;
        let client = house.client(Does::Creates);
        for _ in 0..2 {
            client.post("/a").body("{}").send().await.assert_status(StatusCode::CREATED);
            let patch = client.patch("/a").header(IDEMPOTENCY_KEY_HEADER, "k1");
            patch.body("{}").send().await.assert_status(StatusCode::CREATED);
        }
        assert_eq!(house.calls(), 4);
        let (clock, entropy) = sample::world();
        let unknown = post(make(|_| async {
            Err::<Response, poem::Error>(Problem::unauthenticated().into())
        }));
        let route = Route::new().at("/a", unknown);
        let once = Idempotent::of_tenants(route, house.keys.clone(), clock.clone());
        let client = TestClient::new(Observed::new(once, (clock, entropy)));
        for _ in 0..2 {
            let (status, is_replayed, _) = sent(&client, "k1", "{}").await;
            assert_eq!((status, is_replayed), (401, false));
        }
    }
}
