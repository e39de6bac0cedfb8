//! Messages and events of accounts: their heads, and the keys they come under.

use std::collections::HashSet;

use lingpai_wechat::{
    crypt::{Crypt, CryptError, EncodingAesKey, KeySlot, envelope_to_account},
    id::Appid,
    push::{Envelope, PushError, PushQuery, message::MessagePush},
    secret::Secret,
    xml::XmlError,
};

const ACCOUNT: &str = "wx1f0e2d3c4b5a6978";
const COMPONENT: &str = "wx7c6b2f0a91d3e845";
const FAN: &str = "oABCDefghij0123456789klmnopq";

fn text(name: &str) -> String {
    let path = format!("{}/testdata/messages/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect(name)
}

fn sample(name: &str) -> MessagePush {
    MessagePush::parse(text(name).as_bytes()).expect(name)
}

/// The parts of a push like the sample, with one piece of its text replaced.
fn parts_with(name: &str, piece: &str, other: &str) -> Option<Vec<String>> {
    let text = text(name);
    assert!(text.contains(piece), "{name} has no {piece}");
    parts(&MessagePush::parse(text.replace(piece, other).as_bytes()).expect(name))
}

fn parts(push: &MessagePush) -> Option<Vec<String>> {
    Some(push.dedupe_parts()?.into_iter().map(String::from).collect())
}

#[test]
fn every_sample_has_a_head() {
    let directory = format!("{}/testdata/messages", env!("CARGO_MANIFEST_DIR"));
    let mut heads = HashSet::new();
    for entry in std::fs::read_dir(directory).expect("the samples are there") {
        let path = entry.expect("a readable entry").path();
        let push = MessagePush::parse(&std::fs::read(&path).expect("a readable file"));
        let push = push.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(push.to_user_name, "gh_0a1b2c3d4e5f");
        assert_eq!(push.create_time, Some(1_700_000_125));
        if let Some(parts) = parts(&push) {
            assert!(heads.insert(parts), "{} looks like another one", path.display());
        }
    }
    assert_eq!(heads.len(), 4, "the others are recognised by their whole text");
}

#[test]
fn a_message_has_an_id_and_no_event() {
    let push = sample("text");
    assert_eq!((push.from_user_name.as_str(), push.msg_type.as_str()), (FAN, "text"));
    assert_eq!(push.msg_id.as_deref(), Some("24012345678901234"));
    assert_eq!((push.event, push.event_key), (None, None));
}

#[test]
fn an_event_has_a_name_and_perhaps_a_key() {
    let push = sample("scan");
    assert_eq!((push.msg_type.as_str(), push.event.as_deref()), ("event", Some("SCAN")));
    assert_eq!((push.event_key.as_deref(), push.msg_id), (Some("scene-42"), None));
    assert_eq!(sample("subscribe").event_key, None, "an empty key is none");
}

#[test]
fn the_id_of_a_message_that_was_sent_is_not_the_pushs_own() {
    let push = sample("template_send_job_finish");
    assert_eq!((push.msg_id.as_deref(), parts(&push)), (None, None));
}

#[test]
fn a_message_is_recognised_by_its_id_alone() {
    let id = Some(vec!["24012345678901234".to_owned()]);
    assert_eq!(parts(&sample("text")), id);
    assert_eq!(parts_with("text", "1700000125", "1700000126"), id);
    assert_eq!(parts_with("text", "<CreateTime>1700000125</CreateTime>", ""), id);
    assert_ne!(parts_with("text", "24012345678901234", "24012345678901233"), id);
}

#[test]
fn a_fans_deed_is_recognised_by_sender_second_name_and_key() {
    let known = parts(&sample("scan"));
    for (piece, other) in [
        (FAN, "oABCDefghij0123456789klmnopr"),
        ("1700000125", "1700000126"),
        ("SCAN", "CLICK"),
        ("scene-42", "scene-43"),
    ] {
        assert_ne!(parts_with("scan", piece, other), known, "{piece}");
    }
    assert_eq!(parts_with("scan", "qr-ticket-sample", "another"), known);
    // An id beside them only tells more events apart.
    let with_id = |id: &str| {
        parts_with("scan", "</xml>", &format!("<MsgId>{id}</MsgId></xml>")).expect("recognised")
    };
    assert_eq!(with_id("7"), with_id("7"));
    assert_ne!(with_id("7"), with_id("8"));
    assert_ne!(with_id("7").len(), 1);
}

#[test]
fn only_the_whole_text_tells_other_events_apart() {
    for name in ["user_authorization_revoke", "wxa_media_check", "template_send_job_finish"] {
        assert_eq!(parts(&sample(name)), None, "{name}");
    }
    let as_event = |event: &str| parts_with("scan", "SCAN", event);
    for event in [
        "xpay_goods_deliver_notify",
        "subscribe_msg_sent_event",
        "user_get_card",
        "add_express_path",
        "channels_ec_order_pay",
        "MASSSENDJOBFINISH",
        "kf_create_session",
        "user_enter_tempsession",
        "SomethingNew",
    ] {
        assert_eq!(as_event(event), None, "{event}");
    }
    for event in ["subscribe", "UNSUBSCRIBE", "Location", "CLICK", "VIEW", "view_miniprogram"] {
        assert!(as_event(event).is_some(), "{event}");
    }
    for event in ["scancode_push", "scancode_waitmsg", "pic_sysphoto", "location_select"] {
        assert!(as_event(event).is_some(), "{event}");
    }
}

#[test]
fn parts_do_not_run_into_each_other() {
    let head = "<ToUserName>gh_1</ToUserName><FromUserName>o</FromUserName>\
                <CreateTime>1</CreateTime><MsgType>event</MsgType>";
    let of = |inner: &str| {
        let push = MessagePush::parse(format!("<xml>{head}{inner}</xml>").as_bytes());
        parts(&push.expect("a push")).expect("recognised")
    };
    let key = of("<Event>scan</Event><EventKey>7</EventKey>");
    assert_ne!(of("<Event>scan</Event><MsgId>7</MsgId>"), key);
    assert_eq!(of("<Event>scan</Event><EventKey>7</EventKey>"), key);
}

#[test]
fn without_an_id_and_a_time_a_push_is_not_recognised_by_its_head() {
    let time = "<CreateTime>1700000125</CreateTime>";
    assert_eq!(parts_with("subscribe", time, ""), None);
    assert_eq!(parts_with("text", "<MsgId>24012345678901234</MsgId>", ""), None);
}

#[test]
fn a_revocation_names_the_fan() {
    let push = sample("user_authorization_revoke");
    assert_eq!((push.revoked_openid(), push.openid()), (Some(FAN), Some(FAN)));
    assert_ne!(push.from_user_name, FAN);

    let shouted = text("user_authorization_revoke")
        .replace("user_authorization_revoke", "USER_AUTHORIZATION_REVOKE");
    let push = MessagePush::parse(shouted.as_bytes()).expect("a push");
    assert_eq!(push.revoked_openid(), Some(FAN));

    for name in ["user_info_modified", "subscribe", "text"] {
        let push = sample(name);
        assert_eq!(push.revoked_openid(), None, "{name}");
    }
    let nobody = text("user_authorization_revoke").replace(&format!("<![CDATA[{FAN}]]>"), "");
    let push = MessagePush::parse(nobody.as_bytes()).expect("a push");
    assert_eq!(push.revoked_openid(), None, "the sender is the platform, not the fan");
}

#[test]
fn a_head_that_lacks_something_is_an_error() {
    let whole = text("text");
    for (piece, error) in [
        ("<![CDATA[gh_0a1b2c3d4e5f]]>", PushError::Missing("ToUserName")),
        ("<![CDATA[oABCDefghij0123456789klmnopq]]>", PushError::Missing("FromUserName")),
        ("<MsgType><![CDATA[text]]></MsgType>", PushError::Missing("MsgType")),
        ("</xml>", PushError::Xml(XmlError::Truncated)),
    ] {
        let push = MessagePush::parse(whole.replacen(piece, "", 1).as_bytes());
        assert_eq!(push, Err(error), "{piece}");
    }
    let push = MessagePush::parse(whole.replace("1700000125", "soon").as_bytes());
    assert_eq!(push, Err(PushError::Malformed("CreateTime")));
    let twice = whole.replace("<MsgType>", "<MsgId>1</MsgId><MsgType>");
    let refused = Err(PushError::Xml(XmlError::RepeatedElement));
    assert_eq!(MessagePush::parse(twice.as_bytes()), refused);
    let huge = whole.replace("你好", &"好".repeat(100_000));
    assert_eq!(MessagePush::parse(huge.as_bytes()), Err(PushError::Xml(XmlError::TooLarge)));
}

#[test]
fn debug_names_no_person_and_no_content() {
    for name in ["text", "scan", "user_authorization_revoke"] {
        let shown = format!("{:?}", sample(name));
        assert!(shown.starts_with("MessagePush(gh_0a1b2c3d4e5f, "), "{shown}");
        for hidden in [FAN, "oPLATFORM", "scene-42", "24012345678901234"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}

fn crypt(appid: &str) -> Crypt {
    let key = EncodingAesKey::parse("jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb").expect("a key");
    Crypt::new(Secret::from("owntoken"), Appid::parse(appid).expect("an appid"), key, None)
}

/// What WeChat sends for the sample when its frame carries `appid`.
fn sealed(name: &str, appid: &str) -> (PushQuery, Envelope) {
    let sealed =
        crypt(appid).seal(text(name).as_bytes(), KeySlot::Current, 1_700_000_125, "42", [7; 16]);
    let query = PushQuery {
        timestamp: "1700000125".to_owned(),
        nonce: "42".to_owned(),
        msg_signature: sealed.msg_signature,
    };
    let envelope = envelope_to_account("gh_0a1b2c3d4e5f", &sealed.encrypt);
    (query, Envelope::parse(envelope.as_bytes()).expect("an envelope"))
}

#[test]
fn a_push_under_the_accounts_own_keys_carries_the_accounts_appid() {
    let (query, envelope) = sealed("text", ACCOUNT);
    let opened = crypt(ACCOUNT).open(&query, &envelope.encrypt).expect("it is for this account");
    assert_eq!(MessagePush::parse(&opened.plaintext), Ok(sample("text")));

    let refused = crypt(COMPONENT).open(&query, &envelope.encrypt).map(|opened| opened.key);
    assert_eq!(refused, Err(CryptError::AppidMismatch));
    let (query, envelope) = sealed("text", COMPONENT);
    let refused = crypt(ACCOUNT).open(&query, &envelope.encrypt).map(|opened| opened.key);
    assert_eq!(refused, Err(CryptError::AppidMismatch), "a component's push is not for it");
}

#[test]
fn of_an_envelope_with_the_plain_message_beside_it_only_the_ciphertext_counts() {
    let (query, envelope) = sealed("text", ACCOUNT);
    let both =
        text("image").replace("</xml>", &format!("<Encrypt>{}</Encrypt></xml>", envelope.encrypt));
    let envelope = Envelope::parse(both.as_bytes()).expect("an envelope");
    let opened = crypt(ACCOUNT).open(&query, &envelope.encrypt).expect("it is for this account");
    assert_eq!(MessagePush::parse(&opened.plaintext).expect("a push").msg_type, "text");
}
