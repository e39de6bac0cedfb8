//! What WeChat tells about one fan.

use super::{ACCESS_TOKEN, Client, ClientError};
use crate::{
    call::{
        Call,
        user::{FanProfile, GET_USER_INFO, Lang},
    },
    secret::Secret,
};

impl Client {
    /// Gets what the account whose token this is knows of a fan.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 40003 when the openid is none of this account's; `Garbled` when
    /// the answer is about somebody else.
    pub async fn get_user_info(
        &self,
        access_token: &Secret<String>,
        openid: &str,
        lang: Lang,
    ) -> Result<FanProfile, ClientError> {
        self.ask_about(GET_USER_INFO, access_token, openid, lang).await
    }

    /// Asks about one fan, and takes no answer about another. The openid is blackened in an errmsg:
    /// it names a person.
    pub(super) async fn ask_about(
        &self,
        call: Call,
        access_token: &Secret<String>,
        openid: &str,
        lang: Lang,
    ) -> Result<FanProfile, ClientError> {
        let query = [
            (ACCESS_TOKEN, access_token.expose().as_str()),
            ("openid", openid),
            ("lang", lang.as_str()),
        ];
        let secrets = [access_token, &Secret::from(openid)];
        let profile: FanProfile = self.ask(call, &query, &secrets).await?;
        if profile.openid() == openid {
            Ok(profile)
        } else {
            Err(ClientError::garbled(call.name, "the answer is about somebody else"))
        }
    }
}
