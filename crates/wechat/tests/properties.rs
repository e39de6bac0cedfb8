//! What must hold for any input.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lingpai_wechat::{
    call::{
        account::OrdinaryAccessToken, authorizer::AuthorizerInfoAnswer,
        component::ComponentAccessToken, jssdk::JssdkTicket, mini_program::CodeSession,
        oauth::WebToken, read_answer, user::FanProfile,
    },
    crypt::{Crypt, EncodingAesKey, KeySlot},
    id::Appid,
    jssdk::{PageUrl, sign_card, sign_page},
    mini_program::{check_signature, decrypt, encrypt, sign},
    oauth::{Popup, WebAuthorizationLink},
    push::{Envelope, PushQuery, UrlCheckQuery, component::ComponentPush, message::MessagePush},
    secret::Secret,
    xml::Node,
};
use proptest::prelude::*;
use serde_json::{Value, json};

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

/// What `decodeURIComponent` makes of it.
fn decoded(value: &str) -> String {
    let mut pieces = value.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("text")
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
        let _ = read_answer::<CodeSession>(&mut body, &[]);
        let _ = read_answer::<JssdkTicket>(&mut body, &[]);
        if let Ok(profile) = read_answer::<FanProfile>(&mut body, &[]) {
            prop_assert_eq!(format!("{profile:?}"), "FanProfile(…)");
            prop_assert_eq!(profile.fields()["openid"].as_str(), Some(profile.openid()));
        }
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

    #[test]
    fn what_a_mini_program_encrypts_is_read_and_only_with_its_key(
        key in any::<[u8; 16]>(),
        other in any::<[u8; 16]>(),
        iv in any::<[u8; 16]>(),
        nickname in any::<String>(),
    ) {
        let [key, other] = [key, other].map(|key| Secret::new(STANDARD.encode(key)));
        let appid = Appid::parse("wx4f4bc4dec97d474b").expect("an appid");
        let data = json!({ "nickName": nickname, "watermark": { "appid": appid.as_str() } });
        let sent = encrypt(&key, iv, &data.to_string()).expect("a session key");
        let read = decrypt(&key, &sent.iv, &sent.encrypted_data, &appid).map(Value::Object);
        prop_assert_eq!(read.as_ref(), Ok(&data));
        prop_assert!(check_signature(&key, &nickname, &sign(&key, &nickname)));
        if key != other {
            prop_assert!(decrypt(&other, &sent.iv, &sent.encrypted_data, &appid).is_err());
            prop_assert!(!check_signature(&other, &nickname, &sign(&key, &nickname)));
        }
    }

    #[test]
    fn any_data_of_a_mini_program_is_read_or_refused(
        key in any::<String>(),
        iv in any::<String>(),
        text in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let appid = Appid::parse("wx1").expect("an appid");
        let fitting = Secret::new(STANDARD.encode([7; 16]));
        for key in [&Secret::from(key), &fitting] {
            for iv in [iv.as_str(), "AQEBAQEBAQEBAQEBAQEBAQ=="] {
                for data in [&text, &STANDARD.encode(&bytes)] {
                    prop_assert!(decrypt(key, iv, data, &appid).is_err());
                }
            }
        }
    }

    #[test]
    fn a_page_is_signed_by_its_letters(text in "(https?://)?[a-z0-9.]{0,8}[ -~é中]{0,40}", nonce in any::<String>()) {
        let ticket = Secret::from("t");
        if let Ok(url) = PageUrl::parse(&text) {
            prop_assert!(!url.as_str().contains('#'));
            prop_assert_eq!(text.split('#').next(), Some(url.as_str()));
            prop_assert_eq!(sign_page(&ticket, &nonce, -1, &url).len(), 40);
            prop_assert_eq!(PageUrl::parse(url.as_str()), Ok(url));
        }
        prop_assert_eq!(sign_card(&ticket, &[&nonce, &text]), sign_card(&ticket, &[&text, &nonce]));
    }

    #[test]
    fn a_web_authorization_link_reads_back_as_it_was_made(redirect_uri in any::<String>(), state in any::<String>()) {
        let appid = Appid::parse("wx1").expect("an appid");
        let link = WebAuthorizationLink {
            appid: &appid,
            redirect_uri: &redirect_uri,
            scope: "snsapi_base,snsapi_userinfo",
            state: &state,
            component_appid: Some(&appid),
            popup: Popup::Forced,
        };
        let path = link.path();
        let query = path.strip_prefix("/connect/oauth2/authorize?").expect("the path");
        let query = query.strip_suffix("#wechat_redirect").expect("the fragment");
        prop_assert!(query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
        let names: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or("")).collect();
        let order = ["appid", "redirect_uri", "response_type", "scope", "state", "forcePopup", "component_appid"];
        prop_assert_eq!(names, order);
        let value = |at: usize| decoded(query.split('&').nth(at).and_then(|pair| pair.split_once('=')).expect("a pair").1);
        prop_assert_eq!(value(1), redirect_uri);
        prop_assert_eq!(value(4), state);
    }
}
