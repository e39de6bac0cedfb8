//! What WeChat signs and encrypts for a mini program's fan, and the signature of a card.
//!
//! Source: WeChat docs, "Signature verification and encryption of open data" (开放数据校验与解密): a
//! `watermark` is inside. "JS-SDK" (JS-SDK说明文档), appendix 4: a card's values and the ticket sorted
//! by bytes and joined.

use lingpai_wechat::mini_program::{self, Encrypted};
use lingpai_wechat::secret::Secret;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::state::mint;

/// Encrypts for a fan. An object without a watermark gets one.
pub(crate) fn encrypt(session_key: &str, appid: &str, json: &Value, now_secs: i64) -> Encrypted {
    let mut plaintext = json.clone();
    if let Some(fields) = plaintext.as_object_mut() {
        let watermark = || json!({ "appid": appid, "timestamp": now_secs });
        fields.entry("watermark").or_insert_with(watermark);
    }
    mini_program::encrypt(&Secret::from(session_key), mint::random(), &plaintext.to_string())
        .expect("session keys are minted as Base64 of sixteen bytes")
}

/// The signature of what a fan's client tells in clear.
pub(crate) fn sign(session_key: &str, raw_data: &str) -> String {
    mini_program::sign(&Secret::from(session_key), raw_data)
}

/// The signature of a card.
pub(crate) fn sign_sorted(values: &[&str], ticket: &str) -> String {
    let mut parts: Vec<&str> = values.iter().copied().chain([ticket]).collect();
    parts.sort_unstable();
    hex(&parts.concat())
}

/// SHA-1 in lower-case hex.
pub(crate) fn hex(text: &str) -> String {
    base16ct::lower::encode_string(&Sha1::digest(text))
}

#[cfg(test)]
mod tests {
    use lingpai_wechat::id::Appid;

    use super::*;

    #[test]
    fn a_watermark_is_added_where_there_is_none() {
        let (key, appid) = (mint::session_key(), "wx1");
        let opened = |json: &Value| {
            let sealed = encrypt(&key, appid, json, 7);
            let (key, appid) = (Secret::from(key.as_str()), Appid::parse(appid).unwrap());
            mini_program::decrypt(&key, &sealed.iv, &sealed.encrypted_data, &appid)
        };
        let read = Value::from(opened(&json!({ "a": 1 })).unwrap());
        let watermark = json!({ "appid": "wx1", "timestamp": 7 });
        assert_eq!(read, json!({ "a": 1, "watermark": watermark }));
        assert!(opened(&json!({ "watermark": { "appid": "wx2" } })).is_err(), "it stays another's");
    }

    #[test]
    fn a_card_is_signed_over_sorted_values() {
        assert_eq!(sign_sorted(&["b", "a"], "C"), hex("Cab"));
        assert_eq!(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
