//! Accounts and what their administrators granted.

use std::collections::VecDeque;

use lingpai_wechat::push::publish_test::TestAccount;
use serde::Serialize;
use serde_json::Value;

use crate::config::AccountConfig;
use crate::state::ordinary::ForcedRefreshes;

/// How many sent messages are shown per account.
const MESSAGES_KEPT: usize = 100;

/// An account with its present state.
pub(crate) struct Account {
    pub(crate) config: AccountConfig,
    /// Whether it is one that WeChat tests services with and nobody configured: not shown.
    pub(crate) is_of_publish_test: bool,
    /// The authorization code that was exchanged last, and the access token that it gave.
    pub(crate) redeemed: Option<(String, String)>,
    /// What was granted; `None` before the first consent and after a withdrawal.
    pub(crate) grant: Option<Grant>,
    /// The custom menu, as it was last created.
    pub(crate) menu: Option<Value>,
    /// Customer-service messages sent to fans, oldest first.
    pub(crate) messages: VecDeque<SentMessage>,
    /// How many there were, those no longer kept among them.
    received: u64,
    /// The forced refreshes of its stable token.
    pub(crate) forced: ForcedRefreshes,
}

/// A standing authorization.
pub(crate) struct Grant {
    /// When consent was given, Unix milliseconds.
    pub(crate) granted_at: i64,
    /// The permission sets, ascending.
    pub(crate) sets: Vec<u32>,
    /// What works at present; `None` for an account without API permissions.
    pub(crate) refresh_token: Option<String>,
    /// Killed on purpose: refused although it is still listed.
    pub(crate) refresh_token_is_dead: bool,
}

/// A customer-service message that a fan received.
#[derive(Debug, Clone, Serialize)]
pub struct SentMessage {
    /// When, Unix milliseconds of the emulator's clock.
    pub at_ms: i64,
    /// The fan.
    pub openid: String,
    /// The body as it was sent.
    pub body: String,
    /// The access token that it was sent with.
    #[serde(skip)]
    pub(crate) token: String,
}

impl Account {
    pub(crate) fn new(config: AccountConfig) -> Self {
        Self {
            config,
            is_of_publish_test: false,
            redeemed: None,
            grant: None,
            menu: None,
            messages: VecDeque::new(),
            received: 0,
            forced: ForcedRefreshes::default(),
        }
    }

    /// One of the accounts that WeChat tests services with.
    pub(crate) fn of_publish_test(account: &TestAccount) -> Self {
        let config = AccountConfig::of_publish_test(account);
        Self { is_of_publish_test: true, ..Self::new(config) }
    }

    /// A fan receives a message; gives how many there were before.
    pub(crate) fn receive(&mut self, message: SentMessage) -> u64 {
        if self.messages.len() == MESSAGES_KEPT {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
        self.received += 1;
        self.received - 1
    }
}
