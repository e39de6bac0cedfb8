//! The documents and the pages on which they can be read and tried.

use bytes::Bytes;
use poem::{Endpoint, Request, Response, http::header};

/// The pages bring all their script and style inside, and read nothing but our own API.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// A document that never changes while the process runs.
pub(crate) struct Document {
    content_type: &'static str,
    policy: Option<&'static str>,
    body: Bytes,
}

impl Document {
    /// An OpenAPI document.
    pub(crate) fn json(text: String) -> Self {
        Self { content_type: "application/json", policy: None, body: text.into() }
    }

    /// A page of the documentation.
    pub(crate) fn page(html: String) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self { content_type, policy: Some(PAGE_POLICY), body: html.into() }
    }
}

impl Endpoint for Document {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        let mut answer = Response::builder()
            .content_type(self.content_type)
            .header(header::CACHE_CONTROL, "no-cache");
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
}
