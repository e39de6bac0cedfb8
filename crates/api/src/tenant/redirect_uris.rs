use lingpai_tenant::RedirectUris;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json, types::Example};

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::{AuthorizerRead, AuthorizerWrite, TenantAuth},
    input::Input,
    page::PageView,
    problem::Result,
};

pub(crate) struct RedirectUrisApi {
    pub(super) redirect_uris: RedirectUris,
}

/// An address to register.
#[derive(Debug, Object)]
#[oai(rename = "NewRedirectUri", example)]
struct NewRedirectUri {
    /// An absolute https address as a browser writes it, without fragment and user name. Plain http
    /// is allowed on localhost.
    #[oai(validator(min_length = 1, max_length = 512))]
    uri: String,
}

impl Example for NewRedirectUri {
    fn example() -> Self {
        Self { uri: RedirectUriView::example().uri }
    }
}

/// An address that people may be sent back to, compared letter by letter.
#[derive(Debug, Object)]
#[oai(rename = "RedirectUri", example)]
struct RedirectUriView {
    /// The address.
    uri: String,
}

impl Example for RedirectUriView {
    fn example() -> Self {
        Self { uri: "https://shop.example/wechat/done".to_owned() }
    }
}

#[OpenApi(tag = "Group::RedirectUris")]
impl RedirectUrisApi {
    /// Register a redirect URI.
    ///
    /// From then on it may be the `return_url` of an authorization, and fans may be sent there (the
    /// `redirect_uri` of web authorization, 网页授权). One that is registered already stays. Needs the
    /// scope `authorizer:write`.
    #[oai(path = "/redirect-uris", method = "post", operation_id = "register_redirect_uri")]
    async fn register(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        input: Input<NewRedirectUri>,
    ) -> Result<Created<RedirectUriView>> {
        let Input(NewRedirectUri { uri }) = input;
        self.redirect_uris.register(auth.caller(), &uri).await?;
        Ok(Created(RedirectUriView { uri }))
    }

    /// List the registered redirect URIs.
    ///
    /// In alphabetical order, all on one page. Needs the scope `authorizer:read`.
    #[oai(path = "/redirect-uris", method = "get", operation_id = "list_redirect_uris")]
    async fn list(
        &self,
        auth: TenantAuth<AuthorizerRead>,
    ) -> Result<Json<PageView<RedirectUriView>>> {
        let uris = self.redirect_uris.list(auth.scope()).await?;
        let items = uris.into_iter().map(|uri| RedirectUriView { uri }).collect();
        Ok(Json(PageView { items, next: None }))
    }

    /// Remove a redirect URI.
    ///
    /// From then on it can be no `return_url`, and nobody is sent there any more: authorizations that
    /// were started with it end on our own page, and so do fans who are on their way. Needs the scope
    /// `authorizer:write`.
    #[oai(path = "/redirect-uris", method = "delete", operation_id = "remove_redirect_uri")]
    async fn remove(
        &self,
        auth: TenantAuth<AuthorizerWrite>,
        /// The address, letter by letter as it was registered.
        #[oai(validator(min_length = 1, max_length = 512, pattern = "^[!-~]+$"))]
        uri: Query<String>,
    ) -> Result<NoContent> {
        self.redirect_uris.remove(auth.caller(), &uri).await?;
        Ok(NoContent)
    }
}
