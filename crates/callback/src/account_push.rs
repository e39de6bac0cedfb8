//! The way of a push to an account that is connected by its own secret, and has keys of its own.

use std::sync::Arc;

use lingpai_model::{
    Appid,
    authorizer::AccountSecret,
    quarantine::{QuarantineReason, QuarantinedFor},
};
use lingpai_wechat::push::message::MessagePush;

use crate::{
    MessagePushes, Refusal, Taken,
    message_push::{Verified, is_addressed_to},
    recipient::{Opened, Recipient},
};

/// Takes pushes to accounts that are connected by their own secret.
#[derive(Debug, Clone)]
pub struct AccountPushes {
    messages: MessagePushes,
}

impl AccountPushes {
    /// A service that hands on to `messages`.
    #[must_use]
    pub fn new(messages: MessagePushes) -> Self {
        Self { messages }
    }

    /// Verifies, decrypts and records a push. Only when this returns may it be answered, and as it
    /// says.
    ///
    /// The appid that is signed and encrypted with the message is the account's own. `ToUserName` is
    /// compared only where the original id (`gh_…`) is known: WeChat tells nobody the one of an account
    /// that is connected by its own secret.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] for whatever does not come from WeChat for this account, alike, also
    /// when there is no such account or it is to get no pushes; [`Refusal::Unrecorded`] and
    /// [`Refusal::Unerased`] when the database failed or the outcome of its commit is unknown.
    pub async fn accept(
        &self,
        appid: &str,
        raw_query: &str,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        let secret = self.account(appid).await?;
        let recipient = Recipient::account(&secret).ok_or(Refusal::Unverified)?;
        let Opened { plaintext, sealer } = recipient.open(raw_query, body)?;
        let by = QuarantinedFor::Account(secret.authorizer_id.clone());
        let message = match MessagePush::parse(&plaintext) {
            Ok(message) => message,
            Err(error) => {
                recipient.note_quarantine(error);
                let why = QuarantineReason::Unreadable;
                // In a box, since it is seldom: every push would carry and copy the room for it.
                let kept = self.messages.quarantine((by, &secret.appid), why, None, plaintext);
                return Box::pin(kept).await;
            }
        };
        let known = self.messages.db.cached_authorizer_by_id(&secret.authorizer_id).await;
        // Both rows are written at once; the secret outlives the account in a cache at most.
        let account = known.map_err(Refusal::Unrecorded)?.ok_or(Refusal::Unverified)?;
        if !is_addressed_to(&account, &message) {
            return Err(recipient.unverified("ToUserName"));
        }
        self.messages.take(Verified { account: &account, message, plaintext, sealer }).await
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
        let found = self.messages.db.cached_account_secret(&appid).await;
        found.map_err(Refusal::Unrecorded)?.ok_or(Refusal::Unverified)
    }
}
