//! What the tests put into the database.

use std::{
    future::Future,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Duration};
use lingpai_model::{
    Appid, Instant, Secret,
    api_key::{ApiKey, Scopes},
    audit::{Act, Action, AuditEntry},
    authorization::{AccountKind, Authorization, AuthorizationState},
    authorizer::{AccountSecret, Authorizer, AuthorizerState, Connection, Profile, TokenApi},
    caller::TenantScope,
    clock::Entropy,
    component::{Component, Ticket},
    delivery::{FirstAttempt, NewDelivery},
    digest::Digest,
    endpoint::{
        Endpoint, EndpointHealth, EndpointKind, EndpointState, LateReplies, Mode, Role,
        WebhookSecrets, WechatHandler,
    },
    event::{Event, EventContent, EventFilter, EventKind, EventPattern, EventType},
    id::{
        ApiKeyId, AuthorizationId, AuthorizerId, ComponentId, DeliveryId, EndpointId, EventId,
        MiniProgramSessionId, OperatorId, PushId, TenantId, WebAuthorizationId, WebTokenId,
    },
    mini_program_session::MiniProgramSession,
    operator::Operator,
    push::{Disposition, NewMessage, NewPush},
    tenant::{Tenant, TenantLimits},
    token::{AccessToken, KeptToken, TokenKey},
    web_authorization::{
        WEB_AUTHORIZATION_LIFE, WebAuthorization, WebAuthorizationState, WebScope,
    },
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_storage::{Db, Error};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use tokio::task::JoinSet;

/// Makes records that differ from each other, repeat from run to run, and sort as they were made.
pub(crate) struct World(Entropy, AtomicI64);

impl World {
    pub(crate) fn new() -> Self {
        Self(Entropy::seeded(1), AtomicI64::new(0))
    }

    /// A little later each time.
    fn now(&self) -> Instant {
        at(0) + Duration::milliseconds(self.1.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn tenant(&self) -> Tenant {
        let id = TenantId::new(self.now(), &self.0);
        Tenant {
            id,
            name: "小店 🍜".to_owned(),
            logo_url: None,
            limits: TenantLimits::default(),
            created_at: at(0),
            updated_at: at(0),
        }
    }

    pub(crate) fn component(&self, appid: &str) -> Component {
        Component {
            id: ComponentId::new(self.now(), &self.0),
            appid: app(appid),
            name: "平台".to_owned(),
            appsecret: Secret::from("canary appsecret"),
            push_token: Secret::from("canary push token"),
            previous_push_token: None,
            encoding_aes_key: Secret::from("canary key"),
            previous_encoding_aes_key: None,
            encoding_aes_key_changed_at: None,
            answers_publish_test: false,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    pub(crate) fn api_key(&self, tenant: &Tenant) -> ApiKey {
        ApiKey {
            id: ApiKeyId::new(self.now(), &self.0),
            tenant_id: tenant.id.clone(),
            name: "ci".to_owned(),
            key_digest: Digest::of(&[b"k"]),
            previous: None,
            scopes: Scopes::all(),
            networks: Vec::new(),
            requests_per_second: None,
            expires_at: None,
            last_used_at: None,
            created_at: at(0),
            revoked_at: None,
        }
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator {
            id: OperatorId::new(self.now(), &self.0),
            name: "night shift".to_owned(),
            key_digest: Digest::of(&[b"key"]),
            created_at: at(0),
            revoked_at: None,
        }
    }

    /// The entry of an act, a little later each time.
    pub(crate) fn entry(&self, act: &Act, action: Action, subject: &str) -> AuditEntry {
        AuditEntry::of(act, action, subject, (self.now(), &self.0))
    }

    pub(crate) fn authorizer(
        &self,
        component: &Component,
        tenant: Option<&Tenant>,
        appid: &str,
    ) -> Authorizer {
        Authorizer {
            id: AuthorizerId::new(self.now(), &self.0),
            connection: Connection::Component {
                id: component.id.clone(),
                appid: component.appid.clone(),
            },
            tenant_id: tenant.map(|tenant| tenant.id.clone()),
            refused_at: None,
            released_at: None,
            appid: app(appid),
            state: AuthorizerState::Active,
            generation: 1,
            granted_at: at(1),
            profile: Profile::default(),
            func_info: vec![1, 15, 4],
            created_at: at(0),
            updated_at: at(0),
        }
    }

    /// The key of an authorizer's token. Owners of tokens need not be stored.
    pub(crate) fn token_key(&self) -> TokenKey {
        TokenKey::Authorizer(AuthorizerId::new(self.now(), &self.0))
    }

    /// What a tenant entered for an authorizer that is connected by its own secret.
    pub(crate) fn account_secret(&self, authorizer: &Authorizer) -> AccountSecret {
        AccountSecret {
            authorizer_id: authorizer.id.clone(),
            appid: authorizer.appid.clone(),
            appsecret: Secret::from("canary account secret"),
            token_api: TokenApi::StableToken,
            push_token: None,
            encoding_aes_key: None,
            created_at: at(0),
        }
    }

    pub(crate) fn web_grant(&self, authorizer: &Authorizer, openid: &str, scope: &str) -> WebGrant {
        WebGrant {
            id: WebTokenId::new(self.now(), &self.0),
            owner: WebTokenOwner {
                authorizer_id: authorizer.id.clone(),
                openid: openid.to_owned(),
                scope: scope.to_owned(),
            },
            unionid: None,
            refresh_until: at(30 * 86_400),
        }
    }

    /// The attempt of a fan who is at WeChat's page.
    pub(crate) fn web_authorization(
        &self,
        tenant: &Tenant,
        authorizer: &Authorizer,
    ) -> WebAuthorization {
        let id = WebAuthorizationId::new(self.now(), &self.0);
        WebAuthorization {
            tenant_id: tenant.id.clone(),
            authorizer_id: authorizer.id.clone(),
            redirect_uri: "https://Shop.example/back?页=1&b=%2F ".to_owned(),
            scope: WebScope::Both,
            tenant_state: Some("Order 7 🍜 ".to_owned()),
            state_digest: Digest::of(&[b"state", id.as_str().as_bytes()]),
            browser_digest: Digest::of(&[b"browser", id.as_str().as_bytes()]),
            state: WebAuthorizationState::Away,
            created_at: at(0),
            expires_at: at(0) + WEB_AUTHORIZATION_LIFE,
            id,
        }
    }

    /// The session of a fan who logs in for the first time.
    pub(crate) fn session(&self, authorizer: &Authorizer, openid: &str) -> MiniProgramSession {
        MiniProgramSession {
            id: MiniProgramSessionId::new(self.now(), &self.0),
            authorizer_id: authorizer.id.clone(),
            openid: openid.to_owned(),
            unionid: None,
            session_key: Secret::new(format!("canary session key of {openid}")),
            created_at: at(1),
            updated_at: at(1),
        }
    }

    pub(crate) fn message(&self, account: &AuthorizerId, dedupe: &str) -> NewMessage {
        NewMessage {
            event: Event {
                id: EventId::new(self.now(), &self.0),
                tenant_id: None,
                component_appid: Some(app("wxC")),
                authorizer_appid: Some(app("wxA")),
                event_type: EventType::of_message("text"),
                openid: Some("oFan".to_owned()),
                occurred_at: at(1),
                received_at: at(2),
                content: EventContent::Pushed(Secret::new(dedupe.as_bytes().to_vec())),
            },
            authorizer_id: account.clone(),
            dedupe: Digest::of(&[dedupe.as_bytes()]),
            deliveries: Vec::new(),
        }
    }

    /// A message of an authorizer that is the tenant's, on its way to these endpoints.
    pub(crate) fn owned_message(
        &self,
        authorizer: &Authorizer,
        dedupe: &str,
        endpoints: &[&Endpoint],
    ) -> NewMessage {
        let message = self.message(&authorizer.id, dedupe);
        NewMessage {
            event: Event {
                tenant_id: authorizer.tenant_id.clone(),
                authorizer_appid: Some(authorizer.appid.clone()),
                ..message.event
            },
            deliveries: endpoints.iter().map(|endpoint| self.delivery(endpoint)).collect(),
            ..message
        }
    }

    /// A delivery whose first attempt a worker makes.
    pub(crate) fn delivery(&self, endpoint: &Endpoint) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new(self.now(), &self.0),
            endpoint_id: endpoint.id.clone(),
            first_attempt: FirstAttempt::Worker,
        }
    }

    /// An endpoint that gets everything as signed JSON.
    pub(crate) fn endpoint(&self, tenant: &Tenant) -> Endpoint {
        Endpoint {
            id: EndpointId::new(self.now(), &self.0),
            tenant_id: tenant.id.clone(),
            name: "店 🍜".to_owned(),
            url: "https://tenant.example/hook".to_owned(),
            kind: EndpointKind::Webhook(WebhookSecrets {
                current: Secret::from("canary endpoint secret"),
                previous: Some((Secret::from("canary endpoint secret before"), at(9))),
            }),
            filter: EventFilter::default(),
            state: EndpointState::Active,
            health: EndpointHealth::default(),
            created_at: at(0),
            updated_at: at(0),
        }
    }

    pub(crate) fn authorization(&self, component: &Component, tenant: &Tenant) -> Authorization {
        let id = AuthorizationId::new(self.now(), &self.0);
        Authorization {
            tenant_id: tenant.id.clone(),
            component_id: component.id.clone(),
            account_kind: AccountKind::Any,
            appid: None,
            category_ids: vec![7],
            return_url: Some("https://tenant.example/done".to_owned()),
            reference: Some("order 7\0".to_owned()),
            purpose: None,
            link_digest: Digest::of(&[b"link", id.as_str().as_bytes()]),
            pre_auth_code: Secret::new(format!("canary pre_auth_code of {id}")),
            state: AuthorizationState::Pending,
            created_at: at(0),
            expires_at: at(600),
            id,
        }
    }

    pub(crate) fn push(&self, component: &Component, dedupe: &str) -> NewPush {
        NewPush {
            id: PushId::new(self.now(), &self.0),
            component_id: component.id.clone(),
            dedupe: Digest::of(&[dedupe.as_bytes()]),
            info_type: "authorized".to_owned(),
            authorizer_appid: Some(app("wxA")),
            payload: Secret::new(dedupe.as_bytes().to_vec()),
            disposition: Disposition::Process,
            issued_at: at(1),
            received_at: at(2),
        }
    }

    pub(crate) fn event(&self, tenant: &Tenant, second: i64) -> Event {
        Event {
            id: EventId::new(at(second), &self.0),
            tenant_id: Some(tenant.id.clone()),
            component_appid: Some(app("wxC")),
            authorizer_appid: Some(app("wxA")),
            event_type: EventKind::Authorized.into(),
            openid: None,
            occurred_at: at(second),
            received_at: at(second),
            content: EventContent::Ours(None),
        }
    }

    /// An endpoint that gets messages as WeChat pushes them, and replies.
    pub(crate) fn handler(&self, tenant: &Tenant) -> Endpoint {
        Endpoint {
            kind: EndpointKind::Wechat(WechatHandler {
                push_token: Secret::from("canary handler token"),
                encoding_aes_key: Secret::from("canary handler key"),
                mode: Mode::Compatible,
                role: Role::Replying { late: LateReplies::CustomerService },
            }),
            filter: EventFilter {
                authorizers: vec![app("wxA"), app("wxB")],
                event_types: vec![EventPattern::parse("message.*").unwrap()],
            },
            ..self.endpoint(tenant)
        }
    }

    /// A component that is stored.
    pub(crate) async fn stored_component(&self, db: &Db, appid: &str) -> Component {
        let component = self.component(appid);
        let tx = db.begin().await.unwrap();
        tx.components().insert(&component).await.unwrap();
        tx.commit().await.unwrap();
        component
    }

    /// A tenant that is stored.
    pub(crate) async fn stored_tenant(&self, db: &Db) -> Tenant {
        let tenant = self.tenant();
        let tx = db.begin().await.unwrap();
        tx.tenants().insert(&tenant).await.unwrap();
        tx.commit().await.unwrap();
        tenant
    }

    /// An endpoint of the tenant that is stored.
    pub(crate) async fn stored_endpoint(&self, db: &Db, tenant: &Tenant) -> Endpoint {
        let endpoint = self.endpoint(tenant);
        let tx = db.begin().await.unwrap();
        tx.endpoints().insert(&endpoint).await.unwrap();
        tx.commit().await.unwrap();
        endpoint
    }

    /// A key of the tenant that is stored.
    pub(crate) async fn stored_api_key(&self, db: &Db, tenant: &Tenant) -> ApiKey {
        let key = self.api_key(tenant);
        let tx = db.begin().await.unwrap();
        tx.api_keys().insert(&key).await.unwrap();
        tx.commit().await.unwrap();
        key
    }

    /// An operator that is stored.
    pub(crate) async fn stored_operator(&self, db: &Db) -> Operator {
        let operator = self.operator();
        let tx = db.begin().await.unwrap();
        tx.operators().insert(&operator).await.unwrap();
        tx.commit().await.unwrap();
        operator
    }

    /// An authorizer that is stored.
    pub(crate) async fn stored_authorizer(
        &self,
        db: &Db,
        component: &Component,
        tenant: Option<&Tenant>,
        appid: &str,
    ) -> Authorizer {
        let authorizer = self.authorizer(component, tenant, appid);
        insert(db, &authorizer).await;
        authorizer
    }

    /// An account of the tenant that is stored, to be connected by its own secret.
    pub(crate) async fn stored_account(&self, db: &Db, tenant: &Tenant, appid: &str) -> Authorizer {
        let granted = self.authorizer(&self.component("wxAny"), Some(tenant), appid);
        let account = Authorizer { connection: Connection::Secret, func_info: vec![], ..granted };
        insert(db, &account).await;
        account
    }
}

async fn insert(db: &Db, authorizer: &Authorizer) {
    let tx = db.begin().await.unwrap();
    tx.authorizers().system_insert(authorizer).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) fn at(second: i64) -> Instant {
    DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(second)
}

pub(crate) fn app(appid: &str) -> Appid {
    Appid::parse(appid).unwrap()
}

pub(crate) fn scope(tenant: &Tenant) -> TenantScope {
    TenantScope::authenticated(tenant.id.clone())
}

pub(crate) fn ticket(component: &Component, value: &str, second: i64) -> Ticket {
    Ticket {
        component_id: component.id.clone(),
        value: Secret::from(value),
        issued_at: at(second),
        received_at: at(second + 1),
    }
}

pub(crate) fn token(value: &str, second: i64) -> AccessToken {
    AccessToken {
        value: Secret::from(value),
        expires_at: at(second + 7200),
        obtained_at: at(second),
    }
}

/// A kept token of the first generation, with this value.
pub(crate) fn kept(key: &TokenKey, value: &str) -> KeptToken {
    KeptToken { token: Some(token(value, 0)), ..KeptToken::unknown(key.clone(), 1) }
}

/// Stores a token as one that came by another way than a refresh.
pub(crate) async fn replace(db: &Db, kept: &KeptToken) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.tokens().replace(kept).await?;
    tx.commit().await
}

/// The token as it is stored.
pub(crate) async fn stored_token(db: &Db, key: &TokenKey) -> KeptToken {
    db.tokens().find(key).await.unwrap().unwrap()
}

/// Runs all of `tasks` at once and returns what they gave, in no order.
pub(crate) async fn all_at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    tasks.into_iter().collect::<JoinSet<_>>().join_all().await
}

/// A connection that knows nothing of ours. It prepares every statement anew: PostgreSQL refuses one
/// that was prepared before a schema step changed what it selects.
#[expect(clippy::disallowed_methods, reason = "to damage rows that the store would never write")]
pub(crate) async fn raw(url: &str) -> DatabaseConnection {
    if !url.starts_with("postgres") {
        return Database::connect(url).await.unwrap();
    }
    let more = if url.contains('?') { '&' } else { '?' };
    Database::connect(format!("{url}{more}statement-cache-capacity=0")).await.unwrap()
}

/// How many rows there are of `rows`: a table, and a condition if there is one.
pub(crate) async fn count(raw: &DatabaseConnection, rows: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {rows}");
    let statement = Statement::from_string(raw.get_database_backend(), sql);
    raw.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}
