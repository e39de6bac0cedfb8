//! The event URL of a component (授权事件接收URL).

use lingpai_callback::{ComponentPushes, Refusal, Taken};
use poem::Request;

use super::events::{Events, TakesPushes, parameter};

/// `POST /wechat/components/{component_appid}/events`.
pub(crate) type ComponentEvents = Events<ComponentPushes>;

impl TakesPushes for ComponentPushes {
    type Named<'r> = &'r str;

    fn named(request: &Request) -> &str {
        parameter(request, "component_appid")
    }

    async fn accept(
        &self,
        appid: Self::Named<'_>,
        raw_query: &str,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        Self::accept(self, appid, raw_query, body).await.map(|()| Taken::Success)
    }

    async fn check_url(&self, appid: Self::Named<'_>, raw_query: &str) -> Result<String, Refusal> {
        Self::check_url(self, appid, raw_query).await
    }
}
