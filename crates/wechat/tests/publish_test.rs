//! WeChat's publish test: its accounts, questions and answers.

use std::collections::HashSet;

use lingpai_wechat::push::{
    message::MessagePush,
    publish_test::{
        Question, TEST_ACCOUNTS, TEXT, TEXT_REPLY, TestAccountKind, code_reply, event_reply, find,
        is_test_appid, question,
    },
};

/// The table of WeChat's page: group, official account, mini program.
const TABLE: [[&str; 5]; 5] = [
    ["1", "wx570bc396a51b8ff8", "gh_3c884a361561", "wxd101a85aa106f53e", "gh_8dad206e9538"],
    ["2", "wx9252c5e0bb1836fc", "gh_c0f28a78b318", "wxc39235c15087f6f3", "gh_905ae9d01059"],
    ["3", "wx8e1097c5bc82cde9", "gh_3f222ed8d140", "wx7720d01d4b2a4500", "gh_393666f1fdf4"],
    ["4", "wx14550af28c71a144", "gh_26128078e9ab", "wx05d483572dcd5d8b", "gh_39abb5d4e1b7"],
    ["5", "wxa35b9c23cfe664eb", "gh_2b3713f184a6", "wx5910277cae6fd970", "gh_7818dcb60240"],
];

fn text(content: &str) -> MessagePush {
    let xml = format!(
        "<xml><ToUserName>gh_3c884a361561</ToUserName><FromUserName>o</FromUserName>\
         <CreateTime>1</CreateTime><MsgType>text</MsgType>\
         <Content><![CDATA[{content}]]></Content><MsgId>1</MsgId></xml>"
    );
    MessagePush::parse(xml.as_bytes()).expect("a push")
}

#[test]
fn all_ten_accounts_are_known_by_appid_and_name_together() {
    for [group, official, official_name, mini, mini_name] in TABLE {
        for (appid, name, kind) in [
            (official, official_name, TestAccountKind::OfficialAccount),
            (mini, mini_name, TestAccountKind::MiniProgram),
        ] {
            let account = find(appid, name).expect(appid);
            assert_eq!((account.group.to_string().as_str(), account.kind), (group, kind));
            assert!(is_test_appid(appid));
        }
        assert_eq!(find(official, mini_name), None, "the name is another account's");
        assert_eq!(find(official, "gh_0a1b2c3d4e5f"), None);
    }
    assert!(!is_test_appid("wx1f0e2d3c4b5a6978"));
    let appids: HashSet<&str> = TEST_ACCOUNTS.iter().map(|account| account.appid).collect();
    assert_eq!(appids.len(), 10);
}

#[test]
fn questions_are_exact() {
    assert_eq!(question(&text(TEXT)), Some(Question::Text));
    let code = "queryauthcode@@@a-b_c:d";
    let asked = text(&format!("QUERY_AUTH_CODE:{code}"));
    assert_eq!(question(&asked), Some(Question::Code(code)), "a colon may be part of the code");
    let longest = "q".repeat(256);
    let asked = text(&format!("QUERY_AUTH_CODE:{longest}"));
    assert_eq!(question(&asked), Some(Question::Code(longest.as_str())));
    for other in [
        format!("QUERY_AUTH_CODE:{longest}q"),
        "QUERY_AUTH_CODE:a b".to_owned(),
        "QUERY_AUTH_CODE:a\"b".to_owned(),
        "QUERY_AUTH_CODE:é".to_owned(),
    ] {
        assert_eq!(question(&text(&other)), None, "{other}");
    }
    for other in [
        "",
        "testcomponent_msg_type_text",
        " TESTCOMPONENT_MSG_TYPE_TEXT",
        "TESTCOMPONENT_MSG_TYPE_TEXT2",
        "QUERY_AUTH_CODE",
        "QUERY_AUTH_CODE:",
        "x QUERY_AUTH_CODE:y",
    ] {
        assert_eq!(question(&text(other)), None, "{other}");
    }
    let xml = "<xml><ToUserName>g</ToUserName><FromUserName>o</FromUserName><MsgType>event\
               </MsgType><Event>LOCATION</Event></xml>";
    let event = MessagePush::parse(xml.as_bytes()).expect("a push");
    assert_eq!(question(&event), Some(Question::Event("LOCATION")));
}

#[test]
fn answers_are_exact() {
    assert_eq!(TEXT_REPLY, "TESTCOMPONENT_MSG_TYPE_TEXT_callback");
    assert_eq!(code_reply("queryauthcode@@@x"), "queryauthcode@@@x_from_api");
    assert_eq!(event_reply("LOCATION"), "LOCATIONfrom_callback");
}
