//! The way of a push to a component's event URL, up to the point where `success` may be said.

use std::sync::Arc;

use lingpai_component_token::Tickets;
use lingpai_model::{
    Appid, Secret,
    clock::{Entropy, SharedClock},
    component::Component,
    digest::Digest,
    id::PushId,
    push::{Disposition, NewPush},
};
use lingpai_storage::{Arrival, Db};
use lingpai_wechat::push::component::{ComponentPush, InfoType};
use tokio::sync::Notify;

use crate::{
    Refusal,
    recipient::{Recipient, inner_time},
};

/// Takes pushes to the event URLs of components.
#[derive(Debug, Clone)]
pub struct ComponentPushes {
    db: Db,
    tickets: Tickets,
    clock: SharedClock,
    entropy: Entropy,
    /// Wakes the processor, which would find the push by itself a little later.
    recorded: Arc<Notify>,
}

impl ComponentPushes {
    /// A service on `db`; `recorded` is notified when there is work for the [`crate::Processor`].
    #[must_use]
    pub fn new(
        db: Db,
        tickets: Tickets,
        (clock, entropy): (SharedClock, Entropy),
        recorded: Arc<Notify>,
    ) -> Self {
        Self { db, tickets, clock, entropy, recorded }
    }

    /// Verifies, decrypts and records a push. Only when this returns may `success` be said: what
    /// the push means is durable then, and acted on later.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] for whatever does not come from WeChat for this component, alike;
    /// [`Refusal::Unrecorded`] when the commit failed or its outcome is unknown.
    pub async fn accept(
        &self,
        component_appid: &str,
        raw_query: &str,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let component = self.component(component_appid).await?;
        let recipient = Recipient::component(&component, self.clock.now());
        let plaintext = recipient.open(raw_query, body)?.plaintext;
        match ComponentPush::parse(&plaintext) {
            Ok(push) if push.component_appid != component.appid.as_str() => {
                Err(recipient.unverified("appid"))
            }
            Ok(push) => self.record(&component, push, plaintext).await,
            Err(error) => {
                recipient.note_quarantine(error);
                self.keep(&component, None, plaintext).await
            }
        }
    }

    /// Answers the check that WeChat makes when a URL is saved: the text to send back.
    ///
    /// # Errors
    /// [`Refusal::Unverified`] when the signature is not WeChat's.
    pub async fn check_url(
        &self,
        component_appid: &str,
        raw_query: &str,
    ) -> Result<String, Refusal> {
        let component = self.component(component_appid).await?;
        Recipient::component(&component, self.clock.now()).check_url(raw_query)
    }

    async fn component(&self, appid: &str) -> Result<Arc<Component>, Refusal> {
        let appid = Appid::parse(appid).map_err(|_| Refusal::Unverified)?;
        let found = self.db.cached_component(&appid).await.map_err(Refusal::Unrecorded)?;
        found.ok_or(Refusal::Unverified)
    }

    async fn record(
        &self,
        component: &Component,
        push: ComponentPush,
        plaintext: Vec<u8>,
    ) -> Result<(), Refusal> {
        if let InfoType::VerifyTicket { ticket } = push.info {
            let issued_at = inner_time(push.create_time, self.clock.now());
            let accepted = self.tickets.accept(component, ticket, issued_at).await;
            return accepted.map_err(Refusal::Unrecorded);
        }
        self.keep(component, Some(push), plaintext).await
    }

    /// Stores the whole push; what can be acted on is handed to the processor.
    async fn keep(
        &self,
        component: &Component,
        push: Option<ComponentPush>,
        plaintext: Vec<u8>,
    ) -> Result<(), Refusal> {
        let received_at = self.clock.now();
        let disposition = match push.as_ref().map(|push| &push.info) {
            None => Disposition::Quarantine,
            Some(info) if acts_on(info) => Disposition::Process,
            Some(_) => Disposition::Keep,
        };
        let dedupe = Digest::of(&[b"push", &plaintext]);
        let info_type = push.as_ref().map(|push| push.info.name().to_owned()).unwrap_or_default();
        let new = NewPush {
            id: PushId::new(received_at, &self.entropy),
            component_id: component.id.clone(),
            dedupe,
            info_type,
            authorizer_appid: push.as_ref().and_then(|push| push.info.authorizer_appid().cloned()),
            payload: Secret::new(plaintext),
            disposition,
            issued_at: inner_time(push.as_ref().and_then(|push| push.create_time), received_at),
            received_at,
        };
        self.db.record_arrival(Arrival::Push(new)).await.map_err(Refusal::Unrecorded)?;
        if disposition == Disposition::Process {
            self.recorded.notify_one();
        }
        Ok(())
    }
}

/// Whether the processor does something about it.
pub(crate) fn acts_on(info: &InfoType) -> bool {
    matches!(
        info,
        InfoType::Authorized(_) | InfoType::UpdateAuthorized(_) | InfoType::Unauthorized { .. }
    )
}
