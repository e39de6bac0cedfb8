//! Problems with endpoints, events, deliveries and replies.

use std::fmt::Display;

use lingpai_model::id::EndpointId;
use lingpai_webhook::{Error, Refusal};

use super::{Code, Problem};

impl Problem {
    /// No such endpoint, or not the caller's: both look alike.
    pub(crate) fn endpoint_not_found() -> Self {
        Self::new(
            Code::EndpointNotFound,
            "no endpoint of yours has this id: GET /v1/endpoints lists them",
        )
    }

    /// No such event, or not the caller's, or no longer kept: all look alike.
    pub(crate) fn event_not_found() -> Self {
        Self::new(
            Code::EventNotFound,
            "no event of yours has this id, or it is no longer kept: GET /v1/events lists those that \
             are",
        )
    }

    /// No such delivery, or not the caller's, or no longer kept: all look alike.
    pub(crate) fn delivery_not_found() -> Self {
        Self::new(
            Code::DeliveryNotFound,
            "there is no delivery of this id, or it is no longer kept: GET /deliveries of this API \
             lists those that are",
        )
    }

    /// The tenant follows its events as often as it may at the same time.
    pub(crate) fn too_many_streams(most: usize) -> Self {
        Self::new(
            Code::TooManyStreams,
            format!(
                "{most} streams of yours are open, and that is as many as there may be at the same \
                 time: close one, or let one program read and hand on"
            ),
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        of(&error).caused_by(error)
    }
}

fn of(error: &Error) -> Problem {
    use Error as E;
    match error {
        E::EndpointUnknown { .. } => Problem::endpoint_not_found(),
        E::EventUnknown { .. } => Problem::event_not_found(),
        E::DeliveryUnknown { .. } => Problem::delivery_not_found(),
        E::AuthorizerUnknown { .. } => Problem::authorizer_not_found(),
        E::TooManyEndpoints { most } => Problem::new(
            Code::EndpointLimit,
            format!("a tenant has at most {most} endpoints: remove one that is not needed"),
        ),
        E::BadUrl(refusal) => url_refused(refusal),
        E::BadName { why } => Problem::invalid_field("name", *why),
        E::BadFilter { field, why } => Problem::invalid_field(*field, *why),
        E::BadToken => Problem::invalid_field(
            "token",
            "令牌 (Token) is 3 to 32 letters and digits, as WeChat's console wants it",
        ),
        E::BadEncodingAesKey(_) => Problem::invalid_field(
            "encoding_aes_key",
            "消息加解密密钥 (EncodingAESKey) is 43 letters and digits, as WeChat's console draws it",
        ),
        E::WrongKind { field, .. } => Problem::invalid_field(
            *field,
            "an endpoint of this kind has nothing of the sort: create one of the other kind",
        ),
        E::OverlapTooLong { most_secs } => overlap_too_long(*most_secs),
        E::ReplyingTaken { endpoint_id } => replying_taken(endpoint_id),
        E::EndpointNotActive { .. } => Problem::new(
            Code::EndpointNotActive,
            "the endpoint was disabled: mend it and let it go again first, with PATCH \
             /v1/endpoints/{id} {\"paused\": false}",
        ),
        E::NotReplayable => Problem::invalid_field(
            "endpoint_id",
            "the event has no form that this endpoint could read: an endpoint of the kind wechat \
             gets what WeChat pushed only",
        ),
        E::TooManyTests { most } => too_many_tests(*most),
        E::TooManyPending { most } => too_many_pending(*most),
        E::AlreadyReplied { .. } => already_replied(),
        E::TooLate { .. } => reply_too_late(),
        E::BadTrigger { why } => Problem::invalid_field("rules", *why),
        E::BadReply(broken) => reply_refused(broken),
        E::BadRule(broken) => reply_refused(broken),
        // What is told of an event that cannot be read is told without these.
        E::Unreadable(_) | E::BadSecret(_) | E::Misconfigured { .. } => Problem::internal(),
        E::Storage(error) => Problem::storage(error.is_transient()),
    }
}

fn overlap_too_long(most_secs: u64) -> Problem {
    let detail = format!(
        "two secrets may overlap for at most {most_secs} seconds: ask for less, and change what \
         verifies in that time"
    );
    Problem::invalid_field("overlap_secs", detail)
}

fn replying_taken(endpoint_id: &EndpointId) -> Problem {
    let detail = format!(
        "endpoint {endpoint_id} replies for one of these accounts already: narrow its authorizers or \
         this one's, or set replying to false at one of the two"
    );
    Problem::new(Code::ReplyingTaken, detail)
}

fn too_many_tests(most: usize) -> Problem {
    let detail = format!(
        "{most} tests of your endpoints are under way, and that is as many as there may be at the same \
         time: wait until one of them is answered"
    );
    Problem::new(Code::TooManyAtOnce, detail)
}

fn too_many_pending(most: u64) -> Problem {
    let detail = format!(
        "{most} deliveries of yours or more are still to be made: let them go out first, or remove the \
         endpoint that holds them up"
    );
    Problem::new(Code::TooManyPending, detail)
}

fn already_replied() -> Problem {
    Problem::new(
        Code::AlreadyReplied,
        "the message has a reply, and the first one counts: to say more, send the fan a \
         customer-service message",
    )
}

fn reply_too_late() -> Problem {
    Problem::new(
        Code::ReplyTooLate,
        "WeChat waits for a reply to the message no longer: send the fan a customer-service message \
         instead",
    )
}

/// The words of a refusal name classes of addresses, never an address that a name led to.
fn url_refused(refusal: &Refusal) -> Problem {
    let detail = format!("nothing is sent there: {refusal}");
    let mut problem = Problem::new(Code::EndpointUrlRefused, detail);
    problem.field = Some("url".into());
    problem
}

fn reply_refused(broken: &impl Display) -> Problem {
    let detail = format!("WeChat would not take this: {broken}");
    Problem::new(Code::ReplyRefused, detail)
}
