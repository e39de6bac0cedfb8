//! The wiring: every service of the house is made here and nowhere else.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use lingpai_api::{ApiSettings, MetricsPage, NotReady, Readiness, Services};
use lingpai_authorizer::{
    Accounts, AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Grants, Proxy,
    Reconciliations, WebTokens,
};
use lingpai_callback::{AccountPushes, ComponentPushes, Processor};
use lingpai_component_token::{
    Ceiling, ComponentTokens, Components, KeeperBase, TicketWatch, Tickets,
};
use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_storage::{DatabaseClock, Db};
use lingpai_tenant::{ApiKeys, Operators, RedirectUris, Tenants};
use lingpai_wechat::client::{Client, ClientConfig};
use poem::{Endpoint, EndpointExt as _, Response, Route, endpoint::BoxEndpoint, get};
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::crank::Crank;
use crate::{
    database,
    lifecycle::{self, Limits},
    settings::Settings,
    telemetry::Figures,
    workers::Loops,
};

/// How long a push may take from its first byte to our answer: WeChat gives up after five seconds
/// and repeats.
const PUSH_BUDGET: Duration = Duration::from_millis(3500);

/// How long the answer of a call to WeChat may take to be stored.
const STORING_TIME: Duration = Duration::from_secs(2);

/// How often our clock is set by the database's.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// How long the database may take to close.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    serves: bool,
    works: bool,
}

impl Roles {
    /// Serves HTTP and does the work behind it.
    pub const ALL: Self = Self { serves: true, works: true };
    /// Serves HTTP only.
    pub const SERVE: Self = Self { serves: true, works: false };
    /// Does the work only.
    pub const WORK: Self = Self { serves: false, works: true };
}

/// The whole service, ready to run.
pub struct App {
    settings: Settings,
    db: Db,
    endpoint: BoxEndpoint<'static, Response>,
    crank: Crank,
    operators: Operators,
    /// Wakes the processor when a push was recorded.
    recorded: Arc<Notify>,
    /// What outlives the request that caused it; drained at shutdown.
    tasks: TaskTracker,
    /// How long a call to WeChat and storing its answer may take.
    job_time: Duration,
    entropy: Entropy,
    /// The clock that has to be set by the database's from time to time, if it is that one.
    database_clock: Option<Arc<DatabaseClock>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Opens the database and makes every service. They go by the database's clock, which all
    /// instances share.
    ///
    /// # Errors
    /// As [`database::open`], or the client towards WeChat cannot be made.
    pub async fn open(settings: Settings, entropy: Entropy) -> anyhow::Result<Self> {
        let db = database::open(&settings, &entropy).await?;
        let clock = DatabaseClock::of(&db).await?;
        let app = Self::assemble(settings, db, clock.clone(), entropy)?;
        Ok(Self { database_clock: Some(clock), ..app })
    }

    /// As [`App::open`], by another clock: for tests, which hold it.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn build(
        settings: Settings,
        clock: SharedClock,
        entropy: Entropy,
    ) -> anyhow::Result<Self> {
        let db = database::open(&settings, &entropy).await?;
        Self::assemble(settings, db, clock, entropy)
    }

    fn assemble(
        settings: Settings,
        db: Db,
        clock: SharedClock,
        entropy: Entropy,
    ) -> anyhow::Result<Self> {
        let api_url = settings.wechat.api_url.clone();
        let calls = ClientConfig { api_url, ..ClientConfig::default() };
        let job_time = calls.call_timeout + STORING_TIME;
        let wechat = Client::new(calls)
            .context("the client towards WeChat cannot be made; are CA certificates installed?")?;
        let (tasks, recorded) = (TaskTracker::new(), Arc::new(Notify::new()));
        let base = Base { settings: &settings, db: &db, wechat, clock, entropy: &entropy };
        let (services, crank) = base.services(&tasks, &recorded);
        let operators = services.operators.clone();
        let endpoint = lingpai_api::routes(services, &api_settings(&settings)).boxed();
        Ok(Self {
            settings,
            db,
            endpoint,
            crank,
            operators,
            recorded,
            tasks,
            job_time,
            entropy,
            database_clock: None,
        })
    }

    /// What the workers do, to be done by hand.
    #[must_use]
    pub fn crank(&self) -> Crank {
        self.crank.clone()
    }

    /// Creates operators and their keys: what `operator-key create` does.
    #[must_use]
    pub fn operators(&self) -> Operators {
        self.operators.clone()
    }

    /// Serves HTTP on `listener` until `stop`, then drains and closes the database.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let limits = Limits::from(&self.settings.server);
        let Self { db, endpoint, tasks, job_time, .. } = self;
        let stopping = stopping_at(stop.clone());
        let ((), stopping) =
            tokio::join!(lifecycle::serve(listener, endpoint, &limits, stop), stopping);
        drain(db, tasks, drained_by(stopping + limits.shutdown_grace, job_time)).await;
    }

    /// Plays its `roles` until `stop`, then drains and closes the database.
    ///
    /// # Errors
    /// An address to listen on cannot be had.
    pub async fn run(self, roles: Roles, stop: CancellationToken) -> anyhow::Result<()> {
        let server = &self.settings.server;
        let limits = Limits::from(server);
        let public = listen("server.listen", roles.serves.then_some(server.listen)).await?;
        let own = listen("metrics.listen", self.settings.metrics.listen).await?;
        let loops = Loops { entropy: self.entropy.clone(), tasks: &self.tasks, stop: &stop };
        if roles.works {
            self.crank.start(&loops, Arc::clone(&self.recorded));
        }
        if let Some(clock) = self.database_clock {
            loops.start(
                ("clock", CLOCK_INTERVAL),
                Arc::default(),
                &(clock, self.db.clone()),
                keep_time,
            );
        }
        let Self { db, endpoint, tasks, job_time, .. } = self;
        let (figures, stopped) = (Figures::of_process(), stop.clone());
        tasks.spawn(async move { figures.keep_up(stopped).await });
        let own_page = Route::new().at("/metrics", get(metrics_page()));
        let ((), (), stopping) = tokio::join!(
            serve_if(public, endpoint, &limits, stop.clone()),
            serve_if(own, own_page, &limits, stop.clone()),
            stopping_at(stop.clone()),
        );
        drain(db, tasks, drained_by(stopping + limits.shutdown_grace, job_time)).await;
        Ok(())
    }
}

/// Sets our clock by the database's. While that cannot be read, ours goes on by itself.
async fn keep_time((clock, db): (Arc<DatabaseClock>, Db)) -> Result<usize, lingpai_storage::Error> {
    clock.set_by(&db).await.map(|()| 0)
}

/// What services are made of.
struct Base<'a> {
    settings: &'a Settings,
    db: &'a Db,
    wechat: Client,
    clock: SharedClock,
    entropy: &'a Entropy,
}

impl Base<'_> {
    fn services(&self, tasks: &TaskTracker, recorded: &Arc<Notify>) -> (Services, Crank) {
        let (db, clock, entropy) =
            (|| self.db.clone(), || self.clock.clone(), || self.entropy.clone());
        let ceiling = Arc::new(Ceiling::new(self.settings.tokens.limits));
        let (wechat, keeper) = (|| self.wechat.clone(), || self.keeper(&ceiling, tasks));
        let tickets = Tickets::new(db(), clock());
        let ticket_watch = TicketWatch::new(db(), wechat(), clock(), entropy());
        let component_tokens =
            ComponentTokens::new(keeper(), wechat(), tickets.clone(), ticket_watch.clone());
        let components = || component_tokens.clone();
        let grants = Grants::new(db(), wechat(), components(), (clock(), entropy()), tasks.clone());
        let reconciliations =
            Reconciliations::new(keeper(), wechat(), components(), grants.clone());
        let authorizer_tokens = AuthorizerTokens::new(
            keeper(),
            wechat(),
            components(),
            grants.clone(),
            reconciliations.clone(),
        );
        let authorizations = Authorizations::new(
            db(),
            components(),
            grants.clone(),
            (clock(), entropy()),
            self.urls(),
        );
        let component_pushes =
            ComponentPushes::new(db(), tickets.clone(), (clock(), entropy()), Arc::clone(recorded));
        let web_tokens = WebTokens::new(keeper(), wechat(), components());
        let services = Services {
            components: Components::new(db(), clock(), entropy()),
            tickets,
            ticket_watch: ticket_watch.clone(),
            component_tokens: components(),
            reconciliations: reconciliations.clone(),
            authorizations,
            authorizers: Authorizers::new(db(), authorizer_tokens.clone()),
            accounts: Accounts::new(keeper(), wechat()),
            proxy: Proxy::new(db(), wechat(), authorizer_tokens.clone()),
            tenants: Tenants::new(db(), clock(), entropy()),
            api_keys: ApiKeys::new(db(), clock(), entropy()),
            operators: Operators::new(db(), clock(), entropy()),
            redirect_uris: RedirectUris::new(db(), clock()),
            component_pushes,
            account_pushes: AccountPushes::new(db(), web_tokens, (clock(), entropy())),
            readiness: readiness(db()),
            metrics: metrics_page(),
            clock: clock(),
            entropy: entropy(),
        };
        let processor = Processor::new(db(), grants.clone());
        let crank = Crank {
            processor,
            grants,
            component_tokens,
            authorizer_tokens,
            ticket_watch,
            reconciliations,
        };
        (services, crank)
    }

    fn keeper(&self, ceiling: &Arc<Ceiling>, tasks: &TaskTracker) -> KeeperBase {
        KeeperBase {
            db: self.db.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            ceiling: Arc::clone(ceiling),
            tasks: tasks.clone(),
        }
    }

    fn urls(&self) -> AuthorizationUrls {
        AuthorizationUrls {
            public_url: self.settings.server.public_url.clone(),
            mp_url: self.settings.wechat.mp_url.clone(),
            open_url: self.settings.wechat.open_url.clone(),
        }
    }
}

/// Ready while the database answers: its schema was brought up to date, or refused, before.
fn readiness(db: Db) -> Readiness {
    Readiness::new(move || {
        let db = db.clone();
        async move { db.ping().await.map_err(NotReady::new) }.boxed()
    })
}

/// The page on which the figures of this process are shown.
fn metrics_page() -> MetricsPage {
    let figures = Figures::of_process();
    MetricsPage::new(move || figures.render())
}

fn api_settings(settings: &Settings) -> ApiSettings {
    ApiSettings {
        public_url: settings.server.public_url.clone(),
        body_timeout: settings.server.body_timeout,
        push_budget: PUSH_BUDGET,
        metrics_on_main: settings.metrics.listen.is_none(),
    }
}

/// Listens on `address`, if there is one; `key` is the setting to change when that fails.
async fn listen(key: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is it in use already? {key} names another address")
    })?;
    tracing::info!(setting = key, "listening on {}", listener.local_addr().unwrap_or(address));
    Ok(Some(listener))
}

async fn serve_if<E: Endpoint + 'static>(
    listener: Option<TcpListener>,
    endpoint: E,
    limits: &Limits,
    stop: CancellationToken,
) {
    if let Some(listener) = listener {
        lifecycle::serve(listener, endpoint, limits, stop).await;
    }
}

/// When `stop` was said.
async fn stopping_at(stop: CancellationToken) -> Instant {
    stop.cancelled().await;
    Instant::now()
}

/// Until when jobs may finish: `graceful`, but at least the `job_time` from now. Slow connections may
/// have used up the grace period, and a refresh whose answer is under way must not lose it for that.
fn drained_by(graceful: Instant, job_time: Duration) -> Instant {
    graceful.max(Instant::now() + job_time)
}

/// Waits for what outlived its request, at most until `deadline`, and closes the database.
async fn drain(db: Db, tasks: TaskTracker, deadline: Instant) {
    tasks.close();
    if timeout_at(deadline, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "jobs are left to the next start: their time is over");
    }
    close(db.close(), CLOSING_TIME).await;
    tracing::info!("stopped");
}

/// Waits for `closing`, at most for `time`: a database that hangs must not hold the process.
async fn close(closing: impl Future<Output = ()>, time: Duration) {
    if timeout(time, closing).await.is_err() {
        tracing::warn!("the database does not close: its connections are cut");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Duration = Duration::from_secs(100);

    #[test]
    fn a_grace_period_that_is_used_up_leaves_jobs_their_time() {
        let before = Instant::now();
        assert!(drained_by(before, JOB) >= before + JOB);
    }

    #[test]
    fn jobs_may_use_the_whole_grace_period() {
        let graceful = Instant::now() + 2 * JOB;
        assert_eq!(drained_by(graceful, JOB), graceful);
    }

    #[tokio::test]
    async fn a_database_that_never_closes_is_left() {
        close(std::future::pending(), Duration::ZERO).await;
    }
}
