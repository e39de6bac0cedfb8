//! What each database spells in its own way: its clock, and its ways to say "not now".

use lingpai_model::Instant;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QuerySelect as _,
    QueryTrait as _, RuntimeErr, Select, Statement, sea_query::Expr, sqlx,
};

use super::handle::instant;
use crate::error::{Error, Result};

/// Milliseconds since 1970 by the database's clock, read anew in every statement.
fn clock(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER)",
        DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        // sqlx sets the session's time zone to UTC, so no hour comes twice.
        _ => "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)",
    }
}

/// Whether an insert can skip the rows of one key and still refuse those that break another. The
/// clause of MySQL and MariaDB fires on any unique key: a row would vanish unsaid.
pub(crate) fn skips_one_key(backend: DbBackend) -> bool {
    matches!(backend, DbBackend::Sqlite | DbBackend::Postgres)
}

/// Whether several transactions may write at the same time. SQLite has one writer.
pub(super) fn writes_side_by_side(conn: &impl ConnectionTrait) -> bool {
    conn.get_database_backend() != DbBackend::Sqlite
}

/// What an insert was to write into `column` of a row that is there already.
pub(super) fn inserted(conn: &impl ConnectionTrait, column: &'static str) -> Expr {
    match conn.get_database_backend() {
        DbBackend::Sqlite | DbBackend::Postgres => Expr::cust(format!("excluded.{column}")),
        _ => Expr::cust(format!("VALUES({column})")),
    }
}

/// `rows` with a lock that others may hold at the same time. SQLite has one writer anyway; MariaDB does
/// not know `FOR SHARE`, MySQL knows the older words as well.
pub(super) fn sharing<E: EntityTrait>(conn: &impl ConnectionTrait, rows: Select<E>) -> Statement {
    let backend = conn.get_database_backend();
    match backend {
        DbBackend::Sqlite | DbBackend::Postgres => rows.lock_shared().build(backend),
        _ => {
            let mut statement = rows.build(backend);
            statement.sql.push_str(" LOCK IN SHARE MODE");
            statement
        }
    }
}

/// The clock as an expression.
pub(super) fn now(conn: &impl ConnectionTrait) -> Expr {
    Expr::cust(clock(conn.get_database_backend()))
}

/// Reads the clock.
pub(super) async fn read_clock(pool: &DatabaseConnection) -> Result<Instant> {
    let backend = pool.get_database_backend();
    let sql = format!("SELECT {} AS now", clock(backend));
    let what = "read the database's clock";
    let row = pool.query_one_raw(Statement::from_string(backend, sql)).await;
    let row = row.map_err(|error| Error::judge(what, &error))?;
    let row = row.ok_or_else(|| Error::inconsistent("clock", "now"))?;
    let millis: i64 = row.try_get("", "now").map_err(|error| Error::judge(what, &error))?;
    instant("clock", "now", millis)
}

/// Whether the database is away, full or busy, so that the same attempt may succeed later.
pub(crate) fn is_unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            is_unavailable_below(error)
        }
        _ => false,
    }
}

fn is_unavailable_below(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(refusal) => {
            if let Some(refusal) = refusal.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return BUSY_MYSQL.contains(&refusal.number());
            }
            let code = refusal.code().unwrap_or_default();
            if refusal.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                return BUSY_POSTGRES.iter().any(|class| code.starts_with(class));
            }
            // SQLite's extended codes keep the primary one in their low byte.
            code.parse::<u32>().is_ok_and(|code| BUSY_SQLITE.contains(&(code & 0xff)))
        }
        _ => false,
    }
}

/// Too many connections, shutting down, table or disk full, read-only, lock wait, deadlock, gone.
const BUSY_MYSQL: [u16; 10] = [1021, 1040, 1053, 1114, 1205, 1213, 1290, 1836, 2006, 2013];
/// Lost connection, resources used up, shutting down, read-only, serialization and deadlock, lock wait.
const BUSY_POSTGRES: [&str; 6] = ["08", "53", "57P0", "25006", "40", "55P03"];
/// Busy, locked, read-only, I/O error, full, cannot open.
const BUSY_SQLITE: [u32; 6] = [5, 6, 8, 10, 13, 14];
