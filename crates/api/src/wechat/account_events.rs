//! The event URL of an account that is connected by its own secret (服务器地址).

use lingpai_callback::{AccountPushes, Refusal, Taken};
use poem::Request;

use super::events::{Events, TakesPushes, parameter};

/// `POST /wechat/authorizers/{appid}/events`.
pub(crate) type AccountEvents = Events<AccountPushes>;

impl TakesPushes for AccountPushes {
    type Named<'r> = &'r str;

    fn named(request: &Request) -> &str {
        parameter(request, "appid")
    }

    async fn accept(
        &self,
        appid: Self::Named<'_>,
        raw_query: &str,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        Self::accept(self, appid, raw_query, body).await
    }

    async fn check_url(&self, appid: Self::Named<'_>, raw_query: &str) -> Result<String, Refusal> {
        Self::check_url(self, appid, raw_query).await
    }
}
