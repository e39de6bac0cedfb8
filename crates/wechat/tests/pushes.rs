//! Envelopes and pushes: what is read, and every bound that is kept.

use lingpai_wechat::{
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account, envelope_to_component},
    id::Appid,
    push::{
        Addressee, Envelope, PushError,
        component::{ComponentPush, Grant, InfoType},
    },
    secret::Secret,
    xml::{Node, XmlError},
};

const ACCOUNT: &str = "wx1f0e2d3c4b5a6978";

/// The sample of this name, read.
fn sample(name: &str) -> ComponentPush {
    let path = format!("{}/testdata/pushes/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    let push = std::fs::read(path).expect(name);
    ComponentPush::parse(&push).expect(name)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn every_sample_tells_its_component_its_time_and_its_name() {
    let directory = format!("{}/testdata/pushes", env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the samples are there") {
        let path = entry.expect("a readable entry").path();
        let push = ComponentPush::parse(&std::fs::read(&path).expect("a readable file"));
        let push = push.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(push.component_appid, "wx7c6b2f0a91d3e845");
        assert!(matches!(push.create_time, Some(1_700_000_123 | 1_700_000_124)));
        let name = push.info.name().to_owned();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert!(stem.starts_with(&name) || name == "notify_of_next_year", "{stem} {name}");
        let is_unknown = matches!(push.info, InfoType::Unknown { .. });
        assert_eq!(is_unknown, stem == "unknown", "{stem}");
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 16, "fifteen that are typed, one that is not: {names:?}");
}

#[test]
fn a_ticket_is_read() {
    let ticket = Secret::from("ticket@@@0123456789abcdefghij-_ABCDEFGHIJ");
    assert_eq!(sample("component_verify_ticket").info, InfoType::VerifyTicket { ticket });
}

#[test]
fn grants_are_read() {
    let grant = Grant {
        authorizer_appid: Appid::parse(ACCOUNT).expect("an appid"),
        authorization_code: Secret::from("queryauthcode@@@abc-_DEF"),
        authorization_code_expired_time: Some(1_700_003_724),
        pre_auth_code: Some(Secret::from("preauthcode@@@xyz")),
    };
    assert_eq!(sample("authorized").info, InfoType::Authorized(grant.clone()));
    assert_eq!(sample("updateauthorized").info, InfoType::UpdateAuthorized(grant.clone()));
    let authorizer_appid = grant.authorizer_appid;
    assert_eq!(sample("unauthorized").info, InfoType::Unauthorized { authorizer_appid });
}

#[test]
fn the_end_of_a_code_is_an_instant_or_a_duration() {
    let InfoType::Authorized(mut grant) = sample("authorized").info else { panic!("a grant") };
    for (sent, expected) in [
        (Some(1_700_003_724), Some(1_700_003_724)),
        (Some(600), Some(1_700_000_600)),
        (Some(1_000_000_000), Some(2_700_000_000)),
        (Some(0), None),
        (Some(-5), None),
        (None, None),
    ] {
        grant.authorization_code_expired_time = sent;
        assert_eq!(grant.code_expires_at(1_700_000_000), expected, "{sent:?}");
    }
}

#[test]
fn registrations_are_read() {
    let InfoType::FastRegister(push) = sample("notify_third_fasteregister").info else {
        panic!("a registration")
    };
    assert_eq!((push.appid, push.status, push.msg), (some(ACCOUNT), Some(0), some("OK")));
    assert_eq!(push.auth_code, Some(Secret::from("queryauthcode@@@new-mini-program")));
    let info = push.info.expect("who was registered");
    assert_eq!((info.name, info.code_type), (some("某某科技有限公司"), some("1")));
    assert_eq!((info.legal_persona_name, info.wxuser), (some("张三"), None));

    let InfoType::FastRegister(push) = sample("notify_third_fasteregister_personal").info else {
        panic!("a registration")
    };
    let info = push.info.expect("who was registered");
    assert_eq!((info.wxuser, info.idname), (some("lisi-wechat"), some("李四")));
    assert_eq!(info.component_phone, some("010-12345678"));

    let InfoType::FastRegisterBeta(push) = sample("notify_third_fastregisterbetaapp").info else {
        panic!("a registration")
    };
    assert_eq!((push.unique_id, push.name), (some("unique-1"), some("试用小店")));

    let InfoType::FastVerifyBeta(push) = sample("notify_third_fastverifybetaapp").info else {
        panic!("a verification")
    };
    assert_eq!((push.status, push.msg), (Some(89249), some("task running")));
    assert_eq!(push.info.expect("who").code, some("91110000MA00000000"));
}

#[test]
fn verifications_and_filings_are_read() {
    let InfoType::Verification(push) = sample("notify_3rd_wxa_auth").info else {
        panic!("a verification")
    };
    assert_eq!((push.taskid, push.task_status), (some("task-7"), Some(12)));
    assert_eq!((push.apply_status, push.message), (Some(2), some("审核中")));
    assert_eq!((push.provider, push.dispatch_time), (some("某某审核机构"), Some(1_700_000_100)));

    let InfoType::AnnualReview(push) = sample("notify_3rd_wxa_wxverify").info else {
        panic!("a reminder")
    };
    assert_eq!((push.appid, push.expired), (some(ACCOUNT), Some(1_702_592_123)));

    let InfoType::VerificationAndFiling(push) = sample("notify_3rd_wxa_auth_and_icp").info else {
        panic!("a procedure")
    };
    assert_eq!((push.procedure_id, push.procedure_status), (some("procedure-3"), Some(18)));
    assert!(push.fields.iter().any(|node| node.name() == "order_id" && node.text() == "order-1"));

    let InfoType::FilingFaceCheck(push) = sample("notify_icpfiling_verify_result").info else {
        panic!("a face check")
    };
    assert_eq!((push.verify_appid, push.result), (some(ACCOUNT), Some(3)));

    let InfoType::FilingResult(push) = sample("notify_apply_icpfiling_result").info else {
        panic!("a filing")
    };
    assert_eq!((push.authorizer_appid, push.beian_status), (some(ACCOUNT), Some(6)));

    let InfoType::NicknameAudit(push) = sample("wxa_nickname_audit").info else {
        panic!("an audit")
    };
    assert_eq!((push.ret, push.nickname, push.reason), (Some(3), some("好名字"), None));
}

#[test]
fn lists_have_one_entry_or_several() {
    let InfoType::OrderPathApplied(list) = sample("order_path_apply_result_notify").info else {
        panic!("a list")
    };
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].appid.clone(), list[0].ret_code), (some(ACCOUNT), Some(0)));

    let InfoType::OrderPathAudited(list) = sample("order_path_audit_result_notify").info else {
        panic!("a list")
    };
    assert_eq!(list.len(), 2);
    assert_eq!((list[0].status, list[0].reason.clone()), (Some(4), None));
    assert_eq!(list[1].audit_id, some("23456789012345679"));
    assert_eq!(list[1].reason, some("路径不存在"));
}

#[test]
fn an_unknown_push_is_kept_whole() {
    let InfoType::Unknown { info_type, fields } = sample("unknown").info else {
        panic!("nobody knows it")
    };
    assert_eq!(info_type, "notify_of_next_year");
    let names: Vec<&str> = fields.iter().map(Node::name).collect();
    assert_eq!(names, ["AppId", "CreateTime", "InfoType", "appid", "detail", "empty"]);
    let steps: Vec<&str> =
        fields[4].children().iter().filter(|n| n.name() == "step").map(Node::text).collect();
    assert_eq!(steps, ["1", "2"]);
    assert_eq!(fields[4].child("text").map(Node::text), Some("a<b中c]]>d"));
    assert_eq!(fields[4].text(), "");
}

#[test]
fn debug_shows_no_content() {
    for name in ["component_verify_ticket", "authorized", "unknown", "notify_third_fasteregister"] {
        let shown = format!("{:?}", sample(name));
        assert!(!shown.contains("@@@") && !shown.contains("张三"), "{shown}");
    }
    let InfoType::Unknown { fields, .. } = sample("unknown").info else { panic!("unknown") };
    assert!(!format!("{fields:?}").contains("next_year"));
}

#[test]
fn a_push_without_what_we_act_on_is_an_error() {
    let parse = |inner: &str| ComponentPush::parse(format!("<xml>{inner}</xml>").as_bytes());
    let head = "<AppId>wx1</AppId><CreateTime>1</CreateTime>";
    for (inner, error) in [
        ("<InfoType>authorized</InfoType>".to_owned(), PushError::Missing("AppId")),
        (head.to_owned(), PushError::Missing("InfoType")),
        (format!("{head}<InfoType> </InfoType>"), PushError::Missing("InfoType")),
        (
            "<AppId>wx1</AppId><CreateTime>soon</CreateTime><InfoType>x</InfoType>".to_owned(),
            PushError::Malformed("CreateTime"),
        ),
        (
            format!("{head}<InfoType>component_verify_ticket</InfoType>"),
            PushError::Missing("ComponentVerifyTicket"),
        ),
        (
            format!("{head}<InfoType>authorized</InfoType><AuthorizerAppid>w x</AuthorizerAppid>"),
            PushError::Malformed("AuthorizerAppid"),
        ),
        (
            format!(
                "{head}<InfoType>authorized</InfoType><AuthorizerAppid>wx2</AuthorizerAppid>\
                 <AuthorizationCode></AuthorizationCode>"
            ),
            PushError::Missing("AuthorizationCode"),
        ),
        (
            format!("{head}<InfoType>unauthorized</InfoType><appid>wx2</appid>"),
            PushError::Missing("AuthorizerAppid"),
        ),
    ] {
        assert_eq!(parse(&inner), Err(error), "{inner}");
    }
    let without_time =
        parse("<AppId>wx1</AppId><InfoType>x</InfoType>").expect("it may be missing");
    assert_eq!(without_time.create_time, None);
}

/// A document with so many elements right below the root.
fn wide(count: usize) -> String {
    let list: String = (0..count).map(|at| format!("<i{at}/>")).collect();
    format!("<xml>{list}</xml>")
}

/// A document with so many elements of one name on the third level.
fn alike(count: usize) -> String {
    format!("<xml><a>{}</a></xml>", "<i/>".repeat(count))
}

/// A document of so many levels.
fn nested(levels: usize) -> String {
    format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels))
}

/// A document with so many attributes on one element.
fn attributes(count: usize) -> String {
    let list: String = (0..count).map(|at| format!(" a{at}=\"1\"")).collect();
    format!("<xml><a{list}/></xml>")
}

/// A document of so many bytes.
fn sized(bytes: usize) -> String {
    format!("<xml>{}</xml>", " ".repeat(bytes - 11))
}

/// Envelope and push are refused for the same fault.
fn assert_refused(fault: &str, document: &[u8], expected: XmlError) {
    assert_eq!(Node::parse(document), Err(expected), "{fault}");
    assert_eq!(Envelope::parse(document), Err(PushError::Xml(expected)), "{fault}");
    assert_eq!(ComponentPush::parse(document), Err(PushError::Xml(expected)), "{fault}");
}

#[test]
fn documents_that_exceed_a_bound_are_refused() {
    for (bound, document, expected) in [
        ("larger than 256 KiB", sized(256 * 1024 + 1), XmlError::TooLarge),
        ("depth", nested(17), XmlError::TooDeep),
        ("elements", wide(512), XmlError::TooManyElements),
        ("elements below the top", alike(511), XmlError::TooManyElements),
        ("attributes", attributes(9), XmlError::TooManyAttributes),
    ] {
        assert_refused(bound, document.as_bytes(), expected);
    }
}

#[test]
fn documents_within_the_bounds_are_read() {
    for (bound, document) in [
        ("256 KiB", sized(256 * 1024)),
        ("depth 16", nested(16)),
        ("512 elements", wide(511)),
        ("512 elements, most below the top", alike(510)),
        ("8 attributes", attributes(8)),
        ("declaration", "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml/>\n".to_owned()),
        ("comment", "<!-- a --><xml><!-- b --></xml><!-- c -->".to_owned()),
        ("repetition below the top", "<xml><a><b/><b/></a></xml>".to_owned()),
    ] {
        assert!(Node::parse(document.as_bytes()).is_ok(), "{bound}");
    }
}

#[test]
fn documents_that_are_none_are_refused() {
    let faults: &[(&str, &[u8], XmlError)] = &[
        ("DOCTYPE", b"<!DOCTYPE xml><xml/>", XmlError::Doctype),
        ("PI", b"<?php x?><xml/>", XmlError::ProcessingInstruction),
        ("PI inside", b"<xml><?a b?></xml>", XmlError::ProcessingInstruction),
        (
            "late declaration",
            b"<xml><?xml version=\"1.0\"?></xml>",
            XmlError::ProcessingInstruction,
        ),
        ("repeated attribute", b"<xml a=\"1\" a=\"2\"/>", XmlError::Malformed),
        ("attribute without value", b"<xml a/>", XmlError::Malformed),
        (
            "repeated top-level",
            b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
            XmlError::RepeatedElement,
        ),
        ("two roots", b"<xml/><xml/>", XmlError::SecondRoot),
        ("text before", b"x<xml/>", XmlError::TextOutsideRoot),
        ("text after", b"<xml/>x", XmlError::TextOutsideRoot),
        ("CDATA after", b"<xml/><![CDATA[x]]>", XmlError::TextOutsideRoot),
        ("reference after", b"<xml/>&lt;", XmlError::TextOutsideRoot),
        ("empty", b"", XmlError::Truncated),
        ("blank", b" \n", XmlError::Truncated),
        ("truncated", b"<xml><Encrypt>a</Encrypt>", XmlError::Truncated),
        ("truncated inside", b"<xml><a>", XmlError::Truncated),
        ("cut tag", b"<xml><a", XmlError::Malformed),
        ("cut CDATA", b"<xml><![CDATA[x", XmlError::Malformed),
        ("wrong end", b"<xml><a></b></xml>", XmlError::Malformed),
        ("end without start", b"</xml>", XmlError::Malformed),
        ("NUL", b"<xml>\0</xml>", XmlError::Nul),
        ("NUL by reference", b"<xml>&#0;</xml>", XmlError::Malformed),
        ("bad UTF-8", b"<xml>\xff</xml>", XmlError::NotUtf8),
        ("bad UTF-8 in a name", b"<\xc3\x28/>", XmlError::NotUtf8),
        ("unknown entity", b"<xml>&nbsp;</xml>", XmlError::UnknownEntity),
        ("NUL by hexadecimal reference", b"<xml>&#x00;</xml>", XmlError::Malformed),
        ("reference to no character", b"<xml>&#xd800;</xml>", XmlError::Malformed),
        ("lone ampersand", b"<xml>a & b</xml>", XmlError::Malformed),
    ];
    for (fault, document, expected) in faults {
        assert_refused(fault, document, *expected);
    }
}

#[test]
fn text_is_joined_and_references_are_resolved() {
    let document = "<xml><a> x&lt;&gt;&amp;&apos;&quot;&#20013;&#x6587;<![CDATA[<y>&amp;]]]]>\
                    <![CDATA[>]]> </a>\n  <b>\n <c>1</c>\n </b><n></n></xml>";
    let root = Node::parse(document.as_bytes()).expect("it is well-formed");
    assert_eq!(root.child("a").map(Node::text), Some(" x<>&'\"中文<y>&amp;]]> "));
    assert_eq!(root.child_text("a"), Some("x<>&'\"中文<y>&amp;]]>"));
    assert_eq!(root.child("b").map(Node::text), Some(""));
    assert_eq!(root.child_text("n"), None);
    assert_eq!(root.child_text("A"), None, "case counts");
}

#[test]
fn json_envelopes_that_break_a_bound_are_refused() {
    let deep = format!(r#"{{"Encrypt":"a","x":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    for json in
        [deep.as_str(), "", "[]", "{", r#"{"Encrypt":"a","Encrypt":"b"}"#, r#"{"Encrypt":1}"#]
    {
        assert_eq!(Envelope::parse_json(json.as_bytes()), Err(PushError::Json), "{json}");
    }
    let missing = Err(PushError::Missing("Encrypt"));
    assert_eq!(Envelope::parse_json(br#"{"ToUserName":"gh_1"}"#), missing);
    let large = format!(r#"{{"Encrypt":"{}"}}"#, "a".repeat(256 * 1024));
    let refused = Err(PushError::Xml(XmlError::TooLarge));
    assert_eq!(Envelope::parse_json(large.as_bytes()), refused);
}

#[test]
fn envelopes_that_we_write_are_read_back() {
    let to_component = envelope_to_component("wx7c6b2f0a91d3e845", "YWJj");
    let expected = "<xml><AppId><![CDATA[wx7c6b2f0a91d3e845]]></AppId>\
                    <Encrypt><![CDATA[YWJj]]></Encrypt></xml>";
    assert_eq!(to_component, expected);
    let to_account = Envelope::parse(envelope_to_account("gh_1", "YWJj").as_bytes());
    let to = Some(Addressee::Account("gh_1".to_owned()));
    assert_eq!(to_account, Ok(Envelope { to, encrypt: "YWJj".to_owned() }));
}

#[test]
fn a_sealed_reply_is_a_whole_document() {
    let key = EncodingAesKey::parse(&"A".repeat(43)).expect("a key");
    let appid = Appid::parse("wxba5fad812f8e6fb9").expect("an appid");
    let crypt = Crypt::new(Secret::from("AAAAA"), appid, key, None);
    let sealed = crypt.seal(b"hello", KeySlot::Current, 1_713_424_427, "4]]>2", [1; 16]);
    let xml = sealed.to_xml();
    let reply = Node::parse(xml.as_bytes()).expect("it is well-formed");
    assert_eq!(reply.child_text("Encrypt"), Some(sealed.encrypt.as_str()));
    assert_eq!(reply.child_text("MsgSignature"), Some(sealed.msg_signature.as_str()));
    assert_eq!(reply.child_text("TimeStamp"), Some("1713424427"));
    assert_eq!(reply.child_text("Nonce"), Some("4]]>2"));
}
