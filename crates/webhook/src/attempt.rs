//! One attempt at a delivery: the event is put into the endpoint's form and sent, and what comes back
//! is judged. Nothing here knows of rows.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CONTENT_TYPE, HeaderName},
};
use lingpai_model::{
    Instant,
    delivery::{Attempt, DeadReason, Next},
    endpoint::{Endpoint, EndpointKind, Role, WebhookSecrets, WechatHandler},
    event::Event,
};
use tokio::time::Instant as Stopwatch;

use crate::{
    WebhookBase,
    form::{self, Answered, Unreadable},
    retry::{Failed, RetrySchedule},
    sender::{Incoming, Outgoing, Refusal, SendError},
    signature::{self, BadSecret, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};

/// An attempt that was made, and its end.
#[derive(Debug)]
pub(crate) struct Made {
    /// As it is kept.
    pub(crate) attempt: Attempt,
    /// What it means.
    pub(crate) end: End,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum End {
    /// The endpoint took the event, and answered this.
    Taken(Answered),
    /// It did not; perhaps it said for how long it wants to be left alone.
    Failed {
        /// For so long.
        retry_after: Option<Duration>,
    },
    /// It said that it will never take one again.
    Gone,
    /// It is given up at once, and that is no fault of the endpoint's.
    Unsendable(DeadReason),
}

impl Made {
    /// How the delivery, which was made at `created_at`, goes on.
    pub(crate) fn next(&self, created_at: Instant, base: &WebhookBase) -> Next {
        match self.end {
            End::Taken(_) => Next::Delivered,
            End::Unsendable(reason) => Next::Dead(reason),
            End::Failed { retry_after } => self.again(created_at, retry_after, base),
            End::Gone => self.again(created_at, None, base),
        }
    }

    fn again(
        &self,
        created_at: Instant,
        retry_after: Option<Duration>,
        base: &WebhookBase,
    ) -> Next {
        let failed =
            Failed { attempt: self.attempt.number, created_at, at: base.clock.now(), retry_after };
        RetrySchedule::default().after(failed, &base.entropy)
    }
}

/// Sends `event` to `endpoint` once, as attempt `number`.
pub(crate) async fn make(
    base: &WebhookBase,
    endpoint: &Endpoint,
    event: &Event,
    number: u32,
) -> Made {
    make_and_show(base, endpoint, event, number).await.0
}

/// As [`make`]; also what the endpoint answered.
pub(crate) async fn make_and_show(
    base: &WebhookBase,
    endpoint: &Endpoint,
    event: &Event,
    number: u32,
) -> (Made, Bytes) {
    let (began_at, stopwatch) = (base.clock.now(), Stopwatch::now());
    let mut answer = Bytes::new();
    let (status, end, failure) = match outgoing(base, endpoint, event, began_at) {
        Ok(outgoing) => match base.sender.send(outgoing).await {
            Ok(incoming) => {
                answer = incoming.body.clone();
                judge(endpoint, event, &incoming)
            }
            Err(error) => judge_failure(&error),
        },
        Err(Unsent::Unreadable(why)) => {
            (None, End::Unsendable(DeadReason::Unreadable), Some(why.to_string()))
        }
        Err(Unsent::Refused(why)) => (None, FAILED, Some(why.to_string())),
        Err(Unsent::Unsigned(why)) => (None, FAILED, Some(why.to_string())),
    };
    let took = stopwatch.elapsed();
    (Made { attempt: Attempt { number, began_at, took, status, failure }, end }, answer)
}

/// The end of an attempt that was not made, because nothing can come of it.
pub(crate) fn unmade(number: u32, (reason, why): (DeadReason, &str), now: Instant) -> Made {
    let failure = Some(why.to_owned());
    let attempt = Attempt { number, began_at: now, took: Duration::ZERO, status: None, failure };
    Made { attempt, end: End::Unsendable(reason) }
}

/// A failure without a wish.
const FAILED: End = End::Failed { retry_after: None };

/// Why nothing was sent.
enum Unsent {
    Unreadable(Unreadable),
    Refused(Refusal),
    Unsigned(BadSecret),
}

fn outgoing(
    base: &WebhookBase,
    endpoint: &Endpoint,
    event: &Event,
    now: Instant,
) -> Result<Outgoing, Unsent> {
    // The operator may have changed what may be reached since the endpoint was made.
    let destination = base.sender.judge(&endpoint.url).map_err(Unsent::Refused)?;
    match &endpoint.kind {
        EndpointKind::Webhook(secrets) => {
            let body = form::webhook(event).map_err(Unsent::Unreadable)?;
            let headers = signed(secrets, event, now, &body).map_err(Unsent::Unsigned)?;
            Ok(Outgoing { headers, ..Outgoing::post(destination, body) })
        }
        EndpointKind::Wechat(handler) => {
            let request =
                form::wechat(event, handler, (now, &base.entropy)).map_err(Unsent::Unreadable)?;
            let destination = destination.with_query(&request.query);
            let content_type = HeaderValue::from_static(request.content_type);
            Ok(Outgoing::post(destination, request.body).with_header(CONTENT_TYPE, content_type))
        }
    }
}

fn signed(
    secrets: &WebhookSecrets,
    event: &Event,
    now: Instant,
    body: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>, BadSecret> {
    let (id, timestamp) = (event.id.as_str(), now.timestamp());
    let signatures = signature::sign(secrets, now, id, timestamp, body)?;
    let value = |text: &str| HeaderValue::from_str(text).expect("ids and base64 are ASCII");
    Ok(vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static(ID_HEADER), value(id)),
        (HeaderName::from_static(TIMESTAMP_HEADER), HeaderValue::from(timestamp)),
        (HeaderName::from_static(SIGNATURE_HEADER), value(&signatures)),
    ])
}

type Judged = (Option<u16>, End, Option<String>);

fn judge(endpoint: &Endpoint, event: &Event, incoming: &Incoming) -> Judged {
    let status = incoming.status;
    let (end, failure) = match status {
        200..=299 => taken(endpoint, event, incoming),
        410 => (End::Gone, Some("it answered 410: it is gone for good".to_owned())),
        300..=399 => (FAILED, Some(format!("it answered {status}: redirects are not followed"))),
        _ => (
            End::Failed { retry_after: incoming.retry_after },
            Some(format!("it answered {status}")),
        ),
    };
    (Some(status), end, failure)
}

/// What an endpoint said with its status holds, also if the rest of its answer was too large for us or
/// did not come to an end.
fn judge_failure(error: &SendError) -> Judged {
    let end = match error.status() {
        Some(200..=299) => End::Taken(Answered::Nothing),
        Some(410) => End::Gone,
        Some(_) | None => FAILED,
    };
    (error.status(), end, Some(error.to_string()))
}

/// An answer that cannot be passed on is no failure: the endpoint has the event, and would act on it
/// again if it got it again. The attempt tells why nothing was passed on.
fn taken(endpoint: &Endpoint, event: &Event, incoming: &Incoming) -> (End, Option<String>) {
    let Some((handler, authorizer)) = replying(endpoint).zip(event.authorizer_appid.as_ref())
    else {
        return (End::Taken(Answered::Nothing), None);
    };
    match form::read_reply(handler, authorizer, incoming, event) {
        Ok(answered) => (End::Taken(answered), None),
        Err(broken) => (End::Taken(Answered::Nothing), Some(broken.to_string())),
    }
}

fn replying(endpoint: &Endpoint) -> Option<&WechatHandler> {
    match &endpoint.kind {
        EndpointKind::Wechat(handler) => {
            matches!(handler.role, Role::Replying { .. }).then_some(handler)
        }
        EndpointKind::Webhook(_) => None,
    }
}
