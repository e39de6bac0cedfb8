//! What WeChat knows: the component's tickets and tokens, the accounts and their grants.
//!
//! All of it stands behind one lock that is held for single steps only and never across a wait.
//! The rules are here, as plain methods with the time handed in; HTTP is elsewhere.

pub(crate) mod accounts;
pub(crate) mod codes;
pub(crate) mod media;
pub(crate) mod mint;
pub(crate) mod quota;
pub(crate) mod snapshot;
pub(crate) mod tokens;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::config::{AccountConfig, ComponentConfig, EmulatorConfig};
use crate::refusal::{self, Refusal};
use accounts::{Account, Grant};
use codes::Codes;
use media::MediaStore;
use quota::Quota;
use tokens::{Holder, Tokens};

/// How long a ticket can be used.
///
/// Source: WeChat docs, "Verification ticket" (component_verify_ticket): "effective for 12 hours".
pub(crate) const TICKET_LIFE_MS: i64 = 12 * 3600 * 1000;

/// How many tickets are remembered; at one per ten minutes more than live at a time.
const TICKETS_KEPT: usize = 200;

/// Something to end before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kill {
    /// All tickets: 61006 from now on.
    Tickets,
    /// The component's access tokens: 40001 from now on.
    ComponentTokens,
    /// An account's access tokens: 40001 from now on.
    AuthorizerTokens {
        /// The account.
        appid: String,
    },
    /// An account's refresh token: 61023 until its administrator consents again.
    RefreshToken {
        /// The account.
        appid: String,
    },
    /// An account's refresh token is replaced: 61023 for the old one, the list tells the new one.
    ReplaceRefreshToken {
        /// The account.
        appid: String,
    },
}

/// WeChat's memory.
pub(crate) struct Platform {
    pub(crate) component: ComponentConfig,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) tokens: Tokens,
    pub(crate) codes: Codes,
    pub(crate) quota: Quota,
    pub(crate) media: MediaStore,
    tickets: VecDeque<(String, i64)>,
}

/// What a consent changed, and with it what is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantChange {
    /// There was no grant: `authorized`.
    New,
    /// Other sets than before: `updateauthorized`.
    Changed,
    /// The same sets again: nothing is pushed.
    Same,
}

/// An answer with an access token.
pub(crate) struct Issued {
    pub(crate) appid: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Platform {
    pub(crate) fn new(config: &EmulatorConfig) -> Self {
        let accounts = config.accounts.iter().cloned();
        Self {
            component: config.component.clone(),
            accounts: accounts.map(|one| (one.appid.clone(), Account::new(one))).collect(),
            tokens: Tokens::default(),
            codes: Codes::default(),
            quota: Quota::new(config.quotas.clone()),
            media: MediaStore::default(),
            tickets: VecDeque::new(),
        }
    }

    /// Adds an account, or changes what one is; its grant stands.
    pub(crate) fn add_account(&mut self, config: AccountConfig) {
        match self.accounts.get_mut(&config.appid) {
            Some(account) => account.config = config,
            None => {
                self.accounts.insert(config.appid.clone(), Account::new(config));
            }
        }
    }

    /// Mints the next ticket.
    pub(crate) fn new_ticket(&mut self, now: i64) -> String {
        if self.tickets.len() == TICKETS_KEPT {
            self.tickets.pop_front();
        }
        let ticket = mint::ticket();
        self.tickets.push_back((ticket.clone(), now));
        ticket
    }

    /// Ticket and secret in, component token out.
    pub(crate) fn component_token(
        &mut self,
        secret: &str,
        ticket: &str,
        now: i64,
    ) -> Result<String, Refusal> {
        self.check_secret(secret)?;
        let minted_at = self.tickets.iter().find(|(value, _)| value == ticket).map(|(_, at)| *at);
        match minted_at {
            None => Err(Refusal::new(refusal::WRONG_TICKET)),
            Some(at) if now >= at + TICKET_LIFE_MS => Err(Refusal::new(refusal::TICKET_EXPIRED)),
            Some(_) => {
                let value = mint::component_access_token();
                Ok(self.tokens.issue(Holder::Component, value, now))
            }
        }
    }

    /// Whether this is the component's secret.
    pub(crate) fn check_secret(&self, secret: &str) -> Result<(), Refusal> {
        match secret {
            "" => Err(Refusal::new(refusal::SECRET_MISSING)),
            secret if secret == self.component.appsecret => Ok(()),
            _ => Err(Refusal::new(refusal::WRONG_SECRET)),
        }
    }

    /// Records a consent to `sets`. A new authorization voids the old refresh token.
    pub(crate) fn grant(
        &mut self,
        appid: &str,
        mut sets: Vec<u32>,
        now: i64,
    ) -> Option<GrantChange> {
        let account = self.accounts.get_mut(appid)?;
        sets.sort_unstable();
        sets.dedup();
        let change = match &account.grant {
            None => GrantChange::New,
            Some(grant) if grant.sets == sets => GrantChange::Same,
            Some(_) => GrantChange::Changed,
        };
        account.grant = Some(Grant {
            granted_at: now,
            sets,
            refresh_token: account.config.api_permission.then(mint::refresh_token),
            refresh_token_is_dead: false,
        });
        Some(change)
    }

    /// The administrator withdraws: every token of the account is void. False if nothing stood.
    pub(crate) fn withdraw(&mut self, appid: &str, now: i64) -> bool {
        self.tokens.kill(&Holder::Account(appid.to_owned()), now);
        self.accounts.get_mut(appid).is_some_and(|account| account.grant.take().is_some())
    }

    /// The standing grant of an account.
    pub(crate) fn standing(&self, appid: &str) -> Result<(&Account, &Grant), Refusal> {
        self.accounts
            .get(appid)
            .and_then(|account| account.grant.as_ref().map(|grant| (account, grant)))
            .ok_or_else(|| Refusal::new(refusal::NOT_AUTHORIZED))
    }

    /// Authorization code in, first tokens out; empty ones for an account without API permissions.
    pub(crate) fn redeem(&mut self, code: &str, now: i64) -> Result<Issued, Refusal> {
        let appid = self.codes.redeem(code, now)?;
        let refresh_token = self.standing(&appid)?.1.refresh_token.clone();
        let access_token = match refresh_token {
            Some(_) => self.new_authorizer_token(&appid, now),
            None => String::new(),
        };
        Ok(Issued { appid, access_token, refresh_token: refresh_token.unwrap_or_default() })
    }

    /// Refresh token in, access token out.
    pub(crate) fn refresh(
        &mut self,
        appid: &str,
        refresh_token: &str,
        rotate: bool,
        now: i64,
    ) -> Result<Issued, Refusal> {
        let (_, grant) = self.standing(appid)?;
        let fits = grant.refresh_token.as_deref() == Some(refresh_token);
        if !fits || refresh_token.is_empty() || grant.refresh_token_is_dead {
            return Err(Refusal::new(refusal::WRONG_REFRESH_TOKEN));
        }
        let next = if rotate { mint::refresh_token() } else { refresh_token.to_owned() };
        self.change_grant(appid, |grant| grant.refresh_token = Some(next.clone()));
        let access_token = self.new_authorizer_token(appid, now);
        Ok(Issued { appid: appid.to_owned(), access_token, refresh_token: next })
    }

    /// Ends something before its time.
    pub(crate) fn kill(&mut self, kill: &Kill, now: i64) {
        match kill {
            Kill::Tickets => self.tickets.clear(),
            Kill::ComponentTokens => self.tokens.kill(&Holder::Component, now),
            Kill::AuthorizerTokens { appid } => {
                self.tokens.kill(&Holder::Account(appid.clone()), now);
            }
            Kill::RefreshToken { appid } => {
                self.change_grant(appid, |grant| grant.refresh_token_is_dead = true);
            }
            Kill::ReplaceRefreshToken { appid } => {
                self.change_grant(appid, |grant| grant.refresh_token = Some(mint::refresh_token()));
            }
        }
    }

    fn new_authorizer_token(&mut self, appid: &str, now: i64) -> String {
        let value = mint::authorizer_access_token();
        self.tokens.issue(Holder::Account(appid.to_owned()), value, now)
    }

    fn change_grant(&mut self, appid: &str, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.accounts.get_mut(appid).and_then(|one| one.grant.as_mut()) {
            change(grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "wxa0b1c2d3e4f50617";

    fn platform() -> Platform {
        Platform::new(&EmulatorConfig::for_tests())
    }

    fn consent(platform: &mut Platform, sets: &[u32], now: i64) -> String {
        platform.grant(SHOP, sets.to_vec(), now).unwrap();
        platform.codes.consent("", SHOP, now)
    }

    fn errcode<T>(result: Result<T, Refusal>) -> i64 {
        result.err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_ticket_works_for_twelve_hours() {
        let mut platform = platform();
        let ticket = platform.new_ticket(0);
        let secret = platform.component.appsecret.clone();
        assert!(platform.component_token(&secret, &ticket, TICKET_LIFE_MS - 1).is_ok());
        assert_eq!(errcode(platform.component_token(&secret, &ticket, TICKET_LIFE_MS)), 61005);
        assert_eq!(errcode(platform.component_token(&secret, "ticket@@@x", 0)), 61006);
    }

    #[test]
    fn an_older_ticket_still_works() {
        let mut platform = platform();
        let older = platform.new_ticket(0);
        platform.new_ticket(600_000);
        let secret = platform.component.appsecret.clone();
        assert!(platform.component_token(&secret, &older, 600_001).is_ok());
    }

    #[test]
    fn a_wrong_or_missing_secret_is_told_apart() {
        let mut platform = platform();
        let ticket = platform.new_ticket(0);
        assert_eq!(errcode(platform.component_token("wrong", &ticket, 0)), 40125);
        assert_eq!(errcode(platform.component_token("", &ticket, 0)), 41004);
    }

    #[test]
    fn a_new_authorization_voids_the_old_refresh_token() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let first = platform.redeem(&code, 0).unwrap();
        assert!(platform.refresh(SHOP, &first.refresh_token, false, 1).is_ok());
        let code = consent(&mut platform, &[1], 2);
        assert_eq!(errcode(platform.refresh(SHOP, &first.refresh_token, false, 3)), 61023);
        let second = platform.redeem(&code, 4).unwrap();
        assert!(platform.refresh(SHOP, &second.refresh_token, false, 5).is_ok());
    }

    #[test]
    fn a_refresh_keeps_the_refresh_token_unless_rotation_is_on() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let first = platform.redeem(&code, 0).unwrap().refresh_token;
        assert_eq!(platform.refresh(SHOP, &first, false, 1).unwrap().refresh_token, first);
        let second = platform.refresh(SHOP, &first, true, 2).unwrap().refresh_token;
        assert_ne!(second, first);
        assert_eq!(errcode(platform.refresh(SHOP, &first, true, 3)), 61023);
    }

    #[test]
    fn changed_sets_are_told_from_the_same_again() {
        let mut platform = platform();
        let mut grant = |sets: &[u32]| platform.grant(SHOP, sets.to_vec(), 0).unwrap();
        assert_eq!(grant(&[2, 1]), GrantChange::New);
        assert_eq!(grant(&[1, 2, 2]), GrantChange::Same);
        assert_eq!(grant(&[1]), GrantChange::Changed);
    }

    #[test]
    fn a_withdrawal_voids_everything() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let issued = platform.redeem(&code, 0).unwrap();
        assert!(platform.withdraw(SHOP, 1));
        assert!(!platform.withdraw(SHOP, 1));
        assert_eq!(errcode(platform.tokens.check(&issued.access_token, 1)), 40001);
        assert_eq!(errcode(platform.refresh(SHOP, &issued.refresh_token, false, 1)), 61003);
    }

    #[test]
    fn a_killed_refresh_token_stays_dead_and_a_replaced_one_can_be_found() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let token = platform.redeem(&code, 0).unwrap().refresh_token;
        platform.kill(&Kill::ReplaceRefreshToken { appid: SHOP.to_owned() }, 1);
        assert_eq!(errcode(platform.refresh(SHOP, &token, false, 1)), 61023);
        let replaced = platform.standing(SHOP).unwrap().1.refresh_token.clone().unwrap();
        assert!(platform.refresh(SHOP, &replaced, false, 1).is_ok());
        platform.kill(&Kill::RefreshToken { appid: SHOP.to_owned() }, 2);
        assert_eq!(errcode(platform.refresh(SHOP, &replaced, false, 2)), 61023);
    }

    #[test]
    fn an_account_without_api_permission_gets_empty_tokens() {
        let mut platform = platform();
        let mut config = platform.accounts[SHOP].config.clone();
        config.api_permission = false;
        platform.add_account(config);
        let code = consent(&mut platform, &[1], 0);
        let issued = platform.redeem(&code, 0).unwrap();
        assert_eq!((issued.access_token.as_str(), issued.refresh_token.as_str()), ("", ""));
        assert_eq!(errcode(platform.refresh(SHOP, "", false, 1)), 61023);
    }
}
