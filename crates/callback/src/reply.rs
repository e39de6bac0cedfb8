//! What a push is answered with, and how a reply becomes that answer.
//!
//! Who replies is decided before the push is recorded, because a delivery whose first attempt is made
//! at once is recorded as such; what is replied is asked after the commit.

use lingpai_model::{
    Appid, Secret,
    clock::{Entropy, SharedClock},
    id::{EventId, LateReplyId, TenantId},
    late_reply::NewLateReply,
};
use lingpai_storage::Db;
use lingpai_webhook::{Answered, ListenerSeat, Listeners, PendingReply};
use lingpai_wechat::push::{
    message::{MessagePush, to_json},
    reply::{ParsedReply, Reply},
};
use tokio::time::Instant as Stopwatch;

use crate::{
    Error,
    recipient::{Format, Sealer},
};

/// How many articles may answer a message; an event may be answered by as many as fit into a reply.
///
/// Source: WeChat docs, "Passive user reply message" (被动回复用户消息): one, as the reply to a text,
/// picture, voice message, video or place.
const ARTICLES_TO_A_MESSAGE: usize = 1;

/// What a push that was taken is answered with.
#[derive(Debug)]
pub enum Taken {
    /// The word `success`.
    Success,
    /// Nothing at all, which means the same; one step of the publish test insists on it.
    Empty,
    /// This, which is sealed already: XML, or JSON where the account chose that.
    Reply(String),
    /// Somebody is asked for a reply. The push is recorded: if no answer comes in time, it is
    /// `success`.
    Asked(Asked),
}

/// A reply that somebody is asked for. Dropping it gives it up.
#[derive(Debug)]
pub struct Asked(Box<Waiting>);

#[derive(Debug)]
struct Waiting {
    wait: Wait,
    way: Way,
}

/// For whom is waited.
#[derive(Debug)]
enum Wait {
    /// An endpoint that replies.
    Endpoint(PendingReply),
    /// A program that follows the tenant's events.
    Listener(Listening),
    /// Nobody: the reply is known, and only to be put where the fan finds it.
    Known(Reply),
}

/// What listeners are asked with.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) listeners: Listeners,
    /// Given back when nobody waits any more.
    pub(crate) seat: ListenerSeat,
    pub(crate) tenant_id: TenantId,
    pub(crate) event_id: EventId,
    /// Until when it is worth waiting.
    pub(crate) until: Stopwatch,
}

/// What becomes of a reply with content where WeChat takes none as the answer to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// WeChat takes it.
    Replied,
    /// It is sent as a customer-service message.
    Sent,
    /// It is dropped.
    Dropped,
}

/// The way back from us to the fan who wrote.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) db: Db,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: Entropy,
    pub(crate) sealer: Sealer,
    pub(crate) ends: Ends,
    pub(crate) event_id: EventId,
    pub(crate) authorizer_appid: Appid,
    pub(crate) content: Content,
}

/// Who wrote to whom.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    from_user_name: String,
    to_user_name: String,
    is_event: bool,
}

impl From<&MessagePush> for Ends {
    fn from(message: &MessagePush) -> Self {
        Self {
            from_user_name: message.from_user_name.clone(),
            to_user_name: message.to_user_name.clone(),
            is_event: message.is_event(),
        }
    }
}

impl Asked {
    pub(crate) fn endpoint(pending: PendingReply, way: Way) -> Self {
        Self(Box::new(Waiting { wait: Wait::Endpoint(pending), way }))
    }

    pub(crate) fn listener(listening: Listening, way: Way) -> Self {
        Self(Box::new(Waiting { wait: Wait::Listener(listening), way }))
    }

    pub(crate) fn known(reply: Reply, way: Way) -> Self {
        Self(Box::new(Waiting { wait: Wait::Known(reply), way }))
    }

    /// What the push is answered with, as soon as that is known. It may take as long as whoever is
    /// asked takes: the caller lets it run no longer than WeChat waits, and says `success` then.
    pub async fn answer(self) -> Taken {
        let Waiting { wait, way } = *self.0;
        let answered = match wait {
            Wait::Endpoint(pending) => pending.wait().await,
            Wait::Listener(listening) => listening.reply().await,
            Wait::Known(reply) => return way.take(&way.written(&reply)).await,
        };
        match answered {
            None | Some(Answered::Nothing) => Taken::Success,
            Some(Answered::Reply(reply)) => way.take(&reply).await,
            // Assumed: like every other answer but `success` it is encrypted (#5).
            Some(Answered::Acknowledgement(text)) => way.sealed(&text),
        }
    }
}

impl Listening {
    async fn reply(self) -> Option<Answered> {
        let Self { listeners, seat: _seat, tenant_id, event_id, until } = self;
        listeners.await_reply(&tenant_id, &event_id, until).await
    }
}

impl Way {
    /// The answer that carries our own reply.
    pub(crate) fn reply(&self, reply: &Reply) -> Taken {
        self.sealed(self.written(reply).expose())
    }

    /// A reply of our own as a handler would have written it.
    fn written(&self, reply: &Reply) -> Secret<String> {
        let Ends { from_user_name, to_user_name, is_event } = &self.ends;
        let mut reply = reply.clone();
        if let Reply::News { articles } = &mut reply
            && !is_event
        {
            articles.truncate(ARTICLES_TO_A_MESSAGE);
        }
        let now = self.clock.now().timestamp();
        Secret::new(reply.to_xml(from_user_name, to_user_name, now))
    }

    /// The answer that a written reply becomes.
    async fn take(&self, written: &Secret<String>) -> Taken {
        let Some(parsed) = read(written).filter(|parsed| self.is_between_the_same(parsed)) else {
            tracing::warn!(
                event.id = %self.event_id,
                "the reply to {} is not from the account to the fan; it is dropped",
                self.event_id
            );
            return Taken::Success;
        };
        let hands_over = matches!(parsed.reply, Reply::TransferCustomerService { .. });
        match self.content {
            Content::Replied => self.sealed(written.expose()),
            Content::Sent | Content::Dropped if hands_over => self.handed_over(written),
            Content::Sent => {
                if let Err(error) = self.send_later(written.clone()).await {
                    tracing::warn!(event.id = %self.event_id, %error, "a reply is lost");
                }
                Taken::Success
            }
            Content::Dropped => {
                tracing::info!(
                    event.id = %self.event_id,
                    "a mini program takes no reply with content: the one to {} is dropped; set \
                     late_reply to customer_service to have it sent",
                    self.event_id
                );
                Taken::Success
            }
        }
    }

    /// The one reply that a mini program takes. Where pushes come as JSON it goes as JSON.
    ///
    /// Source: WeChat docs, "Forward messages to customer service" (转发客服消息) of mini programs.
    fn handed_over(&self, written: &Secret<String>) -> Taken {
        match self.sealer.format {
            Format::Xml => self.sealed(written.expose()),
            Format::Json => match to_json(written.expose().as_bytes()) {
                Ok(json) => self.sealed(&json.to_string()),
                Err(_) => Taken::Success,
            },
        }
    }

    fn is_between_the_same(&self, reply: &ParsedReply) -> bool {
        reply.to_user_name == self.ends.from_user_name
            && reply.from_user_name == self.ends.to_user_name
    }

    async fn send_later(&self, reply: Secret<String>) -> Result<(), Error> {
        let now = self.clock.now();
        let late = NewLateReply {
            id: LateReplyId::new(now, &self.entropy),
            event_id: self.event_id.clone(),
            authorizer_appid: self.authorizer_appid.clone(),
            reply,
            created_at: now,
        };
        let tx = self.db.begin().await?;
        tx.late_replies().insert(&late).await?;
        Ok(tx.commit().await?)
    }

    fn sealed(&self, text: &str) -> Taken {
        Taken::Reply(self.sealer.seal(text, self.clock.now(), &self.entropy))
    }
}

/// Reads a written reply.
pub(crate) fn read(reply: &Secret<String>) -> Option<ParsedReply> {
    Reply::parse(reply.expose()).ok()
}
