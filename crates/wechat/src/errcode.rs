//! WeChat's return codes: their meaning, and what a careful client does.

use std::{collections::HashMap, fmt, sync::LazyLock};

/// An `errcode` as WeChat returned it. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errcode(pub i64);

impl Errcode {
    /// Success.
    pub const OK: Self = Self(0);
    /// Busy; nothing was done.
    pub const SYSTEM_BUSY: Self = Self(-1);
    /// The token is invalid or not the newest; on token calls also a wrong secret.
    pub const INVALID_CREDENTIAL: Self = Self(40001);
    /// The openid is none of this account's, or not the one that the web token is about.
    pub const INVALID_OPENID: Self = Self(40003);
    /// The appid is wrong.
    pub const INVALID_APPID: Self = Self(40013);
    /// The access token is malformed or another account's.
    pub const INVALID_ACCESS_TOKEN: Self = Self(40014);
    /// The code of a web authorization or of a login is unknown; of a login also used or expired.
    pub const INVALID_CODE: Self = Self(40029);
    /// The refresh token is invalid.
    pub const INVALID_REFRESH_TOKEN: Self = Self(40030);
    /// The app secret is wrong.
    pub const INVALID_APPSECRET: Self = Self(40125);
    /// The code of a web authorization was used already.
    pub const WEB_CODE_USED: Self = Self(40163);
    /// Our address is not on the account's white list (ordinary tokens).
    pub const IP_NOT_ON_ACCOUNTS_WHITE_LIST: Self = Self(40164);
    /// The fan is judged risky, and his login refused.
    pub const RISKY_FAN: Self = Self(40226);
    /// The app secret is frozen.
    pub const APPSECRET_FROZEN: Self = Self(40243);
    /// No access token was sent: a fault of ours.
    pub const ACCESS_TOKEN_MISSING: Self = Self(41001);
    /// No code of a web authorization was sent.
    pub const WEB_CODE_MISSING: Self = Self(41008);
    /// The access token has expired.
    pub const ACCESS_TOKEN_EXPIRED: Self = Self(42001);
    /// A fan's web refresh token has expired.
    pub const WEB_REFRESH_TOKEN_EXPIRED: Self = Self(42002);
    /// The code of a web authorization has expired.
    pub const WEB_CODE_EXPIRED: Self = Self(42003);
    /// The component's access token has expired.
    pub const COMPONENT_ACCESS_TOKEN_EXPIRED: Self = Self(42006);
    /// A change of password voided the account's tokens.
    pub const TOKENS_VOID_AFTER_PASSWORD_CHANGE: Self = Self(42007);
    /// The account lacks the permission.
    pub const NO_PERMISSION: Self = Self(43104);
    /// Too many calls in this second.
    pub const TOO_MANY_CALLS_IN_A_SECOND: Self = Self(44990);
    /// Too many calls in this minute.
    pub const TOO_MANY_CALLS_IN_A_MINUTE: Self = Self(44991);
    /// The daily quota is used up.
    pub const QUOTA_USED_UP: Self = Self(45009);
    /// The interface was called too often within the minute.
    pub const CALLED_TOO_OFTEN: Self = Self(45011);
    /// Our address is not registered with the account (ordinary tokens).
    pub const IP_NOT_REGISTERED: Self = Self(45035);
    /// The account lacks the interface, or did not grant it.
    pub const API_UNAUTHORIZED: Self = Self(48001);
    /// The interface is blocked for the account after a violation.
    pub const API_BLOCKED: Self = Self(48004);
    /// The account is frozen or closed.
    pub const ACCOUNT_RESTRICTED: Self = Self(50002);
    /// The account may not get tokens.
    pub const TOKENS_FORBIDDEN_TO_ACCOUNT: Self = Self(50004);
    /// The account is frozen.
    pub const ACCOUNT_FROZEN: Self = Self(50007);
    /// The account has not authorized this component.
    pub const NOT_AUTHORIZED_BY_ACCOUNT: Self = Self(61003);
    /// Our address is not on the platform's white list.
    pub const IP_NOT_ON_WHITE_LIST: Self = Self(61004);
    /// The ticket has expired.
    pub const TICKET_EXPIRED: Self = Self(61005);
    /// The ticket is invalid.
    pub const TICKET_INVALID: Self = Self(61006);
    /// The permission set was not granted.
    pub const PERMISSION_SET_NOT_GRANTED: Self = Self(61007);
    /// The authorization code or pre-auth code is invalid or was used.
    pub const AUTHORIZATION_CODE_INVALID: Self = Self(61009);
    /// The authorization code has expired.
    pub const AUTHORIZATION_CODE_EXPIRED: Self = Self(61010);
    /// The component_appid does not belong to the token.
    pub const COMPONENT_INVALID: Self = Self(61011);
    /// The interface takes the component's token only: a fault of ours.
    pub const COMPONENT_TOKEN_NEEDED: Self = Self(61014);
    /// The interface takes an account's token only: a fault of ours.
    pub const ACCOUNT_TOKEN_NEEDED: Self = Self(61015);
    /// The permission set waits for its confirmation.
    pub const PERMISSION_SET_NOT_CONFIRMED: Self = Self(61016);
    /// The permission set was not authorized.
    pub const PERMISSION_SET_NOT_AUTHORIZED: Self = Self(61017);
    /// The authorizer's refresh token is invalid.
    pub const AUTHORIZER_REFRESH_TOKEN_INVALID: Self = Self(61023);
    /// The platform is not published to the whole network, and the account is not on its test list.
    pub const COMPONENT_NOT_PUBLISHED: Self = Self(61028);

    /// Whether a refreshed token, tried once, may cure it.
    #[must_use]
    pub fn is_stale_token(self) -> bool {
        matches!(
            self,
            Self::INVALID_CREDENTIAL
                | Self::INVALID_ACCESS_TOKEN
                | Self::ACCESS_TOKEN_EXPIRED
                | Self::COMPONENT_ACCESS_TOKEN_EXPIRED
        )
    }

    /// Its meaning in English, if the table knows it.
    #[must_use]
    pub fn meaning_en(self) -> Option<&'static str> {
        self.row().map(|row| row.meaning_en.as_str())
    }

    /// Its meaning in Chinese, if the table knows it.
    #[must_use]
    pub fn meaning_zh(self) -> Option<&'static str> {
        self.row().map(|row| row.meaning_zh.as_str())
    }

    /// What a careful client does, if the table knows the code.
    #[must_use]
    pub fn action(self) -> Option<Action> {
        self.row().map(|row| row.action)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.get(&self.0)
    }
}

impl fmt::Display for Errcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a careful client does about an errcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it is no fault.
    None,
    /// Change the request; repeating it is useless.
    FixRequest,
    /// Get the permission first: of the account, of its owner, or of WeChat.
    Permission,
    /// Wait until the quota is there again.
    Quota,
    /// Have the account's administrator authorize again.
    Reauthorize,
    /// Refresh the token once, then repeat once.
    RefreshToken,
    /// Repeat later.
    Retry,
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "none" => Self::None,
            "fix_request" => Self::FixRequest,
            "permission" => Self::Permission,
            "quota" => Self::Quota,
            "reauthorize" => Self::Reauthorize,
            "refresh_token" => Self::RefreshToken,
            "retry" => Self::Retry,
            _ => return None,
        })
    }
}

struct Row {
    meaning_en: String,
    meaning_zh: String,
    action: Action,
}

/// `data/error_codes.csv`, read once.
static TABLE: LazyLock<HashMap<i64, Row>> = LazyLock::new(|| {
    csv::Reader::from_reader(include_str!("../data/error_codes.csv").as_bytes())
        .records()
        .map(|record| {
            let record = record.expect("the shipped table is well-formed");
            let code = record[0].parse().expect("the shipped table has numbers");
            let row = Row {
                meaning_en: record[1].to_owned(),
                meaning_zh: record[2].to_owned(),
                action: Action::parse(&record[3]).expect("the shipped table has known actions"),
            };
            (code, row)
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_we_name_is_in_the_table() {
        for code in [
            Errcode::OK,
            Errcode::SYSTEM_BUSY,
            Errcode::INVALID_CREDENTIAL,
            Errcode::INVALID_OPENID,
            Errcode::INVALID_APPID,
            Errcode::INVALID_ACCESS_TOKEN,
            Errcode::INVALID_CODE,
            Errcode::INVALID_REFRESH_TOKEN,
            Errcode::INVALID_APPSECRET,
            Errcode::WEB_CODE_USED,
            Errcode::IP_NOT_ON_ACCOUNTS_WHITE_LIST,
            Errcode::RISKY_FAN,
            Errcode::APPSECRET_FROZEN,
            Errcode::ACCESS_TOKEN_MISSING,
            Errcode::WEB_CODE_MISSING,
            Errcode::ACCESS_TOKEN_EXPIRED,
            Errcode::WEB_REFRESH_TOKEN_EXPIRED,
            Errcode::WEB_CODE_EXPIRED,
            Errcode::COMPONENT_ACCESS_TOKEN_EXPIRED,
            Errcode::TOKENS_VOID_AFTER_PASSWORD_CHANGE,
            Errcode::NO_PERMISSION,
            Errcode::TOO_MANY_CALLS_IN_A_SECOND,
            Errcode::TOO_MANY_CALLS_IN_A_MINUTE,
            Errcode::QUOTA_USED_UP,
            Errcode::CALLED_TOO_OFTEN,
            Errcode::IP_NOT_REGISTERED,
            Errcode::API_UNAUTHORIZED,
            Errcode::API_BLOCKED,
            Errcode::ACCOUNT_RESTRICTED,
            Errcode::TOKENS_FORBIDDEN_TO_ACCOUNT,
            Errcode::ACCOUNT_FROZEN,
            Errcode::NOT_AUTHORIZED_BY_ACCOUNT,
            Errcode::IP_NOT_ON_WHITE_LIST,
            Errcode::TICKET_EXPIRED,
            Errcode::TICKET_INVALID,
            Errcode::PERMISSION_SET_NOT_GRANTED,
            Errcode::AUTHORIZATION_CODE_INVALID,
            Errcode::AUTHORIZATION_CODE_EXPIRED,
            Errcode::COMPONENT_INVALID,
            Errcode::COMPONENT_TOKEN_NEEDED,
            Errcode::ACCOUNT_TOKEN_NEEDED,
            Errcode::PERMISSION_SET_NOT_CONFIRMED,
            Errcode::PERMISSION_SET_NOT_AUTHORIZED,
            Errcode::AUTHORIZER_REFRESH_TOKEN_INVALID,
            Errcode::COMPONENT_NOT_PUBLISHED,
        ] {
            assert!(code.meaning_en().is_some_and(|text| !text.is_empty()), "{code}");
            assert!(code.meaning_zh().is_some_and(|text| !text.is_empty()), "{code}");
        }
    }

    #[test]
    fn the_whole_table_is_readable() {
        assert_eq!(TABLE.len(), 502);
        assert_eq!(Errcode::SYSTEM_BUSY.action(), Some(Action::Retry));
        assert_eq!(Errcode::SYSTEM_BUSY.meaning_en(), Some("server busy, nothing was done"));
        assert_eq!(Errcode::INVALID_CREDENTIAL.action(), Some(Action::RefreshToken));
        assert_eq!(Errcode(123_456_789).action(), None);
    }

    #[test]
    fn four_codes_mean_a_stale_token() {
        let stale: Vec<i64> =
            (40000..62000).filter(|code| Errcode(*code).is_stale_token()).collect();
        assert_eq!(stale, [40001, 40014, 42001, 42006]);
    }
}
