//! An installation with a tenant that owns an account, another tenant, and an operator.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use lingpai_authorizer::{
    Accounts, Answered, AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Claims,
    CustomerService, Error, Fans, Grants, JsSdk, JudgedPath, Ledger, MiniPrograms, Proxy,
    ProxyPolicy, ProxyRequest, PublishTests, Quotas, Reconciliations, Renewals, Uncatalogued,
    WebAuthorizations, WebTokens,
};
use lingpai_component_token::{
    Ceiling, ComponentTokens, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Fault, FaultKind};
use lingpai_model::{
    Appid,
    api_key::{Scope, Scopes},
    audit::{Action, AuditEntry},
    authorizer::Authorizer,
    caller::{Caller, OperatorCaller, TenantScope, Via},
    clock::{Clock as _, Entropy, SharedClock},
    event::{Event, EventKind},
    id::{ApiKeyId, OperatorId, TenantId},
    page::PageRequest,
    tenant::{Tenant, TenantLimits},
    usage::{Granularity, UsageFigure},
};
use lingpai_storage::{AuditFilter, Db, UsageFilter, testing::kept_events};
use lingpai_wechat::client::{Client, ClientConfig};
use tokio_util::task::TaskTracker;

use crate::world::{SHOP, World};

/// A path that the account's token is taken for, and that answers from state.
pub(crate) const USER_GET: &str = "/cgi-bin/user/get";

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) db: Db,
    pub(crate) entropy: Entropy,
    pub(crate) tenant: Caller,
    pub(crate) other: Caller,
    pub(crate) operator: OperatorCaller,
    /// The tenant's account, as it was at the start.
    pub(crate) shop: Authorizer,
    pub(crate) tokens: AuthorizerTokens,
    pub(crate) grants: Grants,
    pub(crate) accounts: Accounts,
    pub(crate) authorizations: Authorizations,
    pub(crate) authorizers: Authorizers,
    pub(crate) claims: Claims,
    pub(crate) quotas: Quotas,
    pub(crate) ledger: Ledger,
    pub(crate) renewals: Renewals,
    pub(crate) proxy: Proxy,
    pub(crate) customer_service: CustomerService,
    pub(crate) publish_tests: PublishTests,
    pub(crate) jssdk: JsSdk,
    pub(crate) mini_programs: MiniPrograms,
    pub(crate) web_tokens: WebTokens,
    pub(crate) web_authorizations: WebAuthorizations,
    pub(crate) fans: Fans,
    /// What runs behind the callers' backs.
    pub(crate) tasks: TaskTracker,
}

impl Site {
    pub(crate) async fn open() -> Self {
        Self::open_with(Uncatalogued::Allow).await
    }

    /// Boxed, since the compiler goes only so deep into futures within futures.
    pub(crate) async fn open_with(uncatalogued: Uncatalogued) -> Self {
        Box::pin(Self::start(uncatalogued)).await
    }

    #[expect(clippy::too_many_lines, reason = "one list of services")]
    async fn start(uncatalogued: Uncatalogued) -> Self {
        let world = World::start().await;
        let (db, entropy) = (world.connect().await, Entropy::seeded(2));
        let [tenant, other] = ["花店", "另一家"].map(|name| tenant(&world, &entropy, name));
        let callers = [&tenant, &other].map(|tenant| caller(&tenant.id, &entropy));
        world
            .change(async |tx| {
                tx.tenants().insert(&tenant).await.unwrap();
                tx.tenants().insert(&other).await.unwrap();
            })
            .await;
        let shop = Authorizer {
            tenant_id: Some(tenant.id.clone()),
            func_info: vec![1, 2, 3, 15],
            ..world.authorizer(SHOP).await
        };
        world.change(async |tx| tx.authorizers().system_update(&shop).await.unwrap()).await;

        let api_url: url::Url = world.wechat.base_url().parse().unwrap();
        let config = ClientConfig { mp_url: api_url.clone(), api_url, ..ClientConfig::default() };
        let wechat = Client::new(config).unwrap();
        let clock: SharedClock = Arc::new(world.clock.clone());
        let base = KeeperBase {
            db: db.clone(),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
            ceiling: Arc::new(Ceiling::new(RefreshLimits::default())),
            tasks: TaskTracker::new(),
        };
        let time = || (Arc::clone(&clock), entropy.clone());
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let watch = TicketWatch::new(db.clone(), wechat.clone(), time().0, time().1);
        let component_tokens = ComponentTokens::new(base.clone(), wechat.clone(), tickets, watch);
        let components = || component_tokens.clone();
        let grants =
            Grants::new(db.clone(), wechat.clone(), components(), time(), base.tasks.clone());
        let reconciliations =
            Reconciliations::new(base.clone(), wechat.clone(), components(), grants.clone());
        let tokens = AuthorizerTokens::new(
            base.clone(),
            wechat.clone(),
            components(),
            grants.clone(),
            reconciliations,
        );
        let ledger = Ledger::new(db.clone(), time().0, time().1);
        let public_url = url::Url::parse("https://lingpai.example/sub").unwrap();
        let renewals = Renewals::new(db.clone(), time().0, public_url.clone());
        let policy = ProxyPolicy { uncatalogued, renewal: renewals.clone() };
        let urls = || AuthorizationUrls {
            public_url: public_url.clone(),
            mp_url: world.wechat.base_url().parse().unwrap(),
            open_url: world.wechat.base_url().parse().unwrap(),
        };
        let web_tokens = WebTokens::new(base.clone(), wechat.clone(), components(), ledger.clone());
        let [tenant, other] = callers;
        Self {
            operator: OperatorCaller {
                id: OperatorId::new(world.clock.now(), &entropy),
                via: Via::default(),
            },
            accounts: Accounts::new(base.clone(), wechat.clone()),
            authorizations: Authorizations::new(
                db.clone(),
                components(),
                grants.clone(),
                time(),
                urls(),
            ),
            authorizers: Authorizers::new(
                base.clone(),
                wechat.clone(),
                components(),
                tokens.clone(),
            ),
            claims: Claims::new(db.clone(), time().0, time().1),
            customer_service: CustomerService::new(wechat.clone(), tokens.clone()),
            publish_tests: PublishTests::new(wechat.clone(), grants.clone()),
            jssdk: JsSdk::new(base.clone(), wechat.clone(), tokens.clone()),
            mini_programs: MiniPrograms::new(
                base.clone(),
                wechat.clone(),
                components(),
                ledger.clone(),
            ),
            web_authorizations: WebAuthorizations::new(
                base.clone(),
                wechat.clone(),
                components(),
                web_tokens.clone(),
                urls(),
            ),
            fans: Fans::new(
                wechat.clone(),
                db.clone(),
                tokens.clone(),
                web_tokens.clone(),
                ledger.clone(),
            ),
            web_tokens,
            quotas: Quotas::new(base.clone(), wechat.clone(), components(), tokens.clone()),
            tasks: base.tasks.clone(),
            proxy: Proxy::new(base, wechat, tokens.clone(), ledger.clone(), policy),
            tokens,
            grants,
            ledger,
            renewals,
            shop,
            tenant,
            other,
            entropy,
            db,
            world,
        }
    }

    /// The same installation's ledger in another process.
    pub(crate) fn another_ledger(&self) -> Ledger {
        Ledger::new(self.db.clone(), Arc::new(self.world.clock.clone()), self.entropy.clone())
    }

    /// Calls `path` with GET for the tenant's account.
    pub(crate) async fn get(&self, path: &str) -> Result<Answered, Error> {
        self.call(&self.tenant, Method::GET, (path, "")).await
    }

    /// Calls `path` with POST for the tenant's account.
    pub(crate) async fn post(&self, path: &str, body: &'static str) -> Result<Answered, Error> {
        self.call(&self.tenant, Method::POST, (path, body)).await
    }

    /// Calls `path` for the account, as `caller`. A query may stand behind `?`.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        method: Method,
        (path, body): (&str, &'static str),
    ) -> Result<Answered, Error> {
        let (raw_path, raw_query) = path.split_once('?').unwrap_or((path, ""));
        let request = ProxyRequest {
            method,
            raw_path: raw_path.to_owned(),
            raw_query: raw_query.to_owned(),
            headers: HeaderMap::new(),
            body: stream::iter((!body.is_empty()).then(|| Ok(body.into()))).boxed(),
        };
        self.proxy.call(caller, &self.shop.appid, request).await
    }

    /// WeChat answers `path` with this JSON, whatever it did.
    pub(crate) fn answer(&self, path: &str, body: &str) -> u64 {
        self.world.wechat.set_fault(other_answer(path, body))
    }

    /// WeChat answers `path` with this JSON the next time.
    pub(crate) fn answer_once(&self, path: &str, body: &str) {
        self.world.wechat.set_fault(other_answer(path, body).times(1));
    }

    /// What happens from now on comes later in every list.
    pub(crate) fn a_moment_later(&self) {
        self.world.clock.advance(chrono::Duration::seconds(1));
    }

    /// The hourly figures of a tenant.
    pub(crate) async fn figures(&self, caller: &Caller) -> Vec<UsageFigure> {
        let (filter, page) = (UsageFilter::default(), PageRequest::new(100, None).unwrap());
        let figures = self.ledger.figures(&caller.scope, Granularity::Hour, &filter, &page).await;
        figures.unwrap().items
    }

    /// The actions in a tenant's trail, the newest first.
    pub(crate) async fn trail(&self, caller: &Caller) -> Vec<(Action, String)> {
        let page = PageRequest::new(100, None).unwrap();
        let entries = self.db.audit().list(&caller.scope, &page).await.unwrap().items;
        entries.into_iter().map(|entry| (entry.action, entry.subject)).collect()
    }

    /// All of the trail, the newest first.
    pub(crate) async fn whole_trail(&self) -> Vec<AuditEntry> {
        let page = PageRequest::new(100, None).unwrap();
        self.db.audit().system_list(&AuditFilter::default(), &page).await.unwrap().items
    }

    /// What a tenant was told.
    pub(crate) async fn events(&self, caller: &Caller) -> Vec<Event> {
        kept_events(&self.db, Some(caller.scope.tenant_id())).await
    }

    /// The kinds of what a tenant was told.
    pub(crate) async fn told(&self, caller: &Caller) -> Vec<EventKind> {
        self.events(caller).await.into_iter().map(|event| kind_of(&event)).collect()
    }

    /// The account as it is stored now.
    pub(crate) async fn stored(&self) -> Authorizer {
        self.world.reload(&self.shop).await
    }
}

/// The same caller with other scopes.
pub(crate) fn with_scopes(caller: &Caller, scopes: &[Scope]) -> Caller {
    Caller { scopes: scopes.iter().copied().collect(), ..caller.clone() }
}

/// Which of our own events it is.
pub(crate) fn kind_of(event: &Event) -> EventKind {
    EventKind::ALL.into_iter().find(|kind| event.event_type == *kind).expect("one of ours")
}

fn tenant(world: &World, entropy: &Entropy, name: &str) -> Tenant {
    let now = world.clock.now();
    Tenant {
        id: TenantId::new(now, entropy),
        name: name.to_owned(),
        logo_url: Some("https://flowers.example/logo.png".to_owned()),
        limits: TenantLimits { requests_per_second: None, concurrent_requests: None },
        created_at: now,
        updated_at: now,
    }
}

fn caller(tenant: &TenantId, entropy: &Entropy) -> Caller {
    Caller {
        scope: TenantScope::authenticated(tenant.clone()),
        key_id: ApiKeyId::new(lingpai_model::Instant::UNIX_EPOCH, entropy),
        scopes: Scopes::all(),
        requests_per_second: None,
        via: Via::default(),
    }
}

fn other_answer(path: &str, body: &str) -> Fault {
    let (content_type, body) = ("application/json".to_owned(), body.to_owned());
    Fault::new(path, FaultKind::OtherAnswer { status: 200, content_type, body })
}

/// A path that may be called.
pub(crate) fn path(raw: &str) -> JudgedPath {
    JudgedPath::judge(raw).unwrap()
}

pub(crate) fn appid(text: &str) -> Appid {
    Appid::parse(text).unwrap()
}
