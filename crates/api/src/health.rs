//! What machines ask: is it alive, is it ready, how is it doing.

use std::{fmt::Display, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use poem::{Endpoint, Request, Response, http::StatusCode};
use tokio::time::timeout;

use crate::middleware::Cause;

/// How long a readiness check may take before it counts as failed.
const READINESS_DEADLINE: Duration = Duration::from_secs(3);

/// Why the service is not ready, for the log. Whoever asks is only told that it is not.
#[derive(Debug, Clone)]
pub struct NotReady(String);

impl NotReady {
    /// Not ready because of `reason`.
    pub fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

/// Checks whether requests can be served: database reachable, schema up to date.
#[derive(Clone)]
pub struct Readiness(Check);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), NotReady>> + Send + Sync>;

impl Readiness {
    /// A readiness that is found out by `check`.
    pub fn new(
        check: impl Fn() -> BoxFuture<'static, Result<(), NotReady>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(check))
    }
}

/// `GET /metrics`: the page of figures. Served here, or on a listener of its own.
#[derive(Clone)]
pub struct MetricsPage(Arc<dyn Fn() -> String + Send + Sync>);

impl MetricsPage {
    /// A page rendered by `render`, in the text format of Prometheus, for each request anew.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }
}

impl Endpoint for MetricsPage {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        let Self(render) = self;
        let page = Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8");
        Ok(page.body(render()))
    }
}

/// `GET /healthz`: the process answers.
pub(crate) struct Healthz;

impl Endpoint for Healthz {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        Ok(plain(StatusCode::OK, "alive"))
    }
}

/// `GET /readyz`: requests can be served.
pub(crate) struct Readyz(pub(crate) Readiness);

impl Endpoint for Readyz {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        let Readiness(check) = &self.0;
        let reason = match timeout(READINESS_DEADLINE, check()).await {
            Ok(Ok(())) => return Ok(plain(StatusCode::OK, "ready")),
            Ok(Err(NotReady(reason))) => reason,
            Err(_) => "the readiness check did not end in time".to_owned(),
        };
        let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "not ready");
        answer.set_data(Cause::new(reason));
        Ok(answer)
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    Response::builder().status(status).content_type("text/plain; charset=utf-8").body(text)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use poem::test::TestClient;

    use super::*;

    async fn readyz(readiness: Readiness) -> Response {
        TestClient::new(Readyz(readiness)).get("/").send().await.0
    }

    #[tokio::test]
    async fn ready_is_told_and_the_reason_for_not_being_ready_is_not() {
        let answer = readyz(Readiness::new(|| async { Ok(()) }.boxed())).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let away = Readiness::new(|| async { Err(NotReady::new("no route to 10.0.0.7")) }.boxed());
        let answer = readyz(away).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.data::<Cause>().map(Cause::as_str), Some("no route to 10.0.0.7"));
        let body = answer.into_body().into_bytes_limit(100).await.unwrap();
        assert_eq!(body.as_ref(), b"not ready");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_not_ready() {
        let hanging = Readiness::new(|| std::future::pending().boxed());
        assert_eq!(readyz(hanging).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn the_metrics_page_is_rendered_anew_for_each_request() {
        let page = MetricsPage::new(|| "lingpai_up 1\n".to_owned());
        TestClient::new(page).get("/").send().await.assert_text("lingpai_up 1\n").await;
    }
}
