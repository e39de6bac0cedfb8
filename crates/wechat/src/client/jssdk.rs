//! The tickets of the JS-SDK.

use super::{ACCESS_TOKEN, Client, ClientError};
use crate::{
    call::jssdk::{GET_JSSDK_TICKET, JssdkTicket, JssdkTicketKind},
    secret::Secret,
};

impl Client {
    /// Gets a ticket of the account whose token this is.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 45009 when there were too many calls of this kind today.
    pub async fn get_jssdk_ticket(
        &self,
        access_token: &Secret<String>,
        kind: JssdkTicketKind,
    ) -> Result<JssdkTicket, ClientError> {
        let query = [(ACCESS_TOKEN, access_token.expose().as_str()), ("type", kind.as_str())];
        self.ask(GET_JSSDK_TICKET, &query, &[access_token]).await
    }
}
