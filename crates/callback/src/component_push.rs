//! The way of a push to a component's event URL, up to the point where `success` may be said.

use std::sync::Arc;

use chrono::{DateTime, Duration};
use lingpai_component_token::Tickets;
use lingpai_model::{
    Appid, Instant, Secret,
    clock::{Entropy, SharedClock},
    component::Component,
    digest::Digest,
    id::PushId,
    push::{Disposition, NewPush},
};
use lingpai_storage::{Arrival, Db};
use lingpai_wechat::{
    crypt::{Crypt, CryptError, EncodingAesKey},
    push::{
        Envelope, PushQuery, UrlCheckQuery,
        component::{ComponentPush, InfoType},
    },
};
use tokio::sync::Notify;

use crate::Refusal;

/// How far WeChat's clock may be ahead of ours.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

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
        let plaintext =
            open(&component, raw_query, body).map_err(|check| unverified(&component, check))?;
        match ComponentPush::parse(&plaintext) {
            Ok(push) if push.component_appid != component.appid.as_str() => {
                Err(unverified(&component, "appid"))
            }
            Ok(push) => self.record(&component, push, plaintext).await,
            Err(error) => {
                tracing::error!(
                    component.appid = %component.appid,
                    error = %error,
                    "an authentic push to component {} cannot be read; it is kept in quarantine",
                    component.appid
                );
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
        let query = UrlCheckQuery::parse(raw_query).map_err(|_| unverified(&component, "query"))?;
        let crypt = crypt_of(&component).map_err(|_| unverified(&component, "key"))?;
        if crypt.verify_url(&query) {
            Ok(query.echostr)
        } else {
            Err(unverified(&component, "signature"))
        }
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

/// The time inside a push, which orders what it says; when it was received if it has none. A time
/// far ahead is cut: nothing may stay the newest for ever.
pub(crate) fn inner_time(create_time: Option<i64>, received_at: Instant) -> Instant {
    let told = create_time.and_then(|secs| DateTime::from_timestamp(secs, 0));
    told.unwrap_or(received_at).min(received_at + CLOCK_TOLERANCE)
}

/// Which check failed helps the operator; the sender is not told.
fn unverified(component: &Component, check: &'static str) -> Refusal {
    tracing::warn!(
        component.appid = %component.appid,
        check,
        "a push to component {} does not verify",
        component.appid
    );
    Refusal::Unverified
}

/// Whether the processor does something about it.
pub(crate) fn acts_on(info: &InfoType) -> bool {
    matches!(
        info,
        InfoType::Authorized(_) | InfoType::UpdateAuthorized(_) | InfoType::Unauthorized { .. }
    )
}

/// Opens the envelope; the error names the check that failed, for the log.
fn open(component: &Component, raw_query: &str, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let query = PushQuery::parse(raw_query).map_err(|_| "query")?;
    let envelope = Envelope::parse(body).map_err(|_| "envelope")?;
    let crypt = crypt_of(component).map_err(|_| "key")?;
    let opened = crypt.open(&query, &envelope.encrypt).map_err(|error| match error {
        CryptError::BadSignature => "signature",
        _ => "ciphertext",
    })?;
    Ok(opened.plaintext)
}

fn crypt_of(component: &Component) -> Result<Crypt, CryptError> {
    let current = EncodingAesKey::parse(component.encoding_aes_key.expose())?;
    let previous = component
        .previous_encoding_aes_key
        .as_ref()
        .map(|key| EncodingAesKey::parse(key.expose()))
        .transpose()?;
    Ok(Crypt::new(component.push_token.clone(), component.appid.clone(), current, previous))
}
