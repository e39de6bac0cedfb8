//! The way of a push to an account that is connected by its own secret, up to the point where
//! `success` may be said.

use std::{iter, sync::Arc};

use lingpai_authorizer::WebTokens;
use lingpai_model::{
    Appid, Secret,
    authorizer::AccountSecret,
    clock::{Entropy, SharedClock},
    digest::Digest,
    id::PushId,
    push::NewMessage,
};
use lingpai_storage::{Arrival, Db};
use lingpai_wechat::push::message::MessagePush;

use crate::{
    Refusal,
    recipient::{Recipient, inner_time},
};

/// Takes pushes to accounts that are connected by their own secret.
#[derive(Debug, Clone)]
pub struct AccountPushes {
    db: Db,
    web_tokens: WebTokens,
    clock: SharedClock,
    entropy: Entropy,
}

impl AccountPushes {
    /// A service on `db`; when a fan withdraws his consent, `web_tokens` forgets what he granted.
    #[must_use]
    pub fn new(db: Db, web_tokens: WebTokens, (clock, entropy): (SharedClock, Entropy)) -> Self {
        Self { db, web_tokens, clock, entropy }
    }

    /// Verifies, decrypts and records a push. Only when this returns may `success` be said.
    ///
    /// The appid that is signed and encrypted with the message is the account's own. `ToUserName`
    /// cannot be compared as well: WeChat tells nobody the original id (`gh_…`) of an account that is
    /// connected by its own secret.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] for whatever does not come from WeChat for this account, alike, also
    /// when there is no such account or it is to get no pushes; [`Refusal::Unrecorded`] and
    /// [`Refusal::Unerased`] when the database failed or the outcome of its commit is unknown.
    pub async fn accept(&self, appid: &str, raw_query: &str, body: &[u8]) -> Result<(), Refusal> {
        let account = self.account(appid).await?;
        let recipient = Recipient::account(&account).ok_or(Refusal::Unverified)?;
        let plaintext = recipient.open(raw_query, body)?;
        let message = match MessagePush::parse(&plaintext) {
            Ok(message) => Some(message),
            Err(error) => {
                recipient.note_quarantine(error);
                None
            }
        };
        // Before the push is recorded: if we die in between WeChat repeats it, and erasing twice
        // does no harm. The other way round a recorded withdrawal could remain without its effect.
        if let Some(openid) = message.as_ref().and_then(MessagePush::revoked_openid) {
            let withdrawn_at =
                inner_time(message.as_ref().and_then(|m| m.create_time), self.clock.now());
            let erased = self.web_tokens.erase(&account.authorizer_id, openid, withdrawn_at).await;
            erased.map_err(Refusal::Unerased)?;
        }
        self.record(&account, message, plaintext).await
    }

    /// Answers the check that WeChat makes when a URL is saved: the text to send back.
    ///
    /// # Errors
    /// As [`AccountPushes::accept`].
    pub async fn check_url(&self, appid: &str, raw_query: &str) -> Result<String, Refusal> {
        let account = self.account(appid).await?;
        Recipient::account(&account).ok_or(Refusal::Unverified)?.check_url(raw_query)
    }

    async fn account(&self, appid: &str) -> Result<Arc<AccountSecret>, Refusal> {
        let appid = Appid::parse(appid).map_err(|_| Refusal::Unverified)?;
        let found = self.db.cached_account_secret(&appid).await.map_err(Refusal::Unrecorded)?;
        found.ok_or(Refusal::Unverified)
    }

    async fn record(
        &self,
        account: &AccountSecret,
        message: Option<MessagePush>,
        plaintext: Vec<u8>,
    ) -> Result<(), Refusal> {
        let received_at = self.clock.now();
        let create_time = message.as_ref().and_then(|message| message.create_time);
        let new = NewMessage {
            id: PushId::new(received_at, &self.entropy),
            authorizer_id: account.authorizer_id.clone(),
            dedupe: dedupe(message.as_ref(), &plaintext),
            is_readable: message.is_some(),
            payload: Secret::new(plaintext),
            issued_at: inner_time(create_time, received_at),
            received_at,
        };
        self.db.record_arrival(Arrival::Message(new)).await.map_err(Refusal::Unrecorded)
    }
}

/// Recognises WeChat's repetition of a message: by its head where that says enough, by its whole
/// text otherwise.
fn dedupe(message: Option<&MessagePush>, plaintext: &[u8]) -> Digest {
    let Some(parts) = message.and_then(MessagePush::dedupe_parts) else {
        return Digest::of(&[b"message text", plaintext]);
    };
    let parts = parts.iter().map(|part| part.as_bytes());
    Digest::of(&iter::once(&b"message"[..]).chain(parts).collect::<Vec<_>>())
}
