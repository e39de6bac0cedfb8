//! A transaction of two steps on SQLite.
//!
//! Every statement goes to SQLite's thread and back, and on a busy machine both ways wait for a
//! processor, while nobody else can write. So the beginning goes with the first statement here, and the
//! end with the last.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sea_orm::{
    DbErr, RuntimeErr, Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Executor as _, Sqlite, error::ErrorKind, pool::PoolConnection,
        sqlite::SqliteQueryResult,
    },
};
use sea_query_sqlx::SqlxValues;

use super::handle::Store;
use crate::error::{Error, Result, cause};

/// A transaction on SQLite that has begun with a statement. Nothing of it is written before
/// [`BriefTx::commit_with`].
pub(crate) struct BriefTx {
    connection: PoolConnection<Sqlite>,
    what: &'static str,
    /// Whether it has ended, so that others can have the connection.
    ended: bool,
}

impl BriefTx {
    /// Begins a transaction with `first`, and says how many rows that has changed.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`].
    pub(crate) async fn begin_with(
        store: &Store,
        what: &'static str,
        first: Statement,
    ) -> Result<(Self, u64)> {
        let acquired = store.writer.get_sqlite_connection_pool().acquire().await;
        let connection = acquired.map_err(|error| Error::judge(what, &conn_err(error)))?;
        let mut tx = Self { connection, what, ended: false };
        let changed = tx.run(format!("BEGIN IMMEDIATE; {}", first.sql), first.values).await;
        let changed = changed.map_err(|error| Error::judge(what, &exec_err(error)))?;
        Ok((tx, changed))
    }

    /// Executes a statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`].
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<()> {
        let done = self.run(statement.sql, statement.values).await;
        done.map(drop).map_err(|error| Error::judge(self.what, &exec_err(error)))
    }

    /// Executes `last`, if there is one, and commits.
    ///
    /// # Errors
    /// [`Error::Query`] when a rule of the schema forbids it: nothing was written;
    /// [`Error::CommitUnknown`].
    pub(crate) async fn commit_with(mut self, last: Option<Statement>) -> Result<()> {
        let (sql, values) = match last {
            Some(last) => (format!("{}; COMMIT", last.sql), last.values),
            None => ("COMMIT".to_owned(), None),
        };
        let done = self.run(sql, values).await;
        self.ended = done.is_ok();
        done.map(drop).map_err(|error| {
            let forbidden =
                error.as_database_error().is_some_and(|it| it.kind() != ErrorKind::Other);
            let error = exec_err(error);
            if forbidden {
                Error::judge(self.what, &error)
            } else {
                Error::CommitUnknown { source: cause(&error) }
            }
        })
    }

    /// Gives up what was done.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`]; it is given up all the same.
    pub(crate) async fn roll_back(mut self) -> Result<()> {
        let done = self.run("ROLLBACK".to_owned(), None).await;
        self.ended = done.is_ok();
        done.map(drop).map_err(|error| Error::judge(self.what, &exec_err(error)))
    }

    /// Executes statements, and says how many rows the last of them has changed.
    async fn run(&mut self, sql: String, values: Option<Values>) -> Result<u64, sqlx::Error> {
        let values = SqlxValues(values.unwrap_or(Values(Vec::new())));
        // All that is written here was built by sea-query, with its values apart.
        let query = sqlx::query_with(AssertSqlSafe(sql), values);
        let done: Vec<SqliteQueryResult> =
            self.connection.execute_many(query).try_collect().await?;
        Ok(done.last().map_or(0, SqliteQueryResult::rows_affected))
    }
}

impl Drop for BriefTx {
    fn drop(&mut self) {
        if !self.ended {
            // SQLite rolls back what a connection leaves behind.
            self.connection.close_on_drop();
        }
    }
}

fn conn_err(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}

fn exec_err(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}
