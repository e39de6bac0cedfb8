//! Calls about the component itself.

use super::{COMPONENT_ACCESS_TOKEN, Client, ClientError, Outgoing};
use crate::{
    call::component::{
        COMPONENT_TOKEN, CREATE_PREAUTHCODE, ComponentAccessToken, ComponentTokenRequest,
        CreatePreauthcodeRequest, PreAuthCode, PushTicketStarted, START_PUSH_TICKET,
        StartPushTicketRequest,
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Asks WeChat to push tickets (again). Needs no token, so it always works.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_push_ticket(
        &self,
        component_appid: &Appid,
        component_secret: &Secret<String>,
    ) -> Result<(), ClientError> {
        let PushTicketStarted = self
            .send(Outgoing {
                call: START_PUSH_TICKET,
                token: None,
                secrets: &[component_secret],
                body: StartPushTicketRequest {
                    component_appid: component_appid.as_str(),
                    component_secret: component_secret.expose(),
                },
            })
            .await?;
        Ok(())
    }

    /// Turns ticket and secret into the component's access token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn component_token(
        &self,
        component_appid: &Appid,
        component_appsecret: &Secret<String>,
        ticket: &Secret<String>,
    ) -> Result<ComponentAccessToken, ClientError> {
        self.send(Outgoing {
            call: COMPONENT_TOKEN,
            token: None,
            secrets: &[component_appsecret, ticket],
            body: ComponentTokenRequest {
                component_appid: component_appid.as_str(),
                component_appsecret: component_appsecret.expose(),
                component_verify_ticket: ticket.expose(),
            },
        })
        .await
    }

    /// Gets the code that one authorization begins with.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_preauthcode(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
    ) -> Result<PreAuthCode, ClientError> {
        self.send(Outgoing {
            call: CREATE_PREAUTHCODE,
            token: Some((COMPONENT_ACCESS_TOKEN, component_access_token)),
            secrets: &[],
            body: CreatePreauthcodeRequest { component_appid: component_appid.as_str() },
        })
        .await
    }
}
