//! A transaction of two steps on SQLite.
//!
//! Every statement goes to SQLite's thread and back, and on a busy machine both ways wait for a
//! processor, while nobody else can write. So the beginning goes with the first statement here, and the
//! end with the last.

use futures_util::TryStreamExt as _;
use sea_orm::{
    DbErr, RuntimeErr, Statement,
    sea_query::Values,
    sqlx::{self, AssertSqlSafe, Executor as _, Sqlite, pool::PoolConnection},
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

/// What kept a step from its end.
struct Broken {
    /// How many of its statements were executed before.
    executed: usize,
    error: sqlx::Error,
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
        let connection = acquired.map_err(|error| {
            Error::judge(what, &DbErr::Conn(RuntimeErr::SqlxError(error.into())))
        })?;
        let mut tx = Self { connection, what, ended: false };
        let begun = tx.run((format!("BEGIN IMMEDIATE; {}", first.sql), 2), first.values).await;
        let changed = begun.map_err(|broken| tx.judge(broken))?;
        Ok((tx, changed))
    }

    /// Executes a statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`].
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<()> {
        let done = self.run((statement.sql, 1), statement.values).await;
        done.map(drop).map_err(|broken| self.judge(broken))
    }

    /// Executes `last`, if there is one, and commits.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`] when `last` fails; [`Error::CommitUnknown`].
    pub(crate) async fn commit_with(mut self, last: Option<Statement>) -> Result<()> {
        let before = usize::from(last.is_some());
        let (sql, values) = match last {
            Some(last) => (format!("{}; COMMIT", last.sql), last.values),
            None => ("COMMIT".to_owned(), None),
        };
        let done = self.run((sql, before + 1), values).await;
        self.ended = done.is_ok();
        done.map(drop).map_err(|broken| {
            if broken.executed < before {
                self.judge(broken)
            } else {
                Error::CommitUnknown { source: cause(&exec_err(broken.error)) }
            }
        })
    }

    /// Gives up what was done.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`]; it is given up all the same.
    pub(crate) async fn roll_back(mut self) -> Result<()> {
        let done = self.run(("ROLLBACK".to_owned(), 1), None).await;
        self.ended = done.is_ok();
        done.map(drop).map_err(|broken| self.judge(broken))
    }

    /// Executes so many statements, and says how many rows the last of them has changed.
    ///
    /// Security invariant: each has to say that it was executed. If SQLite's thread ends in between,
    /// sqlx tells of no error: there are only fewer results.
    async fn run(
        &mut self,
        (sql, count): (String, usize),
        values: Option<Values>,
    ) -> Result<u64, Broken> {
        let values = SqlxValues(values.unwrap_or(Values(Vec::new())));
        // All that is written here was built by sea-query, with its values apart.
        let mut results =
            self.connection.execute_many(sqlx::query_with(AssertSqlSafe(sql), values));
        let (mut executed, mut changed) = (0, 0);
        loop {
            match results.try_next().await {
                Ok(Some(result)) => (executed, changed) = (executed + 1, result.rows_affected()),
                Ok(None) if executed == count => return Ok(changed),
                Ok(None) => return Err(Broken { executed, error: sqlx::Error::WorkerCrashed }),
                Err(error) => return Err(Broken { executed, error }),
            }
        }
    }

    fn judge(&self, broken: Broken) -> Error {
        Error::judge(self.what, &exec_err(broken.error))
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

fn exec_err(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}
