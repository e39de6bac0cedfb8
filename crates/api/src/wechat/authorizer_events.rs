//! The message URL of the accounts of a component (消息与事件接收URL).

use lingpai_callback::{AuthorizerPushes, Refusal, Taken};
use poem::Request;

use super::events::{Events, TakesPushes, parameter};

/// `POST /wechat/components/{component_appid}/authorizers/{appid}/events`.
pub(crate) type AuthorizerEvents = Events<AuthorizerPushes>;

impl TakesPushes for AuthorizerPushes {
    /// The component, and its account.
    type Named<'r> = (&'r str, &'r str);

    fn named(request: &Request) -> (&str, &str) {
        (parameter(request, "component_appid"), parameter(request, "appid"))
    }

    async fn accept(
        &self,
        (component_appid, appid): Self::Named<'_>,
        raw_query: &str,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        Self::accept(self, component_appid, appid, raw_query, body).await
    }

    async fn check_url(
        &self,
        (component_appid, _): Self::Named<'_>,
        raw_query: &str,
    ) -> Result<String, Refusal> {
        Self::check_url(self, component_appid, raw_query).await
    }
}
