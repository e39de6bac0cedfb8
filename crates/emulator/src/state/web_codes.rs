//! Codes of web authorization, and what fans decided.
//!
//! Source: WeChat docs, "Web authorization" (网页授权), steps 1 and 2: a code is good once and for five
//! minutes.

use std::collections::VecDeque;

use serde::Serialize;

use crate::refusal::{self, Refusal};
use crate::state::codes::{Code, Remembered};
use crate::state::mint;

/// How long a code can be exchanged; source as above.
const WEB_CODE_LIFE_MS: i64 = 5 * 60 * 1000;

/// How many decisions are remembered.
const CONSENTS_KEPT: usize = 1000;

/// Through which interface a code is exchanged: the one its link was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// With the account's own secret.
    Direct,
    /// With the component's token.
    Component,
}

/// What a fan did with WeChat's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentOutcome {
    /// Nothing was asked, as with `snsapi_base`.
    Silent,
    /// He allowed what was asked.
    Allowed,
    /// He declined.
    Refused,
}

/// One visit to WeChat's page of web authorization that led back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebConsent {
    /// When, Unix milliseconds of the emulator's clock.
    pub at_ms: i64,
    /// The account.
    pub appid: String,
    /// The component, if the link named it.
    pub component_appid: Option<String>,
    /// The fan.
    pub openid: String,
    /// What was asked.
    pub scope: String,
    /// What the fan did.
    pub outcome: ConsentOutcome,
    /// The host that he was led back to.
    pub host: String,
}

/// What a code is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) appid: String,
    pub(crate) door: Door,
    pub(crate) openid: String,
    pub(crate) scope: String,
}

/// All codes of web authorization, and the last decisions.
#[derive(Default)]
pub(crate) struct WebCodes {
    codes: Remembered<Allowed>,
    consents: VecDeque<WebConsent>,
}

impl WebCodes {
    /// Mints the code for what a fan allowed.
    pub(crate) fn new_code(&mut self, about: Allowed, now: i64) -> String {
        let value = mint::web_code();
        let code = Code { expires_at: now + WEB_CODE_LIFE_MS, is_used: false, about };
        self.codes.insert(value.clone(), code, now);
        value
    }

    /// Uses up a code of this account and tells what was allowed.
    pub(crate) fn redeem(
        &mut self,
        code: &str,
        appid: &str,
        door: Door,
        now: i64,
    ) -> Result<Allowed, Refusal> {
        if code.is_empty() {
            return Err(Refusal::new(refusal::WEB_CODE_MISSING));
        }
        let is_meant =
            |code: &&mut Code<Allowed>| code.about.appid == appid && code.about.door == door;
        let code = self.codes.codes.get_mut(code).filter(is_meant);
        let code = code.ok_or_else(|| Refusal::new(refusal::WRONG_WEB_CODE))?;
        if code.is_used {
            return Err(Refusal::new(refusal::WEB_CODE_USED));
        }
        if now >= code.expires_at {
            return Err(Refusal::new(refusal::WEB_CODE_EXPIRED));
        }
        code.is_used = true;
        Ok(code.about.clone())
    }

    /// Remembers what a fan decided.
    pub(crate) fn record(&mut self, consent: WebConsent) {
        if self.consents.len() == CONSENTS_KEPT {
            self.consents.pop_front();
        }
        self.consents.push_back(consent);
    }

    /// The decisions that are remembered, oldest first.
    pub(crate) fn consents(&self) -> Vec<WebConsent> {
        self.consents.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        Allowed {
            appid: "wx1".to_owned(),
            door: Door::Direct,
            openid: "oFan".to_owned(),
            scope: "snsapi_base".to_owned(),
        }
    }

    #[test]
    fn a_code_is_exchanged_once_and_only_where_it_was_meant_for() {
        let mut codes = WebCodes::default();
        let code = codes.new_code(allowed(), 0);
        let mut errcode = |code: &str, appid: &str, door| {
            codes.redeem(code, appid, door, 1).err().map_or(0, |refusal| refusal.errcode)
        };
        assert_eq!(errcode("", "wx1", Door::Direct), 41008);
        assert_eq!(errcode("other", "wx1", Door::Direct), 40029);
        assert_eq!(errcode(&code, "wx2", Door::Direct), 40029);
        assert_eq!(errcode(&code, "wx1", Door::Component), 40029);
        assert_eq!(errcode(&code, "wx1", Door::Direct), 0);
        assert_eq!(errcode(&code, "wx1", Door::Direct), 40163);
    }

    #[test]
    fn a_code_runs_out_after_five_minutes() {
        let mut codes = WebCodes::default();
        let [first, second] = [codes.new_code(allowed(), 0), codes.new_code(allowed(), 0)];
        assert_eq!(codes.redeem(&first, "wx1", Door::Direct, 299_999), Ok(allowed()));
        let late = codes.redeem(&second, "wx1", Door::Direct, 300_000);
        assert_eq!(late.unwrap_err().errcode, 42003);
    }
}
