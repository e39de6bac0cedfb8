//! Replies that come too late to be WeChat's answer.

use lingpai_model::{
    Secret,
    endpoint::{Endpoint, EndpointKind, LateReplies, Role},
    event::Event,
    id::LateReplyId,
    late_reply::NewLateReply,
};

use crate::{WebhookBase, form::Answered};

/// The reply in an answer, if its endpoint wants it to go to the fan in case it is late.
pub(crate) fn wanted(endpoint: &Endpoint, answered: &Answered) -> Option<Secret<String>> {
    let EndpointKind::Wechat(handler) = &endpoint.kind else { return None };
    let Answered::Reply(reply) = answered else { return None };
    match handler.role {
        Role::Replying { late: LateReplies::CustomerService } => Some(reply.clone()),
        Role::Replying { late: LateReplies::Drop } | Role::Listening => None,
    }
}

/// The reply to this event, on its way to the fan.
pub(crate) fn to_fan(
    base: &WebhookBase,
    event: &Event,
    reply: Secret<String>,
) -> Option<Box<NewLateReply>> {
    let created_at = base.clock.now();
    Some(Box::new(NewLateReply {
        id: LateReplyId::new(created_at, &base.entropy),
        event_id: event.id.clone(),
        authorizer_appid: event.authorizer_appid.clone()?,
        reply,
        created_at,
    }))
}
