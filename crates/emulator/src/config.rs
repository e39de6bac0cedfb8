//! What the emulator is told before it starts: the component, its accounts and its habits.
//!
//! The defaults are one fixed world for the demo. Their secrets are canaries: they contain the
//! word `CANARY`, so that a search over logs and database files finds a leak.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use lingpai_wechat::push::publish_test::{TestAccount, TestAccountKind};
use serde::{Deserialize, Serialize};

use crate::state::quota::Rate;

/// How long access tokens live, in seconds.
///
/// Source: WeChat docs, "component_access_token", "authorizer_access_token" and "access_token":
/// `expires_in` 7200.
const TOKEN_LIFE_SECS: u64 = 7200;

/// How long tickets of the JS-SDK live, in seconds.
///
/// Source: WeChat docs, "JS-SDK" (JS-SDK说明文档), appendix 1: `expires_in` 7200.
const TICKET_LIFE_SECS: u64 = 7200;

/// The largest file that can be uploaded.
///
/// Source: WeChat docs, "Upload temporary media": an image has 10 MB at most.
const LARGEST_MEDIA_BYTES: u64 = 10 * 1024 * 1024;

/// Everything the emulator can be told before it starts. JSON; a missing field has its default.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmulatorConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The third-party platform that is emulated.
    pub component: ComponentConfig,
    /// Seconds between two ticket pushes by the timer; 0 switches the timer off.
    pub ticket_interval_secs: u64,
    /// How pushes are repeated and delayed.
    pub push: PushPolicy,
    /// Calls per Beijing day and path; beyond it errcode 45009. A path not named has no limit.
    /// Each account has as many, and the component of the paths that are its own.
    pub quotas: BTreeMap<String, u64>,
    /// Calls per path within a short while, likewise; beyond it errcode 45011.
    pub rates: BTreeMap<String, Rate>,
    /// The switches as they stand at the start.
    pub switches: Switches,
    /// The accounts that can authorize.
    pub accounts: Vec<AccountConfig>,
    /// How many more accounts there are, see [`AccountConfig::generated`].
    pub many_accounts: u32,
}

/// The component as it stands in the open platform's console.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComponentConfig {
    /// The component's appid.
    pub appid: String,
    /// The component's app secret.
    pub appsecret: String,
    /// 消息校验Token: signs every push.
    pub push_token: String,
    /// 消息加解密Key: 43 characters; encrypts every push.
    pub encoding_aes_key: String,
    /// 授权事件接收URL. Without it nothing is pushed.
    pub events_url: Option<String>,
    /// 消息与事件接收URL, with `$APPID$` where the account's appid goes.
    pub messages_url: Option<String>,
    /// 登录授权的发起页域名: if set, the host of every `redirect_uri` must be this one.
    pub start_page_host: Option<String>,
    /// 公众号开发域名: if set, fans of accounts that granted come back to this host only.
    pub page_host: Option<String>,
}

/// How often and how patiently pushes are sent.
///
/// Assumed: number and pauses of the repeats, which WeChat's documents do not tell for the
/// authorization-event URL (#2). Five seconds is what they give for messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushPolicy {
    /// How long an answer may take, in milliseconds.
    pub answer_within_ms: u64,
    /// The pause before each repeat, in milliseconds; as many repeats as pauses.
    pub pauses_ms: Vec<u64>,
    /// How long pushes are kept back when the redirect goes first, in milliseconds.
    pub redirect_head_start_ms: u64,
}

/// The order of the push and the browser's redirect after a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOrder {
    /// The push is sent and answered before the browser is redirected.
    PushFirst,
    /// The browser is redirected; the push waits for the head start or for a flush.
    RedirectFirst,
    /// The push is never sent.
    Lost,
}

/// Habits of the emulator that can be changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// JSON answers say `text/plain` instead of `application/json`.
    pub text_plain: bool,
    /// The caller's address is missing on the white lists: errcode 61004 for every call, 40164 for
    /// those that an account makes with its own secret or with a token got by it.
    pub ip_refused: bool,
    /// A refresh gives a new refresh token and voids the old one, an account's and a fan's.
    pub rotate_refresh_tokens: bool,
    /// The timer pushes no tickets, until `api_start_push_ticket` is called.
    pub tickets_stopped: bool,
    /// Every push is sent twice.
    pub duplicate_pushes: bool,
    /// Pushes travel in pairs, the second before the first.
    pub reorder_pushes: bool,
    /// What comes first after a consent.
    pub push_order: PushOrder,
    /// The life in seconds of access tokens issued from now on, told as `expires_in`. A replaced
    /// token lives on for five minutes, but no longer than a quarter of this.
    pub token_life_secs: u64,
    /// `api_get_authorizer_info` leaves `authorizer_refresh_token` out.
    pub info_without_refresh_token: bool,
    /// The largest file that can be uploaded; beyond it errcode 45001.
    pub largest_media_bytes: u64,
    /// The life in seconds of tickets of the JS-SDK issued from now on.
    pub ticket_life_secs: u64,
    /// Exchanged codes of web authorization are told to be of virtual users: `is_snapshotuser` 1.
    pub snapshot_users: bool,
}

/// An account: it can authorize the component, or be called with its own secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The account's appid.
    pub appid: String,
    /// The original id, `gh_…`.
    pub user_name: String,
    /// The name people see.
    pub nick_name: String,
    /// The legal entity.
    #[serde(default)]
    pub principal_name: String,
    /// The WeChat id of an official account; may be empty.
    #[serde(default)]
    pub alias: String,
    /// Official account or mini program.
    pub kind: AccountKind,
    /// `service_type_info.id`.
    #[serde(default)]
    pub service_type: i64,
    /// `verify_type_info.id`.
    #[serde(default)]
    pub verify_type: i64,
    /// The permission sets that its administrator can grant.
    pub permission_sets: Vec<u32>,
    /// Whether the account has API permissions at all; without, it authorizes with empty tokens.
    #[serde(default = "yes")]
    pub api_permission: bool,
    /// Who uses it.
    #[serde(default)]
    pub fans: Vec<Fan>,
    /// 网页授权域名: if set, fans come back to this host only, unless through the component.
    #[serde(default)]
    pub web_host: Option<String>,
    /// The account's own app secret; without it there are no ordinary access tokens.
    #[serde(default)]
    pub appsecret: Option<String>,
    /// Where its messages are pushed, in place of the component's `messages_url`; `$APPID$` stands
    /// for its appid.
    #[serde(default)]
    pub messages_url: Option<String>,
    /// Signs its messages in place of the component's; goes together with `encoding_aes_key`.
    #[serde(default)]
    pub push_token: Option<String>,
    /// Encrypts its messages in place of the component's, with its own appid in the frame.
    #[serde(default)]
    pub encoding_aes_key: Option<String>,
    /// How its messages are written, if it has a push token and a key of its own; those that go to
    /// the component are XML.
    #[serde(default)]
    pub message_format: MessageFormat,
}

/// How an account's messages are written, as its console says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageFormat {
    /// As everywhere.
    #[default]
    Xml,
    /// As a mini program may choose.
    Json,
}

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// 公众号: subscription or service account.
    OfficialAccount,
    /// 小程序.
    MiniProgram,
}

/// Somebody who uses an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fan {
    /// The fan's id at this account.
    pub openid: String,
    /// The fan's name.
    pub nickname: String,
    /// The fan across the accounts of one owner; told wherever WeChat tells it.
    #[serde(default)]
    pub unionid: Option<String>,
    /// Whether the fan follows the account.
    #[serde(default = "yes")]
    pub is_follower: bool,
}

impl Fan {
    /// A follower without a `unionid`.
    #[must_use]
    pub fn new(openid: &str, nickname: &str) -> Self {
        Self {
            openid: openid.to_owned(),
            nickname: nickname.to_owned(),
            unionid: None,
            is_follower: true,
        }
    }
}

impl EmulatorConfig {
    /// The default world on a free port with the ticket timer off and no repeats: a test pushes
    /// by hand and sees each single answer.
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ticket_interval_secs: 0,
            push: PushPolicy { pauses_ms: Vec::new(), ..PushPolicy::default() },
            quotas: BTreeMap::new(),
            ..Self::default()
        }
    }
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8190)),
            component: ComponentConfig::default(),
            ticket_interval_secs: 600,
            push: PushPolicy::default(),
            quotas: default_quotas(),
            rates: BTreeMap::new(),
            switches: Switches::default(),
            accounts: vec![token_shop(), token_orders(), token_flowers()],
            many_accounts: 0,
        }
    }
}

impl Default for ComponentConfig {
    fn default() -> Self {
        Self {
            appid: "wx1f0e2d3c4b5a6978".to_owned(),
            appsecret: "CANARYappsecret0123456789abcdef".to_owned(),
            push_token: "CANARYpushtoken".to_owned(),
            // The last character has stray low bits, as most keys from the console do.
            encoding_aes_key: "CANARYencodingAESKey0123456789abcdefghijklm".to_owned(),
            events_url: None,
            messages_url: None,
            start_page_host: None,
            page_host: None,
        }
    }
}

impl Default for PushPolicy {
    fn default() -> Self {
        Self {
            answer_within_ms: 5000,
            pauses_ms: vec![1000, 2000, 5000, 10_000, 30_000],
            redirect_head_start_ms: 3000,
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            text_plain: false,
            ip_refused: false,
            rotate_refresh_tokens: false,
            tickets_stopped: false,
            duplicate_pushes: false,
            reorder_pushes: false,
            push_order: PushOrder::PushFirst,
            token_life_secs: TOKEN_LIFE_SECS,
            info_without_refresh_token: false,
            largest_media_bytes: LARGEST_MEDIA_BYTES,
            ticket_life_secs: TICKET_LIFE_SECS,
            snapshot_users: false,
        }
    }
}

impl AccountConfig {
    /// The account number `number` of `many_accounts`: an official account with every usual set
    /// and an app secret, the same in every run.
    #[must_use]
    pub fn generated(number: u32) -> Self {
        Self {
            appid: format!("wxe{number:015x}"),
            user_name: format!("gh_e{number:011x}"),
            nick_name: format!("令牌{number}号店"),
            appsecret: Some(format!("CANARYgenerated{number:017x}")),
            alias: String::new(),
            fans: Vec::new(),
            ..token_shop()
        }
    }

    /// One of the accounts that WeChat tests services with before they are published. It has one fan
    /// and every set that the test is about.
    pub(crate) fn of_publish_test(account: &TestAccount) -> Self {
        let kind = match account.kind {
            TestAccountKind::OfficialAccount => AccountKind::OfficialAccount,
            TestAccountKind::MiniProgram => AccountKind::MiniProgram,
        };
        let openid = format!("oPublishTest00000000{}", &account.appid[account.appid.len() - 8..]);
        Self {
            appid: account.appid.to_owned(),
            user_name: account.user_name.to_owned(),
            nick_name: format!("全网发布检测{}", account.group),
            principal_name: String::new(),
            alias: String::new(),
            kind,
            service_type: if kind == AccountKind::OfficialAccount { 2 } else { 0 },
            verify_type: 0,
            permission_sets: match kind {
                AccountKind::OfficialAccount => vec![1, 2, 3, 4, 7, 11, 15, 24],
                AccountKind::MiniProgram => vec![17, 18, 19, 25, 30],
            },
            fans: vec![Fan::new(&openid, "全网发布检测")],
            appsecret: None,
            ..token_shop()
        }
    }

    /// One of its fans.
    pub(crate) fn fan(&self, openid: &str) -> Option<&Fan> {
        self.fans.iter().find(|fan| fan.openid == openid)
    }

    /// How its messages are written: the component's are always XML.
    pub(crate) fn format(&self) -> MessageFormat {
        if self.push_token.is_some() { self.message_format } else { MessageFormat::Xml }
    }
}

/// Source: WeChat docs, "Get access token" (2000 a day for an official account) and "Get stable
/// access token" (500 000 a day). Assumed (#2): 10 000 a day for the component's token.
fn default_quotas() -> BTreeMap<String, u64> {
    let quotas = [
        ("/cgi-bin/component/api_component_token", 10_000),
        ("/cgi-bin/token", 2000),
        ("/cgi-bin/stable_token", 500_000),
    ];
    quotas.map(|(path, calls)| (path.to_owned(), calls)).into()
}

fn yes() -> bool {
    true
}

fn token_shop() -> AccountConfig {
    let unionid = Some("uLingPai000000000000000fan01".to_owned());
    AccountConfig {
        appid: "wxa0b1c2d3e4f50617".to_owned(),
        user_name: "gh_0a1b2c3d4e5f".to_owned(),
        nick_name: "令牌小店".to_owned(),
        principal_name: "令牌（杭州）科技有限公司".to_owned(),
        alias: "lingpai-shop".to_owned(),
        kind: AccountKind::OfficialAccount,
        service_type: 2,
        verify_type: 0,
        permission_sets: vec![1, 2, 3, 4, 7, 11, 15, 24],
        api_permission: true,
        fans: vec![
            Fan { unionid, ..Fan::new("oLingPai000000000000000fan01", "小林") },
            Fan::new("oLingPai000000000000000fan02", "Ada 🌸"),
        ],
        appsecret: Some("CANARYshop0123456789abcdef012345".to_owned()),
        messages_url: None,
        web_host: None,
        push_token: None,
        encoding_aes_key: None,
        message_format: MessageFormat::Xml,
    }
}

fn token_orders() -> AccountConfig {
    AccountConfig {
        appid: "wxb1c2d3e4f5061728".to_owned(),
        user_name: "gh_1b2c3d4e5f60".to_owned(),
        nick_name: "令牌点单".to_owned(),
        principal_name: "令牌（杭州）科技有限公司".to_owned(),
        alias: String::new(),
        kind: AccountKind::MiniProgram,
        service_type: 0,
        verify_type: 0,
        permission_sets: vec![17, 18, 19, 25, 30],
        api_permission: true,
        fans: Vec::new(),
        appsecret: Some("CANARYorders456789abcdef01234567".to_owned()),
        messages_url: None,
        web_host: None,
        push_token: None,
        encoding_aes_key: None,
        message_format: MessageFormat::Xml,
    }
}

fn token_flowers() -> AccountConfig {
    AccountConfig {
        appid: "wxc2d3e4f506172839".to_owned(),
        user_name: "gh_2c3d4e5f6071".to_owned(),
        nick_name: "令牌花房".to_owned(),
        principal_name: "花房（上海）贸易有限公司".to_owned(),
        alias: String::new(),
        kind: AccountKind::OfficialAccount,
        service_type: 0,
        verify_type: -1,
        permission_sets: vec![1, 2, 3, 11],
        api_permission: true,
        fans: Vec::new(),
        appsecret: Some("CANARYflowers56789abcdef01234567".to_owned()),
        messages_url: None,
        web_host: None,
        push_token: None,
        encoding_aes_key: None,
        message_format: MessageFormat::Xml,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_survives_json() {
        let text = serde_json::to_string(&EmulatorConfig::default()).unwrap();
        let back: EmulatorConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn an_empty_object_is_the_default_and_an_unknown_name_is_refused() {
        let empty: EmulatorConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(empty.component.appid, "wx1f0e2d3c4b5a6978");
        assert!(serde_json::from_str::<EmulatorConfig>(r#"{"tickets":1}"#).is_err());
    }

    #[test]
    fn default_secrets_are_canaries_and_the_key_has_stray_bits() {
        let component = ComponentConfig::default();
        for secret in [&component.appsecret, &component.push_token, &component.encoding_aes_key] {
            assert!(secret.contains("CANARY"));
        }
        for account in EmulatorConfig::default().accounts {
            assert!(account.appsecret.unwrap().contains("CANARY"), "{}", account.appid);
        }
        let key = component.encoding_aes_key;
        assert_eq!(key.len(), 43);
        assert!(key.bytes().all(|b| b.is_ascii_alphanumeric()));
        // 'a' is 26 in base64; 'm' = 38, whose two low bits are not zero.
        let last = 26 + (key.as_bytes()[42] - b'a');
        assert_ne!(last % 4, 0);
    }

    #[test]
    fn generated_accounts_look_like_real_ones_and_differ() {
        let [one, last] = [1, u32::MAX].map(AccountConfig::generated);
        for account in [&one, &last] {
            let digits = account.appid.strip_prefix("wx").unwrap();
            assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
            assert_eq!(account.user_name.len(), "gh_0a1b2c3d4e5f".len());
            assert_eq!(account.appsecret.as_ref().unwrap().len(), 32);
        }
        assert_ne!((one.appid, one.user_name), (last.appid, last.user_name));
        assert_ne!(one.appsecret, last.appsecret);
    }
}
