//! The tickets with which pages and cards are signed: got with the account's own token.
//!
//! No worker looks at them, since most accounts have no page that is open all day. Whoever asks within
//! the last minutes of one has the next one got in the background.

use std::{sync::Arc, time::Duration};

use lingpai_component_token::{Hold, Obtained, Reaction, Source, Wanted};
use lingpai_model::{
    authorizer::Authorizer,
    clock::SharedClock,
    id::AuthorizerId,
    token::{AccessToken, KeptToken, RefreshPolicy, TokenKey, TokenKind},
};
use lingpai_storage::Tx;
use lingpai_wechat::{call::jssdk::JssdkTicketKind, client::Client};

use crate::{AuthorizerTokens, Error, Result};

/// How long before its end a ticket had better sign nothing more: the page has to reach the fan, and
/// WeChat looks at the signature only then.
const REACH: Duration = Duration::from_secs(60);

/// An account, and which of its tickets.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) kind: JssdkTicketKind,
}

impl Signer {
    /// Which token the ticket is.
    pub(super) fn key(&self) -> TokenKey {
        let id = self.authorizer.id.clone();
        match self.kind {
            JssdkTicketKind::Jsapi => TokenKey::JsapiTicket(id),
            JssdkTicketKind::WxCard => TokenKey::CardTicket(id),
        }
    }
}

/// How a ticket is got.
#[derive(Debug)]
pub(super) struct TicketSource {
    pub(super) clock: SharedClock,
    pub(super) wechat: Client,
    pub(super) tokens: AuthorizerTokens,
}

impl Source for TicketSource {
    type Owner = Signer;
    type Error = Error;

    const KINDS: &'static [TokenKind] = &[];

    fn key(&self, signer: &Signer) -> TokenKey {
        signer.key()
    }

    /// Assumed: WeChat may give the same ticket again as long as it lives. Each time it is asked when a
    /// tenth of what was left is left, which makes a handful of calls towards the end of a ticket.
    fn policy(&self, _: &Signer) -> RefreshPolicy {
        RefreshPolicy { margin_percent: 10, ..RefreshPolicy::default() }
    }

    async fn owners(&self, _: Vec<TokenKey>) -> Result<Vec<Signer>> {
        Ok(Vec::new())
    }

    async fn obtain(&self, signer: &Signer, _: Wanted<'_>, hold: &Hold<'_>) -> Result<Obtained> {
        let obtained_at = self.clock.now();
        let get = |token| async move { self.wechat.get_jssdk_ticket(&token, signer.kind).await };
        let ticket = self.tokens.call_under(Some(hold), &signer.authorizer, get).await?;
        let token = AccessToken::obtained(ticket.value, obtained_at, usable(ticket.expires_in));
        Ok(Obtained { token, refresh_token: None })
    }

    /// As of the account's token, which it is got with: what is the operator's matter stays his.
    fn told(&self, error: &Error) -> String {
        self.tokens.told(error)
    }

    fn reaction(&self, error: &Error) -> Reaction {
        self.tokens.reaction(error)
    }

    fn is_ceiling(&self, error: &Error) -> bool {
        error.is_ceiling()
    }

    /// The account has a newer token: what kept the old one from it, for instance a permission that was
    /// not granted, may be gone.
    async fn is_reconsidered(&self, signer: &Signer, kept: &KeptToken) -> Result<bool> {
        let Some(failure) = &kept.failure else { return Ok(false) };
        self.tokens.has_refreshed_since(&signer.authorizer, failure.at).await
    }
}

/// How long a ticket signs that lives for `expires_in`. One whose end is near signs to its end: there is
/// no other then.
fn usable(expires_in: Duration) -> Duration {
    if expires_in > REACH * 2 { expires_in - REACH } else { expires_in }
}

/// Erases the tickets of an account, because they may be worth nothing any more or nobody may sign with
/// them: no answer of WeChat's would ever say so. Whoever is getting one is fenced off.
pub(crate) async fn erase_tickets(tx: &Tx, account: &AuthorizerId) -> lingpai_storage::Result<()> {
    tx.tokens().erase(&TokenKey::JsapiTicket(account.clone())).await?;
    tx.tokens().erase(&TokenKey::CardTicket(account.clone())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_signs_until_a_minute_before_its_end_unless_that_is_near() {
        let usable_secs = |secs| usable(Duration::from_secs(secs)).as_secs();
        assert_eq!([7200, 121, 120, 60, 2].map(usable_secs), [7140, 61, 120, 60, 2]);
    }
}
