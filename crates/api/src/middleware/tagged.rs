//! Entity tags: who has the present answer already is not sent it again.

use lingpai_model::digest::Digest;
use poem::{
    Endpoint, IntoEndpoint, IntoResponse, Request, Response,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
};

use crate::problem::Problem;

/// The most that an answer of our own may have.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How much of the digest is told: 128 bits name an answer among all others.
const TAG_LEN: usize = 32;

/// Where tokens are read. Such an answer is other each second, and nobody keeps it.
const UNTAGGED: &str = "/access-token";

/// A strong entity tag, made from the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Etag(HeaderValue);

impl Etag {
    pub(crate) fn of(content: &[u8]) -> Self {
        let digest = Digest::of(&[b"etag", content]).to_hex();
        let tag = format!("\"{}\"", &digest[..TAG_LEN]);
        Self(HeaderValue::try_from(tag).expect("hexadecimal digits in quotes make a header"))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Whether who sent `headers` has this content already.
    ///
    /// Source: RFC 9110, section 13.1.2: a list of tags or `*`, compared weakly.
    pub(crate) fn is_held_by(&self, headers: &HeaderMap) -> bool {
        let ours = self.0.as_bytes();
        let lines = headers.get_all(IF_NONE_MATCH).iter();
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == ours
        })
    }
}

/// An endpoint whose JSON answers to GET carry an entity tag, and are left out where the client has
/// them.
pub(crate) struct Tagged<E>(E);

impl<E: Endpoint> Tagged<E> {
    pub(crate) fn new(inner: impl IntoEndpoint<Endpoint = E>) -> Self {
        Self(inner.into_endpoint())
    }
}

impl<E: Endpoint> Endpoint for Tagged<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let is_tagged =
            request.method() == Method::GET && !request.uri().path().ends_with(UNTAGGED);
        // Few requests have the header, so that the clone is mostly of nothing.
        let held = held(request.headers());
        let mut answer = self.0.call(request).await?.into_response();
        if !is_tagged || !is_whole_json(&answer) {
            return Ok(answer);
        }
        let body = answer.take_body().into_bytes_limit(MAX_ANSWER_BYTES).await;
        let body = body.map_err(|_| Problem::unwritten())?;
        let tag = Etag::of(&body);
        answer.headers_mut().insert(ETAG, tag.header());
        if tag.is_held_by(&held) {
            answer.set_status(StatusCode::NOT_MODIFIED);
            answer.headers_mut().remove(CONTENT_TYPE);
        } else {
            answer.set_body(body);
        }
        Ok(answer)
    }
}

fn held(headers: &HeaderMap) -> HeaderMap {
    let lines = headers.get_all(IF_NONE_MATCH).iter();
    lines.map(|line| (IF_NONE_MATCH, line.clone())).collect()
}

fn is_whole_json(answer: &Response) -> bool {
    let is_json = answer.content_type().is_some_and(|kind| kind.starts_with("application/json"));
    answer.status() == StatusCode::OK && is_json
}

#[cfg(test)]
mod tests {
    use poem::{Route, endpoint::make_sync, test::TestClient};

    use super::*;

    const JSON: &str = "application/json; charset=utf-8";

    fn route() -> Route {
        let json = |text: &'static str| {
            make_sync(move |_| Response::builder().content_type(JSON).body(text))
        };
        let problem = make_sync(|_| {
            let problem = Response::builder().status(StatusCode::NOT_FOUND);
            problem.content_type("application/problem+json").body("{}")
        });
        Route::new()
            .at("/one", Tagged::new(json("{\"a\":1}")))
            .at("/two", Tagged::new(json("{\"a\":2}")))
            .at("/wx1/access-token", Tagged::new(json("{\"access_token\":\"t\"}")))
            .at("/missing", Tagged::new(problem))
            .at("/text", Tagged::new(make_sync(|_| "text")))
    }

    async fn get(path: &str, held: Option<&str>) -> (u16, Option<String>, Vec<u8>) {
        let client = TestClient::new(route());
        let mut request = client.get(path);
        if let Some(held) = held {
            request = request.header(IF_NONE_MATCH, HeaderValue::from_str(held).unwrap());
        }
        let answer = request.send().await.0;
        let (status, tag) = (answer.status().as_u16(), answer.header("etag").map(str::to_owned));
        (status, tag, answer.into_body().into_bytes_limit(1024).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn what_the_client_has_is_not_sent_again() {
        let (status, tag, body) = get("/one", None).await;
        assert_eq!((status, body.as_slice()), (200, b"{\"a\":1}".as_slice()));
        let tag = tag.expect("JSON carries a tag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == TAG_LEN + 2, "{tag}");
        for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag} ,\"y\""), "*".into()] {
            let answer = get("/one", Some(&held)).await;
            assert_eq!(answer, (304, Some(tag.clone()), vec![]), "{held}");
        }
        for held in ["\"x\"", "", "x", tag.trim_matches('"')] {
            assert_eq!(get("/one", Some(held)).await.0, 200, "{held}");
        }
        let (status, other, _) = get("/two", Some(&tag)).await;
        assert_eq!(status, 200, "another content is another tag");
        assert_ne!(other, Some(tag));
    }

    #[tokio::test]
    async fn tokens_problems_and_what_is_no_json_carry_no_tag() {
        for (path, status) in [("/wx1/access-token", 200), ("/missing", 404), ("/text", 200)] {
            let (told, tag, body) = get(path, Some("*")).await;
            assert_eq!((told, tag), (status, None), "{path}");
            assert!(!body.is_empty(), "{path}");
        }
    }

    #[tokio::test]
    async fn only_reading_is_spared() {
        let client = TestClient::new(route());
        let answer = client.post("/one").header(IF_NONE_MATCH, "*").send().await;
        answer.assert_status_is_ok();
        assert!(answer.0.header("etag").is_none());
    }
}
