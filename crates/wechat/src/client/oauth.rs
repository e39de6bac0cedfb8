//! Calls about the web tokens (网页授权) of an account's fans.

use super::{Client, ClientError};
use crate::{
    call::oauth::{REFRESH_GRANT_TYPE, REFRESH_WEB_TOKEN, REFRESH_WEB_TOKEN_ON_BEHALF, WebToken},
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Refreshes the web token of a fan of an account that is connected with its own secret.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refresh_web_token(
        &self,
        appid: &Appid,
        refresh_token: &Secret<String>,
    ) -> Result<WebToken, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("grant_type", REFRESH_GRANT_TYPE),
            ("refresh_token", refresh_token.expose()),
        ];
        self.ask(REFRESH_WEB_TOKEN, &query, &[refresh_token]).await
    }

    /// Refreshes the web token of a fan of an account that granted to the component.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refresh_web_token_on_behalf(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        appid: &Appid,
        refresh_token: &Secret<String>,
    ) -> Result<WebToken, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("grant_type", REFRESH_GRANT_TYPE),
            ("component_appid", component_appid.as_str()),
            ("component_access_token", component_access_token.expose()),
            ("refresh_token", refresh_token.expose()),
        ];
        let secrets = [component_access_token, refresh_token];
        self.ask(REFRESH_WEB_TOKEN_ON_BEHALF, &query, &secrets).await
    }
}
