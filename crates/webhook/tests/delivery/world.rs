//! A tenant with an account, its endpoints, and the processes that deliver to them.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use lingpai_model::{
    Appid, Instant, Secret,
    api_key::Scopes,
    audit::Action,
    authorizer::{Authorizer, AuthorizerState, Connection, Profile},
    caller::{Caller, OperatorCaller, TenantScope, Via},
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    delivery::{Delivery, DeliveryState, FirstAttempt, NewDelivery},
    digest::Digest,
    endpoint::{Endpoint, EndpointHealth, LateReplies, Mode, Role, WechatHandler},
    event::{Event, EventContent, EventFilter, EventKind, EventType},
    id::{ApiKeyId, AuthorizerId, DeliveryId, EventId, OperatorId, TenantId},
    network::Network,
    page::PageRequest,
    push::NewMessage,
    tenant::{Tenant, TenantLimits},
};
use lingpai_storage::{
    AuditFilter, Db,
    testing::{Backend, TestDb, kept_deliveries},
};
use lingpai_webhook::{
    Deliverer, Dispatcher, Endpoints, NewEndpoint, NewKind, Sender, SenderPolicy, WebhookBase,
};
use tokio_util::task::TaskTracker;

pub(crate) const APPID: &str = "wx0000000000000001";
pub(crate) const USER_NAME: &str = "gh_0123456789ab";
pub(crate) const FAN: &str = "oFan-1";
pub(crate) const AES_KEY: &str = "0123456789012345678901234567890123456789012";

pub(crate) struct World {
    pub(crate) database: TestDb,
    pub(crate) clock: ManualClock,
    pub(crate) entropy: Entropy,
    pub(crate) caller: Caller,
    pub(crate) authorizer: Authorizer,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_on(&Backend::Sqlite).await
    }

    pub(crate) async fn start_on(backend: &Backend) -> Self {
        let database = TestDb::open(backend).await;
        let clock = ManualClock::at(Instant::from_timestamp(1_800_000_000, 0).unwrap());
        let entropy = Entropy::seeded(1);
        let caller = new_tenant(&database.db, &clock, &entropy).await;
        let authorizer = authorizer(&caller, &clock, &entropy);
        let tx = database.db.begin().await.unwrap();
        tx.authorizers().system_insert(&authorizer).await.unwrap();
        tx.commit().await.unwrap();
        Self { database, clock, entropy, caller, authorizer }
    }

    /// Another tenant.
    pub(crate) async fn stranger(&self) -> Caller {
        new_tenant(&self.database.db, &self.clock, &self.entropy).await
    }

    pub(crate) fn operator(&self) -> OperatorCaller {
        OperatorCaller { id: OperatorId::new(self.now(), &self.entropy), via: Via::default() }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.database.db
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn shared_clock(&self) -> SharedClock {
        Arc::new(self.clock.clone())
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(chrono::Duration::from_std(by).unwrap());
    }

    /// What services are made of, by this test's connections.
    pub(crate) fn base(&self) -> WebhookBase {
        self.base_on(self.db().clone())
    }

    /// As in another process: connections and memory of its own.
    pub(crate) async fn other_process(&self) -> WebhookBase {
        let TestDb { config, keys, .. } = &self.database;
        self.base_on(Db::connect(config, keys.clone()).await.unwrap())
    }

    fn base_on(&self, db: Db) -> WebhookBase {
        WebhookBase {
            db,
            sender: sender(),
            clock: self.shared_clock(),
            entropy: self.entropy.clone(),
            tasks: TaskTracker::new(),
            due: Arc::default(),
        }
    }

    pub(crate) fn deliverer(&self) -> Deliverer {
        Deliverer::new(self.base())
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints::new(self.base())
    }

    /// A webhook of the test's tenant that gets everything.
    pub(crate) async fn webhook(&self, url: String) -> Endpoint {
        self.webhook_of(&self.caller, url).await
    }

    pub(crate) async fn webhook_of(&self, caller: &Caller, url: String) -> Endpoint {
        let new = NewEndpoint {
            name: "test".to_owned(),
            url,
            kind: NewKind::Webhook,
            filter: EventFilter::default(),
        };
        self.endpoints().create(caller, new).await.unwrap().0
    }

    /// A handler whose answers go back to WeChat.
    pub(crate) async fn replying(&self, url: String, late: LateReplies) -> Endpoint {
        self.handler(url, Role::Replying { late }).await
    }

    pub(crate) async fn handler(&self, url: String, role: Role) -> Endpoint {
        let new = NewEndpoint {
            name: "handler".to_owned(),
            url,
            kind: NewKind::Wechat(handler(role)),
            filter: EventFilter::default(),
        };
        self.endpoints().create(&self.caller, new).await.unwrap().0
    }

    /// The endpoint as it is now.
    pub(crate) async fn endpoint(&self, endpoint: &Endpoint) -> Endpoint {
        self.db().endpoints().system_get(&endpoint.id).await.unwrap().unwrap()
    }

    /// A text message of a fan, recorded with a delivery for each of these endpoints.
    pub(crate) async fn message(&self, endpoints: &[&Endpoint]) -> Event {
        self.message_of(&self.caller, FAN, endpoints).await
    }

    pub(crate) async fn messages(&self, count: usize, endpoints: &[&Endpoint]) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.message(endpoints).await);
        }
        events
    }

    pub(crate) async fn message_of(
        &self,
        caller: &Caller,
        fan: &str,
        endpoints: &[&Endpoint],
    ) -> Event {
        let deliveries = endpoints.iter().map(|endpoint| self.delivery(endpoint)).collect();
        self.record(caller, fan, deliveries).await
    }

    pub(crate) fn delivery(&self, endpoint: &Endpoint) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new(self.now(), &self.entropy),
            endpoint_id: endpoint.id.clone(),
            first_attempt: FirstAttempt::Worker,
        }
    }

    /// A message that is authentic and cannot be read.
    pub(crate) async fn unreadable_message(&self, endpoint: &Endpoint) -> Event {
        let event = self.event(&self.caller, FAN, Secret::new(b"<xml><broken".to_vec()));
        self.record_event(event, vec![self.delivery(endpoint)]).await
    }

    pub(crate) async fn record(
        &self,
        caller: &Caller,
        fan: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Event {
        let event = self.event(caller, fan, text(fan, "hello"));
        self.record_event(event, deliveries).await
    }

    /// A message that is not recorded yet.
    pub(crate) fn event(&self, caller: &Caller, fan: &str, content: Secret<Vec<u8>>) -> Event {
        let now = self.now();
        Event {
            id: EventId::new(now, &self.entropy),
            tenant_id: Some(caller.scope.tenant_id().clone()),
            component_appid: None,
            authorizer_appid: Some(self.authorizer.appid.clone()),
            event_type: EventType::of_message("text"),
            openid: Some(fan.to_owned()),
            occurred_at: now,
            received_at: now,
            content: EventContent::Pushed(content),
        }
    }

    pub(crate) async fn record_event(&self, event: Event, deliveries: Vec<NewDelivery>) -> Event {
        let dedupe = Digest::of(&[event.id.as_str().as_bytes()]);
        let authorizer_id = self.authorizer.id.clone();
        let message = NewMessage { event: event.clone(), authorizer_id, dedupe, deliveries };
        self.db().record_message(message).await.unwrap();
        event
    }

    /// Something of our own that happened to the tenant.
    pub(crate) async fn own_event(&self, kind: EventKind) -> Event {
        let now = self.now();
        let event = Event {
            id: EventId::new(now, &self.entropy),
            tenant_id: Some(self.caller.scope.tenant_id().clone()),
            component_appid: None,
            authorizer_appid: None,
            event_type: kind.into(),
            openid: None,
            occurred_at: now,
            received_at: now,
            content: EventContent::Ours(None),
        };
        let tx = self.db().begin().await.unwrap();
        tx.events().append(&event).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    /// Dispatches what is undispatched.
    pub(crate) async fn dispatch(&self) -> usize {
        Dispatcher::new(self.base()).run_once().await.unwrap()
    }

    /// Delivers what is due, until nothing begins any more.
    pub(crate) async fn deliver(&self) {
        let deliverer = self.deliverer();
        while deliverer.run_once().await.unwrap() > 0 {
            deliverer.settled().await;
        }
    }

    /// All deliveries, the oldest first.
    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        kept_deliveries(self.db()).await
    }

    pub(crate) async fn deliveries_to(&self, endpoint: &Endpoint) -> Vec<Delivery> {
        let mut deliveries = self.deliveries().await;
        deliveries.retain(|delivery| delivery.endpoint_id == endpoint.id);
        deliveries
    }

    /// What the tenant's trail tells.
    pub(crate) async fn trail(&self) -> Vec<(Action, String)> {
        let filter = AuditFilter::default();
        let page = self.db().audit().system_list(&filter, &PageRequest::first()).await.unwrap();
        page.items.into_iter().map(|entry| (entry.action, entry.subject)).collect()
    }

    /// The endpoint has failed, or done well, as this says.
    pub(crate) async fn note_health(&self, endpoint: &Endpoint, health: &EndpointHealth) {
        let tx = self.db().begin().await.unwrap();
        tx.endpoints().note_health(&endpoint.id, health).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Whether all of them were taken.
pub(crate) fn all_delivered(deliveries: &[Delivery]) -> bool {
    deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered)
}

pub(crate) fn handler(role: Role) -> WechatHandler {
    WechatHandler {
        push_token: Secret::from("token"),
        encoding_aes_key: Secret::from(AES_KEY),
        mode: Mode::Plain,
        role,
    }
}

/// A fan's message.
pub(crate) fn text(fan: &str, content: &str) -> Secret<Vec<u8>> {
    let xml = format!(
        "<xml><ToUserName><![CDATA[{USER_NAME}]]></ToUserName>\
         <FromUserName><![CDATA[{fan}]]></FromUserName><CreateTime>1800000000</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{content}]]></Content>\
         <MsgId>1</MsgId></xml>"
    );
    Secret::new(xml.into_bytes())
}

/// The account's reply to the fan.
pub(crate) fn reply(content: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{FAN}]]></ToUserName>\
         <FromUserName><![CDATA[{USER_NAME}]]></FromUserName><CreateTime>1800000001</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{content}]]></Content></xml>"
    )
}

pub(crate) fn sender() -> Sender {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("nobody was first");
    });
    let allow_private = vec![Network::parse("127.0.0.0/8").expect("a network")];
    Sender::new(SenderPolicy { allow_private, ..SenderPolicy::default() }).unwrap()
}

async fn new_tenant(db: &Db, clock: &ManualClock, entropy: &Entropy) -> Caller {
    let now = clock.now();
    let tenant = Tenant {
        id: TenantId::new(now, entropy),
        name: "小店".to_owned(),
        logo_url: None,
        limits: TenantLimits::default(),
        created_at: now,
        updated_at: now,
    };
    let tx = db.begin().await.unwrap();
    tx.tenants().insert(&tenant).await.unwrap();
    tx.commit().await.unwrap();
    Caller {
        scope: TenantScope::authenticated(tenant.id),
        key_id: ApiKeyId::new(now, entropy),
        scopes: Scopes::all(),
        requests_per_second: None,
        via: Via::default(),
    }
}

fn authorizer(caller: &Caller, clock: &ManualClock, entropy: &Entropy) -> Authorizer {
    let now = clock.now();
    Authorizer {
        id: AuthorizerId::new(now, entropy),
        connection: Connection::Secret,
        tenant_id: Some(caller.scope.tenant_id().clone()),
        refused_at: None,
        released_at: None,
        appid: Appid::parse(APPID).unwrap(),
        state: AuthorizerState::Active,
        generation: 1,
        granted_at: now,
        profile: Profile { user_name: Some(USER_NAME.to_owned()), ..Profile::default() },
        func_info: vec![1],
        created_at: now,
        updated_at: now,
    }
}
