use lingpai_authorizer::{MiniPrograms, WebTokens};
use lingpai_model::{Appid, caller::Caller};
use lingpai_webhook::Events;

use crate::Error;

/// Erases what is kept of fans, wherever it is.
///
/// Of an account that was released its events are still there and may go, so that only one that has
/// neither is unknown. The entry of the trail is committed with the first events, before anything else
/// goes; if this breaks off, a part is erased: repeat it.
#[derive(Debug, Clone)]
pub struct Erasures {
    events: Events,
    web_tokens: WebTokens,
    mini_programs: MiniPrograms,
}

impl Erasures {
    /// A service on what `events`, `web_tokens` and `mini_programs` keep.
    #[must_use]
    pub fn new(events: Events, web_tokens: WebTokens, mini_programs: MiniPrograms) -> Self {
        Self { events, web_tokens, mini_programs }
    }

    /// Erases what is kept of one fan of the tenant's account: events with their deliveries and the
    /// replies to them, what he granted on web pages, and his session in a mini program. Returns how
    /// many events that were.
    ///
    /// # Errors
    /// [`Error::Webhook`] with [`lingpai_webhook::Error::AuthorizerUnknown`] for an account that is not
    /// the tenant's and of which nothing of the tenant's is kept, and when the database failed;
    /// [`Error::Authorizer`] when the database failed.
    pub async fn erase_fan(
        &self,
        caller: &Caller,
        appid: &Appid,
        openid: &str,
    ) -> Result<u64, Error> {
        let erased = self.events.erase_fan(caller, appid, openid).await?;
        gone(self.web_tokens.erase_fan(&caller.scope, appid, openid).await)?;
        gone(self.mini_programs.erase_fan(&caller.scope, appid, openid).await)?;
        Ok(erased)
    }

    /// Erases everything that is kept about the tenant's account: as [`Erasures::erase_fan`] of all
    /// fans, and our own events about it. Returns how many events that were.
    ///
    /// # Errors
    /// As [`Erasures::erase_fan`].
    pub async fn erase_authorizer(&self, caller: &Caller, appid: &Appid) -> Result<u64, Error> {
        let erased = self.events.erase_authorizer(caller, appid).await?;
        gone(self.web_tokens.erase_authorizer(&caller.scope, appid).await)?;
        gone(self.mini_programs.erase_authorizer(&caller.scope, appid).await)?;
        Ok(erased)
    }
}

/// What fans granted to an account, and their sessions, went with it when it was released.
fn gone(erased: lingpai_authorizer::Result<u64>) -> lingpai_authorizer::Result<()> {
    match erased {
        Ok(_) | Err(lingpai_authorizer::Error::AuthorizerNotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
