//! Removes our token from answers before they leave, without collecting them.

use std::{borrow::Cow, io};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue};
use lingpai_model::Secret;
use lingpai_wechat::client::ByteStream;

/// How often a header's value is decoded in search of the token: an address in an address in an
/// address.
const MAX_DECODINGS: usize = 3;

/// Drops every header value that contains `token`, percent-encoded in whatever way or not.
pub(crate) fn scrub_headers(mut headers: HeaderMap, token: &Secret<String>) -> HeaderMap {
    let tells = |value: &HeaderValue| tells_token(value.as_bytes(), token.expose().as_bytes());
    if headers.values().any(tells) {
        headers = headers
            .iter()
            .filter(|(_, value)| !tells(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    headers
}

fn tells_token(value: &[u8], token: &[u8]) -> bool {
    if token.is_empty() {
        return false;
    }
    let mut decoded = Cow::Borrowed(value);
    for _ in 0..MAX_DECODINGS {
        if find(&decoded, token).is_some() {
            return true;
        }
        if !decoded.contains(&b'%') {
            return false;
        }
        decoded = Cow::Owned(percent_decoded(&decoded));
    }
    find(&decoded, token).is_some()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let byte = match (first, behind) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        decoded.push(byte.map_or(first, |(high, low)| high << 4 | low));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    decoded
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Replaces every occurrence of `token`, as it is and as it goes out in an address, by as many
/// `*`, so that the length stays. (A token that holds a `*` itself is covered by something else.)
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

/// As [`scrub`], for a body that is all there.
pub(crate) fn scrub_whole(body: Bytes, token: &Secret<String>) -> Bytes {
    let text = token.expose().as_bytes();
    let is_same_in_address =
        text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*'));
    if is_same_in_address && (text.is_empty() || find(&body, text).is_none()) {
        return body;
    }
    let mut scrubber = Scrubber::new(token);
    let (clean, rest) = (scrubber.pass(body), scrubber.finish());
    if rest.is_empty() { clean } else { [clean, rest].concat().into() }
}

/// Looks for the token across chunk borders. It holds back only as many bytes as could be the
/// beginning of the token, which is nearly always none, and then passes chunks on uncopied.
struct Scrubber {
    /// The ways of writing it, each once and none empty.
    needles: Vec<Secret<String>>,
    /// What it is covered with. No needle holds this byte, so that covering makes no new ones.
    mask: u8,
    held: BytesMut,
}

impl Scrubber {
    fn new(token: &Secret<String>) -> Self {
        let in_address: String =
            url::form_urlencoded::byte_serialize(token.expose().as_bytes()).collect();
        let mut needles = vec![token.clone(), Secret::new(in_address)];
        needles.dedup();
        needles.retain(|needle| !needle.is_empty());
        let mask = (b'*'..=u8::MAX)
            .find(|mask| needles.iter().all(|needle| !needle.expose().as_bytes().contains(mask)))
            .expect("no text holds the byte 255");
        Self { needles, mask, held: BytesMut::new() }
    }

    fn pass(&mut self, mut chunk: Bytes) -> Bytes {
        if self.held.is_empty() && self.needles().all(|needle| find(&chunk, needle).is_none()) {
            let keep = self.unfinished_tail(&chunk);
            self.held.extend_from_slice(&chunk.split_off(chunk.len() - keep));
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        for needle in &self.needles {
            cover(&mut self.held, needle.expose().as_bytes(), self.mask);
        }
        let ready = self.held.len() - self.unfinished_tail(&self.held);
        self.held.split_to(ready).freeze()
    }

    fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    fn needles(&self) -> impl Iterator<Item = &[u8]> {
        self.needles.iter().map(|needle| needle.expose().as_bytes())
    }

    /// How many of the last bytes are the beginning of a needle.
    fn unfinished_tail(&self, bytes: &[u8]) -> usize {
        self.needles().map(|needle| unfinished_tail(bytes, needle)).max().unwrap_or(0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// Covers every occurrence of `needle`, of overlapping ones the first.
fn cover(bytes: &mut [u8], needle: &[u8], mask: u8) {
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], needle) {
        let end = from + at + needle.len();
        bytes[from + at..end].fill(mask);
        from = end;
    }
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

    fn run(chunks: &[&[u8]], token: &str) -> Vec<u8> {
        let mut scrubber = Scrubber::new(&Secret::from(token));
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

    #[test]
    fn a_token_is_covered_as_it_goes_out_in_an_address() {
        let chunks: [&[u8]; 3] = [b"x?access_token=a%2", b"Fb%3D&y a/b", b"= a%2Fb a/b"];
        assert_eq!(run(&chunks, "a/b="), b"x?access_token=********&y **** a%2Fb a/b");
    }

    #[test]
    fn a_token_that_holds_the_mask_is_covered() {
        assert_eq!(run(&[b"x*** y"], "*"), b"x+++ y");
        assert_eq!(run(&[b"*a*", b"a*+"], "*a*"), b"+++a*+");
        assert_eq!(run(&[b"all of it stays"], ""), b"all of it stays");
    }

    #[test]
    fn what_does_not_hold_the_token_is_not_copied() {
        let mut scrubber = Scrubber::new(&Secret::from("a+b"));
        for chunk in ["nothing of it", "its beginning a%2"] {
            let chunk = Bytes::from(chunk);
            let passed = scrubber.pass(chunk.clone());
            assert_eq!(passed.as_ptr(), chunk.as_ptr());
        }
        assert_eq!(scrubber.held, "a%2");
    }

    #[test]
    fn a_whole_body_is_covered_and_passed_on_uncopied_if_there_is_nothing_to_cover() {
        let body = Bytes::from_static(b"{\"errmsg\":\"x a-b_1 y\"}");
        let clean = scrub_whole(body.clone(), &Secret::from("a-b_2"));
        assert_eq!(clean.as_ptr(), body.as_ptr());
        assert_eq!(scrub_whole(body.clone(), &Secret::from("a-b_1")), "{\"errmsg\":\"x ***** y\"}");
        let tail = Bytes::from_static(b"a+b a%2Bb a%2");
        assert_eq!(scrub_whole(tail, &Secret::from("a+b")), "*** ***** a%2");
        assert_eq!(scrub_whole(body.clone(), &Secret::from("")), body);
    }

    #[test]
    fn header_values_that_tell_the_token_are_dropped_and_only_those() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", "https://h/x?access_token=a%2Bb"),
            ("link", "<https://h/?u=https%3a%2f%2fh%2f%3faccess_token%3da%252bb>"),
            ("link", "<https://h/x>; rel=next"),
            ("content-location", "/x?t=%61+b"),
            ("x-debug", "token a+b!"),
            ("content-disposition", "attachment; filename=\"100%_a%2\""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let scrubbed = scrub_headers(headers.clone(), &Secret::from("a+b"));
        let kept: Vec<&str> = scrubbed.values().filter_map(|value| value.to_str().ok()).collect();
        assert_eq!(kept, ["<https://h/x>; rel=next", "attachment; filename=\"100%_a%2\""]);
        for other in ["a+bc", ""] {
            assert_eq!(scrub_headers(headers.clone(), &Secret::from(other)), headers, "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_else_changes(
            chunks in prop::collection::vec("[ab*/%2F]{0,8}", 0..8),
            token in "[ab*/%]{1,4}",
        ) {
            let whole = chunks.concat();
            let parts: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            let scrubbed = run(&parts, &token);
            let scrubber = Scrubber::new(&Secret::from(token.as_str()));
            prop_assert_eq!(scrubbed.len(), whole.len());
            for needle in scrubber.needles() {
                prop_assert!(find(&scrubbed, needle).is_none());
            }
            let at_once = scrub_whole(Bytes::from(whole.clone()), &Secret::from(token.as_str()));
            prop_assert_eq!(&at_once[..], &run(&[whole.as_bytes()], &token)[..]);
            for (new, old) in scrubbed.iter().zip(whole.bytes()) {
                prop_assert!(*new == old || *new == scrubber.mask);
            }
        }
    }
}
