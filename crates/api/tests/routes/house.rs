//! The whole surface with a tenant, an operator and one account, as clients meet it.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use lingpai_api::{ApiSettings, MetricsPage, Mount, Readiness, Services, gateway_routes, routes};
use lingpai_authorizer::{
    Accounts, AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Claims, Fans,
    Grants, JsSdk, Ledger, MiniPrograms, NewAccount, Proxy, ProxyPolicy, PublishTests, Quotas,
    Reconciliations, Renewals, SystemHealth, Uncatalogued, WebAuthorizations, WebTokens,
};
use lingpai_callback::{
    AccountPushes, AuthorizerPushes, ComponentPushes, Erasures, MessagePushes, PublishChecks,
    Quarantine, Rehearsals, ReleaseCheck,
};
use lingpai_component_token::{
    Ceiling, ComponentTokens, Components, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_model::{
    Appid, Instant, Secret,
    api_key::{Scope, Scopes},
    audit::Act,
    authorizer::TokenApi,
    caller::{OperatorCaller, Via},
    clock::{Entropy, ManualClock, SharedClock},
    id::TenantId,
    network::Network,
    tenant::TenantLimits,
};
use lingpai_storage::{Db, testing::TestDb};
use lingpai_tenant::{
    ApiKeys, AuditTrail, Files, IdempotencyKeys, LimitDefaults, Limits, NewApiKey, NewTenant,
    Operators, RedirectUris, Tenants, VirtualTokens,
};
use lingpai_webhook::{
    Asker, AutoReplyRules, Deliveries, Endpoints, Events, Listeners, Sender, SenderPolicy, Tail,
    WebhookBase,
};
use lingpai_wechat::client::{Client, ClientConfig};
use poem::{
    Body, Endpoint, EndpointExt as _, Request, RequestParts, Response,
    endpoint::BoxEndpoint,
    http::{self, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// An account of the emulator's, connected by its own secret.
pub(crate) const SHOP: &str = "wxa0b1c2d3e4f50617";

/// With what pushes to [`SHOP`] are signed and encrypted.
pub(crate) const PUSH_TOKEN: &str = "token4711";
pub(crate) const PUSH_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

pub(crate) struct House {
    pub(crate) db: TestDb,
    pub(crate) wechat: Emulator,
    pub(crate) clock: ManualClock,
    pub(crate) services: Services,
    pub(crate) tenant_id: TenantId,
    pub(crate) key: String,
    pub(crate) operator_key: String,
    /// The main listener's endpoint.
    main: BoxEndpoint<'static, Response>,
    /// The second listener's.
    second: BoxEndpoint<'static, Response>,
}

/// An answer as it was received.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `code` of a problem, which it has to be.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        self.json()["code"].as_str().expect("a problem has a code").to_owned()
    }

    /// The `errcode` of an answer in WeChat's shape.
    pub(crate) fn errcode(&self) -> i64 {
        self.json()["errcode"].as_i64().unwrap_or_else(|| panic!("no errcode: {}", self.text))
    }
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::with(Self::limits()).await
    }

    /// The limits that hold where nothing else is said.
    pub(crate) fn limits() -> LimitDefaults {
        LimitDefaults {
            requests_per_second: NonZeroU32::new(1000),
            concurrent_requests: 128,
            changes_per_minute: NonZeroU32::new(600).expect("600 is not 0"),
        }
    }

    pub(crate) async fn with(limits: LimitDefaults) -> Self {
        let wechat = Emulator::start(EmulatorConfig::for_tests()).await.expect("loopback is there");
        let test_db = TestDb::sqlite().await;
        let now = Instant::from_timestamp_millis(wechat.now_ms()).expect("the present");
        let clock = ManualClock::at(now);
        let services = services(&test_db, &wechat, &clock, limits);
        let operator_key = operator_key(&services).await;
        let by = operator(&services, &operator_key).await;
        let (tenant_id, key) = tenant(&services, &by, &Scope::ALL).await;
        let settings = settings();
        let second = gateway_routes(&services, &settings, Mount::Root).boxed();
        let main = routes(services.clone(), &settings).boxed();
        Self { db: test_db, wechat, clock, services, tenant_id, key, operator_key, main, second }
    }

    /// The tenant connects [`SHOP`].
    pub(crate) async fn connect_shop(&self) {
        let secret = self.wechat.account(SHOP).and_then(|account| account.appsecret);
        let new = NewAccount {
            appid: Appid::parse(SHOP).expect("a fixed appid"),
            appsecret: Secret::new(secret.expect("it has a secret")),
            token_api: TokenApi::StableToken,
            push_keys: Some((Secret::from(PUSH_TOKEN), Secret::from(PUSH_KEY))),
        };
        let caller = self.services.api_keys.authenticate(&self.key, Via::default()).await;
        let caller = caller.expect("our own key");
        self.services.accounts.connect(&caller, new).await.expect("WeChat takes the secret");
    }

    /// One more key of the tenant's.
    pub(crate) async fn key_with(&self, scopes: &[Scope]) -> String {
        let by = operator(&self.services, &self.operator_key).await;
        api_key(&self.services, &by, &self.tenant_id, scopes).await
    }

    /// The key of another tenant.
    pub(crate) async fn foreign_key(&self) -> String {
        let by = operator(&self.services, &self.operator_key).await;
        tenant(&self.services, &by, &Scope::ALL).await.1
    }

    /// The main listener looks for keys of tenants in another database.
    pub(crate) fn keys_in(&mut self, db: &Db) {
        let clock = Arc::new(self.clock.clone());
        self.services.api_keys = ApiKeys::new(db.clone(), clock, self.services.entropy.clone());
        self.main = routes(self.services.clone(), &settings()).boxed();
    }

    /// Sends a request to the main listener.
    pub(crate) async fn send(&self, request: http::request::Builder, body: &str) -> Answer {
        answered(&self.main, request, body).await
    }

    /// The head of the answer of the main listener to a GET, before anything of its body.
    pub(crate) async fn open(&self, path: &str, key: &str) -> Response {
        let request = http::Request::builder().uri(path);
        self.send_open(request.header("authorization", format!("Bearer {key}"))).await
    }

    /// The same for any request without a body.
    pub(crate) async fn send_open(&self, request: http::request::Builder) -> Response {
        self.main.get_response(request_of(request, "")).await
    }

    /// Sends a request to the second listener.
    pub(crate) async fn send_second(&self, request: http::request::Builder, body: &str) -> Answer {
        answered(&self.second, request, body).await
    }

    pub(crate) async fn get(&self, path: &str, key: Option<&str>) -> Answer {
        let mut request = http::Request::builder().uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request, "").await
    }

    /// A virtual token for [`SHOP`], as an SDK gets it.
    pub(crate) async fn token(&self, key: &str) -> String {
        let path = format!(
            "/gateway/cgi-bin/token?grant_type=client_credential&appid={SHOP}&secret={key}"
        );
        let answer = self.get(&path, None).await;
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token: {}", answer.text))
    }
}

fn settings() -> ApiSettings {
    ApiSettings {
        public_url: Url::parse("https://lingpai.example").expect("a fixed address"),
        body_timeout: Duration::from_secs(10),
        push_budget: Duration::from_secs(3),
        metrics_on_main: true,
        trusted_proxies: vec![Network::parse("127.0.0.0/8").expect("a fixed network")],
    }
}

fn request_of(request: http::request::Builder, body: &str) -> Request {
    let (head, ()) = request.body(()).expect("a request").into_parts();
    let socket: SocketAddr = "192.0.2.1:4711".parse().expect("an address");
    let (local, remote) = (LocalAddr::default(), RemoteAddr(socket.into()));
    let head = RequestParts::from((head, local, remote, Scheme::HTTP));
    Request::from_parts(head, Body::from(body.to_owned()))
}

async fn answered(
    endpoint: &BoxEndpoint<'static, Response>,
    request: http::request::Builder,
    body: &str,
) -> Answer {
    let mut answer = endpoint.get_response(request_of(request, body)).await;
    let (status, head) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.take_body().into_bytes_limit(16 << 20).await.expect("a short body");
    Answer { status, head, text: String::from_utf8(body.to_vec()).expect("text") }
}

async fn operator_key(services: &Services) -> String {
    let created = services.operators.create(&Act::of_lingpai(), "me".to_owned()).await;
    created.expect("the database is there").1.into_text().expose().clone()
}

async fn operator(services: &Services, key: &str) -> OperatorCaller {
    services.operators.authenticate(key, Via::default()).await.expect("our own key")
}

async fn tenant(services: &Services, by: &OperatorCaller, scopes: &[Scope]) -> (TenantId, String) {
    let (name, limits) = ("shop".to_owned(), TenantLimits::default());
    let new = NewTenant { name, logo_url: None, limits };
    let tenant = services.tenants.create(by, new).await.expect("the database is there");
    let key = api_key(services, by, &tenant.id, scopes).await;
    (tenant.id, key)
}

async fn api_key(
    services: &Services,
    by: &OperatorCaller,
    tenant: &TenantId,
    scopes: &[Scope],
) -> String {
    let new = NewApiKey {
        name: "backend".to_owned(),
        scopes: scopes.iter().copied().collect::<Scopes>(),
        expires_at: None,
        networks: vec![],
        requests_per_second: None,
    };
    let created = services.api_keys.create(by, tenant, new).await;
    created.expect("the tenant is there").1.into_text().expose().clone()
}

/// What services are made of.
struct Wiring {
    base: KeeperBase,
    wechat: Client,
    public_url: Url,
}

fn services(
    test_db: &TestDb,
    wechat: &Emulator,
    clock: &ManualClock,
    limits: LimitDefaults,
) -> Services {
    let api_url: Url = wechat.base_url().parse().expect("the emulator's address");
    let config = ClientConfig { api_url, ..ClientConfig::default() };
    let base = KeeperBase {
        db: test_db.db.clone(),
        clock: Arc::new(clock.clone()),
        entropy: Entropy::seeded(1),
        ceiling: Arc::new(Ceiling::new(RefreshLimits::default())),
        tasks: TaskTracker::new(),
    };
    let public_url = Url::parse("https://lingpai.example").expect("a fixed address");
    let wiring = Wiring { base, wechat: Client::new(config).expect("a client"), public_url };
    wiring.services(limits)
}

impl Wiring {
    fn db(&self) -> Db {
        self.base.db.clone()
    }

    fn now(&self) -> SharedClock {
        self.base.clock.clone()
    }

    fn chance(&self) -> Entropy {
        self.base.entropy.clone()
    }

    fn world(&self) -> (SharedClock, Entropy) {
        (self.now(), self.chance())
    }

    fn wechat(&self) -> Client {
        self.wechat.clone()
    }

    fn urls(&self) -> AuthorizationUrls {
        let url = || self.public_url.clone();
        AuthorizationUrls { public_url: url(), mp_url: url(), open_url: url() }
    }

    fn proxy(&self, tokens: AuthorizerTokens, ledger: Ledger) -> Proxy {
        let renewal = Renewals::new(self.db(), self.now(), self.public_url.clone());
        let policy = ProxyPolicy { uncatalogued: Uncatalogued::Allow, renewal };
        Proxy::new(self.base.clone(), self.wechat(), tokens, ledger, policy)
    }

    fn fans(&self, tokens: AuthorizerTokens, web_tokens: WebTokens, ledger: Ledger) -> Fans {
        Fans::new(self.wechat(), self.db(), tokens, web_tokens, ledger)
    }

    /// What the services of events are made of. Loopback may be reached, nothing else that is private.
    fn webhooks(&self) -> WebhookBase {
        let loopback = Network::parse("127.0.0.0/8").expect("a fixed network");
        let policy = SenderPolicy { allow_private: vec![loopback], ..SenderPolicy::default() };
        WebhookBase {
            db: self.db(),
            sender: Sender::new(policy).expect("a sender"),
            clock: self.now(),
            entropy: self.chance(),
            tasks: self.base.tasks.clone(),
            due: Arc::default(),
        }
    }

    fn events(&self) -> Events {
        Events::new(self.db(), self.now(), self.chance())
    }

    fn listeners(&self) -> Listeners {
        Listeners::new(self.db(), self.now(), self.chance())
    }

    fn messages(&self, web_tokens: WebTokens, mini_programs: MiniPrograms) -> MessagePushes {
        let (webhooks, asker) = (self.webhooks(), Asker::new(self.webhooks()));
        MessagePushes::new(webhooks, web_tokens, mini_programs, asker, self.listeners())
    }

    fn release_check(&self, grants: Grants) -> ReleaseCheck {
        let publish_tests = PublishTests::new(self.wechat(), grants);
        ReleaseCheck::new(self.db(), publish_tests, self.world(), self.base.tasks.clone())
    }

    fn rehearsals(&self) -> Rehearsals {
        let (sender, url) = (self.webhooks().sender, self.public_url.clone());
        Rehearsals::new(self.db(), sender, url, self.now(), self.chance())
    }

    #[expect(clippy::too_many_lines, reason = "one list of everything that is served")]
    fn services(&self, limits: LimitDefaults) -> Services {
        let base = || self.base.clone();
        let tickets = Tickets::new(self.db(), self.now());
        let ticket_watch = TicketWatch::new(self.db(), self.wechat(), self.now(), self.chance());
        let components =
            ComponentTokens::new(base(), self.wechat(), tickets.clone(), ticket_watch.clone());
        let component = || components.clone();
        let tasks = self.base.tasks.clone();
        let grants = Grants::new(self.db(), self.wechat(), component(), self.world(), tasks);
        let reconciliations =
            Reconciliations::new(base(), self.wechat(), component(), grants.clone());
        let tokens = AuthorizerTokens::new(
            base(),
            self.wechat(),
            component(),
            grants.clone(),
            reconciliations.clone(),
        );
        let ledger = Ledger::new(self.db(), self.now(), self.chance());
        let api_keys = ApiKeys::new(self.db(), self.now(), self.chance());
        let web_tokens = WebTokens::new(base(), self.wechat(), component(), ledger.clone());
        let mini_programs = MiniPrograms::new(base(), self.wechat(), component(), ledger.clone());
        let recorded = Arc::new(Notify::new());
        let messages = self.messages(web_tokens.clone(), mini_programs.clone());
        let release_check = self.release_check(grants.clone());
        Services {
            components: Components::new(self.db(), self.now(), self.chance()),
            ticket_watch,
            component_tokens: component(),
            authorizations: Authorizations::new(
                self.db(),
                component(),
                grants,
                self.world(),
                self.urls(),
            ),
            authorizers: Authorizers::new(base(), self.wechat(), component(), tokens.clone()),
            accounts: Accounts::new(base(), self.wechat()),
            reconciliations,
            proxy: self.proxy(tokens.clone(), ledger.clone()),
            web_authorizations: WebAuthorizations::new(
                base(),
                self.wechat(),
                component(),
                web_tokens.clone(),
                self.urls(),
            ),
            fans: self.fans(tokens.clone(), web_tokens.clone(), ledger.clone()),
            jssdk: JsSdk::new(base(), self.wechat(), tokens.clone()),
            quotas: Quotas::new(base(), self.wechat(), component(), tokens),
            virtual_tokens: VirtualTokens::new(api_keys.clone()),
            api_keys,
            limits: Limits::new(self.db(), limits),
            ledger,
            component_pushes: ComponentPushes::new(
                self.db(),
                tickets.clone(),
                self.world(),
                Arc::clone(&recorded),
            ),
            tickets,
            account_pushes: AccountPushes::new(messages.clone()),
            authorizer_pushes: AuthorizerPushes::new(messages.clone(), release_check),
            endpoints: Endpoints::new(self.webhooks()),
            events: self.events(),
            deliveries: Deliveries::new(self.webhooks()),
            tail: Tail::new(self.db(), self.now()),
            listeners: self.listeners(),
            auto_replies: AutoReplyRules::new(self.webhooks()),
            erasures: Erasures::new(self.events(), web_tokens.clone(), mini_programs.clone()),
            mini_programs,
            web_tokens,
            quarantine: Quarantine::new(messages, recorded),
            rehearsals: self.rehearsals(),
            publish_checks: PublishChecks::new(self.db()),
            tasks: self.base.tasks.clone(),
            stopping: CancellationToken::new(),
            readiness: Readiness::new(|| async { Ok(()) }.boxed()),
            metrics: MetricsPage::new(String::new),
            tenants: Tenants::new(self.db(), self.now(), self.chance()),
            operators: Operators::new(self.db(), self.now(), self.chance()),
            redirect_uris: RedirectUris::new(self.db(), self.now(), self.chance()),
            files: Files::new(self.db(), self.now(), self.chance()),
            audit: AuditTrail::new(self.db()),
            idempotency: IdempotencyKeys::new(self.db(), self.now()),
            claims: Claims::new(self.db(), self.now(), self.chance()),
            system_health: SystemHealth::new(self.db(), self.now()),
            clock: self.now(),
            entropy: self.chance(),
        }
    }
}
