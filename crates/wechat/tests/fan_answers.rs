//! Answers about fans: their web tokens, profiles, logins, and the tickets of the pages they look at.

use std::time::Duration;

use lingpai_wechat::{
    call::{
        Answer, AnswerError,
        jssdk::{JssdkTicket, JssdkTicketKind},
        mini_program::CodeSession,
        oauth::{WebToken, WebTokenGood},
        read_answer,
        user::{FanProfile, Lang},
    },
    errcode::Errcode,
    secret::Secret,
};

const OPENID: &str = "oABCDefghij0123456789klmnopq";
const UNIONID: &str = "o6_bmasdasdsad6_2sgVt7hMZOPfL";

fn sample<A: Answer>(name: &str) -> Result<A, AnswerError> {
    let path = format!("{}/testdata/answers/{name}.json", env!("CARGO_MANIFEST_DIR"));
    read_answer(&mut std::fs::read(path).expect(name), &[])
}

fn read<A: Answer>(body: &str) -> Result<A, AnswerError> {
    read_answer(&mut body.to_owned().into_bytes(), &[])
}

/// Whether each of these is garbled rather than believed or refused.
fn are_garbled<A: Answer + std::fmt::Debug>(bodies: &[&str]) {
    for body in bodies {
        let answer = read::<A>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
}

#[test]
fn an_exchanged_code_gives_both_tokens_the_fan_and_what_he_granted() {
    let token: WebToken = sample("oauth2_access_token").expect("tokens");
    assert!(token.access_token.expect("one").value.expose().ends_with("-access-sample"));
    assert!(token.refresh_token.expect("one").expose().ends_with("-exchange-sample"));
    assert_eq!(token.openid.as_deref(), Some(OPENID));
    assert_eq!(token.scope.as_deref(), Some("snsapi_userinfo"));
    assert_eq!(token.unionid.as_deref(), Some(UNIONID));
    assert!(token.is_snapshot_user);
}

#[test]
fn only_a_one_makes_a_snapshot_of_a_fan() {
    let read = |odd: &str| {
        let body = format!(r#"{{"access_token":"t","expires_in":7200,"openid":"o"{odd}}}"#);
        read::<WebToken>(&body).expect("a token").is_snapshot_user
    };
    for yes in [r#","is_snapshotuser":1"#, r#","is_snapshotuser":"1""#] {
        assert!(read(yes), "{yes}");
    }
    for no in
        ["", r#","is_snapshotuser":0"#, r#","is_snapshotuser":null"#, r#","is_snapshotuser":{}"#]
    {
        assert!(!read(no), "{no}");
    }
}

#[test]
fn a_profile_keeps_every_field_but_the_calls_own() {
    let profile: FanProfile = sample("sns_userinfo").expect("a profile");
    assert_eq!((profile.openid(), profile.unionid()), (OPENID, Some(UNIONID)));
    assert_eq!(profile.fields()["nickname"], "逛逛");
    assert_eq!(profile.fields()["privilege"][1], "PRIVILEGE2");
    assert_eq!(profile.into_fields().len(), 9);

    let body = r#"{"errcode":0,"errmsg":"ok","openid":"o","new":{"deep":[1]},"unionid":""}"#;
    let profile: FanProfile = read(body).expect("a profile");
    let names: Vec<&String> = profile.fields().keys().collect();
    assert_eq!(names, ["new", "openid", "unionid"]);
    assert_eq!((profile.unionid(), profile.fields()["unionid"].as_str()), (None, Some("")));
}

#[test]
fn what_an_account_knows_of_a_fan_is_read() {
    let profile: FanProfile = sample("user_info").expect("a profile");
    assert_eq!(profile.openid(), OPENID);
    assert_eq!(profile.fields()["tagid_list"], serde_json::json!([128, 2]));
    let profile: FanProfile = sample("user_info_of_no_follower").expect("a profile");
    assert_eq!(profile.fields()["subscribe"], 0);
    assert_eq!((profile.unionid(), profile.fields().len()), (None, 2));
}

#[test]
fn odd_nicknames_do_not_take_the_profile_along() {
    let body = "{\"openid\":\"o\",\"nickname\":\"a\\ud83db\x01c\",\"id\":9007199254740993}";
    let profile: FanProfile = read(body).expect("a profile");
    assert_eq!(profile.fields()["nickname"], "a\u{fffd}b c");
    assert_eq!(profile.fields()["id"].as_u64(), Some(9_007_199_254_740_993));
}

#[test]
fn a_profile_of_nobody_is_garbled() {
    let long = format!(r#"{{"openid":"{}"}}"#, "o".repeat(129));
    are_garbled::<FanProfile>(&[
        "{}",
        r#"{"subscribe":1,"nickname":"n"}"#,
        r#"{"openid":""}"#,
        r#"{"openid":7}"#,
        r#"{"openid":null}"#,
        r#"{"openid":"a b"}"#,
        r#"{"openid":"中"}"#,
        r#"{"openid":"o"} trailing"#,
        &long,
    ]);
    let refused = read::<FanProfile>(r#"{"errcode":40003,"errmsg":"invalid openid","openid":"o"}"#);
    assert!(
        matches!(refused, Err(AnswerError::Rejected { errcode: Errcode::INVALID_OPENID, .. })),
        "{refused:?}"
    );
}

#[test]
fn debug_of_a_profile_shows_nothing() {
    let profile: FanProfile = sample("sns_userinfo").expect("a profile");
    assert_eq!(format!("{profile:?}"), "FanProfile(…)");
}

#[test]
fn languages_are_those_that_wechat_knows() {
    for (lang, text) in [(Lang::ZhCn, "zh_CN"), (Lang::ZhTw, "zh_TW"), (Lang::En, "en")] {
        assert_eq!((lang.as_str(), Lang::parse(text)), (text, Some(lang)));
    }
    for other in ["", "zh", "zh-CN", "ZH_CN", "en_US"] {
        assert_eq!(Lang::parse(other), None, "{other}");
    }
    assert_eq!(Lang::default(), Lang::ZhCn);
}

#[test]
fn a_good_web_token_is_told_by_its_errcode() {
    assert_eq!(sample("sns_auth"), Ok(WebTokenGood));
    are_garbled::<WebTokenGood>(&["{}", r#"{"errmsg":"ok"}"#]);
    assert!(matches!(
        read::<WebTokenGood>(r#"{"errcode":40003,"errmsg":"invalid openid"}"#),
        Err(AnswerError::Rejected { errcode: Errcode::INVALID_OPENID, .. })
    ));
}

#[test]
fn a_login_gives_the_fan_and_the_key_of_his_session() {
    let session: CodeSession = sample("jscode2session").expect("a session");
    let expected = CodeSession {
        openid: "oJSCode0123456789abcdefghijk".to_owned(),
        session_key: Secret::from("tiihtNczf5v6AKRyjwEUhQ=="),
        unionid: Some(UNIONID.to_owned()),
    };
    assert_eq!(session, expected);
    assert!(!format!("{session:?}").contains("tiiht"));

    let body =
        r#"{"errcode":"0","session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"o","unionid":7}"#;
    let session: CodeSession = read(body).expect("a session");
    assert_eq!((session.openid.as_str(), session.unionid), ("o", None));
}

#[test]
fn a_login_without_fan_or_usable_key_is_garbled() {
    are_garbled::<CodeSession>(&[
        "{}",
        r#"{"openid":"o"}"#,
        r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"a b","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"o","session_key":""}"#,
        r#"{"openid":"o","session_key":7}"#,
        r#"{"openid":"o","session_key":"tiihtNczf5v6AKRyjwEUhQ"}"#,
        r#"{"openid":"o","session_key":"tiihtNczf5v6AKRyjwEUhQAA"}"#,
        r#"{"openid":"o","session_key":"tiihtNczf5v6AKRyjwEU"}"#,
        r#"{"openid":"o","session_key":"-iihtNczf5v6AKRyjwEUhQ=="}"#,
    ]);
    let refused = read::<CodeSession>(r#"{"errcode":40226,"errmsg":"code blocked"}"#);
    assert!(
        matches!(refused, Err(AnswerError::Rejected { errcode: Errcode::RISKY_FAN, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_ticket_is_read() {
    let ticket: JssdkTicket = sample("ticket_getticket").expect("a ticket");
    assert!(ticket.value.expose().starts_with("bxLdikRXVbTPdHSM05e5u5"));
    assert_eq!(ticket.expires_in, Duration::from_secs(7200));
    assert!(!format!("{ticket:?}").contains("bxLd"));
    assert_eq!(JssdkTicketKind::ALL.map(JssdkTicketKind::as_str), ["jsapi", "wx_card"]);
}

#[test]
fn a_ticket_that_cannot_be_one_is_garbled() {
    are_garbled::<JssdkTicket>(&[
        "{}",
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"errcode":0,"ticket":"","expires_in":7200}"#,
        r#"{"errcode":0,"ticket":null,"expires_in":7200}"#,
        r#"{"errcode":0,"ticket":"a b","expires_in":7200}"#,
        r#"{"errcode":0,"ticket":"t"}"#,
        r#"{"errcode":0,"ticket":"t","expires_in":0}"#,
        r#"{"errcode":0,"ticket":"t","expires_in":86401}"#,
    ]);
}
