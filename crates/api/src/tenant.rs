//! The tenant API: one file per resource.

mod access_tokens;
mod api_keys;
mod audit;
mod authorizations;
mod authorizers;
mod auto_replies;
mod deliveries;
mod endpoints;
mod erasures;
mod events;
mod fans;
mod files;
mod jssdk;
mod mini_programs;
mod proxy;
mod quotas;
mod redirect_uris;
mod replays;
mod replies;
mod stream;
mod usage;
mod web_authorizations;
mod webhooks;

use access_tokens::AccessTokensApi;
use api_keys::ApiKeysApi;
use audit::AuditApi;
use authorizations::AuthorizationsApi;
use authorizers::AuthorizersApi;
use auto_replies::AutoRepliesApi;
use deliveries::DeliveriesApi;
use endpoints::EndpointsApi;
use erasures::ErasuresApi;
use events::EventsApi;
use fans::FansApi;
use files::FilesApi;
use jssdk::JsSdkApi;
use lingpai_model::Appid;
use mini_programs::MiniProgramsApi;
use poem_openapi::Tags;
use quotas::QuotasApi;
use redirect_uris::RedirectUrisApi;
use replays::ReplaysApi;
use replies::RepliesApi;
use url::Url;
use usage::UsageApi;
use web_authorizations::WebAuthorizationsApi;

pub(crate) use proxy::{PROXY_PATH, ProxyCalls};
pub(crate) use stream::EventStream;
pub(crate) use webhooks::TenantWebhooks;

use crate::{
    problem::{Problem, Result},
    routes::Services,
};

/// How the operations of the tenant API are grouped.
#[derive(Tags)]
#[oai(rename_all = "kebab-case")]
enum Group {
    /// The key that is shown, and what it may do.
    Keys,
    /// One attempt of an account's administrator, from link to stored authorizer.
    Authorizations,
    /// The accounts (公众号, 小程序) that granted rights or are connected by their own secret.
    Authorizers,
    /// The people who use accounts: who they are, and what their mini programs sent.
    Fans,
    /// Pages that use what WeChat's own script offers (JS-SDK).
    JsSdk,
    /// What happened: what WeChat pushed, and what lingpai did.
    Events,
    /// Where events are sent.
    Endpoints,
    /// Events on their way to endpoints.
    Deliveries,
    /// What accounts answer by themselves.
    AutoReplies,
    /// Where administrators and fans may be sent back to.
    RedirectUris,
    /// Domain verification files (域名校验文件).
    Files,
    /// How often WeChat was called.
    Usage,
    /// Who did what.
    Audit,
    /// WeChat's own API, called with an authorizer's token put in.
    Proxy,
}

/// What is told of events, and done with them. The description of the stream is among it, which is routed
/// apart.
type EventApis = (EventsApi, ReplaysApi, RepliesApi, ErasuresApi, stream::StreamOperations);

/// What is done for a fan who waits.
type FanApis = (WebAuthorizationsApi, FansApi, JsSdkApi, MiniProgramsApi);

/// Where the paths of [`FanApis`] end.
///
/// How often they are called is fans' doing: they count as little among a tenant's changes as what goes
/// through proxy and gateway, though an exchange and a login write a row. What they answer is about
/// people, so it is not kept to be answered again.
pub(crate) const FAN_PATHS: [&str; 7] = [
    "/oauth/exchange",
    "/user-info",
    "/js-sdk-config",
    "/card-signature",
    "/mini-program-sessions",
    "/mini-program-sessions/signature-check",
    "/mini-program-sessions/decryption",
];

/// Whether `path` is one of [`FAN_PATHS`].
pub(crate) fn is_for_fan(path: &str) -> bool {
    FAN_PATHS.iter().any(|end| path.ends_with(end))
}

/// The operations of the tenant API, with the description of the proxy, which is routed apart.
pub(crate) type TenantApis = (
    ApiKeysApi,
    AuthorizationsApi,
    AuthorizersApi,
    AccessTokensApi,
    QuotasApi,
    FanApis,
    EventApis,
    EndpointsApi,
    DeliveriesApi,
    AutoRepliesApi,
    RedirectUrisApi,
    FilesApi,
    UsageApi,
    AuditApi,
    proxy::ProxyOperations,
);

fn event_apis(services: &Services) -> EventApis {
    let (events, deliveries) = (&services.events, &services.deliveries);
    (
        EventsApi { events: events.clone() },
        ReplaysApi { deliveries: deliveries.clone() },
        RepliesApi { listeners: services.listeners.clone() },
        ErasuresApi { erasures: services.erasures.clone() },
        stream::StreamOperations,
    )
}

fn fan_apis(services: &Services) -> FanApis {
    let web_tokens = services.web_tokens.clone();
    (
        WebAuthorizationsApi {
            web_authorizations: services.web_authorizations.clone(),
            web_tokens,
        },
        FansApi { fans: services.fans.clone() },
        JsSdkApi { jssdk: services.jssdk.clone() },
        MiniProgramsApi { mini_programs: services.mini_programs.clone() },
    )
}

/// The tenant API on its services.
pub(crate) fn apis(services: Services, public_url: Url) -> TenantApis {
    let (fans, events) = (fan_apis(&services), event_apis(&services));
    (
        ApiKeysApi {
            api_keys: services.api_keys,
            tenants: services.tenants,
            limits: services.limits,
        },
        AuthorizationsApi { authorizations: services.authorizations },
        AuthorizersApi {
            authorizers: services.authorizers.clone(),
            accounts: services.accounts,
            claims: services.claims,
            clock: services.clock,
            public_url: public_url.clone(),
        },
        AccessTokensApi { authorizers: services.authorizers },
        QuotasApi { quotas: services.quotas },
        fans,
        events,
        EndpointsApi { endpoints: services.endpoints },
        DeliveriesApi { deliveries: services.deliveries },
        AutoRepliesApi { auto_replies: services.auto_replies },
        RedirectUrisApi { redirect_uris: services.redirect_uris },
        FilesApi { files: services.files, public_url },
        UsageApi { ledger: services.ledger },
        AuditApi { audit: services.audit },
        proxy::ProxyOperations,
    )
}

/// Reads the appid in a path; one that cannot be is one of no authorizer.
fn authorizer_appid(text: &str) -> Result<Appid> {
    Appid::parse(text).map_err(|_| Problem::authorizer_not_found())
}
