//! Quarantine: authentic pushes that could not go the usual way. Nothing is lost there; what waited for
//! its account goes on by itself, the rest when an operator lets it.

use std::{collections::HashMap, sync::Arc};

use lingpai_model::{
    Appid, Secret,
    audit::{Action, AuditEntry},
    authorizer::Authorizer,
    caller::OperatorCaller,
    clock::SharedClock,
    component::Component,
    id::{ComponentId, PushId},
    page::{Page, PageRequest},
    quarantine::{QuarantineReason, Quarantined, QuarantinedFor, QuarantinedPush},
};
use lingpai_wechat::push::{component::ComponentPush, message::MessagePush};
use tokio::sync::Notify;

use crate::{Error, MessagePushes, Refusal, message_push::is_addressed_to};

/// How many messages are let out in one transaction.
const RELEASED_AT_ONCE: u64 = 64;

/// For how many accounts one turn lets messages out.
const ACCOUNTS_AT_ONCE: u64 = 16;

/// Looks after pushes in quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine {
    messages: MessagePushes,
    /// Wakes the processor when a push to a component is let out.
    recorded: Arc<Notify>,
}

/// A push in quarantine as operators are told of it.
#[derive(Debug, Clone)]
pub struct KeptPush {
    /// The push.
    pub push: Quarantined,
    /// What operators call the component that it was pushed to; `None` if its account is connected by
    /// its own secret.
    pub component_appid: Option<Appid>,
}

/// A push in quarantine with its text.
#[derive(Debug)]
pub struct QuarantinedText {
    /// The push.
    pub kept: KeptPush,
    /// Its decrypted text, byte for byte.
    pub text: Secret<Vec<u8>>,
}

/// Whether a message that was kept went the usual way, or what speaks against it.
type Kept = Result<(), QuarantineReason>;

impl Quarantine {
    /// A service on the database of `messages`; `recorded` is notified when there is work for the
    /// [`crate::Processor`].
    #[must_use]
    pub fn new(messages: MessagePushes, recorded: Arc<Notify>) -> Self {
        Self { messages, recorded }
    }

    pub(crate) fn clock(&self) -> SharedClock {
        SharedClock::clone(&self.messages.clock)
    }

    /// What is in quarantine, the newest first.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<KeptPush>, Error> {
        let Page { items, next } = self.messages.db.quarantine().list(page).await?;
        let mut appids = HashMap::new();
        let mut told = Vec::with_capacity(items.len());
        for push in items {
            told.push(self.told(push, &mut appids).await?);
        }
        Ok(Page { items: told, next })
    }

    /// One push with its text. That somebody looked is in the trail before it is told.
    ///
    /// # Errors
    /// [`Error::QuarantineNotFound`]; [`Error::StillQuarantined`] when it was sealed with a master key
    /// that is not in the ring; [`Error::Storage`].
    pub async fn look(&self, by: &OperatorCaller, id: &PushId) -> Result<QuarantinedText, Error> {
        let (push, text) = self.kept(id).await?;
        let tx = self.messages.db.begin().await?;
        tx.audit().append(&self.entry(by, Action::QuarantineRead, id)).await?;
        tx.commit().await?;
        let kept = self.told(push, &mut HashMap::new()).await?;
        Ok(QuarantinedText { kept, text })
    }

    /// Lets a push go the usual way, as if it came now; nobody replies to it any more.
    ///
    /// # Errors
    /// [`Error::QuarantineNotFound`]; [`Error::StillQuarantined`] when what kept it there still does;
    /// [`Error::Storage`].
    pub async fn release(&self, by: &OperatorCaller, id: &PushId) -> Result<(), Error> {
        let (push, text) = self.kept(id).await?;
        let still = |why| Error::StillQuarantined { id: id.clone(), why };
        let db = &self.messages.db;
        match &push.what {
            QuarantinedPush::ToComponent(_) => {
                ComponentPush::parse(text.expose())
                    .map_err(|_| still(why(QuarantineReason::Unreadable)))?;
                let tx = db.begin().await?;
                if !tx.quarantine().release_push(id).await? {
                    return Err(Error::QuarantineNotFound { id: id.clone() });
                }
                tx.audit().append(&self.entry(by, Action::QuarantineReleased, id)).await?;
                tx.commit().await?;
                self.recorded.notify_one();
            }
            QuarantinedPush::ToAccount { recipient, appid } => {
                let account = self.account(recipient, appid).await?;
                let account =
                    account.ok_or_else(|| still(why(QuarantineReason::UnknownAuthorizer)))?;
                let kept = self.messages.record_kept(&account, &push, &text).await?;
                kept.map_err(|reason| still(why(reason)))?;
                let tx = db.begin().await?;
                tx.quarantine().delete_message(id).await?;
                tx.audit().append(&self.entry(by, Action::QuarantineReleased, id)).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Lets the messages go on that waited for this account to be known; returns how many.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Authorizer`] when the database failed; what was not let out stays.
    pub async fn release_for(&self, component: &Component, appid: &Appid) -> Result<u64, Error> {
        self.messages.release_for(&component.id, appid).await
    }

    /// Lets the messages go on whose accounts are known by now, however that came about.
    ///
    /// # Errors
    /// As [`Quarantine::release_for`].
    pub(crate) async fn release_known(&self) -> Result<(), Error> {
        let known = self.messages.db.quarantine().list_known(ACCOUNTS_AT_ONCE).await?;
        for (component, appid) in known {
            self.messages.release_for(&component, &appid).await?;
        }
        Ok(())
    }

    async fn kept(&self, id: &PushId) -> Result<(Quarantined, Secret<Vec<u8>>), Error> {
        match self.messages.db.quarantine().get(id).await {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => Err(Error::QuarantineNotFound { id: id.clone() }),
            Err(lingpai_storage::Error::Unopenable { .. }) => {
                let why = why(QuarantineReason::Unopenable);
                Err(Error::StillQuarantined { id: id.clone(), why })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `appids` are those of the components that have come up already.
    async fn told(
        &self,
        push: Quarantined,
        appids: &mut HashMap<ComponentId, Appid>,
    ) -> Result<KeptPush, Error> {
        let component = match &push.what {
            QuarantinedPush::ToComponent(id)
            | QuarantinedPush::ToAccount { recipient: QuarantinedFor::Component(id), .. } => id,
            QuarantinedPush::ToAccount { recipient: QuarantinedFor::Account(_), .. } => {
                return Ok(KeptPush { push, component_appid: None });
            }
        };
        let appid = match appids.get(component) {
            Some(appid) => appid.clone(),
            None => {
                let appid = self.messages.db.components().get(component).await?.appid;
                appids.insert(component.clone(), appid.clone());
                appid
            }
        };
        Ok(KeptPush { push, component_appid: Some(appid) })
    }

    async fn account(
        &self,
        recipient: &QuarantinedFor,
        appid: &Appid,
    ) -> Result<Option<Arc<Authorizer>>, Error> {
        let db = &self.messages.db;
        Ok(match recipient {
            QuarantinedFor::Component(id) => db.cached_account(id, appid).await?,
            QuarantinedFor::Account(id) => db.cached_authorizer_by_id(id).await?,
        })
    }

    fn entry(&self, by: &OperatorCaller, action: Action, id: &PushId) -> AuditEntry {
        let at = (self.messages.clock.now(), &self.messages.entropy);
        AuditEntry::of(&by.act(), action, id.as_str(), at)
    }
}

impl MessagePushes {
    /// Lets the messages out of quarantine that waited for this account to be known; returns how many.
    /// Of those that stay it is noted why, and they wait no longer.
    ///
    /// Each is recorded before it leaves: if we die in between it is recorded once all the same.
    pub(crate) async fn release_for(
        &self,
        component: &ComponentId,
        appid: &Appid,
    ) -> Result<u64, Error> {
        let Some(account) = self.db.cached_account(component, appid).await? else { return Ok(0) };
        let mut released = 0;
        loop {
            let quarantine = self.db.quarantine();
            let waiting = quarantine.list_waiting(component, appid, RELEASED_AT_ONCE).await?;
            if waiting.is_empty() {
                break;
            }
            let mut outcomes = Vec::with_capacity(waiting.len());
            for (push, text) in waiting {
                let kept = match text {
                    Some(text) => self.record_kept(&account, &push, &text).await?,
                    None => Err(QuarantineReason::Unopenable),
                };
                outcomes.push((push.id, kept));
            }
            let tx = self.db.begin().await?;
            for (id, kept) in outcomes {
                match kept {
                    Ok(()) => released += u64::from(tx.quarantine().delete_message(&id).await?),
                    Err(reason) => tx.quarantine().note_reason(&id, reason).await?,
                }
            }
            tx.commit().await?;
        }
        if released > 0 {
            tracing::info!(
                authorizer.appid = %appid,
                "{released} messages that waited for {appid} were let out of quarantine"
            );
        }
        Ok(released)
    }

    /// Records a message that was kept, or says what still speaks against it.
    async fn record_kept(
        &self,
        account: &Authorizer,
        push: &Quarantined,
        text: &Secret<Vec<u8>>,
    ) -> Result<Kept, Error> {
        let plaintext = text.expose().clone();
        let Ok(message) = MessagePush::parse(&plaintext) else {
            return Ok(Err(QuarantineReason::Unreadable));
        };
        if !is_addressed_to(account, &message) {
            return Ok(Err(QuarantineReason::Misaddressed));
        }
        match self.record(account.into(), &message, plaintext, push.received_at).await {
            Ok(_) => Ok(Ok(())),
            Err(Refusal::Unrecorded(error)) => Err(error.into()),
            Err(Refusal::Unerased(error)) => Err(error.into()),
            Err(Refusal::Unverified) => Ok(Err(QuarantineReason::Misaddressed)),
        }
    }
}

/// What keeps a message in quarantine, in words.
fn why(reason: QuarantineReason) -> &'static str {
    match reason {
        QuarantineReason::Unreadable => "it still cannot be read",
        QuarantineReason::UnknownAuthorizer => "nobody here knows its account",
        QuarantineReason::Misaddressed => "it is addressed to another account",
        QuarantineReason::Unopenable => "the master key that sealed it is not in the ring",
    }
}
