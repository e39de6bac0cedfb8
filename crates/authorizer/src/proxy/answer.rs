//! WeChat's answer on its way back: looked at, and freed from our token.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, header::CONTENT_LENGTH};
use lingpai_model::Secret;
use lingpai_wechat::{
    call::errcode_in,
    client::{ByteStream, ForwardResponse},
    errcode::Errcode,
};

use super::outgoing::{Ahead, read_ahead};
use crate::scrub::{scrub, scrub_headers, scrub_whole};

/// An answer that ends within this size is looked at for an errcode. WeChat's errors are small.
const LONGEST_ERROR: usize = 8 * 1024;

/// WeChat's answer with the number of its error, if it is one.
pub(super) struct Answer {
    pub(super) errcode: Option<Errcode>,
    pub(super) response: ForwardResponse,
}

/// WeChat's answer with our token taken out of head and body, if one was sent.
///
/// WeChat answers errors with status 200 and any content type, so only the body tells.
pub(super) async fn looked_at(response: ForwardResponse, token: Option<&Secret<String>>) -> Answer {
    let ForwardResponse { status, headers, body } = response;
    let is_long = content_length(&headers).is_some_and(|length| length > LONGEST_ERROR as u64);
    let ahead = match is_long {
        true => Ahead::Part(Bytes::new(), body),
        false => read_ahead(body, LONGEST_ERROR).await,
    };
    let (errcode, body) = match ahead {
        Ahead::Whole(whole) => {
            let errcode = errcode_in(&whole);
            let whole = match token {
                Some(token) => scrub_whole(whole, token),
                None => whole,
            };
            (errcode, one(whole))
        }
        Ahead::Part(head, rest) => {
            let body = joined(head, rest);
            let body = match token {
                Some(token) => scrub(body, token),
                None => body,
            };
            (None, body)
        }
    };
    let headers = match token {
        Some(token) => scrub_headers(headers, token),
        None => headers,
    };
    Answer { errcode, response: ForwardResponse { status, headers, body } }
}

/// How long a body says that it is.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What was read ahead, and what comes behind it.
pub(super) fn joined(head: Bytes, rest: ByteStream) -> ByteStream {
    if head.is_empty() { rest } else { stream::iter([Ok(head)]).chain(rest).boxed() }
}

fn one(whole: Bytes) -> ByteStream {
    if whole.is_empty() { stream::empty().boxed() } else { stream::iter([Ok(whole)]).boxed() }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{
        super::outgoing::tests::{body, collect},
        *,
    };

    async fn look(headers: HeaderMap, chunks: &[&'static str], token: Option<&str>) -> Answer {
        let response = ForwardResponse { status: StatusCode::OK, headers, body: body(chunks) };
        looked_at(response, token.map(Secret::from).as_ref()).await
    }

    #[tokio::test]
    async fn our_token_leaves_neither_in_the_head_nor_in_the_body() {
        let mut headers = HeaderMap::new();
        let location = "https://mp.weixin.qq.com/x?access_token=a%2Bb";
        headers.insert("location", location.parse().expect("a value"));
        headers.insert("content-type", "text/html".parse().expect("a value"));
        let page = ["{\"errcode\":40001,\"errmsg\":\"a+", "b or a%2", "Bb\"}"];
        let answer = look(headers, &page, Some("a+b")).await;
        assert_eq!(answer.errcode, Some(Errcode(40001)));
        let names: Vec<&str> =
            answer.response.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["content-type"]);
        let page = collect(answer.response.body).await;
        assert_eq!(page, b"{\"errcode\":40001,\"errmsg\":\"*** or *****\"}");
    }

    #[tokio::test]
    async fn a_long_answer_is_not_collected_and_freed_from_the_token_all_the_same() {
        let long: &'static str =
            Box::leak(format!("{}a+b", "x".repeat(LONGEST_ERROR)).into_boxed_str());
        for announced in [false, true] {
            let mut headers = HeaderMap::new();
            if announced {
                headers.insert(CONTENT_LENGTH, (long.len() + 4).into());
            }
            let answer = look(headers, &[long, "a", "+b,"], Some("a+b")).await;
            assert_eq!(answer.errcode, None);
            let whole = collect(answer.response.body).await;
            assert_eq!(&whole[LONGEST_ERROR..], b"******,");
        }
    }

    #[tokio::test]
    async fn an_answer_that_no_token_was_sent_for_passes_as_it_is() {
        let answer = look(HeaderMap::new(), &["{\"errcode\":-1,", "\"a\":1}"], None).await;
        assert_eq!(answer.errcode, Some(Errcode(-1)));
        assert_eq!(collect(answer.response.body).await, b"{\"errcode\":-1,\"a\":1}");
        let none = look(HeaderMap::new(), &[], None).await;
        assert!(none.errcode.is_none() && collect(none.response.body).await.is_empty());
    }
}
