//! What anybody can send before a signature is looked at: query and envelope, of pushes and replies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lingpai_wechat::push::{Envelope, PushQuery, SealedReply, UrlCheckQuery};

fuzz_target!(|input: &[u8]| {
    // The query is everything up to the first line feed, as far as it is text.
    let split = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (query, body) = input.split_at(split);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    if let Ok(query) = std::str::from_utf8(query) {
        if let Ok(push) = PushQuery::parse(query) {
            assert!(push.nonce.len() <= 64 && push.msg_signature.len() == 40);
        }
        let _ = UrlCheckQuery::parse(query);
    }
    for envelope in [Envelope::parse(body), Envelope::parse_json(body)].into_iter().flatten() {
        assert!(!envelope.encrypt.is_empty());
    }
    let _ = SealedReply::parse(body);
});
