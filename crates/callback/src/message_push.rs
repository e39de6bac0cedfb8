//! The way that messages and events of all accounts go, once it is clear whose they are: who replies,
//! to which endpoints it goes, one commit, and only then the answer.

use std::{iter, sync::Arc};

use lingpai_authorizer::{MiniPrograms, WebTokens};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{Authorizer, ProfileKind},
    auto_reply::{Heard, Reply},
    clock::{Entropy, SharedClock},
    delivery::{FirstAttempt, NewDelivery},
    digest::Digest,
    endpoint::{Endpoint, EndpointKind, EndpointState, LateReplies, Role},
    event::{Event, EventContent, EventType},
    id::{AuthorizerId, DeliveryId, EventId, PushId, TenantId},
    listener::Listener,
    push::{NewMessage, Recorded},
    quarantine::{NewQuarantined, QuarantineReason, QuarantinedFor},
};
use lingpai_storage::Db;
use lingpai_webhook::{
    ASKED_FOR, Asker, LISTENER_LIFE, LISTENER_MAY_TAKE, ListenerSeat, Listeners, Seat, WebhookBase,
};
use lingpai_wechat::push::message::{self, MessagePush, MessageType};
use tokio::{sync::Notify, time::Instant as Stopwatch};

use crate::{
    Refusal,
    recipient::{Format, Sealer, inner_time},
    reply::{Asked, Content, Ends, Listening, Taken, Way},
};

/// What all accounts' messages and events have in common.
#[derive(Debug, Clone)]
pub struct MessagePushes {
    pub(crate) db: Db,
    web_tokens: WebTokens,
    mini_programs: MiniPrograms,
    asker: Asker,
    listeners: Listeners,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: Entropy,
    /// Wakes the deliverer, which would find what is due by itself a little later.
    due: Arc<Notify>,
}

/// A message that is WeChat's and for this account.
pub(crate) struct Verified<'a> {
    pub(crate) account: &'a Authorizer,
    pub(crate) message: MessagePush,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) sealer: Sealer,
}

/// Who replies to a message.
enum Replier {
    Nobody,
    /// The account itself, by what its tenant set.
    Account(Reply),
    /// A program that follows the tenant's events.
    Listener(TenantId, ListenerSeat),
    /// An endpoint.
    Endpoint(Box<Asking>),
}

/// An endpoint that is asked as soon as the message is recorded.
struct Asking {
    endpoint: Endpoint,
    seat: Seat,
    event: Event,
    delivery: DeliveryId,
}

/// What a repetition of a message by WeChat means.
#[derive(Clone, Copy)]
enum Again {
    /// It did not hear us: who was asked once is not asked twice.
    Unheard,
    /// It may have heard that somebody could not do it yet, and asks again.
    Asked,
}

impl Again {
    fn of(message: &MessagePush) -> Self {
        if message.expects_acknowledgement() { Self::Asked } else { Self::Unheard }
    }
}

/// Whose message it is, as far as that is known.
pub(crate) struct Owner {
    pub(crate) authorizer_id: AuthorizerId,
    pub(crate) tenant_id: Option<TenantId>,
    pub(crate) component_appid: Option<Appid>,
    pub(crate) appid: Appid,
}

impl From<&Authorizer> for Owner {
    fn from(account: &Authorizer) -> Self {
        Self {
            authorizer_id: account.id.clone(),
            tenant_id: account.tenant_id.clone(),
            component_appid: account.connection.component_appid().cloned(),
            appid: account.appid.clone(),
        }
    }
}

impl MessagePushes {
    /// A service on the database of `webhooks`, whose deliverer it wakes. When a fan withdraws his
    /// consent, `web_tokens` forgets what he granted, and `mini_programs` his login; `asker` asks
    /// endpoints for replies, `listeners` programs that follow a tenant's events.
    #[must_use]
    pub fn new(
        webhooks: WebhookBase,
        web_tokens: WebTokens,
        mini_programs: MiniPrograms,
        asker: Asker,
        listeners: Listeners,
    ) -> Self {
        let WebhookBase { db, clock, entropy, due, .. } = webhooks;
        Self { db, web_tokens, mini_programs, asker, listeners, clock, entropy, due }
    }

    /// Records a message with everything that it causes, and says how it is answered.
    pub(crate) async fn take(&self, verified: Verified<'_>) -> Result<Taken, Refusal> {
        let Verified { account, message, plaintext, sealer } = verified;
        let (began, received_at) = (Stopwatch::now(), self.clock.now());
        self.forget_withdrawn(&account.id, &message, received_at).await?;
        let dedupe = dedupe(Some(&message), &plaintext);
        let again = Again::of(&message);
        let event = self.event(&account.into(), &message, plaintext, received_at);
        let endpoints = self.endpoints(account.tenant_id.as_ref()).await?;
        let replier = self.replier(account, &message, &event, &endpoints).await;
        let way = self.way(account, &message, sealer, (&event, &replier));
        let deliveries = self.deliveries(&endpoints, &event, Some(&replier));
        let new = NewMessage { event, authorizer_id: account.id.clone(), dedupe, deliveries };
        let recorded = self.commit(new).await?;
        Ok(self.answer(replier, (recorded, again), (way, began)))
    }

    /// How a message is answered that is committed: from here on every way leads to an answer. One
    /// that WeChat repeats is answered again where that costs nobody anything; and its endpoint is asked
    /// again where WeChat repeats it because of what that said. Then there is no delivery to note it in.
    fn answer(
        &self,
        replier: Replier,
        recorded: (Recorded, Again),
        (way, began): (Way, Stopwatch),
    ) -> Taken {
        match (replier, recorded) {
            (Replier::Account(reply), _) if way.content == Content::Replied => way.reply(&reply),
            (Replier::Account(reply), (Recorded::New, _)) => Taken::Asked(Asked::known(reply, way)),
            (Replier::Listener(tenant_id, seat), (Recorded::New, _)) => {
                let listening = Listening {
                    listeners: self.listeners.clone(),
                    seat,
                    tenant_id,
                    event_id: way.event_id.clone(),
                    until: began + LISTENER_MAY_TAKE,
                };
                Taken::Asked(Asked::listener(listening, way))
            }
            (
                Replier::Endpoint(asking),
                (Recorded::New, _) | (Recorded::Repeated, Again::Asked),
            ) => {
                let Asking { endpoint, seat, event, delivery } = *asking;
                let pending = seat.ask(Arc::new(endpoint), event, delivery);
                Taken::Asked(Asked::endpoint(pending, way))
            }
            (Replier::Nobody, _)
            | (
                Replier::Account(_) | Replier::Listener(..) | Replier::Endpoint(_),
                (Recorded::Repeated, _),
            ) => Taken::Success,
        }
    }

    fn way(
        &self,
        account: &Authorizer,
        message: &MessagePush,
        sealer: Sealer,
        (event, replier): (&Event, &Replier),
    ) -> Way {
        Way {
            db: self.db.clone(),
            clock: SharedClock::clone(&self.clock),
            entropy: self.entropy.clone(),
            ends: Ends::from(message),
            event_id: event.id.clone(),
            authorizer_appid: account.appid.clone(),
            content: content(account, &sealer, replier),
            sealer,
        }
    }

    /// Records a message to which nobody replies any more: it was kept since `came_at`, or somebody
    /// else answers it.
    pub(crate) async fn record(
        &self,
        owner: Owner,
        message: &MessagePush,
        plaintext: Vec<u8>,
        came_at: Instant,
    ) -> Result<Recorded, Refusal> {
        self.forget_withdrawn(&owner.authorizer_id, message, came_at).await?;
        let dedupe = dedupe(Some(message), &plaintext);
        let event = self.event(&owner, message, plaintext, came_at);
        let endpoints = self.endpoints(owner.tenant_id.as_ref()).await?;
        let deliveries = self.deliveries(&endpoints, &event, None);
        let new = NewMessage { event, authorizer_id: owner.authorizer_id, dedupe, deliveries };
        self.commit(new).await
    }

    async fn commit(&self, new: NewMessage) -> Result<Recorded, Refusal> {
        let is_wanted = !new.deliveries.is_empty();
        let recorded = self.db.record_message(new).await.map_err(Refusal::Unrecorded)?;
        if is_wanted {
            self.due.notify_one();
        }
        Ok(recorded)
    }

    /// Keeps a message raw that cannot go the usual way yet.
    pub(crate) async fn quarantine(
        &self,
        (recipient, appid): (QuarantinedFor, &Appid),
        reason: QuarantineReason,
        message: Option<&MessagePush>,
        plaintext: Vec<u8>,
    ) -> Result<Taken, Refusal> {
        let received_at = self.clock.now();
        let new = NewQuarantined {
            id: PushId::new(received_at, &self.entropy),
            recipient,
            appid: appid.clone(),
            reason,
            dedupe: dedupe(message, &plaintext),
            payload: Secret::new(plaintext),
            received_at,
        };
        self.db.quarantine_message(new).await.map_err(Refusal::Unrecorded)?;
        Ok(Taken::Success)
    }

    /// Before the push is recorded: if we die in between WeChat repeats it, and erasing twice does no
    /// harm. The other way round a recorded withdrawal could remain without its effect.
    async fn forget_withdrawn(
        &self,
        authorizer: &AuthorizerId,
        message: &MessagePush,
        received_at: Instant,
    ) -> Result<(), Refusal> {
        let Some(openid) = message.revoked_openid() else { return Ok(()) };
        let withdrawn_at = inner_time(message.create_time, received_at);
        // In a box as all that is seldom: every push would carry and copy the room for it.
        let erased = Box::pin(async {
            self.web_tokens.erase(authorizer, openid, withdrawn_at).await?;
            self.mini_programs.erase_withdrawn(authorizer, openid, withdrawn_at).await
        });
        erased.await.map_err(Refusal::Unerased)
    }

    fn event(
        &self,
        owner: &Owner,
        message: &MessagePush,
        plaintext: Vec<u8>,
        came_at: Instant,
    ) -> Event {
        // Also where it was kept until now: whoever follows the stream finds it at its end, whoever
        // searches by time under its id.
        let received_at = self.clock.now();
        Event {
            id: EventId::new(received_at, &self.entropy),
            tenant_id: owner.tenant_id.clone(),
            component_appid: owner.component_appid.clone(),
            authorizer_appid: Some(owner.appid.clone()),
            event_type: event_type(message),
            openid: message.openid().map(str::to_owned),
            occurred_at: inner_time(message.create_time, came_at),
            received_at,
            content: EventContent::Pushed(Secret::new(plaintext)),
        }
    }

    async fn endpoints(&self, tenant: Option<&TenantId>) -> Result<Arc<Vec<Endpoint>>, Refusal> {
        match tenant {
            Some(tenant) => self.db.cached_endpoints(tenant).await.map_err(Refusal::Unrecorded),
            None => Ok(Arc::default()),
        }
    }

    /// One delivery for each endpoint that wants the event. The first attempt at the one that is asked
    /// for a reply is made by ourselves.
    fn deliveries(
        &self,
        endpoints: &[Endpoint],
        event: &Event,
        replier: Option<&Replier>,
    ) -> Vec<NewDelivery> {
        let wanting = endpoints.iter().filter(|endpoint| endpoint.wants(event));
        wanting
            .map(|endpoint| {
                let (id, first_attempt) = match replier {
                    Some(Replier::Endpoint(asking)) if asking.endpoint.id == endpoint.id => {
                        (asking.delivery.clone(), FirstAttempt::Recorder(ASKED_FOR))
                    }
                    Some(Replier::Nobody) if would_reply(endpoint, event) => {
                        (self.new_delivery(), FirstAttempt::ReplyingWorker)
                    }
                    Some(_) | None => (self.new_delivery(), FirstAttempt::Worker),
                };
                NewDelivery { id, endpoint_id: endpoint.id.clone(), first_attempt }
            })
            .collect()
    }

    fn new_delivery(&self) -> DeliveryId {
        DeliveryId::new(self.clock.now(), &self.entropy)
    }

    /// Who replies. What keeps us from finding out keeps nobody from getting the message: then nobody
    /// replies.
    async fn replier(
        &self,
        account: &Authorizer,
        message: &MessagePush,
        event: &Event,
        endpoints: &[Endpoint],
    ) -> Replier {
        let Some(tenant) = &account.tenant_id else { return Replier::Nobody };
        match self.db.cached_auto_replies(&account.id).await {
            Ok(replies) => {
                if let Some(reply) = replies.to(heard(message)) {
                    return Replier::Account(reply.clone());
                }
            }
            Err(error) => warn_of_reply(account, &error),
        }
        if message.awaits_reply()
            && let Some(seat) = self.listening(account, tenant, event).await
        {
            return Replier::Listener(tenant.clone(), seat);
        }
        let replying = endpoints.iter().find(|one| self.replies(one, event, &account.appid));
        let asking = replying.and_then(|endpoint| {
            let seat = self.asker.seat(endpoint)?;
            let (endpoint, event) = (endpoint.clone(), event.clone());
            Some(Asking { endpoint, seat, event, delivery: self.new_delivery() })
        });
        asking.map_or(Replier::Nobody, |asking| Replier::Endpoint(Box::new(asking)))
    }

    /// A seat to wait for a listener that is there; none free is as if there were none.
    async fn listening(
        &self,
        account: &Authorizer,
        tenant: &TenantId,
        event: &Event,
    ) -> Option<ListenerSeat> {
        match self.db.cached_listeners(tenant).await {
            Ok(listeners) if listeners.iter().any(|one| self.follows(one, event)) => {
                self.listeners.seat(tenant)
            }
            Ok(_) => None,
            Err(error) => {
                warn_of_reply(account, &error);
                None
            }
        }
    }

    fn follows(&self, listener: &Listener, event: &Event) -> bool {
        listener.seen_at + LISTENER_LIFE > self.clock.now()
            && listener.filter.matches(&event.event_type, event.authorizer_appid.as_ref())
    }

    fn replies(&self, endpoint: &Endpoint, event: &Event, appid: &Appid) -> bool {
        matches!(endpoint.state, EndpointState::Active)
            && !endpoint.health.is_blocked(self.clock.now())
            && endpoint.replies_for(appid)
            && endpoint.wants(event)
    }
}

/// Whether the endpoint would have been asked for a reply, had that been possible: there was no seat,
/// or it fails too often. Its reply is a late one then.
fn would_reply(endpoint: &Endpoint, event: &Event) -> bool {
    let account = event.authorizer_appid.as_ref();
    matches!(endpoint.state, EndpointState::Active)
        && account.is_some_and(|account| endpoint.replies_for(account))
}

/// Whether the message is addressed to this account, as far as its original id is known: the path that
/// it came by is not signed.
pub(crate) fn is_addressed_to(account: &Authorizer, message: &MessagePush) -> bool {
    let known = account.profile.user_name.as_deref().filter(|name| !name.is_empty());
    known.is_none_or(|name| name == message.to_user_name)
}

/// A mini program cannot be answered with content, only by handing the fan over. Only a mini program
/// or a store can have chosen JSON.
///
/// Source: WeChat docs, "Receive messages and events" (接收消息和事件) of mini programs: messages are
/// answered through the customer-service API.
fn content(account: &Authorizer, sealer: &Sealer, replier: &Replier) -> Content {
    let is_mini_program = account.profile.kind == Some(ProfileKind::MiniProgram);
    if !is_mini_program && sealer.format == Format::Xml {
        return Content::Replied;
    }
    match replier {
        Replier::Endpoint(asking) if !sends_late(&asking.endpoint) => Content::Dropped,
        Replier::Nobody | Replier::Account(_) | Replier::Listener(..) | Replier::Endpoint(_) => {
            Content::Sent
        }
    }
}

fn sends_late(endpoint: &Endpoint) -> bool {
    match &endpoint.kind {
        EndpointKind::Wechat(handler) => {
            matches!(handler.role, Role::Replying { late: LateReplies::CustomerService })
        }
        EndpointKind::Webhook(_) => false,
    }
}

fn event_type(message: &MessagePush) -> EventType {
    match message.message_type() {
        MessageType::Message(msg_type) => EventType::of_message(msg_type),
        MessageType::Event(event) => EventType::of_event(event),
    }
}

fn heard(message: &MessagePush) -> Heard<'_> {
    match message.heard() {
        message::Heard::Text(text) => Heard::Text(text),
        message::Heard::OtherMessage => Heard::OtherMessage,
        message::Heard::Subscribe => Heard::Subscribe,
        message::Heard::MenuClick(key) => Heard::MenuClick(key),
        message::Heard::OtherEvent => Heard::OtherEvent,
    }
}

/// Recognises WeChat's repetition of a message: by its head where that says enough, by its whole
/// text otherwise, so that no two events are taken for one.
fn dedupe(message: Option<&MessagePush>, plaintext: &[u8]) -> Digest {
    let Some(parts) = message.and_then(MessagePush::dedupe_parts) else {
        return Digest::of(&[b"message text", plaintext]);
    };
    let parts = parts.iter().map(|part| part.as_bytes());
    Digest::of(&iter::once(&b"message"[..]).chain(parts).collect::<Vec<_>>())
}

fn warn_of_reply(account: &Authorizer, error: &lingpai_storage::Error) {
    tracing::warn!(
        authorizer.appid = %account.appid,
        %error,
        "who replies to a message for {} could not be read",
        account.appid
    );
}
