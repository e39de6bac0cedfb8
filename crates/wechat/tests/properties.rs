//! What must hold for any input.

use lingpai_wechat::{
    call::{
        account::OrdinaryAccessToken, authorizer::AuthorizerInfoAnswer,
        component::ComponentAccessToken, oauth::WebToken, read_answer,
    },
    crypt::{Crypt, EncodingAesKey, KeySlot},
    id::Appid,
    push::{Envelope, PushQuery, UrlCheckQuery, component::ComponentPush, message::MessagePush},
    secret::Secret,
    xml::Node,
};
use proptest::prelude::*;

fn crypt() -> Crypt {
    Crypt::new(
        Secret::from("projtoken2024"),
        Appid::parse("wx7c6b2f0a91d3e845").expect("an appid"),
        EncodingAesKey::parse("jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb").expect("a key"),
        EncodingAesKey::parse("baBjNSjeqgFE57BYMV8LdT7AuUUWOnKylqDRgYD53gQ").ok(),
    )
}

/// Bytes that are often nearly a document.
fn xml_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"<xml>".to_vec()),
        Just(b"</xml>".to_vec()),
        Just(b"<InfoType>".to_vec()),
        Just(b"</InfoType>".to_vec()),
        Just(b"<AppId>wx1</AppId>".to_vec()),
        Just(b"<ToUserName>g</ToUserName><FromUserName>o</FromUserName>".to_vec()),
        Just(b"<MsgType>event</MsgType><Event>".to_vec()),
        Just(b"</Event>".to_vec()),
        Just(b"<CreateTime>-9</CreateTime>".to_vec()),
        Just(b"<Encrypt>".to_vec()),
        Just(b"</Encrypt>".to_vec()),
        Just(b"<![CDATA[".to_vec()),
        Just(b"]]>".to_vec()),
        Just(b"<!DOCTYPE".to_vec()),
        Just(b"<?xml?>".to_vec()),
        Just(b"&lt;".to_vec()),
        Just(b"&#x4e2d;".to_vec()),
        Just(b"<list><appid>".to_vec()),
        Just(b"authorized".to_vec()),
        Just(b"order_path_apply_result_notify".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Bytes that are often nearly JSON.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        Just(b"\"errcode\":".to_vec()),
        Just(b"\"authorizer_info\":{".to_vec()),
        Just(b"\"nick_name\":\"".to_vec()),
        Just(b"\"refresh_token\":\"".to_vec()),
        Just(b"\"openid\":\"".to_vec()),
        Just(b"\\ud83d".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"\"".to_vec()),
        Just(b",".to_vec()),
        Just(b"7200".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        plaintext in prop::collection::vec(any::<u8>(), 0..2000),
        timestamp in 0_i64..=i64::MAX,
        nonce in "[!-~]{1,64}",
        random in any::<[u8; 16]>(),
        slot in prop_oneof![Just(KeySlot::Current), Just(KeySlot::Previous)],
    ) {
        let sealed = crypt().seal(&plaintext, slot, timestamp, &nonce, random);
        let query = PushQuery {
            timestamp: timestamp.to_string(),
            nonce,
            msg_signature: sealed.msg_signature,
        };
        let opened = crypt().open(&query, &sealed.encrypt).expect("our own message");
        prop_assert_eq!(opened.plaintext, plaintext);
        // A wrong key passes for right once in some 2^140 messages.
        prop_assert_eq!(opened.key, slot);
    }

    #[test]
    fn one_changed_character_is_refused(
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        with in "[A-Za-z0-9+/]",
    ) {
        let sealed = crypt().seal(&plaintext, KeySlot::Current, 1, "n", [7; 16]);
        let at = at.index(sealed.encrypt.len());
        let mut encrypt = sealed.encrypt.clone();
        encrypt.replace_range(at..=at, &with);
        prop_assume!(encrypt != sealed.encrypt);
        let query = PushQuery {
            timestamp: "1".to_owned(),
            nonce: "n".to_owned(),
            msg_signature: sealed.msg_signature,
        };
        prop_assert!(crypt().open(&query, &encrypt).is_err());
    }

    #[test]
    fn any_signed_ciphertext_is_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let encrypt = STANDARD.encode(&bytes);
        let token = Secret::from("projtoken2024");
        let query = PushQuery {
            timestamp: "1".to_owned(),
            nonce: "n".to_owned(),
            msg_signature: lingpai_wechat::crypt::msg_signature(&token, "1", "n", &encrypt),
        };
        // Random bytes end with our appid once in some 2^128 cases.
        prop_assert!(crypt().open(&query, &encrypt).is_err());
    }

    #[test]
    fn parsers_of_xml_never_panic(bytes in prop_oneof![xml_like(), prop::collection::vec(any::<u8>(), 0..300)]) {
        let node = Node::parse(&bytes);
        prop_assert_eq!(Envelope::parse(&bytes).is_ok() && node.is_err(), false);
        prop_assert_eq!(ComponentPush::parse(&bytes).is_ok() && node.is_err(), false);
        let message = MessagePush::parse(&bytes);
        prop_assert_eq!(message.is_ok() && node.is_err(), false);
        if let Ok(message) = message {
            let _ = (message.dedupe_parts(), message.revoked_openid(), format!("{message:?}"));
        }
        if let Ok(node) = node {
            prop_assert_eq!(&node.clone().into_owned(), &node);
        }
    }

    #[test]
    fn parsers_of_json_never_panic(bytes in prop_oneof![json_like(), prop::collection::vec(any::<u8>(), 0..300)]) {
        let length = bytes.len();
        let mut body = bytes.clone();
        let _ = read_answer::<ComponentAccessToken>(&mut body, &[]);
        let _ = read_answer::<AuthorizerInfoAnswer>(&mut body, &[]);
        let _ = read_answer::<OrdinaryAccessToken>(&mut body, &[]);
        let _ = read_answer::<WebToken>(&mut body, &[]);
        let _ = Envelope::parse_json(&bytes);
        prop_assert_eq!(body.len(), length);
    }

    #[test]
    fn parsers_of_queries_never_panic(query in "[ -~é&=%+]{0,200}", tail in any::<String>()) {
        let query = format!("encrypt_type=aes&{query}{tail}");
        let _ = PushQuery::parse(&query);
        let _ = UrlCheckQuery::parse(&query);
    }

    #[test]
    fn keys_are_parsed_or_refused(text in any::<String>(), plain in "[A-Za-z0-9]{43}") {
        prop_assert_eq!(EncodingAesKey::parse(&text).is_ok() && text.len() != 43, false);
        prop_assert!(EncodingAesKey::parse(&plain).is_ok());
    }
}
