//! The event URL of an account that is connected by its own secret (服务器地址).

use lingpai_callback::{AccountPushes, Refusal};

use super::events::{Events, TakesPushes};

/// `POST /wechat/authorizers/{appid}/events`.
pub(crate) type AccountEvents = Events<AccountPushes>;

impl TakesPushes for AccountPushes {
    const PARAMETER: &'static str = "appid";

    async fn accept(&self, appid: &str, raw_query: &str, body: &[u8]) -> Result<(), Refusal> {
        Self::accept(self, appid, raw_query, body).await
    }

    async fn check_url(&self, appid: &str, raw_query: &str) -> Result<String, Refusal> {
        Self::check_url(self, appid, raw_query).await
    }
}
