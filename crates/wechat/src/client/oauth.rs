//! Calls about the web tokens (网页授权) of an account's fans.

use super::{ACCESS_TOKEN, COMPONENT_ACCESS_TOKEN, Client, ClientError};
use crate::{
    call::{
        oauth::{
            CHECK_WEB_TOKEN, CODE_GRANT_TYPE, EXCHANGE_WEB_CODE, EXCHANGE_WEB_CODE_ON_BEHALF,
            GET_FAN_PROFILE, REFRESH_GRANT_TYPE, REFRESH_WEB_TOKEN, REFRESH_WEB_TOKEN_ON_BEHALF,
            WebToken, WebTokenGood,
        },
        user::{FanProfile, Lang},
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Exchanges a fan's code for his tokens, for an account that is connected with its own secret.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 40029 for an unknown code, 40163 for a used one, 42003 for one
    /// that has expired. After `Timeout`, `Unreachable` or `Garbled` the code may be used up: do not
    /// repeat it.
    pub async fn exchange_web_code(
        &self,
        appid: &Appid,
        appsecret: &Secret<String>,
        code: &Secret<String>,
    ) -> Result<WebToken, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("secret", appsecret.expose()),
            ("code", code.expose()),
            ("grant_type", CODE_GRANT_TYPE),
        ];
        self.ask(EXCHANGE_WEB_CODE, &query, &[appsecret, code]).await
    }

    /// Exchanges a fan's code for his tokens, for an account that granted to the component.
    ///
    /// # Errors
    /// As [`Client::exchange_web_code`], and `Rejected` with 61003 when the grant is gone.
    pub async fn exchange_web_code_on_behalf(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        appid: &Appid,
        code: &Secret<String>,
    ) -> Result<WebToken, ClientError> {
        let query = [
            ("appid", appid.as_str()),
            ("code", code.expose()),
            ("grant_type", CODE_GRANT_TYPE),
            ("component_appid", component_appid.as_str()),
            (COMPONENT_ACCESS_TOKEN, component_access_token.expose()),
        ];
        let secrets = [component_access_token, code];
        self.ask(EXCHANGE_WEB_CODE_ON_BEHALF, &query, &secrets).await
    }

    /// Gets the profile of the fan whose web token this is.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 40003 when the openid is not the token's, with 48001 when its
    /// scope is not enough; `Garbled` when the answer is about somebody else.
    pub async fn get_fan_profile(
        &self,
        web_access_token: &Secret<String>,
        openid: &str,
        lang: Lang,
    ) -> Result<FanProfile, ClientError> {
        self.ask_about(GET_FAN_PROFILE, web_access_token, openid, lang).await
    }

    /// Asks whether a web token is good and this fan's.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 40003 when the openid is not the token's.
    pub async fn check_web_token(
        &self,
        web_access_token: &Secret<String>,
        openid: &str,
    ) -> Result<(), ClientError> {
        let query = [(ACCESS_TOKEN, web_access_token.expose().as_str()), ("openid", openid)];
        let secrets = [web_access_token, &Secret::from(openid)];
        let WebTokenGood = self.ask(CHECK_WEB_TOKEN, &query, &secrets).await?;
        Ok(())
    }

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
            (COMPONENT_ACCESS_TOKEN, component_access_token.expose()),
            ("refresh_token", refresh_token.expose()),
        ];
        let secrets = [component_access_token, refresh_token];
        self.ask(REFRESH_WEB_TOKEN_ON_BEHALF, &query, &secrets).await
    }
}
