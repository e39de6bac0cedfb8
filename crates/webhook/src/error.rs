use lingpai_model::{
    Appid,
    id::{DeliveryId, EndpointId, EventId},
};
use lingpai_wechat::{crypt::CryptError, push::reply::ReplyError};

use crate::{
    form::{BrokenReply, Unreadable},
    sender::Refusal,
    signature::BadSecret,
};

/// What can go wrong with endpoints, events and their deliveries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such endpoint.
    #[error("there is no endpoint {id}")]
    EndpointUnknown {
        /// The id that was asked for.
        id: EndpointId,
    },
    /// The tenant has no such event.
    #[error("there is no event {id}")]
    EventUnknown {
        /// The id that was asked for.
        id: EventId,
    },
    /// The tenant has no such delivery.
    #[error("there is no delivery {id}")]
    DeliveryUnknown {
        /// The id that was asked for.
        id: DeliveryId,
    },
    /// The tenant has no such authorizer.
    #[error("there is no authorizer {appid}")]
    AuthorizerUnknown {
        /// The appid that was asked for.
        appid: Appid,
    },
    /// The tenant has as many endpoints as it may have.
    #[error("a tenant has at most {most} endpoints; remove one that is not needed")]
    TooManyEndpoints {
        /// How many those are.
        most: usize,
    },
    /// Deliveries may not go to this URL.
    #[error(transparent)]
    BadUrl(#[from] Refusal),
    /// The name is too long or has characters that no name has.
    #[error("the name is not usable: {why}")]
    BadName {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The filter is too long.
    #[error("the filter is not usable: {why}")]
    BadFilter {
        /// Which part of it, as tenants name it.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token of a handler is none that WeChat's console would take.
    #[error("the token is not usable: it has 3 to 32 letters and digits")]
    BadToken,
    /// The `EncodingAESKey` of a handler is not one.
    #[error("the encoding_aes_key is not usable")]
    BadEncodingAesKey(#[source] CryptError),
    /// A stored secret of a webhook is not one.
    #[error(transparent)]
    BadSecret(#[from] BadSecret),
    /// The change is for endpoints of the other kind.
    #[error("endpoint {id} is of the other kind, which has no {field}; make a new one")]
    WrongKind {
        /// The endpoint.
        id: EndpointId,
        /// What it does not have, as tenants name it.
        field: &'static str,
    },
    /// Two secrets may count together only so long.
    #[error("two secrets may overlap for at most {most_secs} s")]
    OverlapTooLong {
        /// How long that is.
        most_secs: u64,
    },
    /// Another endpoint replies for one of the accounts already.
    #[error("endpoint {endpoint_id} already replies for one of these accounts")]
    ReplyingTaken {
        /// That endpoint.
        endpoint_id: EndpointId,
    },
    /// The endpoint was disabled.
    #[error("endpoint {id} was disabled; activate it first")]
    EndpointNotActive {
        /// The endpoint.
        id: EndpointId,
    },
    /// The event has no form that the endpoint could read.
    #[error("the event cannot be delivered to this endpoint")]
    NotReplayable,
    /// As many endpoints of the tenant are tried out as may be at once.
    #[error("{most} endpoints of the tenant are tried out already; wait for what comes of it")]
    TooManyTests {
        /// How many those are.
        most: usize,
    },
    /// So many deliveries of the tenant wait that no more are made for what was delivered before.
    #[error("{most} deliveries of the tenant or more are still to be made; let them go out first")]
    TooManyPending {
        /// How many may wait.
        most: u64,
    },
    /// Somebody has answered the message already.
    #[error("event {id} has been answered already")]
    AlreadyReplied {
        /// The event.
        id: EventId,
    },
    /// Nobody waits for a reply to the message any more.
    #[error("WeChat waits for a reply to event {id} no longer; send the fan a message instead")]
    TooLate {
        /// The event.
        id: EventId,
    },
    /// What was handed in is no reply to the message.
    #[error(transparent)]
    BadReply(#[from] BrokenReply),
    /// A reply in a rule is not one that WeChat would take.
    #[error("the reply is not usable: {0}")]
    BadRule(#[from] ReplyError),
    /// The rules are too many, or one of them could never fit.
    #[error("the rules are not usable: {why}")]
    BadTrigger {
        /// What is wrong with them.
        why: &'static str,
    },
    /// A stored event cannot be put into the form that is asked for.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The sending client cannot work like this.
    #[error("the client towards endpoints is misconfigured: {what}")]
    Misconfigured {
        /// What is wrong.
        what: String,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same attempt may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::EndpointUnknown { .. }
            | Self::EventUnknown { .. }
            | Self::DeliveryUnknown { .. }
            | Self::AuthorizerUnknown { .. }
            | Self::TooManyEndpoints { .. }
            | Self::TooManyTests { .. }
            | Self::TooManyPending { .. }
            | Self::BadUrl(_)
            | Self::BadName { .. }
            | Self::BadFilter { .. }
            | Self::BadToken
            | Self::BadEncodingAesKey(_)
            | Self::BadSecret(_)
            | Self::WrongKind { .. }
            | Self::OverlapTooLong { .. }
            | Self::ReplyingTaken { .. }
            | Self::EndpointNotActive { .. }
            | Self::NotReplayable
            | Self::AlreadyReplied { .. }
            | Self::TooLate { .. }
            | Self::BadReply(_)
            | Self::BadRule(_)
            | Self::BadTrigger { .. }
            | Self::Unreadable(_)
            | Self::Misconfigured { .. } => false,
            Self::Storage(error) => error.is_transient(),
        }
    }
}
