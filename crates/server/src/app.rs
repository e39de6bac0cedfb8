//! The wiring: every service of the house is made here and nowhere else.

mod wiring;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use lingpai_api::Mount;
use lingpai_callback::{Rehearsals, Verdict};
use lingpai_component_token::Ceiling;
use lingpai_model::{
    Appid,
    audit::Act,
    clock::{Entropy, SharedClock},
};
use lingpai_storage::{DatabaseClock, Db};
use lingpai_tenant::Operators;
use lingpai_webhook::{LISTENER_MAY_TAKE, Sender};
use lingpai_wechat::client::{Client, ClientConfig};
use poem::{Endpoint, EndpointExt as _, Response, Route, endpoint::BoxEndpoint, get};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::wiring::{Base, Bells, api_settings, metrics_page, sender_policy};
pub use crate::crank::Crank;
use crate::{
    database,
    lifecycle::{self, Limits},
    settings::Settings,
    telemetry::Figures,
    workers::Loops,
};

/// How long a push may take from its first byte to our answer: WeChat gives up after five seconds
/// and repeats. Whoever replies has no longer.
const PUSH_BUDGET: Duration = LISTENER_MAY_TAKE;

/// How long the answer of a call to WeChat may take to be stored.
const STORING_TIME: Duration = Duration::from_secs(2);

/// How often our clock is set by the database's.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// How many connections may wait to be accepted. One more is not heard and tries again after a second,
/// so this has room for all that come in a rush.
const BACKLOG: u32 = 1024;

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
    /// The gateway alone, for a listener of its own.
    gateway: BoxEndpoint<'static, Response>,
    crank: Crank,
    operators: Operators,
    rehearsals: Rehearsals,
    bells: Bells,
    /// Ends the answers that would go on for as long as somebody reads them.
    stopping: CancellationToken,
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
        let (api_url, mp_url) = (settings.wechat.api_url.clone(), settings.wechat.mp_url.clone());
        let calls = ClientConfig { api_url, mp_url, ..ClientConfig::default() };
        let job_time = calls.call_timeout + STORING_TIME;
        let wechat = Client::new(calls)
            .context("the client towards WeChat cannot be made; are CA certificates installed?")?;
        let tenants = Sender::new(sender_policy(&settings))
            .context("the client towards tenants cannot be made; are CA certificates installed?")?;
        let (tasks, bells, stopping) =
            (TaskTracker::new(), Bells::default(), CancellationToken::new());
        let base = Base {
            settings: &settings,
            db: &db,
            wechat,
            tenants,
            clock,
            entropy: &entropy,
            tasks: &tasks,
            ceiling: Arc::new(Ceiling::new(settings.tokens.limits)),
        };
        let shared = base.shared(&bells);
        let crank = base.crank(&shared);
        let services = base.services((&crank, shared), &bells, &stopping)?;
        let (operators, rehearsals) = (services.operators.clone(), services.rehearsals.clone());
        let surface = api_settings(&settings);
        let gateway = lingpai_api::gateway_routes(&services, &surface, Mount::Root).boxed();
        let endpoint = lingpai_api::routes(services, &surface).boxed();
        Ok(Self {
            settings,
            db,
            endpoint,
            gateway,
            crank,
            operators,
            rehearsals,
            bells,
            stopping,
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

    /// Plays WeChat's whole-network publish test against `server.public_url`.
    ///
    /// # Errors
    /// There is no such component, or the database fails. A step that fails is no error: its verdict
    /// says so.
    pub async fn rehearse(&self, component: &Appid) -> anyhow::Result<Vec<Verdict>> {
        Ok(self.rehearsals.run(&Act::of_lingpai(), component).await?)
    }

    /// Closes the database of a service that neither served nor worked.
    pub async fn close(self) {
        close(self.db.close(), CLOSING_TIME).await;
    }

    /// Serves HTTP on `listener` until `stop`, then drains and closes the database.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let limits = Limits::from(&self.settings.server);
        let Self { db, endpoint, crank, tasks, job_time, stopping: long_answers, .. } = self;
        let stopping = stopping_at(stop.clone(), long_answers);
        let ((), stopping) =
            tokio::join!(lifecycle::serve(listener, endpoint, &limits, stop), stopping);
        let deadline = drained_by(stopping + limits.shutdown_grace, job_time);
        drain(db, &crank, tasks, deadline).await;
    }

    /// Plays its `roles` until `stop`, then drains and closes the database.
    ///
    /// # Errors
    /// An address to listen on cannot be had.
    pub async fn run(self, roles: Roles, stop: CancellationToken) -> anyhow::Result<()> {
        let server = &self.settings.server;
        let limits = Limits::from(server);
        let public = listen("server.listen", roles.serves.then_some(server.listen))?;
        let apart = self.settings.gateway.listen.filter(|_| roles.serves);
        let apart = listen("gateway.listen", apart)?;
        let own = listen("metrics.listen", self.settings.metrics.listen)?;
        let loops = Loops { entropy: self.entropy.clone(), tasks: &self.tasks, stop: &stop };
        if roles.works {
            self.crank.start(&loops, (self.bells.recorded, self.bells.due));
        }
        if roles.serves {
            self.crank.start_flushing(&loops);
        }
        if let Some(clock) = self.database_clock {
            loops.start(
                ("clock", CLOCK_INTERVAL),
                Arc::default(),
                &(clock, self.db.clone()),
                keep_time,
            );
        }
        let Self { db, endpoint, gateway, crank, tasks, job_time, stopping: long_answers, .. } =
            self;
        let (figures, stopped) = (Figures::of_process(), stop.clone());
        tasks.spawn(async move { figures.keep_up(stopped).await });
        let own_page = Route::new().at("/metrics", get(metrics_page()));
        let ((), (), (), stopping) = tokio::join!(
            serve_if(public, endpoint, &limits, stop.clone()),
            serve_if(apart, gateway, &limits, stop.clone()),
            serve_if(own, own_page, &limits, stop.clone()),
            stopping_at(stop.clone(), long_answers),
        );
        let deadline = drained_by(stopping + limits.shutdown_grace, job_time);
        drain(db, &crank, tasks, deadline).await;
        Ok(())
    }
}

/// Sets our clock by the database's. While that cannot be read, ours goes on by itself.
async fn keep_time((clock, db): (Arc<DatabaseClock>, Db)) -> Result<usize, lingpai_storage::Error> {
    clock.set_by(&db).await.map(|()| 0)
}

/// Listens on `address`, if there is one; `key` is the setting to change when that fails.
fn listen(key: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = bind(address).with_context(|| {
        format!("cannot listen on {address}; is it in use already? {key} names another address")
    })?;
    tracing::info!(setting = key, "listening on {}", listener.local_addr().unwrap_or(address));
    Ok(Some(listener))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Or a restart would wait until the last connections of the process before are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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

/// When `stop` was said; `long_answers` hear of it.
async fn stopping_at(stop: CancellationToken, long_answers: CancellationToken) -> Instant {
    stop.cancelled().await;
    long_answers.cancel();
    Instant::now()
}

/// Until when jobs may finish: `graceful`, but at least the `job_time` from now. Slow connections may
/// have used up the grace period, and a refresh whose answer is under way must not lose it for that.
fn drained_by(graceful: Instant, job_time: Duration) -> Instant {
    graceful.max(Instant::now() + job_time)
}

/// Waits for what outlived its request, at most until `deadline`, writes down what was counted, and
/// closes the database.
async fn drain(db: Db, crank: &Crank, tasks: TaskTracker, deadline: Instant) {
    tasks.close();
    if timeout_at(deadline, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "jobs are left to the next start: their time is over");
    }
    match timeout(CLOSING_TIME, crank.flush_ledgers()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "the last seconds of the usage figures are lost");
        }
        Err(_) => tracing::warn!("the last seconds of the usage figures are lost: no answer"),
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
