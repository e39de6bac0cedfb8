//! A component with a ticket, and any number of processes that keep its token.

use std::{sync::Arc, time::Duration};

use lingpai_component_token::{
    Ceiling, ComponentTokens, KeeperBase, RefreshLimits, TicketWatch, Tickets,
};
use lingpai_emulator::{Emulator, EmulatorConfig, Fault, FaultKind, Kill};
use lingpai_model::{
    Appid, Instant, Secret,
    audit::{Action, Actor},
    caller::{OperatorCaller, Via},
    clock::{Clock as _, Entropy, ManualClock, SharedClock},
    component::Component,
    id::{ComponentId, OperatorId},
    page::PageRequest,
    token::{AccessToken, KeptToken, TokenKey},
};
use lingpai_storage::{AuditFilter, Db, Tx, testing::TestDb};
use lingpai_wechat::client::{Client, ClientConfig};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::{Event, Level, Metadata, Subscriber, span};

pub(crate) const COMPONENT_TOKEN: &str = "/cgi-bin/component/api_component_token";

/// So long after it was obtained a token lives, and a refresh is due.
pub(crate) const DUE: Duration = Duration::from_secs(115 * 60);

/// So long after it was obtained a token is past its end.
pub(crate) const OVER: Duration = Duration::from_secs(7200);

pub(crate) struct World {
    pub(crate) wechat: Emulator,
    pub(crate) component: Component,
    pub(crate) clock: ManualClock,
    pub(crate) entropy: Entropy,
    pub(crate) database: TestDb,
}

impl World {
    /// A registered component with one ticket, and no token yet.
    pub(crate) async fn start() -> Self {
        let config = EmulatorConfig::for_tests();
        let identity = config.component.clone();
        let wechat = Emulator::start(config).await.unwrap();
        let database = TestDb::sqlite().await;
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
        let tx = database.db.begin().await.unwrap();
        tx.components().insert(&component).await.unwrap();
        tx.commit().await.unwrap();
        let world = Self { wechat, component, clock, entropy, database };
        world.push_ticket().await;
        world
    }

    /// WeChat has one more ticket, and we have received it.
    pub(crate) async fn push_ticket(&self) {
        self.wechat.push_ticket().await;
        let ticket = Secret::new(self.wechat.snapshot().tickets.remove(0).value);
        let tickets = Tickets::new(self.database.db.clone(), self.clock());
        tickets.accept(&self.component, ticket, self.clock.now()).await.unwrap();
    }

    /// A process that keeps tokens: its own connections, its own memory.
    pub(crate) async fn process(&self) -> ComponentTokens {
        self.limited_process(RefreshLimits::default()).await
    }

    /// The same, held to these limits.
    pub(crate) async fn limited_process(&self, limits: RefreshLimits) -> ComponentTokens {
        let api_url = self.wechat.base_url().parse().unwrap();
        let config = ClientConfig { api_url, ..ClientConfig::default() };
        let db = self.connect().await;
        let wechat = Client::new(config).unwrap();
        let tickets = Tickets::new(db.clone(), self.clock());
        let watch =
            TicketWatch::new(db.clone(), wechat.clone(), self.clock(), self.entropy.clone());
        let base = KeeperBase {
            db,
            clock: self.clock(),
            entropy: self.entropy.clone(),
            ceiling: Arc::new(Ceiling::new(limits)),
            tasks: TaskTracker::new(),
        };
        ComponentTokens::new(base, wechat, tickets, watch)
    }

    /// A watch over the tickets.
    pub(crate) async fn watch(&self) -> TicketWatch {
        let api_url = self.wechat.base_url().parse().unwrap();
        let wechat = Client::new(ClientConfig { api_url, ..ClientConfig::default() }).unwrap();
        TicketWatch::new(self.connect().await, wechat, self.clock(), self.entropy.clone())
    }

    /// Somebody who may ask for everything.
    pub(crate) fn operator(&self) -> OperatorCaller {
        let id = OperatorId::new(Instant::UNIX_EPOCH, &Entropy::seeded(7));
        OperatorCaller { id, via: Via::default() }
    }

    /// The database once more, with connections of its own.
    pub(crate) async fn connect(&self) -> Db {
        Db::connect(&self.database.config, self.database.keys.clone()).await.unwrap()
    }

    fn clock(&self) -> SharedClock {
        Arc::new(self.clock.clone())
    }

    /// Time passes, here and at WeChat.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(chrono::Duration::from_std(by).unwrap());
        self.wechat.advance_clock(by);
    }

    /// WeChat's next answer with a token waits until it is released.
    pub(crate) fn hold_next(&self) {
        self.wechat.set_fault(Fault::new(COMPONENT_TOKEN, FaultKind::Hold).times(1));
    }

    /// WeChat refuses the next call for a token by this number.
    pub(crate) fn refuse_next(&self, errcode: i64) {
        self.wechat.set_fault(Fault::errcode(COMPONENT_TOKEN, errcode).times(1));
    }

    /// Waits until an answer is held.
    pub(crate) async fn held(&self) {
        self.wechat.wait_until(|wechat| !wechat.held().is_empty()).await;
    }

    /// Lets a held answer go once it is held, and a new token was asked for so often.
    pub(crate) async fn release_once_asked(&self, times: usize) {
        self.held().await;
        while trail(self).await.len() < times {}
        self.wechat.release(None);
    }

    pub(crate) fn kill_tokens(&self) {
        self.wechat.kill(&Kill::ComponentTokens);
    }

    /// How often WeChat was asked for a token.
    pub(crate) fn calls(&self) -> usize {
        self.wechat.calls_to(COMPONENT_TOKEN).len()
    }

    /// The token that WeChat gave last.
    pub(crate) fn newest(&self) -> Secret<String> {
        Secret::new(self.wechat.snapshot().component_access_token.unwrap())
    }

    pub(crate) fn key(&self) -> TokenKey {
        TokenKey::Component(self.component.id.clone())
    }

    /// The token's row.
    pub(crate) async fn stored(&self) -> KeptToken {
        self.database.db.tokens().find(&self.key()).await.unwrap().unwrap()
    }

    /// Somebody else stores a token; whoever refreshes the old one has lost the right to it.
    pub(crate) async fn store_other(&self, value: &str) -> AccessToken {
        let token = AccessToken::obtained(Secret::from(value), self.clock.now(), OVER);
        let kept = KeptToken { token: Some(token.clone()), ..KeptToken::unknown(self.key(), 1) };
        self.change(async |tx| tx.tokens().replace(&kept).await.unwrap()).await;
        token
    }

    /// Changes the database behind everybody's back.
    pub(crate) async fn change(&self, change: impl AsyncFnOnce(&Tx)) {
        let tx = self.database.db.begin().await.unwrap();
        change(&tx).await;
        tx.commit().await.unwrap();
    }
}

/// What was done, by whom: the newest first.
pub(crate) async fn trail(world: &World) -> Vec<(Action, String, Actor)> {
    let page = PageRequest::new(100, None).unwrap();
    let filter = AuditFilter::default();
    let entries = world.database.db.audit().system_list(&filter, &page).await.unwrap().items;
    entries.into_iter().map(|entry| (entry.action, entry.subject, entry.actor)).collect()
}

/// Hears what this thread reports as an error from one module on.
pub(crate) struct Errors {
    from: &'static str,
    heard: Arc<Notify>,
}

impl Errors {
    /// Tells of errors from `module` as long as the guard is there.
    pub(crate) fn from(module: &'static str) -> (Arc<Notify>, tracing::subscriber::DefaultGuard) {
        let heard = Arc::new(Notify::new());
        let errors = Self { from: module, heard: Arc::clone(&heard) };
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
