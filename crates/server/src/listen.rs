//! `lingpai listen`: brings a tenant's events to a handler on a developer's machine, and carries its
//! passive replies back.

use std::{io::Write as _, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use lingpai_model::{
    Appid, Instant, Secret,
    clock::{Entropy, SharedClock},
    endpoint::{LateReplies, Role, WechatHandler},
    event::{Event, EventContent, EventFilter, EventType},
    id::EventId,
};
use lingpai_webhook::{
    Answered, Outgoing, Sender, SenderPolicy, form,
    remote::{HandedIn, Part, Remote, Told},
    sender::Destination,
};
use serde_json::Value;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::settings::Listen;

/// How many messages the handler is given at the same time.
const AT_ONCE: usize = 8;

/// How long is waited before the stream is opened again, by how often that has failed in a row.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// The token that a handler is spoken to with if no other is set: the default of `listen.token`.
const DEFAULT_TOKEN: &str = "lingpai";

/// What is listened to.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Where messages go; they are only shown if there is no such place.
    pub forward: Option<String>,
    /// Which events.
    pub filter: EventFilter,
}

/// Listens until `stop`.
///
/// # Errors
/// The key is missing or refused, or the handler's address cannot be one.
pub(crate) async fn listen(
    settings: &Listen,
    wish: Wish,
    (clock, entropy): (SharedClock, Entropy),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let key = settings.key.clone().context(
        "whose events? set LINGPAI_LISTEN__KEY to a tenant's API key with the scopes event:read and \
         endpoint:write",
    )?;
    let remote = Remote::new(settings.server.clone(), key)?;
    let handler = wish.forward.as_deref().map(|url| Handler::at(url, settings)).transpose()?;
    note(&manner(wish.forward.as_deref(), settings));
    let listener = Arc::new(Listener { remote, handler, clock, entropy });
    let tasks = TaskTracker::new();
    let outcome = tokio::select! {
        outcome = follow(&listener, &wish.filter, &tasks) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    tasks.close();
    tasks.wait().await;
    outcome
}

/// How messages are handed on. A token of the developer's own is a secret, so it is not shown.
fn manner(forward: Option<&str>, settings: &Listen) -> String {
    let server = &settings.server;
    if forward.is_none() {
        return format!("events of {server} are shown; with --forward URL they are posted there");
    }
    let token = match settings.token.expose().as_str() {
        DEFAULT_TOKEN => {
            "the token \"lingpai\", which is the default: set LINGPAI_LISTEN__TOKEN to \
                          the handler's own"
                .to_owned()
        }
        _ => "the token in listen.token".to_owned(),
    };
    let mode = settings.mode.as_str();
    format!(
        "messages of {server} are forwarded in the {mode} mode (listen.mode), signed with {token}"
    )
}

/// Follows the stream; opens it again where it ended.
async fn follow(
    listener: &Arc<Listener>,
    filter: &EventFilter,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let (mut last, mut failures) = (None::<String>, 0_usize);
    // Whoever answers WeChat waits for who says that he replies.
    let part = listener.handler.as_ref().map_or(Part::Watching, |_| Part::Replying);
    loop {
        let ended = match listener.remote.follow(filter, part, last.as_deref()).await {
            Ok(mut following) => loop {
                match following.next().await {
                    Ok(Some(told)) => {
                        failures = 0;
                        last = Some(told.id.clone());
                        let seat = Arc::clone(&seats).acquire_owned().await;
                        let listener = Arc::clone(listener);
                        tasks.spawn(async move {
                            listener.hear(&told).await;
                            drop(seat);
                        });
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            },
            Err(error) => Some(error),
        };
        match ended {
            Some(error) if !error.may_pass() => bail!(error),
            Some(error) => note(&format!("{error}; it is opened again")),
            None => note("the stream ended; it is opened again"),
        }
        sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
        failures += 1;
    }
}

struct Listener {
    remote: Remote,
    handler: Option<Handler>,
    clock: SharedClock,
    entropy: Entropy,
}

impl Listener {
    /// Shows an event, gives it to the handler, and carries the reply back.
    async fn hear(&self, told: &Told) {
        let done = match (&self.handler, self.pushed(told)) {
            (Some(handler), Some(event)) => self.forward(handler, told, &event).await,
            (Some(_), None) => {
                let why = "is not of WeChat's form, so it is not forwarded";
                self.reply_nothing(told, why.to_owned()).await
            }
            (None, _) => String::new(),
        };
        let account = told.body["data"]["authorizer_appid"].as_str().unwrap_or("-");
        let kind = told.body["type"].as_str().unwrap_or("-");
        note(&format!("{} {account} {kind} {done}", told.id));
    }

    async fn forward(&self, handler: &Handler, told: &Told, event: &Event) -> String {
        let answered = match handler.ask(event, (self.clock.now(), &self.entropy)).await {
            Ok(answered) => answered,
            Err(why) => return self.reply_nothing(told, format!("→ {why}")).await,
        };
        let (reply, what) = match &answered {
            Answered::Nothing => (None, "no reply"),
            Answered::Reply(xml) => (Some(xml.expose().as_str()), "a reply"),
            Answered::Acknowledgement(text) => (Some(text.as_str()), "an acknowledgement"),
        };
        match self.remote.reply(&told.id, reply).await {
            Ok(HandedIn::Taken) => format!("→ {what}"),
            Ok(HandedIn::Refused { detail }) => format!("→ {what}, which does not count: {detail}"),
            Err(error) => format!("→ {what}, which could not be carried back: {error}"),
        }
    }

    /// Says that there is no reply, so that nobody waits for one: whoever answers WeChat goes on.
    async fn reply_nothing(&self, told: &Told, done: String) -> String {
        // WeChat waits for nothing but what it pushed.
        if told.body["data"].get("raw").is_none() {
            return done;
        }
        match self.remote.reply(&told.id, None).await {
            // If another one was first, nobody waits either.
            Ok(HandedIn::Taken | HandedIn::Refused { .. }) => done,
            Err(error) => format!("{done}; that could not be told either: {error}"),
        }
    }

    /// The event as it was here, if WeChat pushed it.
    fn pushed(&self, told: &Told) -> Option<Event> {
        let data = &told.body["data"];
        let raw = data["raw"].as_str()?;
        let appid = |value: &Value| Appid::parse(value.as_str()?).ok();
        let now = self.clock.now();
        let occurred_at = told.body["timestamp"].as_str().and_then(|text| text.parse().ok());
        Some(Event {
            id: EventId::parse(&told.id).ok()?,
            tenant_id: None,
            component_appid: appid(&data["component_appid"]),
            authorizer_appid: appid(&data["authorizer_appid"]),
            event_type: EventType::parse(told.body["type"].as_str()?).ok()?,
            openid: data["message"]["FromUserName"].as_str().map(str::to_owned),
            occurred_at: occurred_at.unwrap_or(now),
            received_at: now,
            content: EventContent::Pushed(Secret::new(raw.as_bytes().to_vec())),
        })
    }
}

/// The handler of WeChat's pushes on this machine.
struct Handler {
    sender: Sender,
    destination: Destination,
    form: WechatHandler,
}

impl Handler {
    /// The handler at `url`. It is the developer's own: any address will do.
    fn at(url: &str, settings: &Listen) -> anyhow::Result<Self> {
        let sender = Sender::new(SenderPolicy::anywhere())?;
        let destination = sender.judge(url)?;
        // In the plain mode nothing is encrypted, and the key is never asked for.
        let no_key = || Secret::new("A".repeat(43));
        let form = WechatHandler {
            push_token: settings.token.clone(),
            encoding_aes_key: settings.encoding_aes_key.clone().unwrap_or_else(no_key),
            mode: settings.mode,
            role: Role::Replying { late: LateReplies::Drop },
        };
        Ok(Self { sender, destination, form })
    }

    async fn ask(
        &self,
        event: &Event,
        (now, entropy): (Instant, &Entropy),
    ) -> anyhow::Result<Answered> {
        let request = form::wechat(event, &self.form, (now, entropy))?;
        let mut outgoing =
            Outgoing::post(self.destination.with_query(&request.query), request.body);
        outgoing.headers.push((CONTENT_TYPE, HeaderValue::from_static(request.content_type)));
        let answer = self.sender.send(outgoing).await?;
        let appid = event.authorizer_appid.as_ref().context("it is about no account")?;
        Ok(form::read_reply(&self.form, appid, &answer, event)?)
    }
}

/// One line for the developer. A standard output that went away is noticed by the next signal.
fn note(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush()));
}
