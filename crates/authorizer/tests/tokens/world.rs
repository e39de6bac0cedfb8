//! A component with its accounts, and any number of processes that keep their tokens.

use std::{sync::Arc, time::Duration};

use lingpai_authorizer::{AuthorizerTokens, Error, Grants, Ledger, Reconciliations, WebTokens};
use lingpai_component_token::{
    Ceiling, ComponentTokens, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Emulator, EmulatorConfig, Fault, FaultKind};
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{
        AccountSecret, Authorizer, AuthorizerState, Connection, Profile, ReceivedRefreshToken,
        RefreshTokenSource, TokenApi,
    },
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    component::Component,
    id::{AuthorizerId, ComponentId},
    token::{KeptToken, TokenKey},
};
use lingpai_storage::{Db, Tx, testing::TestDb};
use lingpai_wechat::client::{Client, ClientConfig};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::{Event, Level, Metadata, Subscriber, span};

pub(crate) const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";
pub(crate) const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";

/// An account of the emulator.
pub(crate) const SHOP: &str = "wxa0b1c2d3e4f50617";
/// Another one.
pub(crate) const FLOWERS: &str = "wxc2d3e4f506172839";

/// How long a token lives.
pub(crate) const LIFE: Duration = Duration::from_secs(7200);

pub(crate) struct World {
    pub(crate) wechat: Emulator,
    pub(crate) component: Component,
    pub(crate) clock: ManualClock,
    pub(crate) database: TestDb,
    entropy: Entropy,
}

/// A process that keeps tokens: its own connections, its own memory.
pub(crate) struct Process {
    pub(crate) component_tokens: ComponentTokens,
    pub(crate) tokens: AuthorizerTokens,
    pub(crate) web_tokens: WebTokens,
    /// What runs behind the callers' backs.
    pub(crate) tasks: TaskTracker,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(EmulatorConfig::for_tests()).await
    }

    /// A registered component with one ticket, and WeChat as `config` has it.
    pub(crate) async fn start_with(config: EmulatorConfig) -> Self {
        Self::start_on(TestDb::sqlite().await, config).await
    }

    /// The same on a database of any kind.
    pub(crate) async fn start_on(database: TestDb, config: EmulatorConfig) -> Self {
        let identity = config.component.clone();
        let wechat = Emulator::start(config).await.unwrap();
        let now = Instant::from_timestamp_millis(wechat.now_ms()).unwrap();
        let (clock, entropy) = (ManualClock::at(now), Entropy::seeded(1));
        let component = Component {
            id: ComponentId::new(now, &entropy),
            appid: Appid::parse(&identity.appid).unwrap(),
            name: "平台".to_owned(),
            appsecret: Secret::new(identity.appsecret),
            push_token: Secret::new(identity.push_token),
            previous_push_token: None,
            encoding_aes_key: Secret::new(identity.encoding_aes_key),
            previous_encoding_aes_key: None,
            encoding_aes_key_changed_at: None,
            answers_publish_test: false,
            created_at: now,
            updated_at: now,
        };
        let world = Self { wechat, component, clock, database, entropy };
        world.change(async |tx| tx.components().insert(&world.component).await.unwrap()).await;
        world.push_ticket().await;
        world
    }

    /// WeChat has one more ticket, and we have received it.
    pub(crate) async fn push_ticket(&self) {
        self.wechat.push_ticket().await;
        let ticket = Secret::new(self.wechat.snapshot().tickets.remove(0).value);
        let tickets = Tickets::new(self.database.db.clone(), self.shared_clock());
        tickets.accept(&self.component, ticket, self.clock.now()).await.unwrap();
    }

    pub(crate) async fn process(&self) -> Process {
        self.limited_process(RefreshLimits::default()).await
    }

    /// A process that is held to these limits.
    pub(crate) async fn limited_process(&self, limits: RefreshLimits) -> Process {
        let api_url = self.wechat.base_url().parse().unwrap();
        let wechat = Client::new(ClientConfig { api_url, ..ClientConfig::default() }).unwrap();
        let (db, clock, entropy) =
            (self.connect().await, self.shared_clock(), self.entropy.clone());
        let tasks = TaskTracker::new();
        let base = KeeperBase {
            db: db.clone(),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
            ceiling: Arc::new(Ceiling::new(limits)),
            tasks: tasks.clone(),
        };
        let tickets = Tickets::new(db.clone(), Arc::clone(&clock));
        let watch =
            TicketWatch::new(db.clone(), wechat.clone(), Arc::clone(&clock), entropy.clone());
        let component_tokens = ComponentTokens::new(base.clone(), wechat.clone(), tickets, watch);
        let components = || component_tokens.clone();
        let ledger = Ledger::new(db.clone(), Arc::clone(&clock), entropy.clone());
        let grants = Grants::new(db, wechat.clone(), components(), (clock, entropy), tasks.clone());
        let reconciliations =
            Reconciliations::new(base.clone(), wechat.clone(), components(), grants.clone());
        let web_tokens = WebTokens::new(base.clone(), wechat.clone(), components(), ledger);
        let tokens = AuthorizerTokens::new(base, wechat, components(), grants, reconciliations);
        Process { component_tokens, tokens, web_tokens, tasks }
    }

    /// The database once more, with connections of its own.
    pub(crate) async fn connect(&self) -> Db {
        Db::connect(&self.database.config, self.database.keys.clone()).await.unwrap()
    }

    fn shared_clock(&self) -> SharedClock {
        Arc::new(self.clock.clone())
    }

    /// Time passes, here and at WeChat.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(chrono::Duration::from_std(by).unwrap());
        self.wechat.advance_clock(by);
    }

    /// An account that has granted to the component. Its refresh token is known, no token yet; a
    /// worker is to get one.
    pub(crate) async fn authorizer(&self, appid: &str) -> Authorizer {
        self.wechat.grant(appid, &[]).unwrap();
        let (id, appid_of) = (self.component.id.clone(), self.component.appid.clone());
        let connection = Connection::Component { id, appid: appid_of };
        let authorizer = self.account_of(connection, appid);
        let mut kept = KeptToken::unknown(authorizer.token_key(), authorizer.generation);
        kept.refresh_token = Some(self.refresh_token_at_wechat(appid));
        kept.due_at = Some(self.clock.now());
        let received = ReceivedRefreshToken {
            component_id: self.component.id.clone(),
            authorizer_appid: authorizer.appid.clone(),
            value: self.refresh_token_at_wechat(appid),
            source: RefreshTokenSource::QueryAuth,
            received_at: self.clock.now(),
        };
        self.change(async |tx| {
            tx.authorizers().system_insert(&authorizer).await.unwrap();
            tx.tokens().replace(&kept).await.unwrap();
            tx.refresh_tokens().append(&received).await.unwrap();
        })
        .await;
        authorizer
    }

    /// An account that is connected by its own secret, without a token yet.
    pub(crate) async fn account(&self, appid: &str) -> Authorizer {
        let account = self.account_of(Connection::Secret, appid);
        let secret = AccountSecret {
            authorizer_id: account.id.clone(),
            appid: account.appid.clone(),
            appsecret: Secret::new(self.wechat.account(appid).unwrap().appsecret.unwrap()),
            token_api: TokenApi::StableToken,
            push_token: None,
            encoding_aes_key: None,
            created_at: account.created_at,
        };
        self.change(async |tx| {
            tx.authorizers().system_insert(&account).await.unwrap();
            tx.account_secrets().system_insert(&secret).await.unwrap();
        })
        .await;
        account
    }

    fn account_of(&self, connection: Connection, appid: &str) -> Authorizer {
        let now = self.clock.now();
        Authorizer {
            id: AuthorizerId::new(now, &self.entropy),
            connection,
            tenant_id: None,
            refused_at: None,
            released_at: None,
            appid: Appid::parse(appid).unwrap(),
            state: AuthorizerState::Active,
            generation: 1,
            granted_at: now,
            profile: Profile::default(),
            func_info: vec![],
            created_at: now,
            updated_at: now,
        }
    }

    /// The refresh token that WeChat takes of an account.
    pub(crate) fn refresh_token_at_wechat(&self, appid: &str) -> Secret<String> {
        let grant = self.wechat.account(appid).unwrap().grant.unwrap();
        Secret::new(grant.refresh_token.unwrap())
    }

    /// WeChat's next answer on this path waits until it is released.
    pub(crate) fn hold_next(&self, path: &str) {
        self.wechat.set_fault(Fault::new(path, FaultKind::Hold).times(1));
    }

    /// Waits until an answer is held.
    pub(crate) async fn held(&self) {
        self.wechat.wait_until(|wechat| !wechat.held().is_empty()).await;
    }

    /// How often WeChat was called on this path.
    pub(crate) fn calls(&self, path: &str) -> usize {
        self.wechat.calls_to(path).len()
    }

    /// A token's row.
    pub(crate) async fn stored(&self, key: &TokenKey) -> KeptToken {
        self.find(key).await.unwrap()
    }

    /// A token's row, if there is one.
    pub(crate) async fn find(&self, key: &TokenKey) -> Option<KeptToken> {
        self.database.db.tokens().find(key).await.unwrap()
    }

    /// An authorizer as it is stored now.
    pub(crate) async fn reload(&self, authorizer: &Authorizer) -> Authorizer {
        let ids = [authorizer.id.clone()];
        self.database.db.authorizers().system_list(&ids).await.unwrap().remove(0)
    }

    /// All refresh tokens that were ever received of an account.
    pub(crate) async fn history(&self, authorizer: &Authorizer) -> Vec<Secret<String>> {
        let list = self.database.db.refresh_tokens();
        let received = list.list(&self.component.id, &authorizer.appid).await.unwrap();
        received.into_iter().map(|received| received.value).collect()
    }

    /// Whoever refreshes this token has lost his lease; all else is as it was.
    pub(crate) async fn take_lease_away(&self, key: &TokenKey) {
        let kept = self.stored(key).await;
        self.change(async |tx| tx.tokens().replace(&kept).await.unwrap()).await;
    }

    /// Changes the database behind everybody's back.
    pub(crate) async fn change(&self, change: impl AsyncFnOnce(&Tx)) {
        let tx = self.database.db.begin().await.unwrap();
        change(&tx).await;
        tx.commit().await.unwrap();
    }
}

/// The error behind what several callers were told.
pub(crate) fn cause(error: &Error) -> &Error {
    match error {
        Error::Shared(error) => cause(error),
        error => error,
    }
}

/// Hears what this thread reports as an error from one module.
pub(crate) struct Errors {
    from: &'static str,
    heard: Arc<Notify>,
}

impl Errors {
    /// Tells of errors from the module `from` as long as the guard is there.
    pub(crate) fn from(from: &'static str) -> (Arc<Notify>, tracing::subscriber::DefaultGuard) {
        let heard = Arc::new(Notify::new());
        let errors = Self { from, heard: Arc::clone(&heard) };
        (heard, tracing::subscriber::set_default(errors))
    }
}

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR && metadata.target() == self.from
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        self.heard.notify_one();
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
