//! Test paths that WeChat does not have: one tells what arrived, one sends many bytes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use poem::Body;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::gateway::{Answer, ApiBody, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::world::World;

/// Tells method, query, headers and body digest of the call.
pub(crate) const PATH: &str = "/wxa/emulator/echo";

/// Sends `size` zero bytes.
pub(crate) const BYTES_PATH: &str = "/wxa/emulator/bytes";

/// A body that was counted and hashed while it passed.
#[derive(Debug, Clone)]
pub(crate) struct BodyDigest {
    pub(crate) bytes: u64,
    sha256: String,
}

/// Counts and hashes a body of any size.
pub(crate) async fn digest(body: Body) -> std::io::Result<BodyDigest> {
    let mut stream = body.into_bytes_stream();
    let mut hash = Sha256::new();
    let mut bytes = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        bytes += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(BodyDigest { bytes, sha256: base16ct::lower::encode_string(&hash.finalize()) })
}

/// What arrived, with the token's value left out, unless `leak=1` asks for an answer that contains
/// it: for tests of what a gateway removes.
pub(super) fn echo(_: &Arc<World>, request: &ApiRequest, appid: &str) -> Result<Answer, Refusal> {
    let ApiBody::Digest(digest) = &request.body else {
        return Err(Refusal::new(-1));
    };
    let mut headers = Map::new();
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        values.as_array_mut().expect("only arrays are put in").push(Value::String(value));
    }
    let mut answer = json!({
        "method": request.method.as_str(),
        "path": request.path,
        "query": without_token_values(&request.raw_query),
        "appid": appid,
        "headers": headers,
        "body_bytes": digest.bytes,
        "body_sha256": digest.sha256,
    });
    if request.query("leak") == "1" {
        answer["leaked_token"] = request.token().into();
    }
    Ok(Answer::Json(answer))
}

/// As many zero bytes as `size` says.
pub(super) fn bytes(_: &Arc<World>, request: &ApiRequest, _: &str) -> Result<Answer, Refusal> {
    let size = request.query("size").parse().map_err(|_| Refusal::new(refusal::BAD_JSON))?;
    Ok(Answer::Zeros(size))
}

/// A stream of `count` zero bytes in pieces of 16 KiB.
pub(crate) fn zeros(count: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    static PIECE: [u8; 16 * 1024] = [0; 16 * 1024];
    stream::unfold(count, |left| async move {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        (size > 0).then(|| (Ok(Bytes::from_static(&PIECE[..size])), left - size as u64))
    })
}

/// The raw query with every token's value blanked.
fn without_token_values(raw_query: &str) -> String {
    let blank = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.contains("access_token") => format!("{name}="),
        _ => pair.to_owned(),
    };
    raw_query.split('&').map(blank).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_told_as_received_but_for_the_token() {
        assert_eq!(
            without_token_values("a=%E4%B8%AD&access_token=secret&b"),
            "a=%E4%B8%AD&access_token=&b"
        );
    }

    #[tokio::test]
    async fn a_body_is_counted_and_hashed() {
        let digest = digest(Body::from("abc")).await.unwrap();
        assert_eq!(digest.bytes, 3);
        assert!(digest.sha256.starts_with("ba7816bf8f01cfea"));
    }

    #[tokio::test]
    async fn zeros_are_as_many_as_asked() {
        let total: usize =
            zeros(40_000).map(|chunk| chunk.unwrap().len()).collect::<Vec<_>>().await.iter().sum();
        assert_eq!(total, 40_000);
    }
}
