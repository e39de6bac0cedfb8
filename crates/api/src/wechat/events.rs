//! An event URL: where WeChat pushes. It hears `success` or a reply once what it pushed is committed,
//! or one short refusal.

use std::time::Duration;

use lingpai_callback::{Refusal, Taken};
use poem::{
    Endpoint, Request, Response,
    http::{StatusCode, header::CONTENT_LENGTH},
};
use tokio::time::{Instant, timeout_at};

use crate::middleware::{Cause, Pool};

/// What one seat is for, in bytes of a body: nearly all pushes are smaller, and take one.
pub(crate) const PUSH_SEAT_BYTES: usize = 16 * 1024;

/// The most seats that a push takes: 256 KiB, and none may be larger.
const MAX_SEATS: u32 = 16;

/// Who takes the pushes of one kind of event URL.
pub(crate) trait TakesPushes: Clone + Send + Sync {
    /// For whom a push is, as its path names it.
    type Named<'r>: Send;

    /// For whom `request` is.
    fn named(request: &Request) -> Self::Named<'_>;

    /// Verifies and records a push; only then may it be answered, and as this says.
    fn accept(
        &self,
        named: Self::Named<'_>,
        raw_query: &str,
        body: &[u8],
    ) -> impl Future<Output = Result<Taken, Refusal>> + Send;

    /// The text with which the check of a URL is answered.
    fn check_url(
        &self,
        named: Self::Named<'_>,
        raw_query: &str,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;
}

/// The parameter of this name in the path of `request`.
pub(super) fn parameter<'r>(request: &'r Request, name: &str) -> &'r str {
    request.raw_path_param(name).unwrap_or_default()
}

/// `POST` on an event URL: a push.
#[derive(Clone)]
pub(crate) struct Events<P> {
    pushes: P,
    pool: Pool,
    /// From the first byte to the answer. What is not committed by then WeChat shall repeat; what is,
    /// but has no reply yet, is answered `success`.
    budget: Duration,
}

/// `GET` on the same path: the check that WeChat makes when the URL is saved.
pub(crate) struct UrlCheck<P>(Events<P>);

impl<P: TakesPushes> Events<P> {
    pub(crate) fn new(pushes: P, pool: Pool, budget: Duration) -> Self {
        Self { pushes, pool, budget }
    }

    pub(crate) fn url_check(self) -> UrlCheck<P> {
        UrlCheck(self)
    }

    /// Reads and records a push. Its seats are given back with the end of this: a tenant that takes its
    /// time with a reply takes nobody's.
    async fn accept(&self, mut request: Request) -> Result<Taken, Refusal> {
        let seats = seats_for(&request);
        let _seats = self.pool.seats(seats).await;
        // Too large or broken off looks like everything else that does not verify; the budget around
        // all of this is also the body's deadline.
        let most = seats as usize * PUSH_SEAT_BYTES;
        let body = request.take_body().into_bytes_limit(most).await;
        let body = body.map_err(|_| Refusal::Unverified)?;
        self.pushes.accept(P::named(&request), raw_query(&request), &body).await
    }
}

impl<P: TakesPushes> Endpoint for Events<P> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let deadline = Instant::now() + self.budget;
        let taken = match within(deadline, self.accept(request)).await {
            Ok(taken) => taken,
            Err(refusal) => return Ok(refusal),
        };
        Ok(match taken {
            // In a box: every push would carry and copy the room for it.
            Taken::Asked(asked) => Box::pin(replied(deadline, asked.answer())).await,
            taken => answer(taken),
        })
    }
}

impl<P: TakesPushes> Endpoint for UrlCheck<P> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(events) = self;
        let deadline = Instant::now() + events.budget;
        let check = events.pushes.check_url(P::named(&request), raw_query(&request));
        let text = within(deadline, check).await;
        Ok(text.map_or_else(|refusal| refusal, |text| plain(StatusCode::OK, text)))
    }
}

/// How many seats a push takes: as many as it says that it needs, and if it does not say, as many as one
/// can need.
fn seats_for(request: &Request) -> u32 {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    let bytes: Option<usize> = declared.and_then(|digits| digits.parse().ok());
    let seats = bytes.and_then(|bytes| u32::try_from(bytes.div_ceil(PUSH_SEAT_BYTES)).ok());
    seats.map_or(MAX_SEATS, |seats| seats.clamp(1, MAX_SEATS))
}

fn raw_query(request: &Request) -> &str {
    request.uri().query().unwrap_or_default()
}

/// The answer to a push that was committed, once who was asked has replied; `success` when that is not
/// by `deadline`: WeChat must not repeat what is recorded.
async fn replied(deadline: Instant, asking: impl Future<Output = Taken>) -> Response {
    answer(timeout_at(deadline, asking).await.unwrap_or(Taken::Success))
}

/// What a push is answered with that was committed.
fn answer(taken: Taken) -> Response {
    match taken {
        // Nobody is asked twice.
        Taken::Success | Taken::Asked(_) => plain(StatusCode::OK, "success".to_owned()),
        Taken::Empty => plain(StatusCode::OK, String::new()),
        Taken::Reply(sealed) => {
            let kind = if sealed.starts_with('{') { "application/json" } else { "application/xml" };
            Response::builder().content_type(kind).body(sealed)
        }
    }
}

/// Whatever `recording` ends with, or the answer to its refusal, which is 503 when it does not end by
/// `deadline`.
///
/// Security invariant: running out of time never leads to anything but 503, so a push whose commit
/// is still under way is repeated by WeChat and folded into the one that was recorded.
async fn within<T>(
    deadline: Instant,
    recording: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Response> {
    match timeout_at(deadline, recording).await {
        Ok(Ok(taken)) => Ok(taken),
        Ok(Err(Refusal::Unverified)) => Err(plain(StatusCode::FORBIDDEN, "refused".to_owned())),
        Ok(Err(refusal @ (Refusal::Unrecorded(_) | Refusal::Unerased(_)))) => {
            Err(not_recorded(Cause::chain(&refusal)))
        }
        Err(_) => Err(not_recorded(Cause::new("the push was not recorded within its budget"))),
    }
}

fn not_recorded(cause: Cause) -> Response {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "not recorded".to_owned());
    answer.set_data(cause);
    answer
}

fn plain(status: StatusCode, text: String) -> Response {
    Response::builder().status(status).content_type("text/plain; charset=utf-8").body(text)
}

#[cfg(test)]
mod tests {
    use poem::{Route, post};

    use super::*;

    /// What becomes of a push to the stand-in.
    #[derive(Clone, Copy)]
    enum Does {
        Takes(fn() -> Taken),
        Refuses(fn() -> Refusal),
        /// Takes it, after so long.
        TakesAfter(Duration),
    }

    #[derive(Clone)]
    struct StandIn(Does);

    impl TakesPushes for StandIn {
        type Named<'r> = &'r str;

        fn named(request: &Request) -> &str {
            parameter(request, "name")
        }

        async fn accept(
            &self,
            named: Self::Named<'_>,
            raw_query: &str,
            body: &[u8],
        ) -> Result<Taken, Refusal> {
            assert_eq!((named, raw_query, body), ("a", "q=1", b"body".as_slice()));
            match self.0 {
                Does::Takes(taken) => Ok(taken()),
                Does::Refuses(refusal) => Err(refusal()),
                Does::TakesAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    Ok(Taken::Success)
                }
            }
        }

        async fn check_url(&self, _: Self::Named<'_>, _: &str) -> Result<String, Refusal> {
            Ok("echo".to_owned())
        }
    }

    const BUDGET: Duration = Duration::from_millis(3500);

    async fn pushed(does: Does) -> Response {
        let events = Events::new(StandIn(does), Pool::of(MAX_SEATS as usize), BUDGET);
        let request = Request::builder().method(poem::http::Method::POST);
        let request = request.uri("/a?q=1".parse().unwrap()).body("body");
        Route::new().at("/:name", post(events)).get_response(request).await
    }

    #[test]
    fn a_push_takes_the_seats_that_it_says_it_needs() {
        let seats = |declared: &str| {
            let request = Request::builder().header(CONTENT_LENGTH, declared);
            seats_for(&request.finish())
        };
        let of = [("0", 1), ("1", 1), ("16384", 1), ("16385", 2), ("262144", 16), ("262145", 16)];
        for (declared, wanted) in of {
            assert_eq!(seats(declared), wanted, "{declared} bytes");
        }
        let strange = ["99999999999999999999999", "-1", "many"].map(seats);
        assert_eq!(strange, [MAX_SEATS; 3]);
        assert_eq!(seats_for(&Request::default()), MAX_SEATS, "it does not say");
    }

    #[tokio::test]
    async fn a_push_may_have_no_more_than_its_seats() {
        let events = Events::new(StandIn(Does::Takes(|| Taken::Success)), Pool::of(64), BUDGET);
        for (declared, bytes) in [("1", PUSH_SEAT_BYTES + 1), ("262145", 16 * PUSH_SEAT_BYTES + 1)]
        {
            let request = Request::builder().method(poem::http::Method::POST);
            let request = request.header(CONTENT_LENGTH, declared).body(vec![b'x'; bytes]);
            assert_eq!(told(events.get_response(request).await).await, (403, "refused".to_owned()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_pushes_come_in_beside_a_large_one_and_another_large_one_waits() {
        const SECOND: Duration = Duration::from_secs(1);
        let slow = StandIn(Does::TakesAfter(SECOND));
        let events = Events::new(slow, Pool::of(MAX_SEATS as usize), BUDGET);
        let push = |declared: &'static str| {
            let request = Request::builder().method(poem::http::Method::POST);
            let request = request.uri("/a?q=1".parse().unwrap());
            let request = request.header(CONTENT_LENGTH, declared).body("body");
            let route = Route::new().at("/:name", post(events.clone()));
            async move {
                let began = Instant::now();
                assert_eq!(route.get_response(request).await.status(), StatusCode::OK);
                began.elapsed()
            }
        };
        let took = tokio::join!(push("4"), push("200000"), push("4"), push("262144"));
        let took = [took.0, took.1, took.2, took.3];
        assert_eq!(
            took,
            [SECOND, SECOND, SECOND, 2 * SECOND],
            "the last waits for those before it"
        );
    }

    async fn told(answer: Response) -> (u16, String) {
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes_limit(100).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn success_is_said_in_plain_text() {
        let answer = pushed(Does::Takes(|| Taken::Success)).await;
        assert_eq!(answer.content_type(), Some("text/plain; charset=utf-8"));
        assert_eq!(told(answer).await, (200, "success".to_owned()));
        let empty = pushed(Does::Takes(|| Taken::Empty)).await;
        assert_eq!(told(empty).await, (200, String::new()));
    }

    #[tokio::test]
    async fn a_reply_goes_back_as_it_is() {
        for (reply, kind) in
            [("<xml/>", "application/xml"), ("{\"Encrypt\":1}", "application/json")]
        {
            let answer = answer(Taken::Reply(reply.to_owned()));
            assert_eq!(answer.content_type(), Some(kind));
            assert_eq!(told(answer).await, (200, reply.to_owned()));
        }
    }

    #[tokio::test]
    async fn what_does_not_verify_gets_one_short_refusal() {
        let answer = pushed(Does::Refuses(|| Refusal::Unverified)).await;
        assert_eq!(told(answer).await, (403, "refused".to_owned()));
    }

    #[tokio::test]
    async fn what_could_not_be_erased_is_asked_for_again() {
        let failed = || Refusal::Unerased(lingpai_authorizer::Error::LinkUnknown);
        let answer = pushed(Does::Refuses(failed)).await;
        assert!(answer.data::<Cause>().is_some(), "the log is told why");
        assert_eq!(told(answer).await, (503, "not recorded".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_time_before_the_commit_is_503_and_never_success() {
        let answer = pushed(Does::TakesAfter(BUDGET + Duration::from_millis(1))).await;
        assert!(answer.data::<Cause>().is_some(), "the log is told why");
        assert_eq!(told(answer).await, (503, "not recorded".to_owned()));
    }
    #[tokio::test(start_paused = true)]
    async fn running_out_of_time_after_the_commit_is_success() {
        let deadline = Instant::now() + BUDGET;
        let silent = replied(deadline, std::future::pending()).await;
        assert_eq!(told(silent).await, (200, "success".to_owned()));
        let in_time = replied(deadline + BUDGET, async { Taken::Reply("<xml/>".to_owned()) }).await;
        assert_eq!(told(in_time).await, (200, "<xml/>".to_owned()));
    }
}
