//! The wiring: every service of the house is made here and nowhere else.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use lingpai_api::{ApiSettings, MetricsPage, NotReady, Readiness, Services};
use lingpai_authorizer::{
    AuthorizationUrls, Authorizations, AuthorizerTokens, Authorizers, Grants, Proxy,
};
use lingpai_callback::{ComponentPushes, Processor};
use lingpai_component_token::{ComponentTokens, Components, Tickets};
use lingpai_model::clock::{Entropy, SharedClock};
use lingpai_storage::Db;
use lingpai_tenant::{ApiKeys, Operators, RedirectUris, Tenants};
use lingpai_wechat::client::{Client, ClientConfig};
use poem::{Endpoint, EndpointExt as _, Response, Route, endpoint::BoxEndpoint, get};
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    database,
    lifecycle::{self, Limits},
    settings::Settings,
    telemetry::Figures,
    workers::{Pace, Worker},
};

/// How long a push may take from its first byte to our answer: WeChat gives up after five seconds
/// and repeats.
const PUSH_BUDGET: Duration = Duration::from_millis(3500);

/// How long the answer of a call to WeChat may take to be stored.
const STORING_TIME: Duration = Duration::from_secs(2);

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
    processor: Processor,
    grants: Grants,
    operators: Operators,
    /// Wakes the processor when a push was recorded.
    recorded: Arc<Notify>,
    /// What outlives the request that caused it; drained at shutdown.
    tasks: TaskTracker,
    /// How long a call to WeChat and storing its answer may take.
    job_time: Duration,
    entropy: Entropy,
}

/// What the workers do, one turn at a time: for tests, which start no workers.
#[derive(Debug, Clone)]
pub struct Crank {
    processor: Processor,
    grants: Grants,
}

impl Crank {
    /// Acts on recorded pushes and continues open exchanges; returns how many there were.
    ///
    /// # Errors
    /// As the workers' turns fail.
    pub async fn turn(&self) -> anyhow::Result<usize> {
        let pushes = self.processor.run_once().await?;
        let exchanges = self.grants.run_once().await?;
        Ok(pushes + exchanges)
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Opens the database and makes every service.
    ///
    /// # Errors
    /// As [`database::open`], or the client towards WeChat cannot be made.
    pub async fn build(
        settings: Settings,
        clock: SharedClock,
        entropy: Entropy,
    ) -> anyhow::Result<Self> {
        let db = database::open(&settings, &entropy).await?;
        let api_url = settings.wechat.api_url.clone();
        let calls = ClientConfig { api_url, ..ClientConfig::default() };
        let job_time = calls.call_timeout + STORING_TIME;
        let wechat = Client::new(calls)
            .context("the client towards WeChat cannot be made; are CA certificates installed?")?;
        let (tasks, recorded) = (TaskTracker::new(), Arc::new(Notify::new()));
        let base = Base { settings: &settings, db: &db, wechat, clock, entropy: &entropy };
        let (services, grants) = base.services(&tasks, &recorded);
        let operators = services.operators.clone();
        let endpoint = lingpai_api::routes(services, &api_settings(&settings)).boxed();
        let processor = Processor::new(db.clone(), grants.clone());
        Ok(Self {
            settings,
            db,
            endpoint,
            processor,
            grants,
            operators,
            recorded,
            tasks,
            job_time,
            entropy,
        })
    }

    /// What the workers do, to be done by hand.
    #[must_use]
    pub fn crank(&self) -> Crank {
        Crank { processor: self.processor.clone(), grants: self.grants.clone() }
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
        if roles.works {
            self.start_workers(&stop);
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

    fn start_workers(&self, stop: &CancellationToken) {
        let worker = |name, wake| Worker {
            name,
            pace: Pace::default(),
            wake,
            entropy: self.entropy.clone(),
            tasks: self.tasks.clone(),
        };
        let processor = self.processor.clone();
        let turn = move || {
            let processor = processor.clone();
            async move { processor.run_once().await }
        };
        let pushes = worker("pushes", Arc::clone(&self.recorded));
        self.tasks.spawn(pushes.run(stop.clone(), turn));
        let grants = self.grants.clone();
        let turn = move || {
            let grants = grants.clone();
            async move { grants.run_once().await }
        };
        self.tasks.spawn(worker("grants", Arc::default()).run(stop.clone(), turn));
    }
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
    fn services(&self, tasks: &TaskTracker, recorded: &Arc<Notify>) -> (Services, Grants) {
        let (db, clock, entropy) =
            (|| self.db.clone(), || self.clock.clone(), || self.entropy.clone());
        let (wechat, tasks) = (|| self.wechat.clone(), || tasks.clone());
        let tickets = Tickets::new(db(), clock());
        let component_tokens = ComponentTokens::new(db(), wechat(), clock(), tasks());
        let grants =
            Grants::new(db(), wechat(), component_tokens.clone(), (clock(), entropy()), tasks());
        let authorizer_tokens =
            AuthorizerTokens::new(db(), wechat(), component_tokens.clone(), clock(), tasks());
        let authorizations = Authorizations::new(
            db(),
            component_tokens.clone(),
            grants.clone(),
            (clock(), entropy()),
            self.urls(),
        );
        let component_pushes =
            ComponentPushes::new(db(), tickets.clone(), (clock(), entropy()), Arc::clone(recorded));
        let services = Services {
            components: Components::new(db(), clock(), entropy()),
            tickets,
            component_tokens,
            authorizations,
            authorizers: Authorizers::new(db(), clock()),
            proxy: Proxy::new(db(), wechat(), authorizer_tokens),
            tenants: Tenants::new(db(), clock(), entropy()),
            api_keys: ApiKeys::new(db(), clock(), entropy()),
            operators: Operators::new(db(), clock(), entropy()),
            redirect_uris: RedirectUris::new(db(), clock()),
            component_pushes,
            readiness: readiness(db()),
            metrics: metrics_page(),
            clock: clock(),
            entropy: entropy(),
        };
        (services, grants)
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
