use lingpai_authorizer::Authorizers;
use lingpai_model::token::AccessToken;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};

use super::{Group, authorizer_appid};
use crate::{
    auth::{TenantAuth, TokenRead},
    parameter::AppidText,
    problem::Result,
};

pub(crate) struct AccessTokensApi {
    pub(super) authorizers: Authorizers,
}

/// The token with which WeChat is called for an authorizer, as a central token server (中控服务器)
/// hands it out.
#[derive(Object)]
#[oai(rename = "AccessToken", example)]
struct AccessTokenView {
    /// The token: `authorizer_access_token` of an account that granted to a component, the ordinary
    /// `access_token` of one that is connected by its own secret.
    access_token: String,
    /// How many seconds are left of it. Ask here again when they are over, or when WeChat calls it
    /// stale; do not refresh it yourself.
    expires_in: u64,
}

impl Example for AccessTokenView {
    fn example() -> Self {
        Self { access_token: "92_MISuVfg2JF5SLXQqBvFgV5fB0…".to_owned(), expires_in: 5400 }
    }
}

#[OpenApi(tag = "Group::Authorizers")]
impl AccessTokensApi {
    /// Read an authorizer's access token.
    ///
    /// The one that lives now; it is refreshed ahead of its end, or now if there is none. Needs the
    /// scope `token:read`.
    #[oai(
        path = "/authorizers/:appid/access-token",
        method = "get",
        operation_id = "get_access_token"
    )]
    async fn get(
        &self,
        auth: TenantAuth<TokenRead>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<AccessTokenView>> {
        let appid = authorizer_appid(&appid)?;
        let found = self.authorizers.access_token(auth.scope(), &appid).await?;
        Ok(Json(found.into()))
    }

    /// Refresh an authorizer's access token now.
    ///
    /// Answers the new token; WeChat may end the one before at once or within minutes. There is no
    /// need for this in the normal run of things, and how often an account's token may be refreshed in
    /// an hour is limited. Needs the scope `token:read`.
    #[oai(
        path = "/authorizers/:appid/access-token",
        method = "post",
        operation_id = "renew_access_token"
    )]
    async fn renew(
        &self,
        auth: TenantAuth<TokenRead>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<AccessTokenView>> {
        let appid = authorizer_appid(&appid)?;
        let new = self.authorizers.renew_access_token(auth.caller(), &appid).await?;
        Ok(Json(new.into()))
    }
}

impl From<(AccessToken, u64)> for AccessTokenView {
    fn from((token, seconds_left): (AccessToken, u64)) -> Self {
        Self { access_token: token.value.expose().clone(), expires_in: seconds_left }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lingpai_model::Secret;
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::example;

    #[test]
    fn a_token_is_told_with_the_seconds_that_are_left_and_nothing_else() {
        let lifetime = Duration::from_secs(7200);
        let token = AccessToken::obtained(Secret::from("token"), example::instant(), lifetime);
        let json = AccessTokenView::from((token, 60)).to_json();
        assert_eq!(json, Some(serde_json::json!({ "access_token": "token", "expires_in": 60 })));
    }
}
