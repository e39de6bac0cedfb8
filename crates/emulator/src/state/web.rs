//! Tokens of an account's fans from web authorization (网页授权).
//!
//! Source: WeChat docs, "Web authorization" (网页授权), step 3: a refresh renews the access token if
//! it has run out and else only lengthens its life; the refresh token lives for 30 days.

use std::collections::HashMap;

use serde::Serialize;

use crate::config::Switches;
use crate::refusal::{self, Refusal};
use crate::state::tokens::Life;
use crate::state::{Platform, mint};

/// How long a refresh token lives; source as above. A refresh does not lengthen it (assumed, #2).
const REFRESH_TOKEN_LIFE_MS: i64 = 30 * 24 * 3600 * 1000;

/// The first tokens of a fan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebTokens {
    /// Works for the account's `token_life_secs`.
    pub access_token: String,
    /// Works for 30 days.
    pub refresh_token: String,
}

/// What a fan allowed to an account. `B` is how the texts are held.
#[derive(Debug, Clone)]
pub(crate) struct Fan<B> {
    pub(crate) appid: B,
    pub(crate) openid: B,
    pub(crate) scope: B,
}

/// The answer to a refresh.
#[derive(Debug, Clone)]
pub(crate) struct WebRefreshed {
    pub(crate) tokens: WebTokens,
    pub(crate) expires_in_secs: i64,
    pub(crate) fan: Fan<String>,
}

/// What fans allowed, by refresh token, and their access tokens.
#[derive(Default)]
pub(crate) struct WebGrants {
    by_refresh_token: HashMap<String, WebGrant>,
    access_tokens: HashMap<String, WebAccess>,
}

struct WebGrant {
    fan: Fan<String>,
    access_token: String,
    access_ends_at: i64,
    refresh_ends_at: i64,
}

/// An access token: one that ran out is told from one that was killed, which is not here.
struct WebAccess {
    fan: Fan<String>,
    ends_at: i64,
}

impl Fan<String> {
    /// Whether the fan allowed this.
    pub(crate) fn allowed(&self, scope: &str) -> bool {
        self.scope.split(',').any(|one| one == scope)
    }
}

impl WebGrants {
    /// Whose access token this is, if it works.
    pub(crate) fn check(&self, access_token: &str, now: i64) -> Result<&Fan<String>, Refusal> {
        if access_token.is_empty() {
            return Err(Refusal::new(refusal::TOKEN_MISSING));
        }
        let access = self.access_tokens.get(access_token);
        let access = access.ok_or_else(|| Refusal::new(refusal::WRONG_TOKEN))?;
        if now < access.ends_at {
            Ok(&access.fan)
        } else {
            Err(Refusal::new(refusal::TOKEN_EXPIRED))
        }
    }

    /// The account that an access token is or was for.
    pub(crate) fn account_of(&self, access_token: &str) -> Option<&str> {
        self.access_tokens.get(access_token).map(|access| access.fan.appid.as_str())
    }

    /// Ends the access tokens of a fan; a refresh gives new ones.
    pub(super) fn kill_access(&mut self, openid: &str, now: i64) {
        self.access_tokens.retain(|_, access| access.fan.openid != openid);
        let grants = self.by_refresh_token.values_mut();
        for grant in grants.filter(|grant| grant.fan.openid == openid) {
            grant.access_ends_at = grant.access_ends_at.min(now);
        }
    }

    /// Ends the tokens of a fan, those of both kinds.
    pub(super) fn kill(&mut self, openid: &str, now: i64) {
        self.kill_access(openid, now);
        self.by_refresh_token.retain(|_, grant| grant.fan.openid != openid);
    }

    /// Takes in what a grant's access token is at present.
    fn keep(&mut self, refresh_token: String, grant: WebGrant) {
        let access = WebAccess { fan: grant.fan.clone(), ends_at: grant.access_ends_at };
        self.access_tokens.insert(grant.access_token.clone(), access);
        self.by_refresh_token.insert(refresh_token, grant);
    }
}

impl Platform {
    /// Mints a fan's first tokens, as an exchanged code would; `None` for an unknown account.
    pub(crate) fn mint_web_tokens(
        &mut self,
        fan: &Fan<&str>,
        life: Life,
        now: i64,
    ) -> Option<WebTokens> {
        self.accounts.get(fan.appid)?;
        let refresh_token = mint::web_refresh_token();
        let access_token = mint::web_access_token();
        let [appid, openid, scope] = [fan.appid, fan.openid, fan.scope].map(str::to_owned);
        let grant = WebGrant {
            fan: Fan { appid, openid, scope },
            access_token: access_token.clone(),
            access_ends_at: now + life.ms(),
            refresh_ends_at: now + REFRESH_TOKEN_LIFE_MS,
        };
        self.web.keep(refresh_token.clone(), grant);
        Some(WebTokens { access_token, refresh_token })
    }

    /// A fan's refresh token in, access token out.
    pub(crate) fn refresh_web_token(
        &mut self,
        appid: &str,
        refresh_token: &str,
        switches: &Switches,
        now: i64,
    ) -> Result<WebRefreshed, Refusal> {
        self.account_named(appid)?;
        if refresh_token.is_empty() {
            return Err(Refusal::new(refusal::REFRESH_TOKEN_MISSING));
        }
        let mut grant = self
            .web
            .by_refresh_token
            .remove(refresh_token)
            .ok_or_else(|| Refusal::new(refusal::WRONG_WEB_REFRESH_TOKEN))?;
        let refused = if grant.fan.appid != appid {
            Some(refusal::WRONG_WEB_REFRESH_TOKEN)
        } else if now >= grant.refresh_ends_at {
            Some(refusal::WEB_REFRESH_TOKEN_EXPIRED)
        } else {
            None
        };
        if let Some(errcode) = refused {
            self.web.by_refresh_token.insert(refresh_token.to_owned(), grant);
            return Err(Refusal::new(errcode));
        }
        let life = switches.life();
        if now >= grant.access_ends_at {
            grant.access_token = mint::web_access_token();
        }
        grant.access_ends_at = now + life.ms();
        let next = match switches.rotate_refresh_tokens {
            true => mint::web_refresh_token(),
            false => refresh_token.to_owned(),
        };
        let refreshed = WebRefreshed {
            tokens: WebTokens {
                access_token: grant.access_token.clone(),
                refresh_token: next.clone(),
            },
            expires_in_secs: life.secs(),
            fan: grant.fan.clone(),
        };
        self.web.keep(next, grant);
        Ok(refreshed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmulatorConfig;
    use crate::state::Kill;

    const SHOP: &str = "wxa0b1c2d3e4f50617";
    const FLOWERS: &str = "wxc2d3e4f506172839";
    const LIFE_MS: i64 = 7200 * 1000;

    fn minted() -> (Platform, WebTokens) {
        let mut platform = Platform::new(&EmulatorConfig::for_tests());
        let fan = Fan { appid: SHOP, openid: "oFan", scope: "snsapi_userinfo" };
        let tokens = platform.mint_web_tokens(&fan, Life::of_secs(7200), 0).unwrap();
        (platform, tokens)
    }

    #[test]
    fn a_refresh_lengthens_a_living_token_and_renews_a_dead_one() {
        let (mut platform, first) = minted();
        let switches = Switches::default();
        let mut refresh =
            |now| platform.refresh_web_token(SHOP, &first.refresh_token, &switches, now).unwrap();
        let second = refresh(LIFE_MS - 1);
        assert_eq!((&second.tokens, second.expires_in_secs), (&first, 7200));
        assert_eq!(
            (second.fan.openid.as_str(), second.fan.scope.as_str()),
            ("oFan", "snsapi_userinfo")
        );
        assert_eq!(refresh(2 * LIFE_MS - 2).tokens, first);
        let third = refresh(3 * LIFE_MS);
        assert_ne!(third.tokens.access_token, first.access_token);
        assert_eq!(third.tokens.refresh_token, first.refresh_token);
    }

    #[test]
    fn a_refresh_token_ends_after_thirty_days_and_is_one_accounts_only() {
        let (mut platform, first) = minted();
        let switches = Switches::default();
        let mut errcode = |appid: &str, token: &str, now| {
            let refused = platform.refresh_web_token(appid, token, &switches, now).err();
            refused.map_or(0, |refusal| refusal.errcode)
        };
        assert_eq!(errcode(SHOP, &first.refresh_token, REFRESH_TOKEN_LIFE_MS - 1), 0);
        assert_eq!(errcode(FLOWERS, &first.refresh_token, 0), 40030);
        assert_eq!(errcode(SHOP, "other", 0), 40030);
        assert_eq!(errcode(SHOP, "", 0), 41003);
        assert_eq!(errcode("wx0", &first.refresh_token, 0), 40013);
        assert_eq!(errcode("", &first.refresh_token, 0), 41002);
        assert_eq!(errcode(SHOP, &first.refresh_token, REFRESH_TOKEN_LIFE_MS), 42002);
    }

    #[test]
    fn an_access_token_that_ran_out_is_told_from_one_that_was_killed() {
        let (mut platform, first) = minted();
        let switches = Switches::default();
        let errcode = |platform: &Platform, token: &str, now| {
            platform.web.check(token, now).err().map_or(0, |refusal| refusal.errcode)
        };
        assert_eq!(errcode(&platform, "", 0), 41001);
        assert_eq!(errcode(&platform, "other", 0), 40001);
        assert_eq!(errcode(&platform, &first.access_token, LIFE_MS - 1), 0);
        assert_eq!(errcode(&platform, &first.access_token, LIFE_MS), 42001);
        assert_eq!(platform.web.account_of(&first.access_token), Some(SHOP));
        let openid = "oFan".to_owned();
        platform.kill(&Kill::WebTokens { openid: openid.clone() }, 1);
        assert_eq!(errcode(&platform, &first.access_token, 1), 40001);
        let next = platform.refresh_web_token(SHOP, &first.refresh_token, &switches, 1).unwrap();
        assert_ne!(next.tokens.access_token, first.access_token);
        assert_eq!(errcode(&platform, &next.tokens.access_token, 1), 0);
        platform.kill(&Kill::WebGrants { openid }, 2);
        assert_eq!(errcode(&platform, &next.tokens.access_token, 2), 40001);
        let refused = platform.refresh_web_token(SHOP, &first.refresh_token, &switches, 2);
        assert_eq!(refused.unwrap_err().errcode, 40030);
    }

    #[test]
    fn rotation_voids_the_old_refresh_token() {
        let (mut platform, first) = minted();
        let switches = Switches { rotate_refresh_tokens: true, ..Switches::default() };
        let mut refresh = |token: &str| {
            platform.refresh_web_token(SHOP, token, &switches, 1).map(|one| one.tokens)
        };
        let second = refresh(&first.refresh_token).unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        assert_eq!(refresh(&first.refresh_token).unwrap_err().errcode, 40030);
        assert!(refresh(&second.refresh_token).is_ok());
    }
}
