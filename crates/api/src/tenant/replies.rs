//! Replies of a program that follows the stream.

use lingpai_model::Secret;
use lingpai_webhook::Listeners;
use poem_openapi::{Object, OpenApi, param::Path, types::Example};

use super::{Group, events::event_id};
use crate::{
    answer::NoContent,
    auth::{EndpointWrite, TenantAuth},
    example,
    input::{Input, Lines},
    parameter::EventIdText,
    problem::Result,
};

pub(crate) struct RepliesApi {
    pub(super) listeners: Listeners,
}

/// What is replied to a message.
#[derive(Debug, Object)]
#[oai(rename = "NewReply", skip_serializing_if_is_none, example)]
struct NewReply {
    /// The passive reply as plain XML, as an account's own server would write it; absent: nothing.
    #[oai(nullable)]
    xml: Option<Lines<16_384>>,
}

impl Example for NewReply {
    fn example() -> Self {
        let xml = format!(
            "<xml><ToUserName><![CDATA[{}]]></ToUserName>\
             <FromUserName><![CDATA[{}]]></FromUserName><CreateTime>{}</CreateTime>\
             <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好]]></Content></xml>",
            example::OPENID,
            example::USER_NAME,
            example::instant().timestamp()
        );
        Self { xml: Some(Lines(xml)) }
    }
}

#[OpenApi(tag = "Group::Events")]
impl RepliesApi {
    /// Reply to a message.
    ///
    /// For a program that follows `GET /v1/events/stream` with `replying=true`: its reply goes back to
    /// WeChat if it comes within about three seconds of the message; later it is refused
    /// (`reply_too_late`). The first one counts (`already_replied`). Needs the scope `endpoint:write`.
    #[oai(path = "/events/:id/reply", method = "post", operation_id = "reply_to_event")]
    async fn reply(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The event that tells the message.
        id: Path<EventIdText>,
        input: Input<NewReply>,
    ) -> Result<NoContent> {
        let (id, xml) = (event_id(&id)?, input.0.xml.map(|Lines(xml)| Secret::from(xml)));
        self.listeners.reply(auth.caller(), &id, xml).await?;
        Ok(NoContent)
    }
}
