//! A fresh database per test, on every database there is.
//!
//! SQLite always; PostgreSQL and MySQL or MariaDB where `LINGPAI_TEST_POSTGRES_URL` and
//! `LINGPAI_TEST_MYSQL_URL` name a server and an account that may create databases. Each test gets
//! a database of its own, which is dropped at the end, also of a failed test.

mod inside;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};

use futures_util::FutureExt as _;
use lingpai_model::clock::Entropy;
use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;

pub use self::inside::{
    KeptPush, add_authorizers, count_attempts, count_messages, count_pushes, end_endpoint_lease,
    kept_deliveries, kept_events, kept_push, kept_pushes, kept_tickets,
};
use crate::{DatabaseConfig, Db, KeyRing};

/// A database to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// A file in a directory of its own.
    Sqlite,
    /// The server at this address, with an account that may create databases.
    Postgres(String),
    /// The server at this address, with an account that may create databases.
    MySql(String),
}

impl Backend {
    /// Every database there is on this machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "tests have no settings")]
    pub fn available() -> Vec<Self> {
        let postgres = std::env::var("LINGPAI_TEST_POSTGRES_URL").ok().map(Self::Postgres);
        let mysql = std::env::var("LINGPAI_TEST_MYSQL_URL").ok().map(Self::MySql);
        [Some(Self::Sqlite), postgres, mysql].into_iter().flatten().collect()
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::MySql(_) => "MySQL",
        }
    }
}

/// A database of one test.
pub struct TestDb {
    /// It, open, with the schema up to date.
    pub db: Db,
    /// How to open it once more.
    pub config: DatabaseConfig,
    /// The keys it is sealed with.
    pub keys: KeyRing,
    place: Place,
}

enum Place {
    Directory { _kept: TempDir },
    Server { admin: String, drop: String },
}

impl TestDb {
    /// A fresh SQLite file, for tests that need some database and not a certain one.
    ///
    /// # Panics
    /// When it cannot be made: a test cannot go on then.
    pub async fn sqlite() -> Self {
        Self::open(&Backend::Sqlite).await
    }

    /// A fresh database with the schema up to date.
    ///
    /// # Panics
    /// When it cannot be made: a test cannot go on then.
    pub async fn open(backend: &Backend) -> Self {
        let test = Self::open_empty(backend).await;
        test.db.migrate().await.expect("the schema is brought up to date");
        test.db.prove_collation().await.expect("the schema tells identifiers apart");
        test.db.check_key().await.expect("the installation is sealed");
        test
    }

    /// A fresh database without any table.
    ///
    /// # Panics
    /// When it cannot be made: a test cannot go on then.
    pub async fn open_empty(backend: &Backend) -> Self {
        let (url, place) = make(backend).await;
        let config =
            DatabaseConfig { url, max_connections: 8, acquire_timeout: Duration::from_secs(30) };
        let (keys, _) = KeyRing::generate(&Entropy::system());
        let db = Db::connect(&config, keys.clone()).await.expect("the new database is opened");
        Self { db, config, keys, place }
    }

    /// Closes the database and removes it.
    ///
    /// # Panics
    /// When the server refuses to drop it.
    pub async fn remove(self) {
        self.db.close().await;
        if let Place::Server { admin, drop } = &self.place {
            execute(admin, drop).await;
        }
    }
}

/// Runs `body` on a fresh database of every kind there is, one after the other.
///
/// # Panics
/// As `body` does, after the database was removed.
pub async fn on_each_database<F, Run>(body: F)
where
    F: Fn(Db) -> Run,
    Run: Future<Output = ()>,
{
    on_each_test_db(|test| body(test.db.clone())).await;
}

/// As [`on_each_database`], for tests that open the same database more than once.
///
/// # Panics
/// As `body` does, after the database was removed.
pub async fn on_each_test_db<F, Run>(body: F)
where
    F: Fn(&TestDb) -> Run,
    Run: Future<Output = ()>,
{
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let outcome = AssertUnwindSafe(body(&test)).catch_unwind().await;
        if let Err(panic) = outcome {
            eprintln!("this failed on {}", backend.name());
            test.remove().await;
            resume_unwind(panic);
        }
        test.remove().await;
    }
}

async fn make(backend: &Backend) -> (String, Place) {
    let name =
        format!("lingpai_test_{}", base16ct::lower::encode_string(&Entropy::system().bytes::<8>()));
    match backend {
        Backend::Sqlite => {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let url = format!("sqlite://{}", directory.path().join("lingpai.db").display());
            (url, Place::Directory { _kept: directory })
        }
        Backend::Postgres(admin) => {
            let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
            execute(admin, &create).await;
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            (with_database(admin, &name), Place::Server { admin: admin.clone(), drop })
        }
        Backend::MySql(admin) => {
            execute(admin, &format!("CREATE DATABASE {name}")).await;
            let drop = format!("DROP DATABASE IF EXISTS {name}");
            (with_database(admin, &name), Place::Server { admin: admin.clone(), drop })
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "creating and dropping needs no durable session")]
async fn execute(admin: &str, sql: &str) {
    let connection = Database::connect(admin).await.expect("the server is reached");
    connection.execute_unprepared(sql).await.expect("the account may create databases");
    connection.close().await.expect("the connection closes");
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(a, q)| (a, Some(q)));
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find('/').map_or(address.len(), |at| host + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_an_address_is_changed() {
        let there = with_database("postgres://u:p@h:1/postgres?sslmode=require", "t");
        assert_eq!(there, "postgres://u:p@h:1/t?sslmode=require");
        assert_eq!(with_database("mysql://u@h:1", "t"), "mysql://u@h:1/t");
    }
}
