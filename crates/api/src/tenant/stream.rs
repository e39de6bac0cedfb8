//! The live tail: a tenant's events as they come, as server-sent events.
//!
//! A plain handler behind the tenants' door, beside the API as the proxy is: an answer that never ends
//! can neither be kept for an idempotency key nor be tagged. Its operation is written into the document
//! by hand. Streams have a pool of their own, so that those who follow take no seat of those who call.

mod beat;
mod document;
mod seats;
mod wish;

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use lingpai_model::{api_key::Scope, event::Event};
use lingpai_tenant::ApiKeys;
use lingpai_webhook::{Listeners, Tail, form};
use poem::{
    Body, Endpoint, Request, Response,
    http::{HeaderName, header::CONTENT_TYPE},
    web::sse,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::document::StreamOperations;
use self::{
    beat::{Attendance, Beat},
    seats::{Seat, Seats},
    wish::Wish,
};
use crate::{
    auth::{EventRead, TenantAuth},
    door::shown_key,
    problem::Problem,
    routes::Services,
};

/// Keeps proxies from collecting what is to flow.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What nobody reads: it shows that both ends are there.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// How long a stream lasts that was asked for without an end: so long that nobody minds beginning
/// anew, which costs nothing.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `GET /v1/events/stream`.
pub(crate) struct EventStream {
    tail: Tail,
    listeners: Listeners,
    api_keys: ApiKeys,
    seats: Seats,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What flows through one stream until something ends it.
struct Flow {
    events: BoxStream<'static, Event>,
    beat: Beat,
    stopping: CancellationToken,
    until: Instant,
    _seat: Seat,
}

impl EventStream {
    pub(crate) fn new(services: &Services) -> Self {
        Self {
            tail: services.tail.clone(),
            listeners: services.listeners.clone(),
            api_keys: services.api_keys.clone(),
            seats: Seats::new(),
            tasks: services.tasks.clone(),
            stopping: services.stopping.clone(),
        }
    }

    async fn open(&self, request: &Request) -> Result<Flow, Problem> {
        let auth = TenantAuth::<EventRead>::of(request)?;
        let wish = Wish::of(request)?;
        let caller = auth.caller();
        if wish.is_replying && !caller.may(Scope::EndpointWrite) {
            return Err(Problem::scope_missing(Scope::EndpointWrite));
        }
        let seat = self.seats.take(auth.scope().tenant_id())?;
        let key = shown_key(request).ok_or_else(Problem::unauthenticated)?;
        let mut beat = Beat::new(self.api_keys.clone(), (key, &caller.via));
        if wish.is_replying {
            let listener = self.listeners.arrive(caller, wish.filter.clone()).await?;
            let there = (self.listeners.clone(), self.tasks.clone());
            beat.attend(Attendance::new(there, auth.scope().clone(), listener));
        }
        let events = self.tail.follow(auth.scope().clone(), wish.filter, wish.after).boxed();
        let until = Instant::now() + wish.lasting.unwrap_or(LONGEST);
        Ok(Flow { events, beat, stopping: self.stopping.clone(), until, _seat: seat })
    }
}

impl Endpoint for EventStream {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let flow = self.open(&request).await?;
        Ok(Response::builder()
            .header(CONTENT_TYPE, "text/event-stream")
            .header(UNBUFFERED, "no")
            .body(Body::from_bytes_stream(flow.into_bytes())))
    }
}

impl Flow {
    fn into_bytes(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        futures_util::stream::unfold(self, |mut flow| async move {
            let bytes = flow.next().await?;
            Some((Ok(bytes), flow))
        })
    }

    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                () = sleep_until(self.until) => return None,
                // Not in the race itself: events that keep coming must not put it off.
                () = self.beat.due() => return self.beat.strike().await.then_some(COMMENT),
                event = self.events.next() => match framed(&event?) {
                    Some(frame) => return Some(frame),
                    None => continue,
                },
            }
        }
    }
}

/// An event as it is written into a stream: with the id to go on behind it, its type, and the body that
/// its webhook has.
fn framed(event: &Event) -> Option<Bytes> {
    let told = form::webhook(event).map_err(|error| error.to_string());
    let told = told.and_then(|body| String::from_utf8(body).map_err(|error| error.to_string()));
    match told {
        Ok(body) => {
            let frame = sse::Event::message(body).id(event.id.as_str());
            Some(frame.event_type(event.event_type.as_str()).to_string().into())
        }
        Err(error) => {
            tracing::warn!(event.id = %event.id, error, "event {} goes into no stream", event.id);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        Appid, Secret,
        event::{EventContent, EventType},
        id::EventId,
    };

    use super::*;
    use crate::example;

    fn event(payload: &[u8]) -> Event {
        Event {
            id: EventId::parse(example::EVENT_ID).unwrap(),
            tenant_id: None,
            component_appid: None,
            authorizer_appid: Some(Appid::parse(example::AUTHORIZER_APPID).unwrap()),
            event_type: EventType::of_message("text"),
            openid: None,
            occurred_at: example::instant(),
            received_at: example::instant(),
            content: EventContent::Pushed(Secret::new(payload.to_vec())),
        }
    }

    #[test]
    fn an_event_is_one_frame_with_its_id_its_type_and_the_body_of_its_webhook() {
        let lines = "<xml><ToUserName>g</ToUserName><MsgType>text</MsgType>\n<Content>a\r\nb</Content></xml>";
        let event = event(lines.as_bytes());
        let frame = framed(&event).unwrap();
        let text = std::str::from_utf8(&frame).unwrap();
        let body = String::from_utf8(form::webhook(&event).unwrap()).unwrap();
        let id = example::EVENT_ID;
        assert_eq!(text, format!("id: {id}\nevent: message.text\ndata: {body}\n\n"));
        assert!(!body.contains('\n'), "line ends inside would end the data: {body}");
    }

    #[test]
    fn what_cannot_be_read_ends_no_stream() {
        assert_eq!(framed(&event(b"<xml")), None);
    }
}
