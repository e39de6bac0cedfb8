//! An installation with a component, a tenant, an official account and a mini program of it, and a
//! WeChat that has them too.

use std::{sync::Arc, time::Duration};

use lingpai_authorizer::{
    AuthorizerTokens, CustomerService, Grants, Ledger, MiniPrograms, PublishTests, Reconciliations,
    WebTokens,
};
use lingpai_callback::{
    AccountPushes, AuthorizerPushes, ComponentPushes, LateReplyWorker, MessagePushes, Processor,
    PublishChecks, Quarantine, Refusal, Rehearsals, ReleaseCheck, Taken,
};
use lingpai_component_token::{
    Ceiling, ComponentTokens, Components, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Emulator, EmulatorConfig, Fan};
use lingpai_model::{
    Appid, Instant, Secret,
    api_key::Scopes,
    authorizer::{
        AccountSecret, Authorizer, AuthorizerState, Connection, Profile, ProfileKind, TokenApi,
    },
    caller::{Caller, OperatorCaller, TenantScope, Via},
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    component::Component,
    event::Event,
    id::{ApiKeyId, AuthorizerId, ComponentId, OperatorId, TenantId},
    network::Network,
    tenant::{Tenant, TenantLimits},
    token::KeptToken,
};
use lingpai_storage::{
    Db, Tx,
    testing::{TestDb, kept_events},
};
use lingpai_webhook::{Asker, Endpoints, Listeners, Sender, SenderPolicy, WebhookBase};
use lingpai_wechat::{
    client::{Client, ClientConfig},
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_account},
    push::{SealedReply, reply::Reply},
};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::http;

/// The official account, and a fan of it.
pub(crate) const SHOP: &str = "wxa0b1c2d3e4f50617";
pub(crate) const SHOP_NAME: &str = "gh_0a1b2c3d4e5f";
pub(crate) const FAN: &str = "oLingPai000000000000000fan01";
/// The mini program, with the same fan.
pub(crate) const MINI: &str = "wxb1c2d3e4f5061728";
pub(crate) const MINI_NAME: &str = "gh_1b2c3d4e5f60";
/// An account that exists at WeChat, and that nobody here knows.
pub(crate) const STRANGER: &str = "wxc2d3e4f506172839";
pub(crate) const STRANGER_NAME: &str = "gh_2c3d4e5f6071";

/// The message key before the component's present one.
pub(crate) const OLD_KEY: &str = "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJ";
/// The push token before the component's present one.
pub(crate) const OLD_TOKEN: &str = "old token";

/// What the keys of accounts with keys of their own are.
pub(crate) const OWN_KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";

pub(crate) struct Site {
    pub(crate) db: Db,
    pub(crate) wechat: Emulator,
    pub(crate) clock: ManualClock,
    pub(crate) entropy: Entropy,
    pub(crate) component: Component,
    pub(crate) tenant: Caller,
    pub(crate) operator: OperatorCaller,
    pub(crate) shop: Authorizer,
    pub(crate) mini: Authorizer,
    pub(crate) tasks: TaskTracker,
    pub(crate) web_tokens: WebTokens,
    pub(crate) mini_programs: MiniPrograms,
    pub(crate) pushes: AuthorizerPushes,
    pub(crate) account_pushes: AccountPushes,
    pub(crate) component_pushes: ComponentPushes,
    pub(crate) components: Components,
    pub(crate) quarantine: Quarantine,
    pub(crate) processor: Processor,
    pub(crate) late_replies: LateReplyWorker,
    pub(crate) publish_checks: PublishChecks,
    pub(crate) endpoints: Endpoints,
    pub(crate) listeners: Listeners,
    pub(crate) asker: Asker,
    /// Rung when a delivery may be due.
    pub(crate) due: Arc<Notify>,
    sender: Sender,
    _database: TestDb,
}

impl Site {
    /// Boxed, since the compiler goes only so deep into futures within futures.
    pub(crate) async fn open() -> Self {
        Box::pin(Self::start()).await
    }

    #[expect(clippy::too_many_lines, reason = "one list of services")]
    async fn start() -> Self {
        let mut config = EmulatorConfig::for_tests();
        for account in &mut config.accounts {
            account.fans = vec![Fan::new(FAN, "小林")];
        }
        let identity = config.component.clone();
        let wechat = Emulator::start(config).await.unwrap();
        let database = TestDb::sqlite().await;
        let db = database.db.clone();
        let now = Instant::from_timestamp_millis(wechat.now_ms()).unwrap();
        let (manual, entropy) = (ManualClock::at(now), Entropy::seeded(1));
        let clock: SharedClock = Arc::new(manual.clone());
        let time = || (Arc::clone(&clock), entropy.clone());
        let component = Component {
            id: ComponentId::new(now, &entropy),
            appid: Appid::parse(&identity.appid).unwrap(),
            name: "平台".to_owned(),
            appsecret: Secret::new(identity.appsecret),
            push_token: Secret::new(identity.push_token),
            previous_push_token: Some((Secret::from(OLD_TOKEN), now + chrono::Duration::days(1))),
            encoding_aes_key: Secret::new(identity.encoding_aes_key),
            previous_encoding_aes_key: Some(Secret::from(OLD_KEY)),
            encoding_aes_key_changed_at: None,
            answers_publish_test: false,
            created_at: now,
            updated_at: now,
        };
        let api_url = wechat.base_url().parse().unwrap();
        let client = Client::new(ClientConfig { api_url, ..ClientConfig::default() }).unwrap();
        let tasks = TaskTracker::new();
        let base = KeeperBase {
            db: db.clone(),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
            ceiling: Arc::new(Ceiling::new(RefreshLimits::default())),
            tasks: tasks.clone(),
        };
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let watch = TicketWatch::new(db.clone(), client.clone(), time().0, time().1);
        let tokens = ComponentTokens::new(base.clone(), client.clone(), tickets.clone(), watch);
        let grants = Grants::new(db.clone(), client.clone(), tokens.clone(), time(), tasks.clone());
        let reconciliations =
            Reconciliations::new(base.clone(), client.clone(), tokens.clone(), grants.clone());
        let ledger = Ledger::new(db.clone(), time().0, time().1);
        let web_tokens =
            WebTokens::new(base.clone(), client.clone(), tokens.clone(), ledger.clone());
        let mini_programs = MiniPrograms::new(base.clone(), client.clone(), tokens.clone(), ledger);
        let account_tokens =
            AuthorizerTokens::new(base, client.clone(), tokens, grants.clone(), reconciliations);
        let policy = SenderPolicy {
            allow_private: vec![Network::parse("127.0.0.0/8").unwrap()],
            ..SenderPolicy::default()
        };
        let sender = Sender::new(policy).unwrap();
        let due = Arc::new(Notify::new());
        let webhook = WebhookBase {
            db: db.clone(),
            sender: sender.clone(),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
            tasks: tasks.clone(),
            due: Arc::clone(&due),
        };
        let (asker, listeners) =
            (Asker::new(webhook.clone()), Listeners::new(db.clone(), time().0, time().1));
        let messages = MessagePushes::new(
            webhook.clone(),
            web_tokens.clone(),
            mini_programs.clone(),
            asker.clone(),
            listeners.clone(),
        );
        let publish_tests = PublishTests::new(client.clone(), grants.clone());
        let release_check = ReleaseCheck::new(db.clone(), publish_tests, time(), tasks.clone());
        let recorded = Arc::new(Notify::new());
        let quarantine = Quarantine::new(messages.clone(), Arc::clone(&recorded));
        let tenant = tenant(&db, now, &entropy).await;
        let of_component =
            Connection::Component { id: component.id.clone(), appid: component.appid.clone() };
        let owner = tenant.scope.tenant_id();
        let shop = authorizer(&entropy, now, (SHOP, SHOP_NAME), ProfileKind::OfficialAccount);
        let mini = authorizer(&entropy, now, (MINI, MINI_NAME), ProfileKind::MiniProgram);
        let [shop, mini] = [shop, mini].map(|account| Authorizer {
            tenant_id: Some(owner.clone()),
            connection: of_component.clone(),
            ..account
        });
        let operator = OperatorCaller { id: OperatorId::new(now, &entropy), via: Via::default() };
        let site = Self {
            account_pushes: AccountPushes::new(messages.clone()),
            pushes: AuthorizerPushes::new(messages, release_check),
            component_pushes: ComponentPushes::new(db.clone(), tickets, time(), recorded),
            components: Components::new(db.clone(), time().0, time().1),
            processor: Processor::new(db.clone(), grants, quarantine.clone()),
            late_replies: LateReplyWorker::new(
                db.clone(),
                CustomerService::new(client, account_tokens),
            ),
            publish_checks: PublishChecks::new(db.clone()),
            endpoints: Endpoints::new(webhook),
            clock: manual,
            _database: database,
            quarantine,
            web_tokens,
            mini_programs,
            listeners,
            operator,
            component,
            entropy,
            sender,
            tenant,
            wechat,
            asker,
            due,
            tasks,
            shop,
            mini,
            db,
        };
        site.change(async |tx| tx.components().insert(&site.component).await.unwrap()).await;
        for account in [&site.shop, &site.mini] {
            site.granted(account).await;
        }
        site
    }

    /// An account that has granted is known here, with the refresh token that WeChat gave for it.
    pub(crate) async fn granted(&self, account: &Authorizer) {
        self.wechat.grant(account.appid.as_str(), &[]).unwrap();
        let grant = self.wechat.account(account.appid.as_str()).unwrap().grant.unwrap();
        let mut kept = KeptToken::unknown(account.token_key(), account.generation);
        kept.refresh_token = grant.refresh_token.map(Secret::new);
        kept.due_at = Some(self.clock.now());
        self.change(async |tx| {
            tx.authorizers().system_insert(account).await.unwrap();
            tx.tokens().replace(&kept).await.unwrap();
        })
        .await;
    }

    /// An account that is connected by its own secret; it gets pushes if it has a key.
    pub(crate) async fn connect(&self, appid: &str, key: Option<&str>) -> Authorizer {
        let now = self.clock.now();
        let account = authorizer(&self.entropy, now, (appid, ""), ProfileKind::OfficialAccount);
        let account = Authorizer {
            profile: Profile::default(),
            tenant_id: Some(self.tenant.scope.tenant_id().clone()),
            ..account
        };
        let secret = AccountSecret {
            authorizer_id: account.id.clone(),
            appid: account.appid.clone(),
            appsecret: Secret::from("secret"),
            token_api: TokenApi::StableToken,
            push_token: key.map(|_| Secret::from("token")),
            encoding_aes_key: key.map(Secret::from),
            created_at: now,
        };
        self.change(async |tx| {
            tx.authorizers().system_insert(&account).await.unwrap();
            tx.account_secrets().system_insert(&secret).await.unwrap();
        })
        .await;
        account
    }

    /// WeChat has a ticket, and we have received it.
    pub(crate) async fn push_ticket(&self) {
        self.wechat.push_ticket().await;
        let ticket = Secret::new(self.wechat.snapshot().tickets.remove(0).value);
        let tickets = Tickets::new(self.db.clone(), Arc::new(self.clock.clone()));
        tickets.accept(&self.component, ticket, self.clock.now()).await.unwrap();
    }

    /// The publish test is answered from now on.
    pub(crate) async fn answer_publish_test(&mut self) {
        let change = lingpai_component_token::ComponentChange {
            answers_publish_test: Some(true),
            ..Default::default()
        };
        let appid = &self.component.appid;
        self.component = self.components.change(&self.operator, appid, change).await.unwrap();
    }

    /// Pushes a message as WeChat does for this path, with the present key and token.
    pub(crate) async fn push(&self, appid: &str, message: &[u8]) -> Result<Taken, Refusal> {
        self.push_sealed(appid, message, KeySlot::Current, &self.component.push_token).await
    }

    /// As [`Site::push`], sealed with this key and signed with this token.
    pub(crate) async fn push_sealed(
        &self,
        appid: &str,
        message: &[u8],
        key: KeySlot,
        push_token: &Secret<String>,
    ) -> Result<Taken, Refusal> {
        let sealed = self.crypt(push_token).seal(message, key, 1_700_000_000, "41567", [7; 16]);
        let query = format!(
            "timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
            sealed.timestamp, sealed.nonce, sealed.msg_signature
        );
        let envelope = envelope_to_account("gh_whoever", &sealed.encrypt);
        let component = self.component.appid.as_str();
        self.pushes.accept(component, appid, &query, envelope.as_bytes()).await
    }

    /// What WeChat makes of an answer: the reply in clear, and the key it was sealed with.
    pub(crate) fn opened(&self, taken: &Taken, push_token: &Secret<String>) -> (String, KeySlot) {
        let Taken::Reply(envelope) = taken else { panic!("a reply was expected: {taken:?}") };
        let sealed = SealedReply::parse(envelope.as_bytes()).unwrap();
        let opened = self.crypt(push_token).open(&sealed.query, &sealed.encrypt).unwrap();
        (String::from_utf8(opened.plaintext).unwrap(), opened.key)
    }

    /// The words of a text that was replied.
    pub(crate) fn words(&self, taken: &Taken) -> String {
        let (reply, _) = self.opened(taken, &self.component.push_token);
        let parsed = Reply::parse(&reply).unwrap();
        assert_eq!(parsed.to_user_name, FAN);
        match parsed.reply {
            Reply::Text { content } => content,
            other => panic!("a text was expected: {other:?}"),
        }
    }

    fn crypt(&self, push_token: &Secret<String>) -> Crypt {
        let keys = [self.component.encoding_aes_key.expose().as_str(), OLD_KEY];
        let [current, previous] = keys.map(|key| EncodingAesKey::parse(key).unwrap());
        Crypt::new(push_token.clone(), self.component.appid.clone(), current, Some(previous))
    }

    /// The tenant's events, the oldest first.
    pub(crate) async fn events(&self) -> Vec<Event> {
        kept_events(&self.db, Some(self.tenant.scope.tenant_id())).await
    }

    /// A door that WeChat can push to, as the API would open it; `change` may spoil an answer.
    pub(crate) async fn serve(&self, change: fn(http::Said) -> http::Said) -> Url {
        let (pushes, components) = (self.pushes.clone(), self.component_pushes.clone());
        let address = http::serve(move |asked| {
            let (pushes, components) = (pushes.clone(), components.clone());
            async move { change(answer(&pushes, &components, asked).await) }
        })
        .await;
        let url: Url = format!("http://{address}/").parse().unwrap();
        let component = format!("{url}wechat/components/{}", self.component.appid);
        self.wechat.set_events_url(&format!("{component}/events"));
        self.wechat.set_messages_url(&format!("{component}/authorizers/$APPID$/events"));
        url
    }

    /// Rehearsals at this door.
    pub(crate) fn rehearsals(&self, public_url: Url) -> Rehearsals {
        let clock = Arc::new(self.clock.clone());
        let (db, sender) = (self.db.clone(), self.sender.clone());
        Rehearsals::new(db, sender, public_url, clock, self.entropy.clone())
    }

    /// Waits for everything that was begun behind the answers.
    pub(crate) async fn settle(&self) {
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(30), self.tasks.wait()).await.unwrap();
        self.tasks.reopen();
    }

    /// The texts that the fan was sent by the account.
    pub(crate) fn sent(&self, appid: &str) -> Vec<String> {
        let account = self.wechat.account(appid).unwrap();
        account.messages.into_iter().map(|message| message.body).collect()
    }

    /// Changes the database behind everybody's back.
    pub(crate) async fn change(&self, change: impl AsyncFnOnce(&Tx)) {
        let tx = self.db.begin().await.unwrap();
        change(&tx).await;
        tx.commit().await.unwrap();
    }
}

/// What the routes of the API do, as far as a test needs it.
async fn answer(
    pushes: &AuthorizerPushes,
    components: &ComponentPushes,
    asked: http::Asked,
) -> http::Said {
    let segments: Vec<&str> = asked.path.split('/').skip(1).collect();
    let (query, body) = (asked.query.as_str(), asked.body.as_slice());
    let taken = match (asked.method.as_str(), segments.as_slice()) {
        ("GET", ["wechat", "components", component, ..]) => {
            return match components.check_url(component, query).await {
                Ok(echostr) => (200, echostr.into_bytes()),
                Err(_) => (403, Vec::new()),
            };
        }
        ("POST", ["wechat", "components", component, "events"]) => {
            components.accept(component, query, body).await.map(|()| Taken::Success)
        }
        ("POST", ["wechat", "components", component, "authorizers", appid, "events"]) => {
            pushes.accept(component, appid, query, body).await
        }
        _ => return (404, Vec::new()),
    };
    let taken = match taken {
        Ok(Taken::Asked(asked)) => Ok(asked.answer().await),
        taken => taken,
    };
    match taken {
        Ok(Taken::Success | Taken::Asked(_)) => (200, b"success".to_vec()),
        Ok(Taken::Empty) => (200, Vec::new()),
        Ok(Taken::Reply(envelope)) => (200, envelope.into_bytes()),
        Err(refusal) if refusal.is_final() => (403, Vec::new()),
        Err(_) => (503, Vec::new()),
    }
}

async fn tenant(db: &Db, now: Instant, entropy: &Entropy) -> Caller {
    let tenant = Tenant {
        id: TenantId::new(now, entropy),
        name: "花店".to_owned(),
        logo_url: None,
        limits: TenantLimits { requests_per_second: None, concurrent_requests: None },
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

fn authorizer(
    entropy: &Entropy,
    now: Instant,
    (appid, user_name): (&str, &str),
    kind: ProfileKind,
) -> Authorizer {
    Authorizer {
        id: AuthorizerId::new(now, entropy),
        connection: Connection::Secret,
        tenant_id: None,
        refused_at: None,
        released_at: None,
        appid: Appid::parse(appid).unwrap(),
        state: AuthorizerState::Active,
        generation: 1,
        granted_at: now,
        profile: Profile {
            kind: Some(kind),
            user_name: Some(user_name.to_owned()),
            ..Profile::default()
        },
        func_info: vec![],
        created_at: now,
        updated_at: now,
    }
}

/// A message or event of the fan to the account with this original id.
pub(crate) fn message(to: &str, rest: &str) -> Vec<u8> {
    let head = format!(
        "<ToUserName>{to}</ToUserName><FromUserName>{FAN}</FromUserName>\
         <CreateTime>1700000000</CreateTime>"
    );
    format!("<xml>{head}{rest}</xml>").into_bytes()
}

/// A text of the fan.
pub(crate) fn text(to: &str, number: u64, content: &str) -> Vec<u8> {
    let content = format!("<Content>{content}</Content><MsgId>{number}</MsgId>");
    message(to, &format!("<MsgType>text</MsgType>{content}"))
}

/// An event of the fan.
pub(crate) fn event(to: &str, event: &str, rest: &str) -> Vec<u8> {
    message(to, &format!("<MsgType>event</MsgType><Event>{event}</Event>{rest}"))
}
