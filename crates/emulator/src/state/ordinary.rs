//! Ordinary access tokens, for accounts that are called with their own secret.
//!
//! Source: WeChat docs, "Get access token" (getAccessToken) and "Get stable access token"
//! (getStableAccessToken). The two interfaces are independent of each other and of what the
//! account granted to a component.

use crate::refusal::{self, Refusal};
use crate::state::issues::IssuedBy;
use crate::state::quota::beijing_day;
use crate::state::tokens::{Holder, Life};
use crate::state::{AccessToken, Platform};

/// How far two forced refreshes of one account are apart at least.
///
/// Source: WeChat docs, "Get stable access token": "at most 20 times a day, at least 30 s apart".
const FORCED_APART_MS: i64 = 30 * 1000;

/// How many forced refreshes an account has per Beijing day; source as above.
const FORCED_PER_DAY: u32 = 20;

/// What a caller shows to get an ordinary token. Empty texts stand for what is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential<'a> {
    pub(crate) grant_type: &'a str,
    pub(crate) appid: &'a str,
    pub(crate) secret: &'a str,
}

/// The two ways to ask `stable_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StableMode {
    Normal,
    /// `force_refresh`.
    Forced,
}

/// The forced refreshes that an account has had.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ForcedRefreshes {
    last_at: Option<i64>,
    today: u32,
}

impl ForcedRefreshes {
    fn spend(&mut self, now: i64) -> Result<(), Refusal> {
        if let Some(last_at) = self.last_at {
            if beijing_day(last_at) != beijing_day(now) {
                self.today = 0;
            }
            if self.today >= FORCED_PER_DAY {
                return Err(Refusal::new(refusal::QUOTA_USED_UP));
            }
            if now < last_at + FORCED_APART_MS {
                return Err(Refusal::new(refusal::TOO_FAST));
            }
        }
        self.last_at = Some(now);
        self.today += 1;
        Ok(())
    }
}

impl Platform {
    /// `/cgi-bin/token`: a new token each time, the one before it lives on for the overlap.
    pub(crate) fn ordinary_token(
        &mut self,
        credential: Credential<'_>,
        life: Life,
        now: i64,
    ) -> Result<AccessToken, Refusal> {
        self.check_credential(credential)?;
        let holder = Holder::Ordinary(credential.appid.to_owned());
        Ok(self.new_token(&holder, Some(IssuedBy::Token), life, now))
    }

    /// `/cgi-bin/stable_token`: the same token with its remaining life, until little is left of it.
    /// Forced, a new one, and the one before it is dead at once.
    ///
    /// Source: WeChat docs, "Get stable access token": renewed five minutes before its end; with
    /// shorter lives as long before as the overlap lasts.
    pub(crate) fn stable_token(
        &mut self,
        credential: Credential<'_>,
        mode: StableMode,
        life: Life,
        now: i64,
    ) -> Result<AccessToken, Refusal> {
        self.check_credential(credential)?;
        let holder = Holder::Stable(credential.appid.to_owned());
        let life = match mode {
            StableMode::Normal => {
                if let Some((value, expires_at)) = self.tokens.current(&holder, now)
                    && expires_at - now > life.overlap_ms()
                {
                    let expires_in_secs = (expires_at - now) / 1000;
                    return Ok(AccessToken { value: value.to_owned(), expires_in_secs });
                }
                life
            }
            StableMode::Forced => {
                if let Some(account) = self.accounts.get_mut(credential.appid) {
                    account.forced.spend(now)?;
                }
                life.without_overlap()
            }
        };
        Ok(self.new_token(&holder, Some(IssuedBy::StableToken), life, now))
    }

    fn check_credential(&self, credential: Credential<'_>) -> Result<(), Refusal> {
        let Credential { grant_type, appid, secret } = credential;
        if grant_type != "client_credential" {
            return Err(Refusal::new(refusal::WRONG_GRANT_TYPE));
        }
        self.check_own_secret(appid, secret)
    }

    /// Whether this is the account's own secret.
    pub(crate) fn check_own_secret(&self, appid: &str, secret: &str) -> Result<(), Refusal> {
        let account = self.account_named(appid)?;
        match (secret, account.config.appsecret.as_deref()) {
            ("", _) => Err(Refusal::new(refusal::SECRET_MISSING)),
            (given, Some(own)) if given == own => Ok(()),
            _ => Err(Refusal::new(refusal::WRONG_SECRET)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmulatorConfig;
    use crate::state::Kill;
    use crate::state::tokens::OVERLAP_MS;

    const SHOP: &str = "wxa0b1c2d3e4f50617";
    const LIFE_MS: i64 = 7200 * 1000;

    struct Shop {
        platform: Platform,
        secret: String,
        life: Life,
    }

    impl Shop {
        fn new() -> Self {
            let platform = Platform::new(&EmulatorConfig::for_tests());
            let secret = platform.accounts[SHOP].config.appsecret.clone().unwrap();
            Self { platform, secret, life: Life::of_secs(7200) }
        }

        fn token(&mut self, now: i64) -> AccessToken {
            let credential =
                Credential { grant_type: "client_credential", appid: SHOP, secret: &self.secret };
            self.platform.ordinary_token(credential, self.life, now).unwrap()
        }

        fn stable(&mut self, mode: StableMode, now: i64) -> Result<AccessToken, Refusal> {
            let credential =
                Credential { grant_type: "client_credential", appid: SHOP, secret: &self.secret };
            self.platform.stable_token(credential, mode, self.life, now)
        }

        fn normal(&mut self, now: i64) -> AccessToken {
            self.stable(StableMode::Normal, now).unwrap()
        }

        fn errcode(&self, token: &AccessToken, now: i64) -> i64 {
            self.platform.tokens.check(&token.value, now).err().map_or(0, |no| no.errcode)
        }
    }

    #[test]
    fn token_gives_a_new_one_each_time_and_the_last_lives_five_minutes() {
        let mut shop = Shop::new();
        let first = shop.token(0);
        let second = shop.token(1000);
        assert_eq!((first.expires_in_secs, second.expires_in_secs), (7200, 7200));
        assert_ne!(first.value, second.value);
        assert_eq!(shop.errcode(&first, 1000 + OVERLAP_MS - 1), 0);
        assert_eq!(shop.errcode(&first, 1000 + OVERLAP_MS), 40001);
        assert_eq!(shop.errcode(&second, LIFE_MS), 0);
    }

    #[test]
    fn stable_token_is_the_same_until_five_minutes_before_its_end() {
        let mut shop = Shop::new();
        let first = shop.normal(0);
        let again = shop.normal(LIFE_MS - OVERLAP_MS - 1);
        assert_eq!((again.value.as_str(), again.expires_in_secs), (first.value.as_str(), 300));
        let next = shop.normal(LIFE_MS - OVERLAP_MS);
        assert_ne!(next.value, first.value);
        assert_eq!(next.expires_in_secs, 7200);
        assert_eq!(shop.errcode(&first, LIFE_MS - 1), 0);
        assert_eq!(shop.platform.issues.since(0).len(), 2);
    }

    #[test]
    fn with_short_lives_stable_token_is_renewed_in_the_last_quarter() {
        let mut shop = Shop::new();
        shop.life = Life::of_secs(8);
        let first = shop.normal(0);
        assert_eq!(shop.normal(5999).value, first.value);
        assert_ne!(shop.normal(6000).value, first.value);
    }

    #[test]
    fn a_forced_refresh_kills_the_last_stable_token_at_once() {
        let mut shop = Shop::new();
        let first = shop.normal(0);
        let forced = shop.stable(StableMode::Forced, 1).unwrap();
        assert_eq!((shop.errcode(&first, 1), shop.errcode(&forced, 1)), (40001, 0));
        assert_eq!(shop.normal(2).value, forced.value);
    }

    #[test]
    fn forced_refreshes_are_thirty_seconds_apart_and_twenty_a_day() {
        let mut shop = Shop::new();
        let mut force = |now| shop.stable(StableMode::Forced, now).map_err(|no| no.errcode);
        assert!(force(0).is_ok());
        assert_eq!(force(FORCED_APART_MS - 1).err(), Some(45011));
        for number in 1..20 {
            assert!(force(number * FORCED_APART_MS).is_ok(), "{number}");
        }
        assert_eq!(force(3_600_000).err(), Some(45009));
        assert!(force(24 * 3_600_000).is_ok());
    }

    #[test]
    fn the_three_lines_of_an_account_do_not_disturb_each_other() {
        let mut shop = Shop::new();
        let (token, stable) = (shop.token(0), shop.normal(0));
        shop.platform.grant(SHOP, vec![1], 0).unwrap();
        let refresh_token = shop.platform.standing(SHOP).unwrap().1.refresh_token.clone().unwrap();
        let switches = crate::config::Switches::default();
        shop.platform.refresh(SHOP, &refresh_token, &switches, 1).unwrap();
        shop.token(1);
        assert_eq!(shop.errcode(&stable, LIFE_MS - 1), 0);
        shop.stable(StableMode::Forced, 2).unwrap();
        assert_eq!((shop.errcode(&stable, 2), shop.errcode(&token, 2)), (40001, 0));
        shop.platform.withdraw(SHOP, 3);
        assert_eq!(shop.errcode(&token, 3), 0);
    }

    #[test]
    fn killed_ordinary_tokens_are_followed_by_a_new_stable_one() {
        let mut shop = Shop::new();
        let (token, stable) = (shop.token(0), shop.normal(0));
        shop.platform.kill(&Kill::OrdinaryTokens { appid: SHOP.to_owned() }, 1);
        assert_eq!((shop.errcode(&token, 1), shop.errcode(&stable, 1)), (40001, 40001));
        assert_ne!(shop.normal(1).value, stable.value);
        let issues = shop.platform.issues.since(2);
        let last = crate::state::issues::Issue::from(issues[0].clone());
        assert_eq!((last.path, last.previous_remaining_ms), ("/cgi-bin/stable_token", Some(0)));
    }

    #[test]
    fn a_wrong_credential_is_told_what_is_wrong() {
        let mut shop = Shop::new();
        let secret = shop.secret.clone();
        let mut errcode = |grant_type: &str, appid: &str, secret: &str| {
            let credential = Credential { grant_type, appid, secret };
            let refused = shop.platform.ordinary_token(credential, shop.life, 0).err();
            refused.map_or(0, |refusal| refusal.errcode)
        };
        let right = "client_credential";
        assert_eq!(errcode(right, SHOP, &secret), 0);
        assert_eq!(errcode("authorization_code", SHOP, &secret), 40002);
        assert_eq!(errcode(right, "", &secret), 41002);
        assert_eq!(errcode(right, "wx0", &secret), 40013);
        assert_eq!(errcode(right, SHOP, ""), 41004);
        assert_eq!(errcode(right, SHOP, "wrong"), 40125);
    }

    #[test]
    fn an_account_without_a_secret_has_no_ordinary_tokens() {
        let mut shop = Shop::new();
        let mut config = shop.platform.accounts[SHOP].config.clone();
        config.appsecret = None;
        shop.platform.add_account(config);
        let credential =
            Credential { grant_type: "client_credential", appid: SHOP, secret: "anything" };
        let refused = shop.platform.ordinary_token(credential, shop.life, 0).err().unwrap();
        assert_eq!(refused.errcode, 40125);
    }
}
