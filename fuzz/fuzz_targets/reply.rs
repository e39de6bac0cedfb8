//! A reply as a tenant's handler wrote it, decrypted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lingpai_wechat::push::reply::Reply;

fuzz_target!(|input: &[u8]| {
    let Ok(parsed) = Reply::parse(input) else { return };
    assert_eq!(parsed.reply.check(), Ok(()), "what is read is checked");
    let written = parsed.reply.to_xml(&parsed.to_user_name, &parsed.from_user_name, 1);
    let again = Reply::parse(&written).expect("what we write can be read");
    assert_eq!(again, parsed);
    if let Some(message) = parsed.reply.to_customer_message("o") {
        assert!(message["msgtype"].is_string());
    }
});
