//! An event URL: where WeChat pushes. It hears one of two things: `success`, once what it pushed is
//! committed, or one short refusal.

use std::time::Duration;

use lingpai_callback::Refusal;
use poem::{Endpoint, Request, Response, http::StatusCode};
use tokio::time::timeout;

use crate::middleware::{Cause, Pool};

/// The most that a push may have, in bytes.
const MAX_PUSH_BYTES: usize = 256 * 1024;

/// Who takes the pushes of one kind of event URL.
pub(crate) trait TakesPushes: Clone + Send + Sync {
    /// The parameter of the path that names for whom a push is.
    const PARAMETER: &'static str;

    /// Verifies and records a push; only then may `success` be said.
    fn accept(
        &self,
        appid: &str,
        raw_query: &str,
        body: &[u8],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The text with which the check of a URL is answered.
    fn check_url(
        &self,
        appid: &str,
        raw_query: &str,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;
}

/// `POST` on an event URL: a push.
#[derive(Clone)]
pub(crate) struct Events<P> {
    pushes: P,
    pool: Pool,
    /// From the first byte to the answer. What is not committed by then WeChat shall repeat.
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

    async fn accept(&self, mut request: Request) -> Result<&'static str, Refusal> {
        let _seat = self.pool.seat().await;
        // Too large or broken off looks like everything else that does not verify; the budget around
        // all of this is also the body's deadline.
        let body = request.take_body().into_bytes_limit(MAX_PUSH_BYTES).await;
        let body = body.map_err(|_| Refusal::Unverified)?;
        self.pushes.accept(appid::<P>(&request), raw_query(&request), &body).await?;
        Ok("success")
    }
}

impl<P: TakesPushes> Endpoint for Events<P> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(within(self.budget, self.accept(request)).await)
    }
}

impl<P: TakesPushes> Endpoint for UrlCheck<P> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(events) = self;
        let check = events.pushes.check_url(appid::<P>(&request), raw_query(&request));
        Ok(within(events.budget, check).await)
    }
}

fn appid<P: TakesPushes>(request: &Request) -> &str {
    request.raw_path_param(P::PARAMETER).unwrap_or_default()
}

fn raw_query(request: &Request) -> &str {
    request.uri().query().unwrap_or_default()
}

/// The answer to whatever `answer` ends with, or 503 when it does not end within `budget`.
///
/// Security invariant: running out of time never leads to anything but 503, so a push whose commit
/// is still under way is repeated by WeChat and folded into the one that was recorded.
async fn within<T: Into<String>>(
    budget: Duration,
    answer: impl Future<Output = Result<T, Refusal>>,
) -> Response {
    match timeout(budget, answer).await {
        Ok(Ok(text)) => plain(StatusCode::OK, text.into()),
        Ok(Err(Refusal::Unverified)) => plain(StatusCode::FORBIDDEN, "refused".to_owned()),
        Ok(Err(refusal @ (Refusal::Unrecorded(_) | Refusal::Unerased(_)))) => {
            not_recorded(Cause::chain(&refusal))
        }
        Err(_) => not_recorded(Cause::new("the push was not recorded within its budget")),
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
    use super::*;

    async fn told(answer: Response) -> (u16, String) {
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes_limit(100).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    const BUDGET: Duration = Duration::from_millis(3500);

    #[tokio::test]
    async fn success_is_said_in_plain_text() {
        let answer = within(BUDGET, async { Ok("success") }).await;
        assert_eq!(answer.content_type(), Some("text/plain; charset=utf-8"));
        assert_eq!(told(answer).await, (200, "success".to_owned()));
    }

    #[tokio::test]
    async fn what_does_not_verify_gets_one_short_refusal() {
        let answer = within::<String>(BUDGET, async { Err(Refusal::Unverified) }).await;
        assert_eq!(told(answer).await, (403, "refused".to_owned()));
    }

    #[tokio::test]
    async fn what_could_not_be_erased_is_asked_for_again() {
        let failed = Refusal::Unerased(lingpai_authorizer::Error::LinkUnknown);
        let answer = within::<String>(BUDGET, async { Err(failed) }).await;
        assert!(answer.data::<Cause>().is_some(), "the log is told why");
        assert_eq!(told(answer).await, (503, "not recorded".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_time_is_503_and_never_success() {
        let late = async {
            tokio::time::sleep(BUDGET + Duration::from_millis(1)).await;
            Ok("success")
        };
        let answer = within(BUDGET, late).await;
        assert!(answer.data::<Cause>().is_some(), "the log is told why");
        assert_eq!(told(answer).await, (503, "not recorded".to_owned()));
    }
}
