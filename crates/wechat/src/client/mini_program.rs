//! The login of fans to mini programs.

use super::{COMPONENT_ACCESS_TOKEN, Client, ClientError};
use crate::{
    call::{
        mini_program::{CodeSession, LOG_IN_FAN, LOG_IN_FAN_ON_BEHALF},
        oauth::CODE_GRANT_TYPE,
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Logs a fan in to a mini program that is connected with its own secret.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 40029 for a code that is unknown, used or expired, 40226 for a
    /// fan who is judged risky. After `Timeout`, `Unreachable` or `Garbled` the code may be used up: do
    /// not repeat it.
    pub async fn log_in_fan(
        &self,
        appid: &Appid,
        appsecret: &Secret<String>,
        js_code: &Secret<String>,
    ) -> Result<CodeSession, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("secret", appsecret.expose()),
            ("js_code", js_code.expose()),
            ("grant_type", CODE_GRANT_TYPE),
        ];
        self.ask(LOG_IN_FAN, &query, &[appsecret, js_code]).await
    }

    /// Logs a fan in to a mini program that granted to the component.
    ///
    /// # Errors
    /// As [`Client::log_in_fan`], and `Rejected` with 61003 when the grant is gone.
    pub async fn log_in_fan_on_behalf(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        appid: &Appid,
        js_code: &Secret<String>,
    ) -> Result<CodeSession, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("js_code", js_code.expose()),
            ("grant_type", CODE_GRANT_TYPE),
            ("component_appid", component_appid.as_str()),
            (COMPONENT_ACCESS_TOKEN, component_access_token.expose()),
        ];
        self.ask(LOG_IN_FAN_ON_BEHALF, &query, &[component_access_token, js_code]).await
    }
}
