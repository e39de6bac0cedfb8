//! Answers of WeChat's: the documented ones, and what else it may say.

use std::time::Duration;

use lingpai_wechat::{
    call::{
        Answer, AnswerError,
        account::OrdinaryAccessToken,
        authorizer::{
            AuthorizationInfo, AuthorizerAccessToken, AuthorizerInfo, AuthorizerInfoAnswer,
            AuthorizerList, ListedAuthorizer, RefreshedToken,
        },
        component::{ComponentAccessToken, PreAuthCode, PushTicketStarted},
        message::MessageSent,
        oauth::{WEB_REFRESH_TOKEN_LIFETIME, WebAccessToken, WebToken},
        quota::{QuotaCleared, QuotaFigures, RateFigures},
        read_answer,
    },
    errcode::Errcode,
    id::Appid,
    secret::Secret,
};

fn sample<A: Answer>(name: &str) -> Result<A, AnswerError> {
    let path = format!("{}/testdata/answers/{name}.json", env!("CARGO_MANIFEST_DIR"));
    read_answer(&mut std::fs::read(path).expect(name), &[])
}

fn read<A: Answer>(body: &str) -> Result<A, AnswerError> {
    read_answer(&mut body.to_owned().into_bytes(), &[])
}

fn account() -> Appid {
    Appid::parse("wx1f0e2d3c4b5a6978").expect("an appid")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn tokens_and_codes_are_read() {
    assert_eq!(sample("api_start_push_ticket"), Ok(PushTicketStarted));
    let token: ComponentAccessToken = sample("api_component_token").expect("a token");
    assert!(token.component_access_token.expose().starts_with("61W3mEpU66027wgNZ_"));
    assert_eq!(token.expires_in, Duration::from_secs(7200));
    let code: PreAuthCode = sample("api_create_preauthcode").expect("a code");
    assert!(code.pre_auth_code.expose().starts_with("preauthcode@@@"));
    assert_eq!(code.expires_in, Duration::from_secs(600));
    let token: RefreshedToken = sample("api_authorizer_token").expect("a token");
    assert!(token.refresh_token.is_some());
    let token = token.access_token.expect("an access token");
    assert!(token.value.expose().starts_with("aaUl5s6kAByLwgV0"));
    assert_eq!(token.expires_in, Duration::from_secs(7200));
}

#[test]
fn a_quota_is_read() {
    let expected = QuotaFigures {
        daily_limit: 500_000,
        used: 1234,
        remain: 498_766,
        rate_limit: Some(RateFigures { call_count: 1_000_000, refresh_second: 60 }),
        component_rate_limit: Some(RateFigures { call_count: 5_000_000, refresh_second: 60 }),
    };
    assert_eq!(sample("openapi_quota_get"), Ok(expected));
    let bare = r#"{"errcode":0,"quota":{"daily_limit":"10","used":12,"remain":-2},
        "rate_limit":{"call_count":5}}"#;
    let few = QuotaFigures {
        daily_limit: 10,
        used: 12,
        remain: 0,
        rate_limit: None,
        component_rate_limit: None,
    };
    assert_eq!(read(bare), Ok(few));
    for odd in ["{}", r#"{"quota":{}}"#, r#"{"quota":{"daily_limit":1,"used":1}}"#] {
        assert!(matches!(read::<QuotaFigures>(odd), Err(AnswerError::Garbled(_))), "{odd}");
    }
    assert_eq!(sample("clear_quota"), Ok(QuotaCleared));
    assert!(read::<QuotaCleared>("{}").is_err());
}

#[test]
fn a_sent_message_is_told_by_its_errcode() {
    assert_eq!(sample("message_custom_send"), Ok(MessageSent));
    assert!(read::<MessageSent>("{}").is_err());
    let refused =
        read::<MessageSent>(r#"{"errcode":45047,"errmsg":"out of response count limit"}"#);
    assert!(matches!(refused, Err(AnswerError::Rejected { errcode: Errcode(45047), .. })));
}

#[test]
fn an_authorization_is_read() {
    let info: AuthorizationInfo = sample("api_query_auth").expect("an authorization");
    assert_eq!(info.authorizer_appid, account());
    let token = info.access_token.expect("a token");
    assert!(token.value.expose().starts_with("QXjUqNqf"));
    assert_eq!(token.expires_in, Duration::from_secs(7200));
    assert!(info.refresh_token.expect("one").expose().starts_with("refreshtoken@@@"));
    assert_eq!(info.func_info, [1, 2, 3]);
}

#[test]
fn an_account_without_api_permission_has_no_tokens() {
    let expected = AuthorizationInfo {
        authorizer_appid: account(),
        access_token: None,
        refresh_token: None,
        func_info: Vec::new(),
    };
    assert_eq!(sample("api_query_auth_without_api"), Ok(expected.clone()));
    let bare = r#"{"authorization_info":{"authorizer_appid":"wx1f0e2d3c4b5a6978"}}"#;
    assert_eq!(read(bare), Ok(expected.clone()));
    let nulls = r#"{"authorization_info":{"authorizer_appid":"wx1f0e2d3c4b5a6978",
        "authorizer_access_token":null,"expires_in":null,"func_info":null}}"#;
    assert_eq!(read(nulls), Ok(expected));
}

#[test]
fn a_profile_is_read() {
    let answer: AuthorizerInfoAnswer =
        sample("api_get_authorizer_info_mini_program").expect("a profile");
    assert_eq!(answer.authorizer_appid, Some(account()));
    assert_eq!(answer.refresh_token, Some(Secret::from("refreshtoken@@@info")));
    assert_eq!(answer.func_info, Some(vec![17, 18]));
    let expected = AuthorizerInfo {
        nick_name: some("美妆饰品"),
        user_name: some("gh_c43395cb652e"),
        principal_name: some("个人"),
        alias: None,
        signature: some("做美装，精美饰品等搭配教学"),
        head_img: some("http://wx.qlogo.cn/mmopen/head"),
        qrcode_url: some("http://mmbiz.qpic.cn/mmbiz_jpg/code"),
        service_type: Some(0),
        verify_type: Some(-1),
        is_mini_program: true,
        account_status: Some(1),
        register_type: Some(0),
    };
    assert_eq!(answer.info, Some(expected));

    let answer: AuthorizerInfoAnswer =
        sample("api_get_authorizer_info_official_account").expect("a profile");
    let info = answer.info.expect("a profile");
    assert!(!info.is_mini_program);
    assert_eq!((info.head_img, info.service_type), (None, Some(2)));
    assert_eq!((answer.authorizer_appid, answer.refresh_token), (Some(account()), None));
}

#[test]
fn a_profile_survives_what_wechat_should_not_send() {
    let body = "{\"authorizer_info\":{\"nick_name\":\"a\\ud83db\x01c\",\"signature\":\"\",
        \"service_type_info\":{\"id\":\"2\"},\"verify_type_info\":null,\"idc\":1e999,
        \"MiniProgramInfo\":null}}";
    let answer: AuthorizerInfoAnswer = read(body).expect("a profile");
    assert_eq!(answer.func_info, None);
    let info = answer.info.expect("a profile");
    assert_eq!(info.nick_name, some("a\u{fffd}b c"));
    assert_eq!((info.signature, info.service_type, info.is_mini_program), (None, Some(2), false));

    let long = format!(r#"{{"authorizer_info":{{"nick_name":"{}"}}}}"#, "名".repeat(5000));
    let answer: AuthorizerInfoAnswer = read(&long).expect("a profile");
    let name = answer.info.expect("a profile").nick_name.expect("a name");
    assert_eq!(name.chars().count(), 2048);
}

#[test]
fn a_list_is_read_and_impossible_entries_are_left_out() {
    let list: AuthorizerList = sample("api_get_authorizer_list").expect("a list");
    assert_eq!((list.total_count, list.listed), (33, 2));
    let first = ListedAuthorizer {
        authorizer_appid: account(),
        refresh_token: Some(Secret::from("refreshtoken@@@list-1")),
        auth_time: Some(1_558_000_607),
    };
    assert_eq!(list.list[0], first);
    assert_eq!(list.list[1].refresh_token, None);

    let odd = r#"{"total_count":"3","list":[{"authorizer_appid":"w x","refresh_token":"r"},
        {"refresh_token":"r"},7,{"authorizer_appid":"wx2","refresh_token":"","auth_time":"7"}]}"#;
    let list: AuthorizerList = read(odd).expect("a list");
    let appids: Vec<&str> = list.list.iter().map(|one| one.authorizer_appid.as_str()).collect();
    assert_eq!((list.total_count, list.listed, appids), (3, 4, vec!["wx2"]));
    assert_eq!((list.list[0].refresh_token.clone(), list.list[0].auth_time), (None, Some(7)));
}

#[test]
fn a_refusal_is_told_by_the_body_alone() {
    let Err(AnswerError::Rejected { errcode, errmsg }) = sample::<ComponentAccessToken>("refused")
    else {
        panic!("it is a refusal")
    };
    assert_eq!(errcode, Errcode::IP_NOT_ON_WHITE_LIST);
    assert!(errmsg.ends_with("rid: 6555c3a1-0d2e7c1b-2f3a4b5c"));

    for (body, code) in [
        (r#"{"errcode":40001}"#, 40001),
        (r#"{"errcode":"40001","errmsg":null}"#, 40001),
        (r#"{"errcode":-1,"component_access_token":"t","expires_in":7200}"#, -1),
        ("\u{feff} {\"errcode\":9223372036854775807}", i64::MAX),
    ] {
        let refused = read::<ComponentAccessToken>(body);
        assert!(
            matches!(refused, Err(AnswerError::Rejected { errcode: Errcode(c), .. }) if c == code),
            "{body}: {refused:?}"
        );
    }
}

#[test]
fn an_errcode_of_zero_is_success() {
    for errcode in ["0", "\"0\"", "null", "\"\""] {
        let body =
            format!(r#"{{"errcode":{errcode},"component_access_token":"t","expires_in":"7200"}}"#);
        let token: ComponentAccessToken = read(&body).expect(errcode);
        assert_eq!(token.expires_in, Duration::from_secs(7200));
    }
}

#[test]
fn an_errmsg_is_cut_cleaned_and_blackened() {
    let secret = Secret::from("canary-token");
    let words = "x".repeat(400);
    let body = format!("{{\"errcode\":1,\"errmsg\":\"a\\nb canary-token {words} rid: 1-2-3\"}}");
    let refused: Result<PushTicketStarted, _> =
        read_answer(&mut body.into_bytes(), &[&secret, &Secret::from("")]);
    let Err(AnswerError::Rejected { errmsg, .. }) = refused else { panic!("it is a refusal") };
    assert!(errmsg.starts_with("a b … xxx"), "{errmsg}");
    assert!(errmsg.ends_with("x rid: 1-2-3"), "{errmsg}");
    assert_eq!(errmsg.chars().count(), 256);
}

#[test]
fn nonsense_is_garbled() {
    let token = "t".repeat(2049);
    for body in [
        "",
        "ok",
        "<html>502</html>",
        "[]",
        "{",
        "{}",
        r#"{"errcode":{}}"#,
        r#"{"errcode":"broken"}"#,
        r#"{"errcode":1e30}"#,
        r#"{"errcode":18446744073709551615}"#,
        r#"{"errcode":1,"errcode":2}"#,
        r#"{"component_access_token":"t"}"#,
        r#"{"component_access_token":"","expires_in":7200}"#,
        r#"{"component_access_token":null,"expires_in":7200}"#,
        r#"{"component_access_token":7,"expires_in":7200}"#,
        r#"{"component_access_token":"a b","expires_in":7200}"#,
        r#"{"component_access_token":"中","expires_in":7200}"#,
        r#"{"component_access_token":"t","expires_in":0}"#,
        r#"{"component_access_token":"t","expires_in":-1}"#,
        r#"{"component_access_token":"t","expires_in":86401}"#,
        r#"{"component_access_token":"t","expires_in":99999999999999999999}"#,
        r#"{"component_access_token":"t","expires_in":"soon"}"#,
        &format!(r#"{{"component_access_token":"{token}","expires_in":7200}}"#),
        &format!(
            r#"{{"component_access_token":"t","expires_in":7200,"x":{}{}}}"#,
            "[".repeat(32),
            "]".repeat(32)
        ),
    ] {
        let answer = read::<ComponentAccessToken>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
}

#[test]
fn what_is_needed_of_each_answer_is_missed() {
    assert!(matches!(read::<PushTicketStarted>("{}"), Err(AnswerError::Garbled(_))));
    assert!(matches!(read::<PreAuthCode>(r#"{"expires_in":600}"#), Err(AnswerError::Garbled(_))));
    assert!(matches!(read::<AuthorizerInfoAnswer>("{}"), Err(AnswerError::Garbled(_))));
    assert!(matches!(read::<AuthorizerList>(r#"{"list":[]}"#), Err(AnswerError::Garbled(_))));
    for body in [
        "{}",
        r#"{"authorization_info":{"func_info":[]}}"#,
        r#"{"authorization_info":{"authorizer_appid":""}}"#,
        r#"{"authorization_info":{"authorizer_appid":7,"authorizer_refresh_token":"r"}}"#,
    ] {
        let answer = read::<AuthorizationInfo>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
    for body in [
        "{}",
        r#"{"authorizer_access_token":"t","expires_in":0,"authorizer_refresh_token":""}"#,
        r#"{"authorizer_access_token":"t","authorizer_refresh_token":"a b"}"#,
        r#"{"authorizer_access_token":"","expires_in":7200,"authorizer_refresh_token":7}"#,
    ] {
        let answer = read::<RefreshedToken>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
    let without_refresh = r#"{"authorizer_access_token":"t","expires_in":7200,
        "authorizer_refresh_token":""}"#;
    let token: RefreshedToken = read(without_refresh).expect("a token");
    assert_eq!(token.refresh_token, None);
}

/// What may stand beside a refresh token and must not take it along.
fn oddities() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let mut oddities: Vec<String> = [
        r#""authorizer_access_token":"t""#,
        r#""authorizer_access_token":"","expires_in":7200"#,
        r#""authorizer_access_token":"a b","expires_in":7200"#,
        r#""authorizer_access_token":["t"],"expires_in":7200"#,
        r#""authorizer_access_token":"t","expires_in":0"#,
        r#""authorizer_access_token":"t","expires_in":-1"#,
        r#""authorizer_access_token":"t","expires_in":86401"#,
        r#""authorizer_access_token":"t","expires_in":1e999"#,
        r#""authorizer_access_token":"t","expires_in":{"secs":7200}"#,
        r#""expires_in":7200"#,
    ]
    .map(str::to_owned)
    .to_vec();
    oddities.push(format!(r#""authorizer_access_token":"t","expires_in":{deep}"#));
    oddities
}

#[test]
fn an_odd_access_token_does_not_take_the_refresh_token_along() {
    for odd in oddities() {
        let (refresh_token, appid) =
            (r#""authorizer_refresh_token":"r""#, r#""authorizer_appid":"wx1f0e2d3c4b5a6978""#);
        let expected = RefreshedToken { access_token: None, refresh_token: Some("r".into()) };
        assert_eq!(read(&format!("{{{odd},{refresh_token}}}")), Ok(expected), "{odd}");

        let expected = AuthorizationInfo {
            authorizer_appid: account(),
            access_token: None,
            refresh_token: Some("r".into()),
            func_info: vec![1, 2],
        };
        let body = format!(
            r#"{{"authorization_info":{{{appid},{odd},{refresh_token},"func_info":[
                {{"funcscope_category":{{"id":1}}}},7,null,{{}},{{"funcscope_category":[]}},
                {{"funcscope_category":{{"id":"one"}}}},{{"funcscope_category":{{"id":-1}}}},
                {{"funcscope_category":{{"id":"2"}},"confirm_info":7}}]}}}}"#
        );
        assert_eq!(read(&body), Ok(expected), "{body}");
    }
}

#[test]
fn whatever_else_is_odd_the_tokens_are_read() {
    let tokens =
        r#""authorizer_access_token":"t","expires_in":7200,"authorizer_refresh_token":"r""#;
    let expected = RefreshedToken {
        access_token: Some(AuthorizerAccessToken {
            value: "t".into(),
            expires_in: Duration::from_secs(7200),
        }),
        refresh_token: Some("r".into()),
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for body in [
        format!(r#"{{"errcode":0,"errmsg":{{}},{tokens}}}"#),
        format!(r#"{{"errcode":"ok",{tokens}}}"#),
        format!(r#"{{"errcode":0,"errcode":0,{tokens}}}"#),
        format!(r#"{{{tokens},"expires_in":null,"authorizer_refresh_token":""}}"#),
        format!(r#"{{"x":{deep},{tokens}}}"#),
        format!(r#"{{{tokens},"x":1e999}}"#),
        format!(r#"{{{tokens}}} trailing"#),
        format!(r#"{{{tokens},"x":{{"#),
    ] {
        assert_eq!(read(&body), Ok(expected.clone()), "{body}");
    }
    let mut body = format!("{{\"x\":\"?\",{tokens}}}").into_bytes();
    body[6] = 0xff;
    assert_eq!(read_answer(&mut body, &[]), Ok(expected), "no UTF-8");
    // A refusal stays one, whatever stands beside it.
    let refused = read::<RefreshedToken>(&format!(r#"{{"errcode":-1,"errmsg":7,{tokens}}}"#));
    assert!(matches!(refused, Err(AnswerError::Rejected { .. })), "{refused:?}");
}

#[test]
fn an_odd_profile_does_not_take_the_refresh_token_along() {
    let authorization = r#""authorization_info":{"authorizer_appid":"wx1f0e2d3c4b5a6978",
        "authorizer_refresh_token":"r","func_info":"none"}"#;
    for profile in ["7", "[]", "null", "\"\""] {
        let body = format!(r#"{{"authorizer_info":{profile},{authorization}}}"#);
        let expected = AuthorizerInfoAnswer {
            authorizer_appid: Some(account()),
            info: None,
            refresh_token: Some("r".into()),
            func_info: None,
        };
        assert_eq!(read(&body), Ok(expected), "{body}");
    }
    let body = format!(
        r#"{{"authorizer_info":{{"nick_name":7,"alias":"a","service_type_info":[2],
            "verify_type_info":{{"id":true}},"MiniProgramInfo":[],"account_status":{{}}}},{authorization}}}"#
    );
    let answer: AuthorizerInfoAnswer = read(&body).expect("a profile");
    assert_eq!(answer.refresh_token, Some("r".into()));
    let expected =
        AuthorizerInfo { alias: some("a"), is_mini_program: true, ..AuthorizerInfo::default() };
    assert_eq!(answer.info, Some(expected));

    let body = r#"{"authorizer_info":{},"authorization_info":{"authorizer_appid":"w x",
        "authorization_appid":"wx1f0e2d3c4b5a6978","authorizer_refresh_token":"r"}}"#;
    let answer: AuthorizerInfoAnswer = read(body).expect("a profile");
    assert_eq!(
        (answer.authorizer_appid, answer.refresh_token),
        (Some(account()), Some("r".into()))
    );
}

#[test]
fn an_odd_entry_takes_neither_its_token_nor_the_others_along() {
    let body = r#"{"total_count":"many","list":[
        {"authorizer_appid":"wx1f0e2d3c4b5a6978","refresh_token":"r","auth_time":"long ago"},
        [],{"authorizer_appid":"wx2","refresh_token":{}}]}"#;
    let list: AuthorizerList = read(body).expect("a list");
    assert_eq!((list.total_count, list.listed), (u32::MAX, 3));
    let expected = [(account(), Some("r".into())), (Appid::parse("wx2").expect("an appid"), None)]
        .map(|(authorizer_appid, refresh_token)| ListedAuthorizer {
            authorizer_appid,
            refresh_token,
            auth_time: None,
        });
    assert_eq!(list.list, expected);
}

#[test]
fn ordinary_tokens_are_read() {
    let token: OrdinaryAccessToken = sample("token").expect("a token");
    assert!(token.access_token.expose().starts_with("68_Qm3y"));
    assert_eq!(token.expires_in, Duration::from_secs(7200));
    let token: OrdinaryAccessToken = sample("stable_token").expect("a token");
    assert_eq!(token.expires_in, Duration::from_secs(345), "what is left of its life");
    let token: OrdinaryAccessToken =
        read(r#"{"access_token":"t","expires_in":"7200"}"#).expect("a token");
    assert_eq!(token.expires_in, Duration::from_secs(7200));
}

#[test]
fn an_ordinary_token_that_cannot_be_one_is_garbled() {
    let long = format!(r#"{{"access_token":"{}","expires_in":7200}}"#, "t".repeat(2049));
    for body in [
        "{}",
        r#"{"access_token":"","expires_in":7200}"#,
        r#"{"access_token":null,"expires_in":7200}"#,
        r#"{"access_token":"a b","expires_in":7200}"#,
        r#"{"access_token":"t"}"#,
        r#"{"access_token":"t","expires_in":0}"#,
        r#"{"access_token":"t","expires_in":-7200}"#,
        r#"{"access_token":"t","expires_in":86401}"#,
        r#"{"access_token":"t","expires_in":"soon"}"#,
        &long,
    ] {
        let answer = read::<OrdinaryAccessToken>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
}

#[test]
fn a_refreshed_web_token_is_read() {
    let token: WebToken = sample("oauth2_refresh_token").expect("a token");
    let access = token.access_token.expect("an access token");
    assert!(access.value.expose().starts_with("OezXcEii"));
    assert_eq!(access.expires_in, Duration::from_secs(7200));
    assert!(token.refresh_token.expect("one").expose().ends_with("-refresh-sample"));
    assert_eq!(token.openid, some("oABCDefghij0123456789klmnopq"));
    assert_eq!(token.scope, some("snsapi_base,snsapi_userinfo"));
    assert_eq!(token.unionid, some("o6_bmasdasdsad6_2sgVt7hMZOPfL"));
    assert_eq!(WEB_REFRESH_TOKEN_LIFETIME.as_secs(), 30 * 86_400);
}

#[test]
fn an_odd_web_access_token_does_not_take_the_refresh_token_along() {
    for odd in oddities() {
        let odd = odd.replace("authorizer_access_token", "access_token");
        let token: WebToken =
            read(&format!(r#"{{{odd},"refresh_token":"r","openid":"o"}}"#)).expect("a token");
        assert_eq!((token.access_token, token.refresh_token), (None, Some("r".into())), "{odd}");
        assert_eq!(token.openid, some("o"), "{odd}");
    }
}

#[test]
fn whatever_else_is_odd_the_web_tokens_are_read() {
    let tokens = r#""access_token":"t","expires_in":7200,"refresh_token":"r""#;
    let expected = WebToken {
        access_token: Some(WebAccessToken {
            value: "t".into(),
            expires_in: Duration::from_secs(7200),
        }),
        refresh_token: Some("r".into()),
        openid: None,
        scope: None,
        unionid: None,
        is_snapshot_user: false,
    };
    let long = "o".repeat(129);
    for body in [
        format!(r#"{{"errcode":"ok",{tokens}}}"#),
        format!(r#"{{{tokens}}} trailing"#),
        format!(r#"{{{tokens},"x":{{"#),
        format!(r#"{{{tokens},"refresh_token":"","openid":7,"scope":["a"],"unionid":null}}"#),
        format!(r#"{{{tokens},"openid":"{long}","scope":"","unionid":"a\u0000b"}}"#),
        format!(r#"{{{tokens},"openid":"a b","scope":"中"}}"#),
    ] {
        assert_eq!(read(&body), Ok(expected.clone()), "{body}");
    }
    let refused = read::<WebToken>(&format!(r#"{{"errcode":40030,{tokens}}}"#));
    assert!(matches!(refused, Err(AnswerError::Rejected { .. })), "{refused:?}");
}

#[test]
fn without_either_web_token_there_is_none() {
    for body in [
        "{}",
        r#"{"openid":"o","scope":"snsapi_base"}"#,
        r#"{"access_token":"t","expires_in":0,"refresh_token":"","openid":"o"}"#,
    ] {
        let answer = read::<WebToken>(body);
        assert!(matches!(answer, Err(AnswerError::Garbled(_))), "{body}: {answer:?}");
    }
    let token: WebToken = read(r#"{"access_token":"t","expires_in":7200}"#).expect("a token");
    assert_eq!(token.refresh_token, None);
}
