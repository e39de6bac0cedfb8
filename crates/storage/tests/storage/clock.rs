//! The clock that all instances share.

use chrono::Duration;
use lingpai_model::{Instant, clock::Clock as _};
use lingpai_storage::{
    DatabaseClock, Db,
    testing::{Backend, TestDb, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::raw;

/// What all roundings to whole milliseconds can add up to, amply.
const ROUNDING: Duration = Duration::milliseconds(20);

/// How long the clock took to be set, by the database's own: it can be wrong by no more.
struct Setting {
    before: Instant,
    after: Instant,
}

impl Setting {
    /// Asserts that the clock shows what the database's shows.
    async fn assert_shown(&self, clock: &DatabaseClock, db: &Db) {
        let off = self.after - self.before + ROUNDING;
        let before = db.now().await.unwrap();
        let shown = clock.now();
        let after = db.now().await.unwrap();
        assert!(before - off <= shown && shown <= after + off, "{before} {shown} {after} ± {off}");
    }
}

async fn set(clock: &DatabaseClock, db: &Db) -> Setting {
    let before = db.now().await.unwrap();
    clock.set_by(db).await.unwrap();
    Setting { before, after: db.now().await.unwrap() }
}

#[tokio::test]
async fn the_clock_shows_the_databases_time_from_the_first() {
    on_each_database(|db| async move {
        let before = db.now().await.unwrap();
        let clock = DatabaseClock::of(&db).await.unwrap();
        let setting = Setting { before, after: db.now().await.unwrap() };
        setting.assert_shown(&clock, &db).await;
        let setting = set(&clock, &db).await;
        setting.assert_shown(&clock, &db).await;
    })
    .await;
}

#[tokio::test]
async fn the_clock_goes_on_without_the_database() {
    on_each_test_db(|test| {
        let (db, config, keys) = (test.db.clone(), test.config.clone(), test.keys.clone());
        async move {
            let away = Db::connect(&config, keys).await.unwrap();
            let clock = DatabaseClock::of(&away).await.unwrap();
            let setting = set(&clock, &away).await;
            away.clone().close().await;
            assert!(clock.set_by(&away).await.unwrap_err().is_transient());
            let stood = clock.now();
            while clock.now() <= stood {
                tokio::task::yield_now().await;
            }
            setting.assert_shown(&clock, &db).await;
        }
    })
    .await;
}

/// Makes every later session of the database read a clock that is a day ahead.
const A_DAY_AHEAD: &str = "CREATE SCHEMA ahead; \
     CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
     AS 'SELECT pg_catalog.clock_timestamp() + interval ''1 day'''; \
     DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = ahead, public, pg_catalog', \
     current_database()); END $$";

#[tokio::test]
async fn a_wrong_clock_is_set_right_whatever_the_machines_clock_shows() {
    // The other databases have no clock that a test could shift.
    for backend in Backend::available() {
        if !matches!(backend, Backend::Postgres(_)) {
            continue;
        }
        let test = TestDb::open(&backend).await;
        let clock = DatabaseClock::of(&test.db).await.unwrap();
        let unshifted = clock.now();
        let raw = raw(&test.config.url).await;
        raw.execute_unprepared(A_DAY_AHEAD).await.unwrap();
        raw.close().await.unwrap();

        let shifted = Db::connect(&test.config, test.keys.clone()).await.unwrap();
        let ahead = shifted.now().await.unwrap() - unshifted;
        assert!(ahead >= Duration::days(1), "its clock was shifted");
        let setting = set(&clock, &shifted).await;
        setting.assert_shown(&clock, &shifted).await;
        shifted.close().await;
        test.remove().await;
    }
}
