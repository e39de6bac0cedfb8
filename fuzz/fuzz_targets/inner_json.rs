//! A decrypted message in JSON, as an account with keys of its own may choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lingpai_wechat::push::{
    message::{MessagePush, to_json},
    publish_test,
};

fuzz_target!(|input: &[u8]| {
    // Most inputs should get past the first byte.
    let mut json = b"{".to_vec();
    json.extend_from_slice(input.strip_prefix(b"{").unwrap_or(input));
    if let Ok(push) = MessagePush::parse(&json) {
        let _ = (push.dedupe_parts(), push.message_type(), push.heard(), push.openid());
        let _ =
            (publish_test::question(&push), push.expects_acknowledgement(), format!("{push:?}"));
        assert!(to_json(&json).expect("what is readable has a JSON form").is_object());
    }
    let _ = to_json(&json);
});
