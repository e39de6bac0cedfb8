//! Fans in mini programs: the codes that their servers log in with, and session keys.
//!
//! Source: WeChat docs, "Mini program login" (小程序登录, code2Session): a `code` is good for five minutes
//! and once; a new `wx.login` may replace the session key, and here it always does.

use std::collections::HashMap;

use crate::refusal::{self, Refusal};
use crate::state::codes::{Code, Remembered};
use crate::state::mint;

/// How long a `js_code` can be exchanged; source as above.
const JS_CODE_LIFE_MS: i64 = 5 * 60 * 1000;

/// Who opened which mini program.
#[derive(Default)]
pub(crate) struct Logins {
    codes: Remembered<Login>,
    session_keys: HashMap<Login, String>,
}

/// A fan in a mini program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    pub(crate) appid: String,
    pub(crate) openid: String,
}

impl Login {
    fn new(appid: &str, openid: &str) -> Self {
        Self { appid: appid.to_owned(), openid: openid.to_owned() }
    }
}

impl Logins {
    /// A fan calls `wx.login`: a code, and a new session key.
    pub(crate) fn mint_code(&mut self, appid: &str, openid: &str, now: i64) -> String {
        let login = Login::new(appid, openid);
        self.session_keys.insert(login.clone(), mint::session_key());
        let value = mint::js_code();
        let code = Code { expires_at: now + JS_CODE_LIFE_MS, is_used: false, about: login };
        self.codes.insert(value.clone(), code, now);
        value
    }

    /// The session key of a fan; it is made if there is none.
    pub(crate) fn session_key(&mut self, appid: &str, openid: &str) -> String {
        let key = self.session_keys.entry(Login::new(appid, openid));
        key.or_insert_with(mint::session_key).clone()
    }

    /// Uses up a code and tells who it is about. One of another account is as unknown as any; one
    /// that was used or has run out is not told apart either.
    ///
    /// Source: WeChat docs, "code2Session" and the page of the same name for third-party platforms:
    /// 40029 is their one number for a code that does not do.
    pub(crate) fn redeem(&mut self, code: &str, appid: &str, now: i64) -> Result<Login, Refusal> {
        if code.is_empty() {
            return Err(Refusal::new(refusal::WEB_CODE_MISSING));
        }
        let known = self.codes.codes.get_mut(code).filter(|code| code.about.appid == appid);
        let code = known
            .filter(|code| !code.is_used && now < code.expires_at)
            .ok_or_else(|| Refusal::new(refusal::WRONG_WEB_CODE))?;
        code.is_used = true;
        Ok(code.about.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errcode(result: Result<Login, Refusal>) -> i64 {
        result.err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_code_is_good_once_for_five_minutes_at_its_own_mini_program() {
        let mut logins = Logins::default();
        let code = logins.mint_code("wx1", "oFan", 0);
        assert_eq!(errcode(logins.redeem("", "wx1", 0)), 41008);
        assert_eq!(errcode(logins.redeem("other", "wx1", 0)), 40029);
        assert_eq!(errcode(logins.redeem(&code, "wx2", 0)), 40029);
        let fan = logins.redeem(&code, "wx1", JS_CODE_LIFE_MS - 1).unwrap();
        assert_eq!(fan.openid, "oFan");
        assert_eq!(errcode(logins.redeem(&code, "wx1", JS_CODE_LIFE_MS - 1)), 40029);
        let late = logins.mint_code("wx1", "oFan", 0);
        assert_eq!(errcode(logins.redeem(&late, "wx1", JS_CODE_LIFE_MS)), 40029);
    }

    #[test]
    fn a_login_replaces_the_session_key_of_this_fan_only() {
        let mut logins = Logins::default();
        let first = logins.session_key("wx1", "oFan");
        assert_eq!(logins.session_key("wx1", "oFan"), first);
        let other = logins.session_key("wx1", "oOther");
        logins.mint_code("wx1", "oFan", 0);
        assert_ne!(logins.session_key("wx1", "oFan"), first);
        assert_eq!(logins.session_key("wx1", "oOther"), other);
    }
}
