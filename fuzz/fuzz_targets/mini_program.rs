//! What a mini program sends to be decrypted. The input is taken as a vector and a ciphertext, one line
//! each, and as what is inside, encrypted first so that it is reached.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingpai_wechat::{
    id::Appid,
    mini_program::{Encrypted, check_signature, decrypt, encrypt, sign},
    secret::Secret,
};

static KEY: LazyLock<Secret<String>> = LazyLock::new(|| Secret::from("tiihtNczf5v6AKRyjwEUhQ=="));
static APPID: LazyLock<Appid> =
    LazyLock::new(|| Appid::parse("wx4f4bc4dec97d474b").expect("an appid"));

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (iv, data) = text.split_once('\n').unwrap_or(("AQEBAQEBAQEBAQEBAQEBAQ==", text));
    read(iv, data);
    // What cannot be a session key is refused, whatever it is.
    let _ = decrypt(&Secret::from(iv), iv, data, &APPID);

    let Encrypted { encrypted_data, iv } = encrypt(&KEY, [7; 16], text).expect("a session key");
    read(&iv, &encrypted_data);
    // The same without its first three blocks: what is left begins and ends anywhere in the JSON.
    read(&iv, encrypted_data.get(64..).unwrap_or_default());

    let signature = sign(&KEY, text);
    assert!(check_signature(&KEY, text, &signature));
    assert!(!check_signature(&KEY, text, data) || data == signature);
});

fn read(iv: &str, data: &str) {
    if let Ok(fields) = decrypt(&KEY, iv, data, &APPID) {
        assert_eq!(fields["watermark"]["appid"], APPID.as_str());
    }
}
