//! The way of a push to an account that granted rights to a component: it goes to a URL of its own,
//! and is protected by the component's keys.

use std::sync::Arc;

use lingpai_model::{
    Appid,
    component::Component,
    quarantine::{QuarantineReason, QuarantinedFor},
};
use lingpai_wechat::push::{message::MessagePush, publish_test};

use crate::{
    MessagePushes, Refusal, ReleaseCheck, Taken,
    message_push::{Owner, Verified, is_addressed_to},
    recipient::{Opened, Recipient},
    release_check::Test,
};

/// Takes pushes to the accounts of components.
#[derive(Debug, Clone)]
pub struct AuthorizerPushes {
    messages: MessagePushes,
    release_check: ReleaseCheck,
}

impl AuthorizerPushes {
    /// A service that hands on to `messages`; what WeChat's test accounts ask is answered by
    /// `release_check`.
    #[must_use]
    pub fn new(messages: MessagePushes, release_check: ReleaseCheck) -> Self {
        Self { messages, release_check }
    }

    /// Verifies, decrypts and records a push. Only when this returns may it be answered, and as it
    /// says.
    ///
    /// Neither the path nor the envelope is signed: whom a message is for is told by `ToUserName` in
    /// it, which must be the account of the path wherever that one's original id is known. A message
    /// for an account that nobody here knows, or that cannot be read, goes into quarantine.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] for whatever does not come from WeChat for this account, alike;
    /// [`Refusal::Unrecorded`] and [`Refusal::Unerased`] when the database failed or the outcome of its
    /// commit is unknown.
    pub async fn accept(
        &self,
        component_appid: &str,
        appid: &str,
        raw_query: &str,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        let component = self.component(component_appid).await?;
        let appid = Appid::parse(appid).map_err(|_| Refusal::Unverified)?;
        let recipient = Recipient::component(&component, self.messages.clock.now());
        let opened = recipient.open(raw_query, body)?;
        let by = QuarantinedFor::Component(component.id.clone());
        // What is seldom goes in a box: every push would carry and copy the room for it.
        let message = match MessagePush::parse(&opened.plaintext) {
            Ok(message) => message,
            Err(error) => {
                recipient.note_quarantine(error);
                let (why, text) = (QuarantineReason::Unreadable, opened.plaintext);
                let kept = self.messages.quarantine((by, &appid), why, None, text);
                return Box::pin(kept).await;
            }
        };
        if component.answers_publish_test
            && let Some(test) = Test::asked(&appid, &message)
        {
            return Box::pin(self.answer_test(&component, test, &message, opened)).await;
        }
        let Opened { plaintext, sealer } = opened;
        let known = self.messages.db.cached_account(&component.id, &appid).await;
        let Some(account) = known.map_err(Refusal::Unrecorded)? else {
            return Box::pin(self.keep_unknown(&component, &appid, message, plaintext)).await;
        };
        if !is_addressed_to(&account, &message) {
            return Err(recipient.unverified("ToUserName"));
        }
        self.messages.take(Verified { account: &account, message, plaintext, sealer }).await
    }

    /// Answers the check that WeChat makes when a URL is saved: the text to send back. No account has
    /// a URL that is saved alone, so the path's account is not looked at.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] when the signature is not WeChat's.
    pub async fn check_url(
        &self,
        component_appid: &str,
        raw_query: &str,
    ) -> Result<String, Refusal> {
        let component = self.component(component_appid).await?;
        Recipient::component(&component, self.messages.clock.now()).check_url(raw_query)
    }

    async fn component(&self, appid: &str) -> Result<Arc<Component>, Refusal> {
        let appid = Appid::parse(appid).map_err(|_| Refusal::Unverified)?;
        let found = self.messages.db.cached_component(&appid).await;
        found.map_err(Refusal::Unrecorded)?.ok_or(Refusal::Unverified)
    }

    /// What a test account asks is an event as well: its owner's, if it has one.
    async fn answer_test(
        &self,
        component: &Arc<Component>,
        test: Test,
        message: &MessagePush,
        opened: Opened,
    ) -> Result<Taken, Refusal> {
        let Opened { plaintext, sealer } = opened;
        let appid = &test.appid;
        let known = self.messages.db.cached_account(&component.id, appid).await;
        let owner = match known.map_err(Refusal::Unrecorded)? {
            Some(account) => Owner::from(&*account),
            None => Owner::of_test(component, appid),
        };
        let received_at = self.messages.clock.now();
        let recorded = self.messages.record(owner, message, plaintext, received_at).await?;
        Ok(self.release_check.answer(component, &test, (message, &sealer), recorded))
    }

    /// Keeps a message until its account is known. That may have come about while it was put away.
    async fn keep_unknown(
        &self,
        component: &Component,
        appid: &Appid,
        message: MessagePush,
        plaintext: Vec<u8>,
    ) -> Result<Taken, Refusal> {
        let hint = if publish_test::is_test_appid(appid.as_str()) {
            "; it is one of WeChat's publish test: switch answers_publish_test on"
        } else {
            ""
        };
        tracing::warn!(
            component.appid = %component.appid,
            authorizer.appid = %appid,
            "nobody here knows {appid}: its message is kept in quarantine{hint}"
        );
        let (by, why) =
            (QuarantinedFor::Component(component.id.clone()), QuarantineReason::UnknownAuthorizer);
        let taken = self.messages.quarantine((by, appid), why, Some(&message), plaintext).await?;
        if let Err(error) = self.messages.release_for(&component.id, appid).await {
            tracing::warn!(%error, "a message that was just put away could not be looked at again");
        }
        Ok(taken)
    }
}
