//! Every vector of `testdata/crypto_vectors.json`.

use lingpai_wechat::{
    crypt::{Crypt, CryptError, EncodingAesKey, KeySlot, plain_signature},
    id::Appid,
    jssdk::sign_card,
    push::{Addressee, Envelope, PushError, PushQuery, UrlCheckQuery},
    secret::Secret,
};
use serde_json::Value;

fn vectors(section: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../testdata/crypto_vectors.json"))
        .expect("the vectors are JSON");
    all[section].as_array().expect("a section is a list").clone()
}

fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {vector}"))
}

fn key(vector: &Value) -> Result<EncodingAesKey, CryptError> {
    EncodingAesKey::parse(text(vector, "encoding_aes_key"))
}

fn crypt_with(vector: &Value, current: EncodingAesKey, previous: Option<EncodingAesKey>) -> Crypt {
    let appid = Appid::parse(text(vector, "appid")).expect("an appid");
    Crypt::new(Secret::from(text(vector, "token")), appid, current, previous)
}

fn query(vector: &Value) -> PushQuery {
    PushQuery {
        timestamp: text(vector, "timestamp").to_owned(),
        nonce: text(vector, "nonce").to_owned(),
        msg_signature: text(vector, "msg_signature").to_owned(),
    }
}

fn random(vector: &Value) -> [u8; 16] {
    let bytes = base16ct::lower::decode_vec(text(vector, "random16")).expect("hexadecimal");
    bytes.try_into().expect("16 bytes")
}

/// `expected_error` of the vectors.
fn name(error: CryptError) -> &'static str {
    match error {
        CryptError::BadSignature => "bad_signature",
        CryptError::BadKey => "illegal_aes_key",
        CryptError::BadBase64 => "bad_base64",
        CryptError::BadCiphertext => "decrypt_failed",
        CryptError::BadPadding => "bad_padding",
        CryptError::BadFrame => "illegal_buffer",
        CryptError::AppidMismatch => "appid_mismatch",
    }
}

fn opens_and_seals(vector: &Value) {
    let name = text(vector, "name");
    let crypt = crypt_with(vector, key(vector).expect("a key"), None);
    let timestamp: i64 = text(vector, "timestamp").parse().expect("a number");
    let plaintext = text(vector, "plaintext");
    let sealed = crypt.seal(
        plaintext.as_bytes(),
        KeySlot::Current,
        timestamp,
        text(vector, "nonce"),
        random(vector),
    );
    assert_eq!(sealed.encrypt, text(vector, "encrypt"), "{name}");

    let mut query = PushQuery {
        timestamp: timestamp.to_string(),
        nonce: sealed.nonce.clone(),
        msg_signature: sealed.msg_signature.clone(),
    };
    if let Some(signature) = vector["msg_signature"].as_str() {
        assert_eq!(sealed.msg_signature, signature, "{name}");
        query.msg_signature = signature.to_owned();
    }
    let opened = crypt.open(&query, text(vector, "encrypt")).expect(name);
    assert_eq!(opened.plaintext, plaintext.as_bytes(), "{name}");
    assert_eq!(opened.key, KeySlot::Current, "{name}");
}

#[test]
fn positive_vectors_open_and_are_sealed_identically() {
    let vectors = vectors("positive");
    assert_eq!(vectors.len(), 21);
    for vector in &vectors {
        opens_and_seals(vector);
        let bytes = vector["plaintext_bytes"].as_u64().expect("a number");
        assert_eq!(text(vector, "plaintext").len() as u64, bytes, "{vector}");
    }
}

#[test]
fn published_vectors_open_and_are_sealed_identically() {
    let vectors = vectors("public");
    assert_eq!(vectors.len(), 9);
    vectors.iter().for_each(opens_and_seals);
}

#[test]
fn negative_vectors_are_refused_with_their_error() {
    let vectors = vectors("negative");
    assert_eq!(vectors.len(), 25);
    for vector in &vectors {
        let error = match key(vector) {
            Err(error) => error,
            Ok(key) => crypt_with(vector, key, None)
                .open(&query(vector), text(vector, "encrypt"))
                .expect_err(text(vector, "name")),
        };
        assert_eq!(name(error), text(vector, "expected_error"), "{}", text(vector, "name"));
        let code = vector["official_code"].as_i64().expect("a number");
        assert_eq!(i64::from(error.official_code()), code, "{}", text(vector, "name"));
    }
}

#[test]
fn a_negative_vector_stays_refused_when_a_previous_key_is_there() {
    let spare = "baBjNSjeqgFE57BYMV8LdT7AuUUWOnKylqDRgYD53gQ";
    for vector in vectors("negative") {
        let Ok(current) = key(&vector) else { continue };
        let previous = EncodingAesKey::parse(spare).expect("a key");
        let refused = crypt_with(&vector, current, Some(previous))
            .open(&query(&vector), text(&vector, "encrypt"))
            .expect_err(text(&vector, "name"));
        assert_eq!(name(refused), text(&vector, "expected_error"), "{}", text(&vector, "name"));
    }
}

#[test]
fn a_push_of_the_previous_key_is_opened_and_answered_with_it() {
    let vectors = vectors("positive");
    let vector =
        vectors.iter().find(|v| v["name"] == "previous_key").expect("there is such a vector");
    let current = EncodingAesKey::parse("jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb").expect("ok");
    let crypt = crypt_with(vector, current, Some(key(vector).expect("a key")));

    let opened =
        crypt.open(&query(vector), text(vector, "encrypt")).expect("the previous key fits");
    assert_eq!(opened.key, KeySlot::Previous);
    assert_eq!(opened.plaintext, text(vector, "plaintext").as_bytes());

    let sealed =
        crypt.seal(&opened.plaintext, opened.key, 1_700_000_123, "415670741", random(vector));
    assert_eq!(sealed.encrypt, text(vector, "encrypt"));
}

#[test]
fn plain_signatures_agree_and_pass_a_url_check() {
    let vectors = vectors("plain_signatures");
    assert_eq!(vectors.len(), 4);
    for vector in &vectors {
        let token = Secret::from(text(vector, "token"));
        let (timestamp, nonce) = (text(vector, "timestamp"), text(vector, "nonce"));
        let signature = text(vector, "signature");
        assert_eq!(plain_signature(&token, timestamp, nonce), signature);
        // Cards are signed by the same recipe, with the ticket in the push token's place.
        assert_eq!(sign_card(&token, &[timestamp, nonce]), signature);
        assert_eq!(sign_card(&token, &[nonce, timestamp]), signature);

        let key = EncodingAesKey::parse(&"A".repeat(43)).expect("a key");
        let crypt = Crypt::new(token, Appid::parse("wx1").expect("an appid"), key, None);
        let raw =
            format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&echostr=123456");
        let mut query = UrlCheckQuery::parse(&raw).expect("a query");
        assert!(crypt.verify_url(&query));
        query.nonce.push('x');
        assert!(!crypt.verify_url(&query));
    }
}

#[test]
fn envelopes_are_read_or_refused() {
    let vectors = vectors("envelopes");
    assert_eq!(vectors.len(), 7);
    for vector in &vectors {
        let name = text(vector, "name");
        let read = match vector["json"].as_str() {
            Some(json) => Envelope::parse_json(json.as_bytes()),
            None => Envelope::parse(text(vector, "xml").as_bytes()),
        };
        match vector["encrypt"].as_str() {
            Some(encrypt) => assert_eq!(read.expect(name).encrypt, encrypt, "{name}"),
            None => {
                assert_eq!(vector["official_code"], -40002, "{name}");
                let error = read.expect_err(name);
                assert!(
                    matches!(error, PushError::Xml(_) | PushError::Missing("Encrypt")),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn envelopes_tell_their_addressee() {
    let to = |name: &str| {
        let vectors = vectors("envelopes");
        let vector = vectors.iter().find(|v| v["name"] == name).expect(name);
        Envelope::parse(text(vector, "xml").as_bytes()).expect(name).to
    };
    let component = Addressee::Component("wx7c6b2f0a91d3e845".to_owned());
    assert_eq!(to("inbound_envelope"), Some(Addressee::Account("gh_0a1b2c3d4e5f".to_owned())));
    assert_eq!(to("inbound_component_envelope"), Some(component.clone()));
    assert_eq!(to("inbound_without_cdata"), Some(component));
}
