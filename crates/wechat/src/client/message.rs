//! Messages of an account to its fans.

use super::{ACCESS_TOKEN, Client, ClientError, Outgoing};
use crate::{
    call::message::{MessageSent, SEND_CUSTOM_MESSAGE},
    secret::Secret,
};

impl Client {
    /// Sends a message of customer service for the account whose token this is. `message` is the
    /// whole body; [`crate::push::reply::Reply::to_customer_message`] makes one.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 45015 when the fan did nothing for 48 hours, with 45047 when
    /// he was sent too many. After `Timeout`, `Unreachable` or `Garbled` it may have been sent: do not
    /// repeat it.
    pub async fn send_custom_message(
        &self,
        access_token: &Secret<String>,
        message: &serde_json::Value,
    ) -> Result<(), ClientError> {
        let MessageSent = self
            .send(Outgoing {
                call: SEND_CUSTOM_MESSAGE,
                token: Some((ACCESS_TOKEN, access_token)),
                secrets: &[],
                body: message,
            })
            .await?;
        Ok(())
    }
}
