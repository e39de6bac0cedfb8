//! WeChat's whole-network publish test (全网发布检测): the step that goes through the API.

use std::time::Duration;

use lingpai_model::{Appid, Secret, component::Component};
use lingpai_wechat::{
    client::Client,
    errcode::Errcode,
    push::{publish_test::code_reply, reply::Reply},
};

use crate::{Grants, Result};

/// WeChat's number for a message to a test account that it takes a moment later.
///
/// Observed: `custom/send` to a test account sometimes answers so.
const NOT_YET: Errcode = Errcode(-1000);

/// How long to wait before the message is sent again after [`NOT_YET`]: the whole step is to be over
/// within five seconds.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(700)];

/// Answers WeChat's test accounts through the API.
#[derive(Debug, Clone)]
pub struct PublishTests {
    wechat: Client,
    grants: Grants,
}

impl PublishTests {
    /// A service that calls `wechat`; codes are exchanged by `grants`.
    #[must_use]
    pub fn new(wechat: Client, grants: Grants) -> Self {
        Self { wechat, grants }
    }

    /// Exchanges `code` and tells the sender of it, with the token of that very answer: the code and
    /// `_from_api`. No authorizer comes of it.
    ///
    /// Security invariant: `account` is the test account that sent the code, and a code of any other
    /// account is answered to nobody: whoever writes to a test account may have stolen it.
    ///
    /// Source: WeChat docs, "Whole-network publishing detection" (全网发布接入检测说明).
    ///
    /// # Errors
    /// What the exchange or the message failed with; [`crate::Error::NoAccessToken`] when the code gave
    /// none for `account`.
    pub async fn answer(
        &self,
        component: &Component,
        account: &Appid,
        code: &str,
        openid: &str,
    ) -> Result<()> {
        let code_sent = Secret::from(code);
        let token = self.grants.exchange_for_test(component, account, &code_sent).await?;
        let reply = Reply::Text { content: code_reply(code) };
        let message = reply.to_customer_message(openid).expect("a text can be sent");
        for pause in AGAIN_AFTER {
            match self.wechat.send_custom_message(&token, &message).await {
                Err(error) if error.errcode() == Some(NOT_YET) => tokio::time::sleep(pause).await,
                sent => return Ok(sent?),
            }
        }
        Ok(self.wechat.send_custom_message(&token, &message).await?)
    }
}
