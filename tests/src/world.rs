//! Emulator and service inside the test, on free ports and a fresh database, with a clock that the
//! test holds. No worker runs: a test turns the crank by hand.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result};
use lingpai_emulator::{Emulator, EmulatorConfig};
use lingpai_model::{
    audit::Act,
    clock::{Clock as _, Entropy, ManualClock, SystemClock},
    id::TenantId,
};
use lingpai_server::{
    app::{App, Crank},
    database,
    settings::{Settings, Sources},
};
use lingpai_storage::{Db, testing::kept_events};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    fans::{Said, Talk},
    people::{Administrator, Answer, Component, Program, http_client},
    sdk::Sdk,
    seals::Seals,
};

/// 令牌小店, the official account of the emulator's default world.
pub const SHOP: &str = "wxa0b1c2d3e4f50617";

/// 令牌点单, its mini program.
pub const ORDERS: &str = "wxb1c2d3e4f5061728";

/// 令牌花房, an official account that is verified by nobody.
pub const FLOWERS: &str = "wxc2d3e4f506172839";

/// Tests deliver to loopback, where everybody lives here.
pub const ALLOW_LOOPBACK: (&str, &str) = ("LINGPAI_WEBHOOK__ALLOW_PRIVATE", "127.0.0.0/8,::1/128");

/// Base64 of 32 bytes that keep nothing secret.
const MASTER_KEY: &str = "dGVzdHMgaGF2ZSBubyBzZWNyZXRzLCBub25lIGhlcmU=";

/// A whole small world.
pub struct World {
    /// WeChat.
    pub emulator: Emulator,
    /// What the emulator was told at the start.
    pub component: Component,
    /// Where lingpai is.
    pub base: Url,
    /// lingpai's clock.
    pub clock: ManualClock,
    /// The program of the operator.
    pub operator: Program,
    /// lingpai's database, opened a second time.
    pub db: Db,
    seals: Seals,
    said: AtomicU64,
    crank: Crank,
    stop: CancellationToken,
    serving: TaskTracker,
    _dir: TempDir,
}

impl World {
    /// A world on SQLite, whose component is registered and has no ticket yet.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(EmulatorConfig::for_tests(), None).await
    }

    /// A world on this database, or on SQLite when none is given.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_with(config: EmulatorConfig, database: Option<&str>) -> Result<Self> {
        Self::start_set(config, database, &[]).await
    }

    /// As [`World::start_with`], with these settings beside the usual ones.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_set(
        config: EmulatorConfig,
        database: Option<&str>,
        set: &[(&str, &str)],
    ) -> Result<Self> {
        // Makes sure that a TLS provider is there before the service builds its client.
        let _ = http_client();
        let component = Component::of(&config);
        let emulator = Emulator::start(config).await?;
        let dir = TempDir::new()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base: Url = format!("http://{}/", listener.local_addr()?).parse()?;
        let sqlite = format!("sqlite://{}", dir.path().join("lingpai.db").display());
        let environment = [
            ("LINGPAI_SERVER__LISTEN", base.authority().to_owned()),
            ("LINGPAI_SERVER__PUBLIC_URL", base.as_str().trim_end_matches('/').to_owned()),
            ("LINGPAI_DATABASE__URL", database.map_or(sqlite, str::to_owned)),
            ("LINGPAI_SECRETS__MASTER_KEY", MASTER_KEY.to_owned()),
            ("LINGPAI_WECHAT__API_URL", emulator.base_url().to_owned()),
            ("LINGPAI_WECHAT__OPEN_URL", emulator.base_url().to_owned()),
            ("LINGPAI_WECHAT__MP_URL", emulator.base_url().to_owned()),
            (ALLOW_LOOPBACK.0, ALLOW_LOOPBACK.1.to_owned()),
        ];
        let set = set.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let environment =
            environment.into_iter().chain(set).map(|(key, value)| (key.into(), value.into()));
        let environment = environment.collect();
        let settings = Settings::load(&Sources { file: None, environment })?;
        let clock = ManualClock::at(SystemClock.now());
        let app = App::build(settings.clone(), Arc::new(clock.clone()), Entropy::system()).await?;
        let db = database::open(&settings, &Entropy::system()).await?;
        let (_, key) = app.operators().create(&Act::of_lingpai(), "test".to_owned()).await?;
        let operator = Program::new(base.clone(), key.into_text().expose());
        let crank = app.crank();
        let (stop, serving) = (CancellationToken::new(), TaskTracker::new());
        serving.spawn(app.serve(listener, stop.clone()));
        let registered = operator.register(&component).await?;
        emulator.set_events_url(&registered.field("events_url")?);
        emulator.set_messages_url(&registered.field("messages_url")?);
        let (seals, said) = (Seals::of(&component)?, AtomicU64::new(0));
        Ok(Self {
            emulator,
            component,
            base,
            clock,
            operator,
            db,
            seals,
            said,
            crank,
            stop,
            serving,
            _dir: dir,
        })
    }

    /// A world whose component has a ticket.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn with_ticket() -> Result<Self> {
        let world = Self::start().await?;
        world.push_ticket().await?;
        Ok(world)
    }

    /// A world with a tenant that 令牌小店 has authorized: its program comes along.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn with_authorizer() -> Result<(Self, Program)> {
        let world = Self::with_ticket().await?;
        let (_, tenant) = world.authorized().await?;
        Ok((world, tenant))
    }

    /// A tenant of this world that 令牌小店 has authorized: its id and its program.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn authorized(&self) -> Result<(String, Program)> {
        let (id, tenant) = self.operator.create_tenant("花店").await?;
        self.authorize(&tenant, SHOP).await?;
        // What was told of it goes to nobody: there is no endpoint yet.
        self.deliver().await?;
        Ok((id, tenant))
    }

    /// A tenant connects an account by its own secret, with keys of its own for its pushes; gives these.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn connect_by_secret(&self, tenant: &Program, appid: &str) -> Result<Seals> {
        let (token, key) = ("CANARYaccountToken", "CANARYaccountEncodingAESKey0123456789abcdef");
        let account = self.emulator.account(appid).context("no such account")?;
        let connect = json!({
            "connection": "secret", "appid": appid, "appsecret": account.appsecret,
            "push_token": token, "encoding_aes_key": key,
        });
        let shown = tenant.post("/v1/authorizers", &connect).await?.expect(StatusCode::CREATED)?;
        let url = shown.field("events_url")?;
        self.emulator.change_account(appid, |account| {
            account.messages_url = Some(url);
            account.push_token = Some(token.to_owned());
            account.encoding_aes_key = Some(key.to_owned());
        })?;
        Seals::new(appid, token, key)
    }

    /// WeChat pushes a ticket, and lingpai takes it.
    ///
    /// # Errors
    /// When it does not answer `success`.
    pub async fn push_ticket(&self) -> Result<()> {
        let outcome = self.emulator.push_ticket().await;
        anyhow::ensure!(outcome.is_accepted(), "the ticket was answered with {outcome:?}");
        Ok(())
    }

    /// The component's event URL.
    #[must_use]
    pub fn events_url(&self) -> String {
        format!("{}wechat/components/{}/events", self.base, self.component.appid)
    }

    /// A push with this ticket, as it is before it is encrypted.
    #[must_use]
    pub fn ticket_xml(&self, ticket: &str) -> String {
        format!(
            "<xml><AppId><![CDATA[{}]]></AppId><CreateTime>{}</CreateTime>\
             <InfoType><![CDATA[component_verify_ticket]]></InfoType>\
             <ComponentVerifyTicket><![CDATA[{ticket}]]></ComponentVerifyTicket></xml>",
            self.component.appid,
            self.emulator.now_ms() / 1000
        )
    }

    /// The whole way of an authorization, from the tenant's link to the stored authorizer; returns
    /// the authorization as the tenant sees it then.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn authorize(&self, tenant: &Program, appid: &str) -> Result<Answer> {
        let (id, link) = tenant.start_authorization(&self.component.appid).await?;
        let mut administrator = Administrator::new("zh-CN");
        administrator.authorize(&link, appid).await?.expect(StatusCode::OK)?;
        self.work().await?;
        tenant.get(&format!("/v1/authorizations/{id}")).await
    }

    /// Turns the crank until nothing is left to do.
    ///
    /// # Errors
    /// When a worker fails.
    pub async fn work(&self) -> Result<()> {
        while self.crank.turn().await? > 0 {}
        Ok(())
    }

    /// Lets the workers refresh whatever is due; returns how many refreshes they began.
    ///
    /// # Errors
    /// When a worker fails. A refresh may fail without that.
    pub async fn keep_tokens(&self) -> Result<usize> {
        let mut begun = 0;
        loop {
            match self.crank.keep_tokens().await? {
                0 => return Ok(begun),
                more => begun += more,
            }
        }
    }

    /// Writes down what was counted in memory: usage with its warnings, and when keys were used.
    ///
    /// # Errors
    /// When the worker fails.
    pub async fn flush(&self) -> Result<()> {
        self.crank.flush_ledgers().await?;
        Ok(())
    }

    /// Throws away what has been kept long enough.
    ///
    /// # Errors
    /// When the worker fails.
    pub async fn sweep(&self) -> Result<()> {
        self.crank.sweep().await?;
        Ok(())
    }

    /// Lets the workers look after tickets and reconciliations, each once.
    ///
    /// # Errors
    /// When a worker fails.
    pub async fn watch(&self) -> Result<()> {
        self.crank.watch_tickets().await?;
        self.crank.reconcile().await?;
        Ok(())
    }

    /// One authorizer as its tenant sees it.
    ///
    /// # Errors
    /// When the tenant has no such authorizer.
    pub async fn authorizer(&self, tenant: &Program, appid: &str) -> Result<Answer> {
        tenant.get(&format!("/v1/authorizers/{appid}")).await?.expect(StatusCode::OK)
    }

    /// The component as the operator sees it.
    ///
    /// # Errors
    /// When the operator is refused.
    pub async fn component(&self) -> Result<Answer> {
        let path = format!("/admin/v1/components/{}", self.component.appid);
        self.operator.get(&path).await?.expect(StatusCode::OK)
    }

    /// The types of the events in a tenant's stream, or in the operator's, the oldest first.
    pub async fn event_types(&self, tenant: Option<&str>) -> Vec<String> {
        let tenant = tenant.map(|id| TenantId::parse(id).expect("an id of ours"));
        let events = kept_events(&self.db, tenant.as_ref()).await;
        events.iter().map(|event| event.event_type.as_str().to_owned()).collect()
    }

    /// Delivers whatever is due, and waits for the answers; returns how much there was.
    ///
    /// # Errors
    /// When a worker fails. A delivery may fail without that.
    pub async fn deliver(&self) -> Result<usize> {
        let mut done = 0;
        loop {
            match self.crank.deliver().await? {
                0 => return Ok(done),
                more => done += more,
            }
        }
    }

    /// A fan writes this text to an account.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn says(&self, appid: &str, content: &str) -> Result<Talk> {
        self.push(appid, &self.text(content)).await
    }

    /// A fan does something: `Event`, and the elements that belong to it.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn does(&self, appid: &str, event: &str, fields: &str) -> Result<Talk> {
        let said = Said::event(self.wechat_secs() + self.next_number(), event, fields);
        self.push(appid, &said).await
    }

    /// A text of a fan, with a number that no other message of this world has.
    #[must_use]
    pub fn text(&self, content: &str) -> Said {
        Said::text(self.wechat_secs(), self.next_number().unsigned_abs(), content)
    }

    /// Pushes what a fan says or does, as often as it is called: the same again is a repetition.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn push(&self, appid: &str, said: &Said) -> Result<Talk> {
        let account = self.emulator.account(appid).context("no such account")?;
        self.push_xml(appid, &said.to(&account.user_name)).await
    }

    /// Pushes any text to an account. No two pushes come in the same instant, so that there is an order
    /// among them.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn push_xml(&self, appid: &str, xml: &str) -> Result<Talk> {
        self.clock.advance(chrono::Duration::milliseconds(1));
        let outcome = self.emulator.push_message(appid, xml).await?;
        let reply = self.seals.open_reply(&outcome.body);
        Ok(Talk { outcome, reply })
    }

    /// The texts of the customer-service messages that an account's fans received, the oldest first.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn custom_messages(&self, appid: &str) -> Result<Vec<Value>> {
        let messages = self.emulator.account(appid).context("no such account")?.messages;
        messages.iter().map(|sent| Ok(serde_json::from_str(&sent.body)?)).collect()
    }

    /// WeChat's clock, in Unix seconds.
    #[must_use]
    pub fn wechat_secs(&self) -> i64 {
        self.emulator.now_ms() / 1000
    }

    fn next_number(&self) -> i64 {
        i64::try_from(self.said.fetch_add(1, Ordering::Relaxed) + 1).unwrap_or(i64::MAX)
    }

    /// The program of an SDK that calls lingpai's gateway for this account, with this key as the
    /// account's secret.
    #[must_use]
    pub fn sdk(&self, appid: &str, tenant: &Program) -> Sdk {
        Sdk::new(&format!("{}gateway", self.base), appid, tenant.key())
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: chrono::Duration) {
        self.clock.advance(by);
        self.emulator.advance_clock(by.to_std().unwrap_or_default());
    }

    /// Ends the world and checks that no work is left behind.
    ///
    /// # Errors
    /// When a push or an exchange was still waiting.
    pub async fn end(self) -> Result<()> {
        let left_over = self.crank.turn().await?;
        anyhow::ensure!(left_over == 0, "{left_over} pushes and exchanges were left over");
        self.db.close().await;
        self.stop.cancel();
        self.serving.close();
        tokio::time::timeout(std::time::Duration::from_secs(30), self.serving.wait())
            .await
            .context("the service did not drain")
    }
}
