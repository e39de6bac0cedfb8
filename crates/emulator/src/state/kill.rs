//! What can be ended before its time, for tests of what a service does then.

use serde::{Deserialize, Serialize};

use crate::state::Platform;
use crate::state::accounts::Grant;
use crate::state::mint;
use crate::state::tokens::Holder;

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
    /// The access tokens of all accounts that granted: 40001 from now on.
    AllAuthorizerTokens,
    /// An account's ordinary access tokens, by either interface: 40001 from now on.
    OrdinaryTokens {
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
    /// The refresh tokens of all accounts are replaced.
    AllRefreshTokensReplaced,
    /// A fan's web access tokens: 40001 until they are refreshed.
    WebTokens {
        /// The fan.
        openid: String,
    },
    /// A fan's web tokens of both kinds: 40001 and 40030 until he allows it again.
    WebGrants {
        /// The fan.
        openid: String,
    },
    /// An account's tickets of the JS-SDK: the next that is asked for is a new one.
    JssdkTickets {
        /// The account.
        appid: String,
    },
}

impl Platform {
    /// Ends something before its time.
    pub(crate) fn kill(&mut self, kill: &Kill, now: i64) {
        match kill {
            Kill::Tickets => self.tickets.clear(),
            Kill::ComponentTokens => self.tokens.kill(&Holder::Component, now),
            Kill::AuthorizerTokens { appid } => {
                self.tokens.kill(&Holder::Account(appid.clone()), now);
            }
            Kill::AllAuthorizerTokens => self.tokens.kill_all_of_accounts(now),
            Kill::OrdinaryTokens { appid } => {
                self.tokens.kill(&Holder::Ordinary(appid.clone()), now);
                self.tokens.kill(&Holder::Stable(appid.clone()), now);
            }
            Kill::RefreshToken { appid } => {
                self.change_grant(appid, |grant| grant.refresh_token_is_dead = true);
            }
            Kill::ReplaceRefreshToken { appid } => {
                self.change_grant(appid, replace_refresh_token);
            }
            Kill::AllRefreshTokensReplaced => {
                let accounts = self.accounts.values_mut();
                accounts.filter_map(|one| one.grant.as_mut()).for_each(replace_refresh_token);
            }
            Kill::WebTokens { openid } => self.web.kill_access(openid, now),
            Kill::WebGrants { openid } => self.web.kill(openid, now),
            Kill::JssdkTickets { appid } => self.jssdk_tickets.kill(appid),
        }
    }
}

/// Where there is none, for want of API permissions, none comes.
fn replace_refresh_token(grant: &mut Grant) {
    if let Some(refresh_token) = &mut grant.refresh_token {
        *refresh_token = mint::refresh_token();
    }
}
