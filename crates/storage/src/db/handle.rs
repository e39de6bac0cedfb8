//! What repositories work with: a connection or transaction, the keys, and what to remember.

use std::time::Duration;

use lingpai_model::Instant;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait as _, DatabaseConnection,
    DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, EntityTrait, IntoActiveModel, Select,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _, sea_query::Expr,
};

use super::{dialect, tx::Notes};
use crate::{
    cache::Changed,
    error::{Error, Result, is_duplicate},
    seal::KeyRing,
};

/// The connections and the keys: what any piece of this crate needs to read and write.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) readers: DatabaseConnection,
    pub(crate) writer: DatabaseConnection,
    pub(crate) keys: KeyRing,
}

impl Store {
    /// Begins a transaction that may write. Must run to its end: see the module above.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let begun = self.writer.begin_with_options(options).await;
        begun.map_err(|error| Error::judge("begin a transaction", &error))
    }

    /// Whether several transactions may write at the same time.
    pub(crate) fn writes_side_by_side(&self) -> bool {
        dialect::writes_side_by_side(&self.writer)
    }

    /// Whether it has transactions of two steps ([`super::BriefTx`]): SQLite has.
    pub(crate) fn has_brief_transactions(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Sqlite
    }

    /// Where to read outside a transaction.
    pub(crate) fn reading(&self) -> Handle<'_> {
        Handle { conn: (&self.readers).into(), keys: &self.keys, notes: None }
    }

    /// Where to write single statements outside a transaction.
    pub(crate) fn writing(&self) -> Handle<'_> {
        Handle { conn: (&self.writer).into(), keys: &self.keys, notes: None }
    }
}

/// Where one repository call reads or writes.
pub(crate) struct Handle<'a> {
    pub(crate) conn: DatabaseExecutor<'a>,
    pub(crate) keys: &'a KeyRing,
    notes: Option<&'a Notes>,
}

impl<'a> Handle<'a> {
    /// Inside `tx`, with the notes of that transaction.
    pub(crate) fn within(
        tx: &'a DatabaseTransaction,
        keys: &'a KeyRing,
        notes: Option<&'a Notes>,
    ) -> Self {
        Self { conn: tx.into(), keys, notes }
    }

    /// The database's clock as an expression, in milliseconds.
    pub(crate) fn now(&self) -> Expr {
        dialect::now(&self.conn)
    }

    /// Whether an insert can skip the rows that are there already by one certain key.
    pub(crate) fn skips_one_key(&self) -> bool {
        dialect::skips_one_key(self.conn.get_database_backend())
    }

    /// What an insert was to write into `column` of a row that is there already.
    pub(crate) fn inserted(&self, column: &'static str) -> Expr {
        dialect::inserted(&self.conn, column)
    }

    /// `rows` with a lock that others may hold at the same time: nobody changes them meanwhile.
    pub(crate) fn sharing<E: EntityTrait>(&self, rows: Select<E>) -> Statement {
        dialect::sharing(&self.conn, rows)
    }

    /// Judges the failure of `what`. A transaction in which anything failed is not committed.
    pub(crate) fn failed(&self, what: &'static str) -> impl FnOnce(DbErr) -> Error {
        let notes = self.notes;
        move |error| {
            if let Some(notes) = notes {
                notes.fail();
            }
            Error::judge(what, &error)
        }
    }

    /// Remembers that what is cached of a row is out of date once this transaction commits.
    pub(crate) fn changed(&self, what: Changed) {
        if let Some(notes) = self.notes {
            notes.changed(what);
        }
    }

    /// Inserts a row. `false` when one with the same key is in the way, whichever key that is; the
    /// transaction can go on then, because the insert stands behind a savepoint.
    pub(crate) async fn insert_once<M>(&self, what: &'static str, row: M) -> Result<bool>
    where
        M: IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + sea_orm::ModelTrait,
        <M::Entity as EntityTrait>::ActiveModel:
            ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
    {
        let savepoint = self.conn.begin().await.map_err(self.failed(what))?;
        let insert = M::Entity::insert(row.into_active_model());
        match insert.exec_without_returning(&savepoint).await {
            Ok(_) => {
                savepoint.commit().await.map_err(self.failed(what))?;
                Ok(true)
            }
            Err(error) if is_duplicate(&error) => {
                savepoint.rollback().await.map_err(self.failed(what))?;
                Ok(false)
            }
            Err(error) => Err(self.failed(what)(error)),
        }
    }

    /// Inserts a row that must not be there yet. `what` is attempted, as in "add a tenant"; the
    /// row that is in the way is called `noun`, as in "tenant".
    pub(crate) async fn insert_new<M>(
        &self,
        what: &'static str,
        noun: &'static str,
        row: M,
    ) -> Result<()>
    where
        M: IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + sea_orm::ModelTrait,
        <M::Entity as EntityTrait>::ActiveModel:
            ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
    {
        let inserted = self.insert_once(what, row).await?;
        if inserted { Ok(()) } else { Err(Error::AlreadyExists { what: noun }) }
    }
}

/// A duration as the database counts it.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// An instant as the database keeps it, read back.
pub(crate) fn instant(table: &'static str, key: &str, millis: i64) -> Result<Instant> {
    Instant::from_timestamp_millis(millis).ok_or_else(|| Error::inconsistent(table, key))
}
