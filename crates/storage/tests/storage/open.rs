//! Opening: durability, schema steps, the master key.

use std::{error::Error as _, time::Duration};

use lingpai_migrations::Migrator;
use lingpai_model::clock::Entropy;
use lingpai_storage::{
    DatabaseConfig, Db, Error, KeyRing,
    testing::{Backend, TestDb, on_each_test_db},
};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use sea_orm_migration::MigratorTrait as _;

use crate::world::{World, raw};

fn keys() -> KeyRing {
    KeyRing::generate(&Entropy::system()).0
}

#[tokio::test]
async fn durability_is_set_and_read_back() {
    for backend in Backend::available() {
        let mut test = TestDb::open_empty(&backend).await;
        if let Backend::Postgres(_) = backend {
            // A server or role that does not wait for the disk is overruled.
            let config = DatabaseConfig {
                url: format!("{}?options=-csynchronous_commit=off", test.config.url),
                ..test.config.clone()
            };
            test.db.close().await;
            test.db = Db::connect(&config, keys()).await.unwrap();
        }
        if let Backend::MySql(_) = backend {
            let config = DatabaseConfig {
                url: test.config.url.replacen("mysql:", "mariadb:", 1),
                ..test.config.clone()
            };
            test.db.close().await;
            test.db = Db::connect(&config, keys()).await.unwrap();
        }
        let told = test.db.durability().to_string();
        let wanted: &[&str] = match backend {
            Backend::Sqlite => {
                &["journal_mode=wal", "synchronous=2", "foreign_keys=1", "secure_delete=1"]
            }
            Backend::Postgres(_) => &["synchronous_commit=on", "fsync=on", "server_encoding=UTF8"],
            Backend::MySql(_) => {
                &["innodb_flush_log_at_trx_commit=1", "character_set_connection=utf8mb4"]
            }
        };
        for fact in wanted {
            assert!(told.contains(fact), "{told}");
        }
        test.remove().await;
    }
}

#[tokio::test]
async fn sqlite_is_built_as_the_project_asks() {
    let test = TestDb::open_empty(&Backend::Sqlite).await;
    let options = raw(&test.config.url).await;
    let options = options.query_all_raw(Statement::from_string(
        DbBackend::Sqlite,
        "SELECT compile_options FROM pragma_compile_options",
    ));
    let options: Vec<String> =
        options.await.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    let is_set = |option: &str| options.iter().any(|one| one == option);
    assert!(is_set("DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!is_set("ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
    test.remove().await;
}

#[tokio::test]
async fn a_database_that_forgets_is_refused() {
    let config = DatabaseConfig {
        url: "sqlite::memory:".to_owned(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(3),
    };
    let error = Db::connect(&config, keys()).await.err();
    assert!(matches!(&error, Some(Error::NotDurable { what }) if what.contains("journal_mode")));
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused_without_being_told() {
    for url in ["oracle://canary@h/d", "canary", "", "postgres://h:canary/d"] {
        let config = DatabaseConfig {
            url: url.to_owned(),
            max_connections: 1,
            acquire_timeout: Duration::from_secs(3),
        };
        let error = Db::connect(&config, keys()).await.err().unwrap();
        assert!(matches!(error, Error::BadAddress { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?} {config:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told_as_such() {
    for scheme in ["postgres", "mysql", "mariadb"] {
        let config = DatabaseConfig {
            url: format!("{scheme}://canary:canary@127.0.0.1:1/d"),
            max_connections: 1,
            acquire_timeout: Duration::from_millis(100),
        };
        let error = Db::connect(&config, keys()).await.err().unwrap();
        assert!(error.is_transient(), "{scheme}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"));
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            told = format!("{told}: {next}");
            cause = next.source();
        }
        assert_eq!(told.matches("timed out").count(), 1, "{scheme}: {told}");
    }
}

#[tokio::test]
async fn the_schema_goes_up_down_and_up_again() {
    for backend in Backend::available() {
        let test = TestDb::open_empty(&backend).await;
        let steps = Migrator::migrations().len();
        assert_eq!(test.db.pending_migrations().await.unwrap().len(), steps);
        for asked in [test.db.check_key().await, test.db.prove_collation().await] {
            let error = asked.unwrap_err();
            assert!(matches!(error, Error::SchemaBehind { pending } if pending.len() == steps));
        }

        assert_eq!(test.db.migrate().await.unwrap() as usize, steps);
        assert_eq!(test.db.migrate().await.unwrap(), 0, "nothing is left to do");
        assert!(test.db.pending_migrations().await.unwrap().is_empty());

        let raw = raw(&test.config.url).await;
        Migrator::down(&raw, None).await.unwrap();
        assert_eq!(test.db.pending_migrations().await.unwrap().len(), steps);
        Migrator::up(&raw, None).await.unwrap();
        raw.close().await.unwrap();

        World::new().stored_component(&test.db, "wxC").await;
        test.remove().await;
    }
}

#[tokio::test]
async fn a_step_that_broke_off_before_it_was_noted_is_repeated() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        raw.execute_unprepared("DELETE FROM seaql_migrations").await.unwrap();
        raw.close().await.unwrap();
        assert_eq!(test.db.migrate().await.unwrap() as usize, Migrator::migrations().len());
        test.remove().await;
    }
}

#[tokio::test]
async fn a_step_that_only_a_newer_program_knows_is_no_fault() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let raw = raw(&url).await;
            let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999', 0)";
            raw.execute_unprepared(newer).await.unwrap();
            raw.close().await.unwrap();
            assert!(db.pending_migrations().await.unwrap().is_empty());
            assert_eq!(db.migrate().await.unwrap(), 0);
            db.check_key().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_runners_one_takes_the_steps() {
    for backend in Backend::available() {
        let test = TestDb::open_empty(&backend).await;
        let second = Db::connect(&test.config, test.keys.clone()).await.unwrap();
        let (a, b, c) = tokio::join!(test.db.migrate(), second.migrate(), test.db.migrate());
        let taken = [a.unwrap(), b.unwrap(), c.unwrap()];
        assert_eq!(taken.iter().sum::<u32>() as usize, Migrator::migrations().len(), "{taken:?}");
        second.close().await;
        test.remove().await;
    }
}

#[tokio::test]
async fn a_schema_that_takes_identifiers_for_the_same_is_refused_until_mended() {
    for backend in Backend::available() {
        let (spoil, found, mend) = match &backend {
            // Nothing but a column's own words can change it there.
            Backend::Sqlite => continue,
            Backend::Postgres(_) => (
                "ALTER TABLE components ALTER COLUMN appid TYPE VARCHAR(64) COLLATE \"default\"; \
                 CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', \
                 deterministic = false); \
                 ALTER TABLE tenants ALTER COLUMN id TYPE VARCHAR(32) COLLATE blind",
                "components (default), tenants (blind)",
                None,
            ),
            Backend::MySql(_) => (
                "ALTER TABLE components MODIFY appid VARCHAR(64) COLLATE utf8mb4_general_ci; \
                 ALTER TABLE leases CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                "components (utf8mb4_general_ci), leases (utf8mb4_bin)",
                Some(
                    "ALTER TABLE components MODIFY appid VARCHAR(64) COLLATE $; \
                     ALTER TABLE leases CONVERT TO CHARACTER SET utf8mb4 COLLATE $",
                ),
            ),
        };
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        raw.execute_unprepared(spoil).await.unwrap();
        let error = test.db.prove_collation().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(found), "{text}");
        let Error::WrongCollation { wanted, remedy, .. } = error else { panic!("{error:?}") };
        assert!(text.ends_with(&remedy), "it says what to do: {text}");
        // On PostgreSQL, what is told can be run as it is.
        let mend = mend.map_or(remedy, |mend| mend.replace('$', &wanted));
        raw.execute_unprepared(&mend).await.unwrap();
        raw.close().await.unwrap();
        test.db.prove_collation().await.unwrap();
        test.remove().await;
    }
}

#[tokio::test]
async fn another_master_key_is_told_at_start() {
    on_each_test_db(|test| {
        let (config, right) = (test.config.clone(), test.keys.clone());
        async move {
            let wrong = Db::connect(&config, keys()).await.unwrap();
            assert!(matches!(wrong.check_key().await, Err(Error::WrongMasterKey)));
            wrong.close().await;
            let again = Db::connect(&config, right).await.unwrap();
            again.check_key().await.unwrap();
            again.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_clock_is_the_databases_and_runs_in_milliseconds() {
    on_each_test_db(|test| {
        let db = test.db.clone();
        async move {
            db.ping().await.unwrap();
            let first = db.now().await.unwrap();
            let second = db.now().await.unwrap();
            assert!(first <= second, "it does not run back");
            assert!(first.timestamp() > 1_700_000_000, "it counts from 1970: {first}");
            assert!(first.timestamp() < 4_000_000_000, "it counts milliseconds: {first}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_database_refuses_politely() {
    let test = TestDb::sqlite().await;
    let db = test.db.clone();
    test.db.close().await;
    assert!(db.begin().await.err().unwrap().is_transient());
    assert!(db.now().await.unwrap_err().is_transient());
}
