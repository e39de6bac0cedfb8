//! What mini programs sign and encrypt: the documented samples, and what must not pass.

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
use lingpai_wechat::{
    id::Appid,
    mini_program::{
        MAX_ENCRYPTED_CHARS, MiniProgramError, check_signature, decrypt, encrypt, sign,
    },
    secret::Secret,
};
use serde_json::Value;

const IV: &str = "AQEBAQEBAQEBAQEBAQEBAQ==";

/// Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密), the
/// example of the page and of its sample code.
fn sample(section: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../testdata/mini_program.json"))
        .expect("the samples are JSON");
    all[section].clone()
}

fn text<'s>(sample: &'s Value, field: &str) -> &'s str {
    sample[field].as_str().expect(field)
}

fn key() -> Secret<String> {
    Secret::from("tiihtNczf5v6AKRyjwEUhQ==")
}

fn appid() -> Appid {
    Appid::parse("wx4f4bc4dec97d474b").expect("an appid")
}

/// What is read of this plaintext, encrypted as WeChat would.
fn read(plaintext: &str) -> Result<Value, MiniProgramError> {
    let sent = encrypt(&key(), [9; 16], plaintext).expect("a session key");
    decrypt(&key(), &sent.iv, &sent.encrypted_data, &appid()).map(Value::Object)
}

/// What is read of these blocks, whose padding is the caller's.
fn read_blocks(blocks: &[u8]) -> Result<Value, MiniProgramError> {
    let mut data = blocks.to_vec();
    let (length, raw) = (data.len(), STANDARD.decode(key().expose()).expect("a key"));
    cbc::Encryptor::<Aes128>::new_from_slices(&raw, &[1; 16])
        .expect("sizes fit")
        .encrypt_padded::<NoPadding>(&mut data, length)
        .expect("whole blocks");
    decrypt(&key(), IV, &STANDARD.encode(data), &appid()).map(Value::Object)
}

/// An object of our mini program with a nickname of these bytes, made a multiple of 16 long by blanks
/// before this end.
fn padded(nickname: &[u8], pad: &[u8]) -> Vec<u8> {
    let head = br#"{"watermark":{"appid":"wx4f4bc4dec97d474b"},"nickName":""#;
    let mut json = [head, nickname, b"\"}"].concat();
    let fill = (16 - (json.len() + pad.len()) % 16) % 16;
    json.extend(std::iter::repeat_n(b' ', fill));
    json.extend_from_slice(pad);
    json
}

#[test]
fn the_documented_signature_holds_and_no_other() {
    let sample = sample("signed");
    let key = Secret::from(text(&sample, "session_key"));
    let (raw_data, signature) = (text(&sample, "raw_data"), text(&sample, "signature"));
    assert_eq!(sign(&key, raw_data), signature);
    assert!(check_signature(&key, raw_data, signature));
    for wrong in ["", "0", &signature[1..], &signature.to_uppercase(), &sign(&key, "")] {
        assert!(!check_signature(&key, raw_data, wrong), "{wrong}");
    }
    assert!(!check_signature(&key, &format!("{raw_data} "), signature));
    assert!(!check_signature(&self::key(), raw_data, signature));
}

#[test]
fn the_documented_data_is_decrypted() {
    let sample = sample("encrypted");
    let (iv, data) = (text(&sample, "iv"), text(&sample, "encrypted_data"));
    let fields = decrypt(&key(), iv, data, &appid()).expect("the documented data");
    assert_eq!(Value::Object(fields), sample["data"]);
    let other = Appid::parse("wx4f4bc4dec97d474c").expect("an appid");
    assert_eq!(decrypt(&key(), iv, data, &other), Err(MiniProgramError::OtherAppid));
    let wrong = Secret::from("HyVFkGl5F5OQWJZZaNzBBg==");
    assert_eq!(decrypt(&wrong, iv, data, &appid()), Err(MiniProgramError::WrongKey));
}

#[test]
fn data_of_another_mini_program_or_of_none_is_refused() {
    for plaintext in [
        "{}",
        r#"{"watermark":null}"#,
        r#"{"watermark":"wx4f4bc4dec97d474b"}"#,
        r#"{"watermark":{}}"#,
        r#"{"watermark":{"appid":"WX4F4BC4DEC97D474B"}}"#,
        r#"{"watermark":{"appid":["wx4f4bc4dec97d474b"]}}"#,
        r#"{"appid":"wx4f4bc4dec97d474b"}"#,
        r#"{"x":{"watermark":{"appid":"wx4f4bc4dec97d474b"}}}"#,
    ] {
        assert_eq!(read(plaintext), Err(MiniProgramError::OtherAppid), "{plaintext}");
    }
}

#[test]
fn what_is_no_data_under_this_key_is_refused_alike() {
    let deep = format!(
        r#"{{"watermark":{{"appid":"wx4f4bc4dec97d474b"}},"x":{}{}}}"#,
        "[".repeat(32),
        "]".repeat(32)
    );
    for plaintext in ["", "[]", "7", "null", "{", "not json", "{} {}", r#"{"a":1e999}"#, &deep] {
        assert_eq!(read(plaintext), Err(MiniProgramError::WrongKey), "{plaintext}");
    }
    for pad in [[3; 3].as_slice(), &[16; 16]] {
        assert!(read_blocks(&padded(b"Band", pad)).is_ok(), "{pad:?}");
    }
    for pad in [&[0; 1][..], &[17; 17], &[32; 32], &[2, 3, 3], &[1, 2], &[255; 16], &[b' '; 16]] {
        assert_eq!(read_blocks(&padded(b"Band", pad)), Err(MiniProgramError::WrongKey), "{pad:?}");
    }
    assert_eq!(read_blocks(&padded(b"\xff", &[1])), Err(MiniProgramError::WrongKey), "no UTF-8");
    for key in ["", "tiihtNczf5v6AKRyjwEUhQ", "AAAA", "tiihtNczf5v6AKRyjwEUhQAA"] {
        let sent = encrypt(&self::key(), [9; 16], "{}").expect("a session key");
        let refused = decrypt(&Secret::from(key), &sent.iv, &sent.encrypted_data, &appid());
        assert_eq!(refused, Err(MiniProgramError::WrongKey), "{key}");
        assert_eq!(encrypt(&Secret::from(key), [9; 16], "{}"), Err(MiniProgramError::WrongKey));
    }
}

#[test]
fn vectors_and_ciphertexts_that_are_none_are_told_apart() {
    let data = "A".repeat(43) + "=";
    for iv in ["", "AQEBAQEBAQEBAQEBAQEBAQ", "AQEBAQEBAQEBAQEBAQEBAQEB", &" ".repeat(24)] {
        assert_eq!(decrypt(&key(), iv, &data, &appid()), Err(MiniProgramError::BadIv), "{iv}");
    }
    for data in ["", "AAAA", "A", "====", &data[1..], &"A".repeat(24), "AQEB AQEBAQEBAQEBAQEBAQ=="]
    {
        assert_eq!(decrypt(&key(), IV, data, &appid()), Err(MiniProgramError::BadData), "{data}");
    }
    let most = "A".repeat(MAX_ENCRYPTED_CHARS);
    assert_eq!(decrypt(&key(), IV, &most, &appid()), Err(MiniProgramError::WrongKey));
    assert_eq!(decrypt(&key(), IV, &(most + "AAAA"), &appid()), Err(MiniProgramError::TooLarge));
}

#[test]
fn odd_nicknames_do_not_take_the_data_along() {
    let plaintext = r#"{"nickName":"a\ud83db","n":9007199254740993,
        "watermark":{"appid":"wx4f4bc4dec97d474b","timestamp":1}}"#;
    let fields = read(plaintext).expect("it is WeChat's");
    assert_eq!(fields["nickName"], "a\u{fffd}b");
    assert_eq!(fields["n"].as_u64(), Some(9_007_199_254_740_993));
}
