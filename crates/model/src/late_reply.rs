//! A reply that came too late to be WeChat's answer and is sent to the fan as a message instead.

use crate::{
    Appid, Instant, Secret,
    id::{AuthorizerId, EventId, LateReplyId},
};

/// One late reply on its way to a fan.
#[derive(Debug, Clone)]
pub struct LateReply {
    /// Its id.
    pub id: LateReplyId,
    /// The account that replies.
    pub authorizer_id: AuthorizerId,
    /// What it replies to.
    pub event_id: EventId,
    /// The fan.
    pub openid: String,
    /// The reply as the tenant's handler wrote it: plain XML.
    pub reply: Secret<String>,
    /// How often it was tried before.
    pub attempts: u32,
    /// Which claim this is: what is written counts under the latest only.
    pub lease_epoch: i64,
    /// When it came.
    pub created_at: Instant,
}

/// Whose late reply it is, for whoever records one: the account by the appid in the event.
#[derive(Debug, Clone)]
pub struct NewLateReply {
    /// Its id.
    pub id: LateReplyId,
    /// The event it replies to: account and fan are the event's.
    pub event_id: EventId,
    /// The account, as the event names it.
    pub authorizer_appid: Appid,
    /// The reply: plain XML.
    pub reply: Secret<String>,
    /// When it came.
    pub created_at: Instant,
}
