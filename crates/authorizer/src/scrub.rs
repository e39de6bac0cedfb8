//! Removes our token from answers before they leave, without collecting them.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use lingpai_model::Secret;
use lingpai_wechat::client::ByteStream;

/// Replaces every occurrence of `token` in the stream by as many `*`, so that the length stays.
pub(crate) fn scrub(body: ByteStream, token: &Secret<String>) -> ByteStream {
    let state = (body, Scrubber::new(token), false);
    stream::unfold(state, |(mut body, mut scrubber, ended)| async move {
        if ended {
            return None;
        }
        loop {
            match body.next().await {
                Some(Ok(chunk)) => {
                    let clean = scrubber.pass(chunk);
                    if !clean.is_empty() {
                        return Some((Ok(clean), (body, scrubber, false)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (body, scrubber, true))),
                None => {
                    let rest: io::Result<Bytes> = Ok(scrubber.finish());
                    return Some((rest, (body, scrubber, true)));
                }
            }
        }
    })
    .boxed()
}

/// Looks for one needle across chunk borders. It holds back only as many bytes as could be the
/// beginning of the needle, which is nearly always none, and then passes chunks on uncopied.
struct Scrubber {
    needle: Secret<String>,
    held: BytesMut,
}

impl Scrubber {
    fn new(needle: &Secret<String>) -> Self {
        Self { needle: needle.clone(), held: BytesMut::new() }
    }

    fn pass(&mut self, chunk: Bytes) -> Bytes {
        let needle = self.needle.expose().as_bytes();
        if needle.is_empty() {
            return chunk;
        }
        if self.held.is_empty() {
            let tail = unfinished_tail(&chunk, needle);
            if tail == 0 && find(&chunk, needle).is_none() {
                return chunk;
            }
        }
        self.held.extend_from_slice(&chunk);
        while let Some(at) = find(&self.held, needle) {
            self.held[at..at + needle.len()].fill(b'*');
        }
        let keep = unfinished_tail(&self.held, needle);
        let ready = self.held.len() - keep;
        self.held.split_to(ready).freeze()
    }

    fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// How many of the last bytes are the beginning of `needle`.
fn unfinished_tail(bytes: &[u8], needle: &[u8]) -> usize {
    let longest = bytes.len().min(needle.len() - 1);
    (1..=longest).rev().find(|&n| bytes.ends_with(&needle[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(chunks: &[&[u8]], needle: &str) -> Vec<u8> {
        let mut scrubber = Scrubber::new(&Secret::from(needle));
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&scrubber.finish());
        out
    }

    #[test]
    fn a_token_is_covered_also_across_chunks() {
        assert_eq!(run(&[b"a TOK", b"EN b TOKEN", b" TO"], "TOKEN"), b"a ***** b ***** TO");
    }

    proptest! {
        #[test]
        fn nothing_else_changes(chunks in prop::collection::vec("[ab]{0,8}", 0..8), needle in "[ab]{2,4}") {
            let whole = chunks.concat();
            let parts: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            let scrubbed = run(&parts, &needle);
            prop_assert_eq!(scrubbed.len(), whole.len());
            prop_assert!(find(&scrubbed, needle.as_bytes()).is_none());
            for (new, old) in scrubbed.iter().zip(whole.bytes()) {
                prop_assert!(*new == old || *new == b'*');
            }
        }
    }
}
