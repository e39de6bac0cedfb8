//! What WeChat knows: the component's tickets and tokens, the accounts and their grants.
//!
//! All of it stands behind one lock that is held for single steps only and never across a wait.
//! The rules are here, as plain methods with the time handed in; HTTP is elsewhere.

pub(crate) mod accounts;
pub(crate) mod codes;
pub(crate) mod issues;
pub(crate) mod jssdk;
mod kill;
pub(crate) mod logins;
pub(crate) mod media;
pub(crate) mod mint;
pub(crate) mod ordinary;
mod qr_codes;
pub(crate) mod quota;
pub(crate) mod snapshot;
pub(crate) mod tokens;
pub(crate) mod web;
pub(crate) mod web_codes;

use std::collections::{BTreeMap, VecDeque};

use lingpai_wechat::push::publish_test::TEST_ACCOUNTS;

use crate::config::{AccountConfig, ComponentConfig, EmulatorConfig, Switches};
use crate::refusal::{self, Refusal};
use accounts::{Account, Grant};
use codes::Codes;
use issues::{IssuedBy, Issues};
use jssdk::JssdkTickets;
use logins::Logins;
use media::MediaStore;
use qr_codes::QrTickets;
use quota::Quota;
use tokens::{Holder, Life, Tokens};
use web::WebGrants;
use web_codes::WebCodes;

pub use kill::Kill;

/// How long a ticket can be used.
///
/// Source: WeChat docs, "Verification ticket" (component_verify_ticket): "effective for 12 hours".
pub(crate) const TICKET_LIFE_MS: i64 = 12 * 3600 * 1000;

/// How many tickets are remembered; at one per ten minutes more than live at a time.
const TICKETS_KEPT: usize = 200;

/// WeChat's memory.
pub(crate) struct Platform {
    pub(crate) component: ComponentConfig,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) tokens: Tokens,
    pub(crate) issues: Issues,
    pub(crate) web: WebGrants,
    pub(crate) web_codes: WebCodes,
    pub(crate) logins: Logins,
    pub(crate) codes: Codes,
    pub(crate) quota: Quota,
    pub(crate) media: MediaStore,
    pub(crate) materials: MediaStore,
    qr_tickets: QrTickets,
    jssdk_tickets: JssdkTickets,
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

/// An access token as it is told.
pub(crate) struct AccessToken {
    pub(crate) value: String,
    pub(crate) expires_in_secs: i64,
}

/// An answer with an account's tokens.
pub(crate) struct Issued {
    pub(crate) appid: String,
    pub(crate) access_token: AccessToken,
    pub(crate) refresh_token: String,
}

impl Platform {
    pub(crate) fn new(config: &EmulatorConfig) -> Self {
        let generated = (1..=config.many_accounts).map(AccountConfig::generated);
        let configured = generated.chain(config.accounts.iter().cloned()).map(Account::new);
        let accounts = TEST_ACCOUNTS.iter().map(Account::of_publish_test).chain(configured);
        Self {
            component: config.component.clone(),
            accounts: accounts.map(|one| (one.config.appid.clone(), one)).collect(),
            tokens: Tokens::default(),
            issues: Issues::default(),
            web: WebGrants::default(),
            web_codes: WebCodes::default(),
            logins: Logins::default(),
            codes: Codes::default(),
            quota: Quota::new(config.quotas.clone(), config.rates.clone()),
            media: MediaStore::temporary(),
            materials: MediaStore::permanent(),
            qr_tickets: QrTickets::default(),
            jssdk_tickets: JssdkTickets::default(),
            tickets: VecDeque::new(),
        }
    }

    /// Adds an account, or changes what one is; its grant stands.
    pub(crate) fn add_account(&mut self, config: AccountConfig) {
        match self.accounts.get_mut(&config.appid) {
            Some(account) => {
                account.config = config;
                account.is_of_publish_test = false;
            }
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
        life: Life,
        now: i64,
    ) -> Result<AccessToken, Refusal> {
        self.check_secret(secret)?;
        let minted_at = self.tickets.iter().find(|(value, _)| value == ticket).map(|(_, at)| *at);
        match minted_at {
            None => Err(Refusal::new(refusal::WRONG_TICKET)),
            Some(at) if now >= at + TICKET_LIFE_MS => Err(Refusal::new(refusal::TICKET_EXPIRED)),
            Some(_) => {
                let by = Some(IssuedBy::ComponentToken);
                Ok(self.new_token(&Holder::Component, by, life, now))
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

    /// The account with this appid.
    pub(crate) fn account_named(&self, appid: &str) -> Result<&Account, Refusal> {
        if appid.is_empty() {
            return Err(Refusal::new(refusal::APPID_MISSING));
        }
        self.accounts.get(appid).ok_or_else(|| Refusal::new(refusal::WRONG_APPID))
    }

    /// The standing grant of an account.
    pub(crate) fn standing(&self, appid: &str) -> Result<(&Account, &Grant), Refusal> {
        self.accounts
            .get(appid)
            .and_then(|account| account.grant.as_ref().map(|grant| (account, grant)))
            .ok_or_else(|| Refusal::new(refusal::NOT_AUTHORIZED))
    }

    /// All standing grants, by appid.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (&Account, &Grant)> {
        self.accounts.values().filter_map(|one| one.grant.as_ref().map(|grant| (one, grant)))
    }

    /// Authorization code in, first tokens out; empty ones for an account without API permissions.
    pub(crate) fn redeem(&mut self, code: &str, life: Life, now: i64) -> Result<Issued, Refusal> {
        let appid = self.codes.redeem(code, now)?;
        let refresh_token = self.standing(&appid)?.1.refresh_token.clone();
        let access_token = match refresh_token {
            Some(_) => self.new_token(&Holder::Account(appid.clone()), None, life, now),
            None => AccessToken { value: String::new(), expires_in_secs: life.secs() },
        };
        if let Some(account) = self.accounts.get_mut(&appid) {
            account.redeemed = Some((code.to_owned(), access_token.value.clone()));
        }
        Ok(Issued { appid, access_token, refresh_token: refresh_token.unwrap_or_default() })
    }

    /// Refresh token in, access token out.
    pub(crate) fn refresh(
        &mut self,
        appid: &str,
        refresh_token: &str,
        switches: &Switches,
        now: i64,
    ) -> Result<Issued, Refusal> {
        let (_, grant) = self.standing(appid)?;
        let fits = grant.refresh_token.as_deref() == Some(refresh_token);
        if !fits || refresh_token.is_empty() || grant.refresh_token_is_dead {
            return Err(Refusal::new(refusal::WRONG_REFRESH_TOKEN));
        }
        let next = match switches.rotate_refresh_tokens {
            true => mint::refresh_token(),
            false => refresh_token.to_owned(),
        };
        self.change_grant(appid, |grant| grant.refresh_token = Some(next.clone()));
        let holder = Holder::Account(appid.to_owned());
        let by = Some(IssuedBy::AuthorizerToken);
        let access_token = self.new_token(&holder, by, switches.life(), now);
        Ok(Issued { appid: appid.to_owned(), access_token, refresh_token: next })
    }

    /// Mints the next token of a holder. `by` is the interface, where the book of issues has it.
    fn new_token(
        &mut self,
        holder: &Holder,
        by: Option<IssuedBy>,
        life: Life,
        now: i64,
    ) -> AccessToken {
        let value = mint::access_token(holder);
        let left_ms = self.tokens.issue(holder.clone(), &value, life, now);
        if let Some(by) = by {
            let appid = holder.appid().unwrap_or(&self.component.appid);
            self.issues.record(by, (appid, &value), left_ms, now);
        }
        AccessToken { value, expires_in_secs: life.secs() }
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

    fn life() -> Life {
        Life::of_secs(7200)
    }

    fn refresh(platform: &mut Platform, token: &str, now: i64) -> Result<Issued, Refusal> {
        platform.refresh(SHOP, token, &Switches::default(), now)
    }

    fn errcode<T>(result: Result<T, Refusal>) -> i64 {
        result.err().map_or(0, |refusal| refusal.errcode)
    }

    #[test]
    fn a_ticket_works_for_twelve_hours() {
        let mut platform = platform();
        let ticket = platform.new_ticket(0);
        let secret = platform.component.appsecret.clone();
        assert!(platform.component_token(&secret, &ticket, life(), TICKET_LIFE_MS - 1).is_ok());
        assert_eq!(
            errcode(platform.component_token(&secret, &ticket, life(), TICKET_LIFE_MS)),
            61005
        );
        assert_eq!(errcode(platform.component_token(&secret, "ticket@@@x", life(), 0)), 61006);
    }

    #[test]
    fn an_older_ticket_still_works() {
        let mut platform = platform();
        let older = platform.new_ticket(0);
        platform.new_ticket(600_000);
        let secret = platform.component.appsecret.clone();
        assert!(platform.component_token(&secret, &older, life(), 600_001).is_ok());
    }

    #[test]
    fn a_wrong_or_missing_secret_is_told_apart() {
        let mut platform = platform();
        let ticket = platform.new_ticket(0);
        assert_eq!(errcode(platform.component_token("wrong", &ticket, life(), 0)), 40125);
        assert_eq!(errcode(platform.component_token("", &ticket, life(), 0)), 41004);
    }

    #[test]
    fn a_new_authorization_voids_the_old_refresh_token() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let first = platform.redeem(&code, life(), 0).unwrap();
        assert!(refresh(&mut platform, &first.refresh_token, 1).is_ok());
        let code = consent(&mut platform, &[1], 2);
        assert_eq!(errcode(refresh(&mut platform, &first.refresh_token, 3)), 61023);
        let second = platform.redeem(&code, life(), 4).unwrap();
        assert!(refresh(&mut platform, &second.refresh_token, 5).is_ok());
    }

    #[test]
    fn a_refresh_keeps_the_refresh_token_unless_rotation_is_on() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let first = platform.redeem(&code, life(), 0).unwrap().refresh_token;
        assert_eq!(refresh(&mut platform, &first, 1).unwrap().refresh_token, first);
        let rotating = Switches { rotate_refresh_tokens: true, ..Switches::default() };
        let second = platform.refresh(SHOP, &first, &rotating, 2).unwrap().refresh_token;
        assert_ne!(second, first);
        assert_eq!(errcode(platform.refresh(SHOP, &first, &rotating, 3)), 61023);
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
        let issued = platform.redeem(&code, life(), 0).unwrap();
        assert!(platform.withdraw(SHOP, 1));
        assert!(!platform.withdraw(SHOP, 1));
        assert_eq!(errcode(platform.tokens.check(&issued.access_token.value, 1)), 40001);
        assert_eq!(errcode(refresh(&mut platform, &issued.refresh_token, 1)), 61003);
    }

    #[test]
    fn a_killed_refresh_token_stays_dead_and_a_replaced_one_can_be_found() {
        let mut platform = platform();
        let code = consent(&mut platform, &[1], 0);
        let token = platform.redeem(&code, life(), 0).unwrap().refresh_token;
        platform.kill(&Kill::ReplaceRefreshToken { appid: SHOP.to_owned() }, 1);
        assert_eq!(errcode(refresh(&mut platform, &token, 1)), 61023);
        let replaced = platform.standing(SHOP).unwrap().1.refresh_token.clone().unwrap();
        assert!(refresh(&mut platform, &replaced, 1).is_ok());
        platform.kill(&Kill::RefreshToken { appid: SHOP.to_owned() }, 2);
        assert_eq!(errcode(refresh(&mut platform, &replaced, 2)), 61023);
    }

    #[test]
    fn an_account_without_api_permission_gets_empty_tokens() {
        let mut platform = platform();
        let mut config = platform.accounts[SHOP].config.clone();
        config.api_permission = false;
        platform.add_account(config);
        let code = consent(&mut platform, &[1], 0);
        let issued = platform.redeem(&code, life(), 0).unwrap();
        assert_eq!((issued.access_token.value.as_str(), issued.refresh_token.as_str()), ("", ""));
        assert_eq!(errcode(refresh(&mut platform, "", 1)), 61023);
    }

    #[test]
    fn all_refresh_tokens_can_be_replaced_at_once() {
        let mut platform = platform();
        let configured = platform.accounts.values().filter(|one| !one.is_of_publish_test);
        let appids: Vec<String> = configured.map(|one| one.config.appid.clone()).collect();
        let mut config = platform.accounts[SHOP].config.clone();
        config.api_permission = false;
        platform.add_account(config);
        for appid in &appids[..2] {
            platform.grant(appid, vec![1], 0).unwrap();
        }
        let tokens = |platform: &Platform| -> Vec<Option<String>> {
            let grants = appids.iter().filter_map(|appid| platform.standing(appid).ok());
            grants.map(|(_, grant)| grant.refresh_token.clone()).collect()
        };
        let before = tokens(&platform);
        platform.kill(&Kill::AllRefreshTokensReplaced, 1);
        let after = tokens(&platform);
        assert_eq!((before[0].as_ref(), after[0].as_ref()), (None, None));
        assert_ne!(before[1], after[1]);
        assert!(after[1].is_some());
    }

    #[test]
    fn refreshes_and_component_tokens_are_in_the_book_of_issues_and_exchanges_are_not() {
        let mut platform = platform();
        let ticket = platform.new_ticket(0);
        let secret = platform.component.appsecret.clone();
        platform.component_token(&secret, &ticket, life(), 0).unwrap();
        let code = consent(&mut platform, &[1], 0);
        let first = platform.redeem(&code, life(), 0).unwrap();
        refresh(&mut platform, &first.refresh_token, 1000).unwrap();
        let issues: Vec<issues::Issue> =
            platform.issues.since(0).into_iter().map(issues::Issue::from).collect();
        let told = |at: usize| (issues[at].appid.as_str(), issues[at].previous_remaining_ms);
        assert_eq!(issues.len(), 2);
        assert_eq!(told(0), ("wx1f0e2d3c4b5a6978", None));
        assert_eq!(told(1), (SHOP, Some(7_199_000)));
    }

    #[test]
    fn many_accounts_are_generated_with_secrets() {
        let config = EmulatorConfig { many_accounts: 20, ..EmulatorConfig::for_tests() };
        let platform = Platform::new(&config);
        let configured = platform.accounts.values().filter(|one| !one.is_of_publish_test);
        assert_eq!(configured.count(), 23);
        let last = &platform.accounts[&AccountConfig::generated(20).appid].config;
        assert!(last.appsecret.as_ref().unwrap().contains("CANARY"));
    }
}
