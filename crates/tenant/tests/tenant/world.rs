//! An operator, and what he can make.

use std::{sync::Arc, time::Duration};

use lingpai_model::{
    Instant, Secret,
    api_key::{ApiKey, Scopes},
    audit::{Act, AuditEntry},
    caller::{Caller, OperatorCaller, Via},
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    page::PageRequest,
    tenant::{Tenant, TenantLimits},
};
use lingpai_storage::{Db, testing::TestDb};
use lingpai_tenant::{
    ApiKeys, AuditFilter, AuditTrail, Files, IdempotencyKeys, NewApiKey, NewTenant, Operators,
    RedirectUris, Tenants, VirtualTokens,
};

pub(crate) struct World {
    pub(crate) database: TestDb,
    pub(crate) clock: ManualClock,
    pub(crate) entropy: Entropy,
    pub(crate) api_keys: ApiKeys,
    pub(crate) operator: OperatorCaller,
}

impl World {
    /// One operator and nothing else.
    pub(crate) async fn start() -> Self {
        let database = TestDb::sqlite().await;
        let noon = Instant::from_timestamp(1_795_176_000, 0).unwrap();
        let (manual, entropy) = (ManualClock::at(noon), Entropy::seeded(1));
        let clock: SharedClock = Arc::new(manual.clone());
        let api_keys = ApiKeys::new(database.db.clone(), Arc::clone(&clock), entropy.clone());
        let operators = Operators::new(database.db.clone(), clock, entropy.clone());
        let (_, text) = operators.create(&Act::of_lingpai(), "Ada".to_owned()).await.unwrap();
        let text = text.into_text();
        let operator = operators.authenticate(text.expose(), from("192.0.2.1")).await.unwrap();
        Self { database, clock: manual, entropy, api_keys, operator }
    }

    pub(crate) fn db(&self) -> Db {
        self.database.db.clone()
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(chrono::Duration::from_std(by).unwrap());
    }

    fn shared_clock(&self) -> SharedClock {
        Arc::new(self.clock.clone())
    }

    pub(crate) fn operators(&self) -> Operators {
        Operators::new(self.db(), self.shared_clock(), self.entropy.clone())
    }

    pub(crate) fn tenants(&self) -> Tenants {
        Tenants::new(self.db(), self.shared_clock(), self.entropy.clone())
    }

    pub(crate) fn redirect_uris(&self) -> RedirectUris {
        RedirectUris::new(self.db(), self.shared_clock(), self.entropy.clone())
    }

    pub(crate) fn files(&self) -> Files {
        Files::new(self.db(), self.shared_clock(), self.entropy.clone())
    }

    pub(crate) fn idempotency_keys(&self) -> IdempotencyKeys {
        IdempotencyKeys::new(self.db(), self.shared_clock())
    }

    pub(crate) fn virtual_tokens(&self) -> VirtualTokens {
        VirtualTokens::new(self.api_keys.clone())
    }

    pub(crate) fn audit(&self) -> AuditTrail {
        AuditTrail::new(self.db())
    }

    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        self.tenants().create(&self.operator, new_tenant(name)).await.unwrap()
    }

    /// A key of the tenant with its text.
    pub(crate) async fn key(&self, tenant: &Tenant, new: NewApiKey) -> (ApiKey, Secret<String>) {
        let (key, text) = self.api_keys.create(&self.operator, &tenant.id, new).await.unwrap();
        (key, text.into_text())
    }

    /// A key of the tenant that may do everything, with its text.
    pub(crate) async fn any_key(&self, tenant: &Tenant) -> (ApiKey, Secret<String>) {
        self.key(tenant, new_key()).await
    }

    /// A program of the tenant with a key of its own.
    pub(crate) async fn caller(&self, tenant: &Tenant) -> Caller {
        let (_, text) = self.any_key(tenant).await;
        self.api_keys.authenticate(text.expose(), from("192.0.2.2")).await.unwrap()
    }

    /// A program of a tenant of its own.
    pub(crate) async fn any_caller(&self) -> Caller {
        self.caller(&self.tenant("小店").await).await
    }

    /// The whole trail, the newest entry first.
    pub(crate) async fn entries(&self) -> Vec<AuditEntry> {
        self.audit().all(&AuditFilter::default(), &PageRequest::first()).await.unwrap().items
    }
}

/// By a request from `peer`.
pub(crate) fn from(peer: &str) -> Via {
    Via { request_id: "req_1".to_owned(), peer: Some(peer.parse().unwrap()) }
}

pub(crate) fn new_tenant(name: &str) -> NewTenant {
    NewTenant { name: name.to_owned(), logo_url: None, limits: TenantLimits::default() }
}

/// A key that may do everything, from everywhere, for ever.
pub(crate) fn new_key() -> NewApiKey {
    NewApiKey {
        name: "ci".to_owned(),
        scopes: Scopes::all(),
        expires_at: None,
        networks: Vec::new(),
        requests_per_second: None,
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
