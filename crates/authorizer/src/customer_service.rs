//! Customer-service messages (客服消息): what an account writes to a fan outside of a reply.

use lingpai_model::authorizer::Authorizer;
use lingpai_wechat::client::Client;
use serde_json::Value;

use crate::{AuthorizerTokens, Result};

/// Writes to fans in the name of accounts.
#[derive(Debug, Clone)]
pub struct CustomerService {
    wechat: Client,
    tokens: AuthorizerTokens,
}

impl CustomerService {
    /// A service that calls `wechat`.
    #[must_use]
    pub fn new(wechat: Client, tokens: AuthorizerTokens) -> Self {
        Self { wechat, tokens }
    }

    /// Sends one message, made of `message` as WeChat wants it: `touser`, `msgtype` and the rest.
    ///
    /// WeChat takes it for 48 hours after the fan last did something, and a few per deed only. A call
    /// that may have had its effect is not repeated: a fan is not to read it twice.
    ///
    /// Source: WeChat docs, "Send customer-service messages" (custom/send).
    ///
    /// # Errors
    /// As [`AuthorizerTokens::get`]; [`crate::Error::Wechat`] when WeChat refused, stayed silent or
    /// could not be reached.
    pub async fn send(&self, authorizer: &Authorizer, message: &Value) -> Result<()> {
        self.tokens
            .call(authorizer, |token| async move {
                self.wechat.send_custom_message(&token, message).await
            })
            .await
    }
}
