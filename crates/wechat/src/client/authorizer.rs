//! Calls about one authorizer, or about all of them.

use super::{COMPONENT_ACCESS_TOKEN, Client, ClientError, Outgoing};
use crate::{
    call::authorizer::{
        AUTHORIZER_TOKEN, AuthorizationInfo, AuthorizerInfoAnswer, AuthorizerInfoRequest,
        AuthorizerList, AuthorizerListRequest, AuthorizerTokenRequest, GET_AUTHORIZER_INFO,
        GET_AUTHORIZER_LIST, MAX_LIST_COUNT, QUERY_AUTH, QueryAuthRequest, RefreshedToken,
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Exchanges an authorization code. WeChat takes each code once.
    ///
    /// # Errors
    /// [`ClientError`]. After `Timeout`, `Unreachable` or `Garbled` the code may be used up.
    pub async fn query_auth(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorization_code: &Secret<String>,
    ) -> Result<AuthorizationInfo, ClientError> {
        self.send(Outgoing {
            call: QUERY_AUTH,
            token: Some((COMPONENT_ACCESS_TOKEN, component_access_token)),
            secrets: &[authorization_code],
            body: QueryAuthRequest {
                component_appid: component_appid.as_str(),
                authorization_code: authorization_code.expose(),
            },
        })
        .await
    }

    /// Turns a refresh token into an authorizer's access token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn authorizer_token(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorizer_appid: &Appid,
        refresh_token: &Secret<String>,
    ) -> Result<RefreshedToken, ClientError> {
        self.send(Outgoing {
            call: AUTHORIZER_TOKEN,
            token: Some((COMPONENT_ACCESS_TOKEN, component_access_token)),
            secrets: &[refresh_token],
            body: AuthorizerTokenRequest {
                component_appid: component_appid.as_str(),
                authorizer_appid: authorizer_appid.as_str(),
                authorizer_refresh_token: refresh_token.expose(),
            },
        })
        .await
    }

    /// Tells what WeChat knows of an account that granted.
    ///
    /// # Errors
    /// [`ClientError`]; `Garbled` also when the answer speaks of another account.
    pub async fn get_authorizer_info(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        authorizer_appid: &Appid,
    ) -> Result<AuthorizerInfoAnswer, ClientError> {
        let call = GET_AUTHORIZER_INFO;
        let answer: AuthorizerInfoAnswer = self
            .send(Outgoing {
                call,
                token: Some((COMPONENT_ACCESS_TOKEN, component_access_token)),
                secrets: &[],
                body: AuthorizerInfoRequest {
                    component_appid: component_appid.as_str(),
                    authorizer_appid: authorizer_appid.as_str(),
                },
            })
            .await?;
        match &answer.authorizer_appid {
            Some(other) if other != authorizer_appid => {
                Err(ClientError::garbled(call.name, "the answer is about another account"))
            }
            Some(_) | None => Ok(answer),
        }
    }

    /// Lists accounts that granted: up to `count` of them after the first `offset`. More than
    /// [`MAX_LIST_COUNT`] are never asked for, since WeChat would refuse.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_authorizer_list(
        &self,
        component_access_token: &Secret<String>,
        component_appid: &Appid,
        offset: u32,
        count: u32,
    ) -> Result<AuthorizerList, ClientError> {
        self.send(Outgoing {
            call: GET_AUTHORIZER_LIST,
            token: Some((COMPONENT_ACCESS_TOKEN, component_access_token)),
            secrets: &[],
            body: AuthorizerListRequest {
                component_appid: component_appid.as_str(),
                offset,
                count: count.min(MAX_LIST_COUNT),
            },
        })
        .await
    }
}
