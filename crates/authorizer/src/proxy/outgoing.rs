//! A tenant's call on its way out.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use lingpai_wechat::client::{ByteStream, ForwardBody, ForwardRequest};

use super::{
    ProxyRequest,
    answer::{content_length, joined},
};
use crate::{JudgedPath, path::without_tokens};

/// A request body up to this size is kept, so that the call can be made again with a newer token.
const REPEATABLE_BODY: usize = 64 * 1024;

/// A call as it goes out.
pub(super) struct OutgoingCall {
    pub(super) request: ForwardRequest,
    pub(super) body: OutgoingBody,
}

/// The body of a call.
pub(super) enum OutgoingBody {
    /// It is all here, and can be sent again.
    Kept(KeptBody),
    /// It is longer than is kept.
    Streamed(ForwardBody),
}

/// A body that can be sent any number of times.
#[derive(Clone)]
pub(super) struct KeptBody(Bytes);

impl OutgoingCall {
    /// The call as it goes to the judged path, without any token of the tenant's own.
    pub(super) async fn of(path: &JudgedPath, request: ProxyRequest) -> Self {
        let ProxyRequest { method, raw_query, headers, body, .. } = request;
        let length = content_length(&headers);
        let body = match read_ahead(body, REPEATABLE_BODY).await {
            Ahead::Whole(whole) => OutgoingBody::Kept(KeptBody(whole)),
            Ahead::Part(head, rest) => {
                let bytes = joined(head, rest);
                OutgoingBody::Streamed(ForwardBody::Stream { bytes, length })
            }
        };
        let (path, query) = (path.as_str().to_owned(), without_tokens(&raw_query));
        Self { request: ForwardRequest { method, path, query, headers }, body }
    }
}

impl OutgoingBody {
    /// What can be sent again, if it can.
    pub(super) fn kept(&self) -> Option<KeptBody> {
        match self {
            Self::Kept(kept) => Some(kept.clone()),
            Self::Streamed(_) => None,
        }
    }

    /// The body as it is sent first.
    pub(super) fn first(self) -> ForwardBody {
        match self {
            Self::Kept(kept) => kept.body(),
            Self::Streamed(body) => body,
        }
    }
}

impl KeptBody {
    pub(super) fn body(&self) -> ForwardBody {
        let Self(whole) = self;
        if whole.is_empty() { ForwardBody::Empty } else { ForwardBody::Whole(whole.clone()) }
    }
}

/// What was read of a body.
pub(super) enum Ahead {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest is still to come, and an error of the stream is part of it.
    Part(Bytes, ByteStream),
}

/// Reads until more than `limit` bytes have come or the stream ends. A single chunk is not copied.
pub(super) async fn read_ahead(mut body: ByteStream, limit: usize) -> Ahead {
    let mut head = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if head.is_empty() => head = chunk,
            Ok(chunk) => {
                if more.is_empty() {
                    more.extend_from_slice(&head);
                }
                more.extend_from_slice(&chunk);
            }
            Err(error) => {
                let failed = stream::iter([io::Result::<Bytes>::Err(error)]).boxed();
                return Ahead::Part(read(head, more), failed);
            }
        }
        if head.len().max(more.len()) > limit {
            return Ahead::Part(read(head, more), body);
        }
    }
    Ahead::Whole(read(head, more))
}

/// All that was read: the one chunk, or all of them together.
fn read(head: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() { head } else { more.freeze() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn body(chunks: &[&'static str]) -> ByteStream {
        let chunks: Vec<io::Result<Bytes>> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        stream::iter(chunks).boxed()
    }

    pub(in super::super) async fn collect(mut body: ByteStream) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(chunk) = body.next().await {
            whole.extend_from_slice(&chunk.expect("no error in these bodies"));
        }
        whole
    }

    #[tokio::test]
    async fn no_token_of_a_tenants_goes_out_to_any_host() {
        for path in ["/cgi-bin/user/info", "/cgi-bin/showqrcode"] {
            let path = JudgedPath::judge(path).expect("it passes");
            let request = ProxyRequest {
                method: http::Method::POST,
                raw_path: String::new(),
                raw_query: "ticket=a%2Fb&access_token=lpv_x&acc%65ss_token=y".to_owned(),
                headers: http::HeaderMap::new(),
                body: body(&["{}"]),
            };
            let call = OutgoingCall::of(&path, request).await;
            assert_eq!(call.request.query, "ticket=a%2Fb");
            assert_eq!(call.request.path, path.as_str());
            assert!(call.body.kept().is_some());
        }
    }

    fn whole(ahead: Ahead) -> Bytes {
        match ahead {
            Ahead::Whole(whole) => whole,
            Ahead::Part(..) => panic!("it fits"),
        }
    }

    #[tokio::test]
    async fn a_body_is_repeatable_up_to_its_limit() {
        assert_eq!(whole(read_ahead(body(&["ab", "cd"]), 4).await), "abcd");
        assert_eq!(whole(read_ahead(body(&[]), 4).await), "");
        let Ahead::Part(head, rest) = read_ahead(body(&["ab", "cde", "f"]), 4).await else {
            panic!("more is to come")
        };
        assert_eq!(head, "abcde");
        assert_eq!(collect(joined(head, rest)).await, b"abcdef");
    }

    #[tokio::test]
    async fn a_body_of_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"all of it");
        let one = stream::iter([Ok(chunk.clone())]).boxed();
        assert_eq!(whole(read_ahead(one, 64).await).as_ptr(), chunk.as_ptr());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
        let broken = [Ok(Bytes::from_static(b"ab")), Err(io::Error::other("cut"))];
        let ahead = read_ahead(stream::iter(broken).boxed(), 64).await;
        let Ahead::Part(head, mut rest) = ahead else { panic!("it broke off") };
        assert_eq!(head, "ab");
        assert!(rest.next().await.expect("the error").is_err());
    }
}
