//! The event URL of a component (授权事件接收URL).

use lingpai_callback::{ComponentPushes, Refusal};

use super::events::{Events, TakesPushes};

/// `POST /wechat/components/{component_appid}/events`.
pub(crate) type ComponentEvents = Events<ComponentPushes>;

impl TakesPushes for ComponentPushes {
    const PARAMETER: &'static str = "component_appid";

    async fn accept(&self, appid: &str, raw_query: &str, body: &[u8]) -> Result<(), Refusal> {
        Self::accept(self, appid, raw_query, body).await
    }

    async fn check_url(&self, appid: &str, raw_query: &str) -> Result<String, Refusal> {
        Self::check_url(self, appid, raw_query).await
    }
}
