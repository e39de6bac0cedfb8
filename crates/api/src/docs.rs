//! The documents and the pages on which they can be read and tried.

use bytes::Bytes;
use poem::{
    Endpoint, Request, Response,
    http::{StatusCode, header},
};

use crate::middleware::Etag;

/// The pages bring all their script and style inside, and read nothing but our own API.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// A document that never changes while the process runs.
pub(crate) struct Document {
    content_type: &'static str,
    policy: Option<&'static str>,
    body: Bytes,
    tag: Etag,
}

impl Document {
    /// An OpenAPI document.
    pub(crate) fn json(text: String) -> Self {
        Self::new("application/json", None, text)
    }

    /// A page of the documentation.
    pub(crate) fn page(html: String) -> Self {
        Self::new("text/html; charset=utf-8", Some(PAGE_POLICY), html)
    }

    fn new(content_type: &'static str, policy: Option<&'static str>, text: String) -> Self {
        let tag = Etag::of(text.as_bytes());
        Self { content_type, policy, body: text.into(), tag }
    }
}

impl Endpoint for Document {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let mut answer = Response::builder()
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::ETAG, self.tag.header());
        if self.tag.is_held_by(request.headers()) {
            return Ok(answer.status(StatusCode::NOT_MODIFIED).finish());
        }
        answer = answer.content_type(self.content_type);
        if let Some(policy) = self.policy {
            answer = answer.header(header::CONTENT_SECURITY_POLICY, policy);
        }
        Ok(answer.body(self.body.clone()))
    }
}

#[cfg(test)]
mod tests {
    use poem::test::TestClient;

    use super::*;
    use crate::spec;

    #[tokio::test]
    async fn pages_hold_the_document_and_may_call_nobody_but_us() {
        let page = Document::page(spec::tenant_page());
        let answer = TestClient::new(page).get("/").send().await.0;
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
        let html = answer.into_body().into_bytes_limit(16 << 20).await.unwrap();
        let html = std::str::from_utf8(&html).unwrap();
        assert!(html.contains("\"start_authorization\""));
    }

    #[tokio::test]
    async fn a_document_that_the_client_has_is_not_sent_again() {
        let client = TestClient::new(Document::json("{}".to_owned()));
        let answer = client.get("/").send().await;
        answer.assert_content_type("application/json");
        let tag = answer.0.header("etag").unwrap().to_owned();
        let again = client.get("/").header("If-None-Match", &tag).send().await;
        again.assert_status(StatusCode::NOT_MODIFIED);
        again.assert_header("etag", &tag);
        again.assert_text("").await;
        let other = client.get("/").header("If-None-Match", "\"other\"").send().await;
        other.assert_text("{}").await;
    }
}
