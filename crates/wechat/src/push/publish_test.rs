//! WeChat's whole-network publish test (全网发布检测): who asks, what is asked, what must be answered.
//!
//! Source: WeChat docs, "Whole-network publication access test" (全网发布接入检测说明): five groups of
//! two accounts, of which WeChat draws one at random.

use super::message::MessagePush;

/// One of WeChat's test accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestAccount {
    /// Its group, 1 to 5.
    pub group: u8,
    /// What it is.
    pub kind: TestAccountKind,
    /// Its appid.
    pub appid: &'static str,
    /// Its original id, `gh_…`.
    pub user_name: &'static str,
}

/// What a test account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestAccountKind {
    /// 公众号: asks all questions.
    OfficialAccount,
    /// 小程序: asks for the reply through the API only.
    MiniProgram,
}

/// All ten of them.
pub const TEST_ACCOUNTS: [TestAccount; 10] = [
    official_account(1, "wx570bc396a51b8ff8", "gh_3c884a361561"),
    mini_program(1, "wxd101a85aa106f53e", "gh_8dad206e9538"),
    official_account(2, "wx9252c5e0bb1836fc", "gh_c0f28a78b318"),
    mini_program(2, "wxc39235c15087f6f3", "gh_905ae9d01059"),
    official_account(3, "wx8e1097c5bc82cde9", "gh_3f222ed8d140"),
    mini_program(3, "wx7720d01d4b2a4500", "gh_393666f1fdf4"),
    official_account(4, "wx14550af28c71a144", "gh_26128078e9ab"),
    mini_program(4, "wx05d483572dcd5d8b", "gh_39abb5d4e1b7"),
    official_account(5, "wxa35b9c23cfe664eb", "gh_2b3713f184a6"),
    mini_program(5, "wx5910277cae6fd970", "gh_7818dcb60240"),
];

/// The text that asks for [`TEXT_REPLY`].
pub const TEXT: &str = "TESTCOMPONENT_MSG_TYPE_TEXT";

/// The passive reply to [`TEXT`].
pub const TEXT_REPLY: &str = "TESTCOMPONENT_MSG_TYPE_TEXT_callback";

/// Stands before the code that is to be exchanged. The code is all that comes behind it.
pub const CODE_PREFIX: &str = "QUERY_AUTH_CODE:";

/// The most bytes of a code.
///
/// Assumed: real ones have some eighty.
const MAX_CODE_BYTES: usize = 256;

/// Stands behind the code in the customer-service message that answers it.
pub const CODE_REPLY_SUFFIX: &str = "_from_api";

/// Stands behind the name of an event in the passive reply to it.
pub const EVENT_REPLY_SUFFIX: &str = "from_callback";

/// What a test account asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// [`TEXT`]: reply with [`TEXT_REPLY`].
    Text,
    /// [`CODE_PREFIX`] and this code, which is bounded in length and letters: answer with an empty body, exchange the code, and send
    /// [`code_reply`] with the token that came for it.
    Code(&'a str),
    /// An event with this name: reply with [`event_reply`].
    Event(&'a str),
}

/// The test account with this appid and this original id; both must be its own.
#[must_use]
pub fn find(appid: &str, user_name: &str) -> Option<&'static TestAccount> {
    TEST_ACCOUNTS.iter().find(|one| one.appid == appid && one.user_name == user_name)
}

/// Whether WeChat's test has an account with this appid. Its questions come from [`find`] only.
#[must_use]
pub fn is_test_appid(appid: &str) -> bool {
    TEST_ACCOUNTS.iter().any(|one| one.appid == appid)
}

/// What `push` asks; `None` when it asks nothing, as any other message does.
#[must_use]
pub fn question(push: &MessagePush) -> Option<Question<'_>> {
    if push.is_event() {
        return push.event.as_deref().map(Question::Event);
    }
    let text = push.text()?;
    if text == TEXT {
        return Some(Question::Text);
    }
    text.strip_prefix(CODE_PREFIX).filter(|code| is_code(code)).map(Question::Code)
}

/// Whether it looks like an authorization code.
///
/// Observed: `queryauthcode@@@`, and then letters, digits, `-` and `_`.
fn is_code(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"@-_:.~=+/".contains(&byte);
    (1..=MAX_CODE_BYTES).contains(&text.len()) && text.bytes().all(is_letter)
}

/// The customer-service text that answers `code`.
#[must_use]
pub fn code_reply(code: &str) -> String {
    format!("{code}{CODE_REPLY_SUFFIX}")
}

/// The passive text reply to the event called `event`.
#[must_use]
pub fn event_reply(event: &str) -> String {
    format!("{event}{EVENT_REPLY_SUFFIX}")
}

const fn official_account(group: u8, appid: &'static str, user_name: &'static str) -> TestAccount {
    TestAccount { group, kind: TestAccountKind::OfficialAccount, appid, user_name }
}

const fn mini_program(group: u8, appid: &'static str, user_name: &'static str) -> TestAccount {
    TestAccount { group, kind: TestAccountKind::MiniProgram, appid, user_name }
}
