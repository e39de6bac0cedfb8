//! The emulator's state to look at: for tests, for the control page, and as JSON.
//!
//! It shows secrets in clear. They are canaries of a WeChat that does not exist.

use serde::Serialize;

use crate::config::{AccountKind, Switches};
use crate::state::Platform;
use crate::state::accounts::{Account, SentMessage};
use crate::state::tokens::Holder;

/// The whole state at one instant.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// The emulator's clock, Unix milliseconds.
    pub now_ms: i64,
    /// How far that clock is ahead of the machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// The component's appid.
    pub component_appid: String,
    /// The `component_access_token` that works and is the newest.
    pub component_access_token: Option<String>,
    /// Until when, Unix milliseconds.
    pub component_access_token_expires_at_ms: Option<i64>,
    /// Where authorization events are pushed.
    pub events_url: Option<String>,
    /// Where messages are pushed.
    pub messages_url: Option<String>,
    /// The tickets that still work, newest first.
    pub tickets: Vec<TicketSnapshot>,
    /// The configured accounts by appid; those of the publish test are not among them.
    pub accounts: Vec<AccountSnapshot>,
    /// The switches.
    pub switches: Switches,
    /// The paths of the answers that are held.
    pub held: Vec<String>,
}

/// One ticket.
#[derive(Debug, Clone, Serialize)]
pub struct TicketSnapshot {
    /// Its value.
    pub value: String,
    /// When it was minted, Unix milliseconds.
    pub minted_at_ms: i64,
}

/// One account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountSnapshot {
    /// Its appid.
    pub appid: String,
    /// Its original id.
    pub user_name: String,
    /// Its name.
    pub nick_name: String,
    /// What it is.
    pub kind: AccountKind,
    /// The sets that can be granted.
    pub permission_sets: Vec<u32>,
    /// The app secret, of an account that can be called with its own.
    pub appsecret: Option<String>,
    /// The newest token by `/cgi-bin/token`, if it works.
    pub ordinary_token: Option<TokenSnapshot>,
    /// The newest token by `/cgi-bin/stable_token`, if it works.
    pub stable_token: Option<TokenSnapshot>,
    /// What is granted now.
    pub grant: Option<GrantSnapshot>,
    /// What its fans received.
    pub messages: Vec<SentMessage>,
}

/// One access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenSnapshot {
    /// Its value.
    pub value: String,
    /// Until when it works, Unix milliseconds.
    pub expires_at_ms: i64,
}

/// A standing authorization.
#[derive(Debug, Clone, Serialize)]
pub struct GrantSnapshot {
    /// When consent was given, Unix milliseconds.
    pub granted_at_ms: i64,
    /// The granted sets.
    pub sets: Vec<u32>,
    /// The refresh token that is listed.
    pub refresh_token: Option<String>,
    /// Whether that refresh token was killed.
    pub refresh_token_is_dead: bool,
    /// The newest access token, if it works.
    pub access_token: Option<String>,
    /// Until when, Unix milliseconds.
    pub access_token_expires_at_ms: Option<i64>,
}

impl Platform {
    /// The tickets that still work, newest first.
    pub(crate) fn live_tickets(&self, now: i64) -> Vec<TicketSnapshot> {
        let live = self.tickets.iter().rev().filter(|(_, at)| now < at + super::TICKET_LIFE_MS);
        live.map(|(value, at)| TicketSnapshot { value: value.clone(), minted_at_ms: *at }).collect()
    }

    /// All configured accounts with their grants.
    pub(crate) fn account_snapshots(&self, now: i64) -> Vec<AccountSnapshot> {
        let shown = self.accounts.values().filter(|account| !account.is_of_publish_test);
        shown.map(|account| self.account_snapshot(account, now)).collect()
    }

    /// One account with its grant.
    pub(crate) fn account_snapshot(&self, account: &Account, now: i64) -> AccountSnapshot {
        let config = &account.config;
        let token = |holder: fn(String) -> Holder| {
            let token = self.tokens.current(&holder(config.appid.clone()), now);
            token.map(|(value, at)| TokenSnapshot { value: value.to_owned(), expires_at_ms: at })
        };
        let granted_token = token(Holder::Account);
        AccountSnapshot {
            appid: config.appid.clone(),
            user_name: config.user_name.clone(),
            nick_name: config.nick_name.clone(),
            kind: config.kind,
            permission_sets: config.permission_sets.clone(),
            appsecret: config.appsecret.clone(),
            ordinary_token: token(Holder::Ordinary),
            stable_token: token(Holder::Stable),
            grant: account.grant.as_ref().map(|grant| GrantSnapshot {
                granted_at_ms: grant.granted_at,
                sets: grant.sets.clone(),
                refresh_token: grant.refresh_token.clone(),
                refresh_token_is_dead: grant.refresh_token_is_dead,
                access_token: granted_token.as_ref().map(|token| token.value.clone()),
                access_token_expires_at_ms: granted_token.as_ref().map(|one| one.expires_at_ms),
            }),
            messages: account.messages.iter().cloned().collect(),
        }
    }
}
