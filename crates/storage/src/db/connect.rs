//! Opens the pools and sets, on every connection, what makes commits durable.

use std::time::Duration;

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        Error::Configuration,
        Executor as _,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use crate::error::{Error, Result};

/// Where the database is and how much of it we may use.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// Its address: `sqlite://`, `postgres://`, `mysql://` or `mariadb://`. May hold a password.
    pub url: String,
    /// The most connections at a time; on SQLite, the most readers.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told that there is none.
    pub acquire_timeout: Duration,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

/// How long SQLite waits for a lock that another process holds, a backup for example.
const SQLITE_BUSY: Duration = Duration::from_secs(3);
/// Group commits have up to 64 forms of two statements, more than the default of 100 beside the rest.
const STATEMENTS_CACHED: usize = 256;
/// On SQLite they have up to 128 forms of one and 64 of the other, and both in a longer way as well.
const STATEMENTS_OF_WRITER: usize = 512;
/// A connection that was idle this long is tried before it is handed out.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// Commits wait for the disk even where the server's default does not; stronger settings stay. A
/// statement waits for a lock no longer than a push may take, and a process that was frozen inside a
/// transaction holds up nobody for ever.
const POSTGRES_SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write'); \
     SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '10s'";

/// Nothing is cut to fit, reads see what is committed (as on PostgreSQL), lock waits are short, and on
/// MariaDB a frozen process loses its transaction; MySQL has no such setting.
const MYSQL_SESSION: [&str; 3] = [
    "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 3 /*M!100300 , idle_transaction_timeout = 10 */",
];

/// The pool for readers and the pool for writers: two on SQLite, else twice the same.
pub(super) async fn open(
    config: &DatabaseConfig,
) -> Result<(DatabaseConnection, DatabaseConnection)> {
    let scheme = config.url.split(':').next().unwrap_or_default();
    match scheme {
        "sqlite" => {
            let writer = connect(sqlite(config, Role::Writer)).await?;
            let readers = connect(sqlite(config, Role::Reader)).await?;
            Ok((readers, writer))
        }
        "postgres" | "postgresql" => {
            let pool = connect(postgres(config)).await?;
            Ok((pool.clone(), pool))
        }
        "mysql" | "mariadb" => {
            let pool = connect(mysql(config)).await?;
            Ok((pool.clone(), pool))
        }
        _ => Err(Error::BadAddress {
            what: "it must begin with sqlite://, postgres://, mysql:// or mariadb://",
        }),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is Db::connect")]
async fn connect(options: ConnectOptions) -> Result<DatabaseConnection> {
    Database::connect(options).await.map_err(|error| match &error {
        DbErr::Conn(RuntimeErr::SqlxError(cause)) if !matches!(**cause, Configuration(_)) => {
            Error::judge("connect to the database", &error)
        }
        // Dropped on purpose: these repeat the address, and a password may stand in it.
        _ => Error::BadAddress { what: "it cannot be read" },
    })
}

fn options(url: &str, config: &DatabaseConfig, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(config.acquire_timeout)
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(TRUSTED_IDLE)
        .sqlx_logging(false);
    options
}

/// What a SQLite connection is for.
#[derive(Clone, Copy)]
enum Role {
    Reader,
    Writer,
}

fn sqlite(config: &DatabaseConfig, role: Role) -> ConnectOptions {
    let connections = match role {
        Role::Reader => config.max_connections,
        Role::Writer => 1,
    };
    let mut options = options(&config.url, config, connections);
    // There is no server that could hang up.
    options.map_sqlx_sqlite_opts(move |sqlite| sqlite_session(sqlite, role));
    options
}

fn sqlite_session(sqlite: SqliteConnectOptions, role: Role) -> SqliteConnectOptions {
    let sqlite = sqlite
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(SQLITE_BUSY)
        .pragma("secure_delete", "on")
        .pragma("temp_store", "MEMORY");
    match role {
        Role::Reader => {
            sqlite.statement_cache_capacity(STATEMENTS_CACHED).pragma("query_only", "on")
        }
        Role::Writer => sqlite.statement_cache_capacity(STATEMENTS_OF_WRITER),
    }
}

fn postgres(config: &DatabaseConfig) -> ConnectOptions {
    let mut options = options(&config.url, config, config.max_connections);
    options
        .map_sqlx_postgres_opts(|postgres| postgres.statement_cache_capacity(STATEMENTS_CACHED))
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(POSTGRES_SESSION).await.map(drop) })
            })
        });
    options
}

fn mysql(config: &DatabaseConfig) -> ConnectOptions {
    let url = match config.url.strip_prefix("mariadb:") {
        Some(rest) => format!("mysql:{rest}"),
        None => config.url.clone(),
    };
    let mut options = options(&url, config, config.max_connections);
    options
        .map_sqlx_mysql_opts(|mysql| mysql.statement_cache_capacity(STATEMENTS_CACHED))
        .map_sqlx_mysql_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                Box::pin(async move {
                    for statement in MYSQL_SESSION {
                        connection.execute(statement).await?;
                    }
                    Ok(())
                })
            })
        });
    options
}
