//! The tenant API: one file per resource.

mod access_tokens;
mod authorizations;
mod authorizers;
mod proxy;
mod redirect_uris;

use access_tokens::AccessTokensApi;
use authorizations::AuthorizationsApi;
use authorizers::AuthorizersApi;
use poem_openapi::Tags;
use redirect_uris::RedirectUrisApi;
use url::Url;

pub(crate) use proxy::ProxyCalls;

use crate::routes::Services;

/// How the operations of the tenant API are grouped.
#[derive(Tags)]
#[oai(rename_all = "kebab-case")]
enum Group {
    /// One attempt of an account's administrator, from link to stored authorizer.
    Authorizations,
    /// The accounts (公众号, 小程序) that granted rights or are connected by their own secret.
    Authorizers,
    /// Where administrators and fans may be sent back to.
    RedirectUris,
    /// WeChat's own API, called with an authorizer's token put in.
    Proxy,
}

/// The operations of the tenant API, with the description of the proxy, which is routed apart.
pub(crate) type TenantApis =
    (AuthorizationsApi, AuthorizersApi, AccessTokensApi, RedirectUrisApi, proxy::ProxyOperations);

/// The tenant API on its services.
pub(crate) fn apis(services: Services, public_url: Url) -> TenantApis {
    (
        AuthorizationsApi { authorizations: services.authorizations },
        AuthorizersApi {
            authorizers: services.authorizers.clone(),
            accounts: services.accounts,
            clock: services.clock,
            public_url,
        },
        AccessTokensApi { authorizers: services.authorizers },
        RedirectUrisApi { redirect_uris: services.redirect_uris },
        proxy::ProxyOperations,
    )
}
