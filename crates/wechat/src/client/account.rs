//! Calls of an account that is connected with its own secret.

use super::{Client, ClientError, Outgoing};
use crate::{
    call::account::{
        GRANT_TYPE, OrdinaryAccessToken, STABLE_TOKEN, StableTokenMode, StableTokenRequest, TOKEN,
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Gets a new ordinary access token. The one before it dies, after about five minutes.
    ///
    /// # Errors
    /// [`ClientError`]. After `Timeout`, `Unreachable` or `Garbled` the token before may be dying.
    pub async fn access_token(
        &self,
        appid: &Appid,
        appsecret: &Secret<String>,
    ) -> Result<OrdinaryAccessToken, ClientError> {
        let query =
            [("grant_type", GRANT_TYPE), ("appid", appid.as_str()), ("secret", appsecret.expose())];
        self.ask(TOKEN, &query, &[appsecret]).await
    }

    /// Gets the stable access token; `force_refresh` says whether a living one may be told again.
    ///
    /// # Errors
    /// [`ClientError`]. After `Timeout`, `Unreachable` or `Garbled` a forced refresh may have killed
    /// the token before.
    pub async fn stable_token(
        &self,
        appid: &Appid,
        appsecret: &Secret<String>,
        force_refresh: StableTokenMode,
    ) -> Result<OrdinaryAccessToken, ClientError> {
        self.send(Outgoing {
            call: STABLE_TOKEN,
            token: None,
            secrets: &[appsecret],
            body: StableTokenRequest {
                grant_type: GRANT_TYPE,
                appid: appid.as_str(),
                secret: appsecret.expose(),
                force_refresh: force_refresh == StableTokenMode::Forced,
            },
        })
        .await
    }
}
