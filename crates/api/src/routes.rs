//! The one list of everything that is served.

use std::time::Duration;

use lingpai_authorizer::{Accounts, Authorizations, Authorizers, Proxy, Reconciliations};
use lingpai_callback::{AccountPushes, ComponentPushes};
use lingpai_component_token::{ComponentTokens, Components, TicketWatch, Tickets};
use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_tenant::{ApiKeys, Operators, RedirectUris, Tenants};
use poem::{Endpoint, EndpointExt as _, Response, Route, get};
use url::Url;

use crate::{
    admin,
    docs::Document,
    health::{Healthz, MetricsPage, Readiness, Readyz},
    input::MAX_JSON_BYTES,
    middleware::{Bounded, Observed, Pool, Pooled},
    spec,
    tenant::{self, ProxyCalls},
    wechat::{AccountEvents, AuthorizationPages, ComponentEvents},
};

/// How many pushes of one kind are read and recorded at the same time: 256 KiB each at most. What
/// fans write to accounts has a pool of its own, so that tickets and grants never wait behind it.
const PUSH_SEATS: usize = 64;

/// How many requests to the two APIs are worked on at the same time: 64 KiB each at most.
const API_SEATS: usize = 128;

/// How many proxied calls wait for WeChat at the same time: each keeps up to 64 KiB to repeat it.
const PROXY_SEATS: usize = 512;

/// The services behind the routes.
#[derive(Clone)]
pub struct Services {
    /// Registers components.
    pub components: Components,
    /// Names the newest ticket of a component.
    pub tickets: Tickets,
    /// Asks WeChat for tickets and tells whether they are late.
    pub ticket_watch: TicketWatch,
    /// Refreshes a component's token and tells how it stands.
    pub component_tokens: ComponentTokens,
    /// Starts authorizations and takes browsers back.
    pub authorizations: Authorizations,
    /// Reads authorizers and hands out their tokens.
    pub authorizers: Authorizers,
    /// Connects accounts by their own secret.
    pub accounts: Accounts,
    /// Compares a component's authorizers with WeChat's list.
    pub reconciliations: Reconciliations,
    /// Calls WeChat for tenants.
    pub proxy: Proxy,
    /// Creates tenants.
    pub tenants: Tenants,
    /// Creates and verifies the keys of tenants.
    pub api_keys: ApiKeys,
    /// Verifies the keys of operators.
    pub operators: Operators,
    /// Keeps where people may be sent back to.
    pub redirect_uris: RedirectUris,
    /// Takes WeChat's pushes to components.
    pub component_pushes: ComponentPushes,
    /// Takes WeChat's pushes to accounts that are connected by their own secret.
    pub account_pushes: AccountPushes,
    /// Tells whether requests can be served.
    pub readiness: Readiness,
    /// Serves the metrics page.
    pub metrics: MetricsPage,
    /// Tells the time.
    pub clock: SharedClock,
    /// Draws request ids and the nonces of pages.
    pub entropy: Entropy,
}

/// What the routes are told about the world.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// How WeChat and browsers reach us: scheme and host.
    pub public_url: Url,
    /// How long a body may take that is read as a whole. How long any body may be silent is the
    /// business of whoever listens.
    pub body_timeout: Duration,
    /// How long a push may take from its first byte to our answer.
    pub push_budget: Duration,
    /// Whether `/metrics` is served here, and not on a listener of its own.
    pub metrics_on_main: bool,
}

/// Everything that is served, as one endpoint that never fails.
pub fn routes(
    services: Services,
    settings: &ApiSettings,
) -> impl Endpoint<Output = Response> + use<> {
    let (clock, entropy) = (services.clock.clone(), services.entropy.clone());
    let (api_keys, operators) = (services.api_keys.clone(), services.operators.clone());
    let route = with_machines(Route::new(), &services, settings);
    let route = with_wechat(route, &services, settings);
    let route = with_documents(route);
    let route = with_apis(route, services, settings);
    Observed::new(route.data(api_keys).data(operators), (clock, entropy))
}

/// What machines ask.
fn with_machines(route: Route, services: &Services, settings: &ApiSettings) -> Route {
    let route =
        route.at("/healthz", get(Healthz)).at("/readyz", get(Readyz(services.readiness.clone())));
    if settings.metrics_on_main {
        route.at("/metrics", get(services.metrics.clone()))
    } else {
        route
    }
}

/// What WeChat and administrators' browsers reach: paths that are registered elsewhere.
fn with_wechat(route: Route, services: &Services, settings: &ApiSettings) -> Route {
    let (pool, budget) = (|| Pool::of(PUSH_SEATS), settings.push_budget);
    let to_components = ComponentEvents::new(services.component_pushes.clone(), pool(), budget);
    let to_accounts = AccountEvents::new(services.account_pushes.clone(), pool(), budget);
    let pages = AuthorizationPages::new(
        services.authorizations.clone(),
        services.clock.clone(),
        services.entropy.clone(),
        settings.public_url.clone(),
    );
    route
        .at(
            "/wechat/components/:component_appid/events",
            get(to_components.clone().url_check()).post(to_components),
        )
        .at(
            "/wechat/authorizers/:appid/events",
            get(to_accounts.clone().url_check()).post(to_accounts),
        )
        .at("/authorize/:link", get(pages.clone().start()).head(pages.clone().head()))
        .at("/authorize/:link/return", get(pages.clone().back()).head(pages.head()))
}

/// The documents, for programs and for people.
fn with_documents(route: Route) -> Route {
    route
        .at("/openapi/tenant.json", get(Document::json(spec::tenant_document())))
        .at("/openapi/admin.json", get(Document::json(spec::admin_document())))
        .at("/docs", get(Document::page(spec::tenant_page())))
        .at("/docs/admin", get(Document::page(spec::admin_page())))
}

/// The two APIs. The proxy stands beside the tenant API: OpenAPI knows no catch-all path.
fn with_apis(route: Route, services: Services, settings: &ApiSettings) -> Route {
    let proxy = Pooled::new(ProxyCalls::new(services.proxy.clone()), Pool::of(PROXY_SEATS));
    let pool = Pool::of(API_SEATS);
    let bounded =
        |api| Pooled::new(Bounded::new(api, MAX_JSON_BYTES, settings.body_timeout), pool.clone());
    let public_url = settings.public_url.clone();
    let admin = spec::admin(admin::apis(&services, public_url.clone()));
    let tenant = spec::tenant(tenant::apis(services, public_url));
    route
        .at("/v1/authorizers/:appid/proxy/*path", proxy)
        .nest(spec::TENANT_PATH, bounded(poem::IntoEndpoint::into_endpoint(tenant)))
        .nest(spec::ADMIN_PATH, bounded(poem::IntoEndpoint::into_endpoint(admin)))
}
