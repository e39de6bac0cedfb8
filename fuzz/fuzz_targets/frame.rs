//! What stands behind a valid signature: base64, ciphertext, padding, length, appid. The input is a
//! ciphertext as it stands, and a frame that is encrypted first, so that what is inside is reached.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingpai_wechat::{
    crypt::{Crypt, EncodingAesKey, KeySlot, msg_signature},
    id::Appid,
    push::PushQuery,
    secret::Secret,
};

const APPID: &str = "wx7c6b2f0a91d3e845";
const KEY: &str = "jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb";

static TOKEN: LazyLock<Secret<String>> = LazyLock::new(|| Secret::from("fuzztoken"));
static CRYPT: LazyLock<Crypt> = LazyLock::new(|| crypt(APPID));

fn crypt(appid: &str) -> Crypt {
    let key = EncodingAesKey::parse(KEY).expect("a key");
    let appid = Appid::parse(appid).expect("an appid");
    Crypt::new(TOKEN.clone(), appid, key.clone(), Some(key))
}

fuzz_target!(|input: &[u8]| {
    if let Ok(encrypt) = std::str::from_utf8(input) {
        let _ = CRYPT.open(&signed(encrypt), encrypt).map(|opened| opened.plaintext);
        let _ = EncodingAesKey::parse(encrypt);
    }
    // The message comes back byte for byte, in either slot.
    let sealed = CRYPT.seal(input, KeySlot::Previous, 1, "2", [7; 16]);
    let opened = CRYPT.open(&signed(&sealed.encrypt), &sealed.encrypt).expect("it was just sealed");
    assert_eq!(opened.plaintext, input);
    // A frame that is anything: the same ciphertext with its blocks cut and swapped as the input says.
    let blocks = sealed.encrypt.len() / 64;
    if let Some(at) = input.first().map(|byte| usize::from(*byte) % blocks.max(1)) {
        let (head, tail) = sealed.encrypt.split_at(at * 64);
        let turned = format!("{tail}{head}");
        let _ = CRYPT.open(&signed(&turned), &turned);
        let _ = CRYPT.open(&signed(tail), tail);
    }
});

fn signed(encrypt: &str) -> PushQuery {
    PushQuery {
        timestamp: "1".to_owned(),
        nonce: "2".to_owned(),
        msg_signature: msg_signature(&TOKEN, "1", "2", encrypt),
    }
}
