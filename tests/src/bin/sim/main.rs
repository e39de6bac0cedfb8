//! A day of the token keeper with a million authorizers: real storage, the real keeper, a clock
//! that runs as fast as the work is done, and a WeChat that answers at once. `make sim-tokens` calls
//! it.
//!
//! At noon the installation is off for two hours, as if its database had been restored from a
//! backup of that age: every access token has ended when it comes back. What is to be seen is how
//! evenly refreshes are spread over a usual day, and how the wave after noon is held down.

mod machine;
mod meter;
mod options;
mod plot;
mod seed;
mod wechat;

use std::{fs, sync::Arc, time::Instant as Stopwatch};

use anyhow::{Context as _, Result, ensure};
use chrono::Duration;
use lingpai_model::{
    Instant,
    clock::{Clock as _, Entropy, ManualClock},
};
use lingpai_server::{
    app::{App, Crank},
    settings::{Settings, Sources},
};
use lingpai_storage::{DatabaseConfig, Db, testing::TestDb};

use crate::{meter::Meter, options::Options, wechat::Wechat};

/// Base64 of 32 bytes that keep nothing secret.
const MASTER_KEY: &str = "c2ltdWxhdGlvbnMga2VlcCBubyBzZWNyZXRzLCBubyE=";

/// When the installation goes off, in hours from the start.
const OFF_AT_HOURS: i64 = 12;

/// How long it stays off, in hours: as long as an access token lives.
const OFF_FOR_HOURS: i64 = 2;

/// The simulation: the clock, what turns under it, and what is measured.
struct Simulation {
    options: Options,
    clock: ManualClock,
    db: Db,
    crank: Crank,
    wechat: Wechat,
    meter: Meter,
    start: Instant,
    /// How many refreshes were begun beyond what the seconds so far allow.
    owed: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let database = TestDb::open_empty(&options.backend()?).await;
    let outcome = simulate(options, &database.config).await;
    database.remove().await;
    outcome
}

async fn simulate(options: Options, database: &DatabaseConfig) -> Result<()> {
    let start = Instant::UNIX_EPOCH + Duration::days(20_000);
    let clock = ManualClock::at(start);
    let wechat = Wechat::start()?;
    let app = build(&database.url, &wechat, &clock).await?;
    let db = Db::connect(database, seed::keys(MASTER_KEY)?).await?;
    eprintln!("   sowing {} authorizers on {}", options.authorizers, options.database);
    let sown = Stopwatch::now();
    seed::seed(&db, start, options.authorizers).await?;
    eprintln!("   sown in {:.0} s", sown.elapsed().as_secs_f64());
    let meter = Meter::new(options.hours, machine::resident_mb()?);
    let crank = app.crank();
    let mut simulation = Simulation { options, clock, db, crank, wechat, meter, start, owed: 0 };
    simulation.run().await?;
    simulation.report()
}

/// The service, in this process, without its workers.
async fn build(database: &str, wechat: &Wechat, clock: &ManualClock) -> Result<App> {
    // A second installation is refused and harmless: the first one stays.
    let _ = lingpai_tests::people::http_client();
    let environment = [
        ("LINGPAI_DATABASE__URL", database),
        ("LINGPAI_SECRETS__MASTER_KEY", MASTER_KEY),
        ("LINGPAI_WECHAT__API_URL", wechat.url()),
        // These count by the machine's time; here the virtual clock holds the pace.
        ("LINGPAI_TOKENS__REFRESHES_PER_SECOND", "100000"),
        ("LINGPAI_TOKENS__CEILING_PER_SECOND", "100000"),
        ("LINGPAI_TOKENS__REFRESHES_PER_TOKEN_HOUR", "100000"),
    ];
    let environment = environment.map(|(key, value)| (key.into(), value.into())).to_vec();
    let settings = Settings::load(&Sources { file: None, environment })?;
    App::build(settings, Arc::new(clock.clone()), Entropy::system()).await
}

impl Simulation {
    /// Lets the hours go by.
    async fn run(&mut self) -> Result<()> {
        let mut was_off = false;
        let mut next_hour = 0;
        let began = Stopwatch::now();
        while self.elapsed() < Duration::hours(self.options.hours) {
            if !was_off && self.elapsed() >= Duration::hours(OFF_AT_HOURS) {
                was_off = true;
                self.clock.advance(Duration::hours(OFF_FOR_HOURS));
            }
            if self.elapsed() >= Duration::hours(next_hour) {
                let hour = self.elapsed().num_hours();
                next_hour = hour + 1;
                seed::ticket(&self.db, self.now()).await?;
                let (done, real) = (self.meter.total(), began.elapsed().as_secs());
                eprintln!("   hour {hour:>2}: {done} refreshes, {real} s of real time");
            }
            self.second().await?;
        }
        self.meter.end(began.elapsed());
        Ok(())
    }

    /// Lets a second go by, or as many as the refreshes take at the pace that is allowed. Workers take
    /// tokens on by the batch, so what is too much for one second is owed by the next.
    async fn second(&mut self) -> Result<()> {
        let per_second = self.options.per_second;
        let mut done = 0;
        while self.owed + done < per_second {
            let begun = self.crank.keep_tokens().await?;
            if begun == 0 {
                break;
            }
            done += begun;
        }
        self.owed += done;
        let seconds = (self.owed / per_second).max(1);
        self.owed = self.owed.saturating_sub(seconds * per_second);
        let at = usize::try_from(self.elapsed().num_seconds()).context("time goes forward")?;
        self.meter.record(at, seconds, done);
        self.meter.look_at_memory(at, machine::resident_mb()?);
        self.clock.advance(Duration::seconds(i64::try_from(seconds)?));
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.now() - self.start
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Prints the figures and draws the plot.
    fn report(&self) -> Result<()> {
        let cpu = machine::cpu_seconds()? - self.meter.cpu_before() - self.wechat.cpu_seconds()?;
        println!("{}", self.meter.figures(&self.options, cpu));
        // Of the component's token a few are fetched when somebody asks, before a worker is ahead.
        let (done, calls) = (self.meter.total() as u64, self.wechat.authorizer_tokens());
        let all = calls + self.wechat.component_tokens();
        ensure!(
            (calls..=all).contains(&done),
            "{done} refreshes were begun, and WeChat handed out {calls} tokens, {all} in all"
        );
        let svg = plot::draw(&self.options, &self.meter.windows());
        fs::write(&self.options.plot, svg)
            .with_context(|| format!("{} cannot be written", self.options.plot.display()))?;
        eprintln!("   drawn to {}", self.options.plot.display());
        Ok(())
    }
}
