//! The one list of everything that is served.

use std::time::Duration;

use lingpai_authorizer::{
    Accounts, Authorizations, Authorizers, Claims, Fans, JsSdk, Ledger, MiniPrograms, Proxy,
    Quotas, Reconciliations, SystemHealth, WebAuthorizations, WebTokens,
};
use lingpai_callback::{
    AccountPushes, AuthorizerPushes, ComponentPushes, Erasures, PublishChecks, Quarantine,
    Rehearsals,
};
use lingpai_component_token::{ComponentTokens, Components, TicketWatch, Tickets};
use lingpai_model::{
    clock::{Entropy, SharedClock},
    network::Network,
};
use lingpai_tenant::{
    ApiKeys, AuditTrail, Files, IdempotencyKeys, Limits, MAX_CONCURRENT_REQUESTS, Operators,
    RedirectUris, Tenants, VirtualTokens,
};
use lingpai_webhook::{AutoReplyRules, Deliveries, Endpoints, Events, Listeners, Tail};
use poem::{Endpoint, IntoEndpoint, Response, Route, get};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    admin,
    docs::Document,
    door::{Doorman, OperatorDoor, TenantDoor},
    files::RootFiles,
    gateway::{Gateway, Mount},
    health::{Healthz, MetricsPage, Readiness, Readyz},
    input::MAX_JSON_BYTES,
    middleware::{Bounded, Idempotent, Observed, Pool, Pooled, Tagged, TrustedProxies},
    spec,
    tenant::{self, EventStream, ProxyCalls},
    wechat::{
        AccountEvents, AuthorizationPages, AuthorizerEvents, ComponentEvents, FAN_RETURN_PATH,
        FanPages, FanReturn, PUSH_SEAT_BYTES,
    },
};

/// How many pushes of one kind are read and recorded at the same time, if they are as small as usual;
/// together no more than 48 MiB, however large they are. What fans write to accounts has a pool of its
/// own, so that tickets and grants never wait behind it.
const PUSH_SEATS: usize = 48 * 1024 * 1024 / PUSH_SEAT_BYTES;

/// How many requests to the tenant API are worked on at the same time: 64 KiB each at most.
const TENANT_SEATS: usize = 512;

/// The same for the admin API: however many seats tenants have taken, an operator finds one.
const ADMIN_SEATS: usize = 64;

/// How many proxied calls wait for WeChat at the same time: each keeps up to 64 KiB to repeat it.
const PROXY_SEATS: usize = 512;

// However much an operator allows a tenant, it leaves half of what tenants share to the others.
const _: () = assert!(TENANT_SEATS >= 2 * MAX_CONCURRENT_REQUESTS as usize);
const _: () = assert!(PROXY_SEATS >= 2 * MAX_CONCURRENT_REQUESTS as usize);

/// How many keys of one kind, tenants' or operators', are verified at the same time: what is not in
/// memory asks the database.
const DOOR_SEATS: usize = 32;

/// How many verification files are looked for at the same time.
const FILE_SEATS: usize = 16;

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
    /// Keeps the domain verification files.
    pub files: Files,
    /// Reads the audit trail.
    pub audit: AuditTrail,
    /// Holds tenants to how much they may ask.
    pub limits: Limits,
    /// Remembers which creating calls were made.
    pub idempotency: IdempotencyKeys,
    /// Makes and verifies the gateway's tokens.
    pub virtual_tokens: VirtualTokens,
    /// Counts calls, and tells the figures.
    pub ledger: Ledger,
    /// Reads and clears WeChat's quotas.
    pub quotas: Quotas,
    /// Gives accounts to tenants and takes them back.
    pub claims: Claims,
    /// Sends fans to WeChat and takes them back.
    pub web_authorizations: WebAuthorizations,
    /// Keeps what fans granted on web pages.
    pub web_tokens: WebTokens,
    /// Tells what WeChat knows of a fan.
    pub fans: Fans,
    /// Signs pages for the JS-SDK.
    pub jssdk: JsSdk,
    /// Logs fans of mini programs in.
    pub mini_programs: MiniPrograms,
    /// Tells how the installation stands.
    pub system_health: SystemHealth,
    /// Takes WeChat's pushes to components.
    pub component_pushes: ComponentPushes,
    /// Takes WeChat's pushes to accounts that are connected by their own secret.
    pub account_pushes: AccountPushes,
    /// Takes WeChat's pushes to the accounts of components.
    pub authorizer_pushes: AuthorizerPushes,
    /// Keeps where tenants want their events.
    pub endpoints: Endpoints,
    /// Reads and erases events.
    pub events: Events,
    /// Reads deliveries and makes them again.
    pub deliveries: Deliveries,
    /// Follows events as they come.
    pub tail: Tail,
    /// Knows who follows and replies.
    pub listeners: Listeners,
    /// Keeps what accounts answer by themselves.
    pub auto_replies: AutoReplyRules,
    /// Erases what is kept of fans.
    pub erasures: Erasures,
    /// Keeps the pushes that could not be taken the usual way.
    pub quarantine: Quarantine,
    /// Plays WeChat's publish test.
    pub rehearsals: Rehearsals,
    /// Tells what WeChat's publish test asked.
    pub publish_checks: PublishChecks,
    /// Tells whether requests can be served.
    pub readiness: Readiness,
    /// Serves the metrics page.
    pub metrics: MetricsPage,
    /// Tells the time.
    pub clock: SharedClock,
    /// Draws request ids and the nonces of pages.
    pub entropy: Entropy,
    /// Runs what is left to do when a stream ends; shutdown waits for it.
    pub tasks: TaskTracker,
    /// Ends the streams when the service stops: they would hold up its end.
    pub stopping: CancellationToken,
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
    /// The proxies before us, whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<Network>,
}

/// Everything that is served, as one endpoint that never fails.
pub fn routes(
    services: Services,
    settings: &ApiSettings,
) -> impl Endpoint<Output = Response> + use<> {
    let world = (services.clock.clone(), services.entropy.clone());
    let (doorman, calls) = (doorman(settings), Pool::of(PROXY_SEATS));
    let (fans, mount) = (FanPages::new(&services, settings), Mount::Prefixed);
    let seats = (doorman.clone(), calls.clone());
    let gateway = Gateway::new(&services, settings, seats, mount, fans.clone());
    let route = with_machines(Route::new(), &services, settings);
    let route = with_wechat(route, &services, settings);
    let route = with_fans(route, fans);
    let route = with_documents(route).at(mount.pattern(), gateway);
    let route = with_admin(route, &services, settings);
    let route = with_tenants(route, services, settings, (&doorman, calls));
    Observed::new(route, world)
}

/// The gateway alone, for a listener of its own: an endpoint that never fails.
pub fn gateway_routes(
    services: &Services,
    settings: &ApiSettings,
    mount: Mount,
) -> impl Endpoint<Output = Response> + use<> {
    let seats = (doorman(settings), Pool::of(PROXY_SEATS));
    let fans = FanPages::new(services, settings);
    let gateway = Gateway::new(services, settings, seats, mount, fans);
    let world = (services.clock.clone(), services.entropy.clone());
    Observed::new(Route::new().at(mount.pattern(), gateway), world)
}

fn doorman(settings: &ApiSettings) -> Doorman {
    Doorman::new(Pool::of(DOOR_SEATS), TrustedProxies::of(&settings.trusted_proxies))
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

/// What WeChat and the browsers of administrators reach: paths that are registered elsewhere.
fn with_wechat(route: Route, services: &Services, settings: &ApiSettings) -> Route {
    let (pool, budget) = (|| Pool::of(PUSH_SEATS), settings.push_budget);
    let to_components = ComponentEvents::new(services.component_pushes.clone(), pool(), budget);
    let to_authorizers = AuthorizerEvents::new(services.authorizer_pushes.clone(), pool(), budget);
    let to_accounts = AccountEvents::new(services.account_pushes.clone(), pool(), budget);
    let pages = AuthorizationPages::new(
        services.authorizations.clone(),
        services.clock.clone(),
        services.entropy.clone(),
        settings.public_url.clone(),
        TrustedProxies::of(&settings.trusted_proxies),
    );
    route
        .at(
            "/wechat/components/:component_appid/events",
            get(to_components.clone().url_check()).post(to_components),
        )
        .at(
            "/wechat/components/:component_appid/authorizers/:appid/events",
            get(to_authorizers.clone().url_check()).post(to_authorizers),
        )
        .at(
            "/wechat/authorizers/:appid/events",
            get(to_accounts.clone().url_check()).post(to_accounts),
        )
        .at("/authorize/:link", get(pages.clone().start()).head(pages.clone().head()))
        .at("/authorize/:link/return", get(pages.clone().back()).head(pages.head()))
        .at("/:name", Pooled::new(RootFiles::new(services.files.clone()), Pool::of(FILE_SEATS)))
}

/// Where WeChat sends fans back to.
fn with_fans(route: Route, fans: FanPages) -> Route {
    route.at(FAN_RETURN_PATH, get(FanReturn(fans.clone())).head(FanReturn(fans)))
}

/// The documents, for programs and for people.
fn with_documents(route: Route) -> Route {
    route
        .at("/openapi/tenant.json", get(Document::json(spec::tenant_document())))
        .at("/openapi/admin.json", get(Document::json(spec::admin_document())))
        .at("/docs", get(Document::page(spec::tenant_page())))
        .at("/docs/admin", get(Document::page(spec::admin_page())))
}

/// The admin API. Its doorman is its own: however many keys are shown at the tenants' door, an operator
/// is let in.
fn with_admin(route: Route, services: &Services, settings: &ApiSettings) -> Route {
    let api = spec::admin(admin::apis(services, settings.public_url.clone()));
    let (keys, clock) = (services.idempotency.clone(), services.clock.clone());
    let api = Idempotent::of_operators(Tagged::new(api), keys, clock);
    let api = bounded(api, settings, ADMIN_SEATS);
    let door = OperatorDoor::new(api, services.operators.clone(), doorman(settings));
    route.nest(spec::ADMIN_PATH, door)
}

/// The tenant API. The proxy stands beside it: OpenAPI knows no catch-all path. So does the stream of
/// events, which has an end of its own and seats of its own.
fn with_tenants(
    route: Route,
    services: Services,
    settings: &ApiSettings,
    (doorman, calls): (&Doorman, Pool),
) -> Route {
    let (api_keys, limits) = (services.api_keys.clone(), services.limits.clone());
    let (keys, clock) = (services.idempotency.clone(), services.clock.clone());
    let proxy = Pooled::new(ProxyCalls::new(services.proxy.clone()), calls);
    let proxy = TenantDoor::new(proxy, api_keys.clone(), limits.clone(), doorman.clone());
    let proxy = proxy.before_wechat();
    let stream = get(EventStream::new(&services));
    let stream = TenantDoor::new(stream, api_keys.clone(), limits.clone(), doorman.clone());
    let api = spec::tenant(tenant::apis(services, settings.public_url.clone()));
    let api = Idempotent::of_tenants(Tagged::new(api), keys, clock);
    let api = bounded(api, settings, TENANT_SEATS);
    route
        .at("/v1/authorizers/:appid/proxy/*path", proxy)
        .at("/v1/events/stream", stream)
        .nest(spec::TENANT_PATH, TenantDoor::new(api, api_keys, limits, doorman.clone()))
}

/// `api` as it is met: a seat first, then a whole body.
fn bounded<E: Endpoint>(
    api: impl IntoEndpoint<Endpoint = E>,
    settings: &ApiSettings,
    seats: usize,
) -> Pooled<Bounded<E>> {
    Pooled::new(Bounded::new(api, MAX_JSON_BYTES, settings.body_timeout), Pool::of(seats))
}
