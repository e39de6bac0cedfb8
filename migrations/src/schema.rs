//! The column types of the house, the same on all three databases.
//!
//! Every table says its engine, character set and collation on MySQL and MariaDB: their defaults
//! merge identifiers that differ in case or in trailing spaces.

mod reshape;

use sea_orm_migration::{
    SchemaManager,
    sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement},
    sea_query::{
        ColumnDef, ConditionalStatement as _, Expr, ExprTrait as _, ForeignKey,
        ForeignKeyCreateStatement, Index, IndexCreateStatement, Table, TableCreateStatement,
    },
};

pub(crate) use self::reshape::Nothing;

/// How the database at hand spells our column types.
pub(crate) struct Schema<'a> {
    manager: &'a SchemaManager<'a>,
    backend: DbBackend,
    /// The binary collation of MySQL and MariaDB in which trailing spaces count.
    collation: String,
}

impl<'a> Schema<'a> {
    /// Asks the database what it is.
    pub(crate) async fn of(manager: &'a SchemaManager<'a>) -> Result<Self, DbErr> {
        let backend = manager.get_database_backend();
        let collation = if backend == DbBackend::MySql {
            binary_collation(manager.get_connection()).await?
        } else {
            String::new()
        };
        Ok(Self { manager, backend, collation })
    }

    /// A table that is created unless a run that broke off has created it already.
    pub(crate) fn table(&self, name: &'static str) -> TableCreateStatement {
        let mut table = Table::create().table(name).if_not_exists().take();
        if self.backend == DbBackend::MySql {
            table.engine("InnoDB").character_set("utf8mb4").collate(self.collation.as_str());
        }
        table
    }

    /// An id of ours: `VARCHAR(32)`.
    pub(crate) fn id(&self, name: &'static str) -> ColumnDef {
        self.exact(name, 32)
    }

    /// One word out of a closed set, in snake_case: `VARCHAR(32)`.
    pub(crate) fn word(&self, name: &'static str) -> ColumnDef {
        self.exact(name, 32)
    }

    /// An identifier of WeChat's: `VARCHAR(64)`, compared byte for byte.
    pub(crate) fn appid(&self, name: &'static str) -> ColumnDef {
        self.exact(name, 64)
    }

    /// A SHA-256 digest in hexadecimal: `VARCHAR(64)`.
    pub(crate) fn digest(&self, name: &'static str) -> ColumnDef {
        self.exact(name, 64)
    }

    /// Text that is compared byte for byte and may be indexed.
    pub(crate) fn exact(&self, name: &'static str, length: u32) -> ColumnDef {
        let mut column = ColumnDef::new(name).string_len(length).take();
        if self.backend == DbBackend::Postgres {
            column.extra("COLLATE \"C\"");
        }
        column
    }

    /// Text of any length, JSON included. Never indexed.
    pub(crate) fn text(&self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        if self.backend == DbBackend::MySql {
            column.custom("MEDIUMTEXT");
        } else {
            column.text();
        }
        column
    }

    /// Sealed bytes: a blob that does not end at 64 KiB.
    pub(crate) fn sealed(&self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        if self.backend == DbBackend::MySql {
            column.custom("MEDIUMBLOB");
        } else {
            column.binary();
        }
        column
    }

    /// An instant: Unix milliseconds.
    pub(crate) fn instant(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).big_integer().take()
    }

    /// A number: counters, epochs, generations.
    pub(crate) fn number(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).big_integer().take()
    }

    /// Yes or no, and no unless it is said.
    pub(crate) fn flag(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).boolean().not_null().default(false).take()
    }

    /// Creates `table`.
    pub(crate) async fn create(&self, table: TableCreateStatement) -> Result<(), DbErr> {
        self.manager.create_table(table).await
    }

    /// Creates an index that finds rows, unless it is there already.
    pub(crate) async fn index(
        &self,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<(), DbErr> {
        self.create_index(table, Index::create(), ("idx", columns)).await
    }

    /// Creates an index that finds only rows which have something in `present`, unless it is there
    /// already. The other rows do not pay for it, but on MySQL and MariaDB, which index every row.
    pub(crate) async fn sparse_index(
        &self,
        table: &'static str,
        columns: &[&'static str],
        present: &'static str,
    ) -> Result<(), DbErr> {
        let mut index = Index::create();
        if self.backend != DbBackend::MySql {
            index.and_where(Expr::col(present).is_not_null());
        }
        self.create_index(table, index, ("idx", columns)).await
    }

    /// Drops an index that finds rows, if it is there.
    pub(crate) async fn drop_index(
        &self,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<(), DbErr> {
        self.drop_index_named(table, index_name("idx", table, columns)).await
    }

    /// Drops an index that admits each combination once, if it is there.
    pub(crate) async fn drop_unique(
        &self,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<(), DbErr> {
        self.drop_index_named(table, index_name("uq", table, columns)).await
    }

    async fn drop_index_named(&self, table: &'static str, name: String) -> Result<(), DbErr> {
        if !self.manager.has_index(table, &name).await? {
            return Ok(());
        }
        self.manager.drop_index(Index::drop().name(name).table(table).to_owned()).await
    }

    /// Creates an index that admits each combination once, unless it is there already.
    pub(crate) async fn unique(
        &self,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<(), DbErr> {
        self.create_index(table, Index::create().unique().take(), ("uq", columns)).await
    }

    async fn create_index(
        &self,
        table: &'static str,
        mut index: IndexCreateStatement,
        (kind, columns): (&'static str, &[&'static str]),
    ) -> Result<(), DbErr> {
        let name = index_name(kind, table, columns);
        if self.manager.has_index(table, &name).await? {
            return Ok(());
        }
        index.name(name).table(table);
        for column in columns {
            index.col(*column);
        }
        self.manager.create_index(index).await
    }

    /// Changes how long the text in a required column of [`Schema::exact`] may be.
    pub(crate) async fn resize(
        &self,
        table: &'static str,
        column: &'static str,
        length: u32,
    ) -> Result<(), DbErr> {
        match self.backend {
            // It does not look at lengths.
            DbBackend::Sqlite => Ok(()),
            // sea-query has no words for the collation, which would go back to the default.
            DbBackend::Postgres => {
                let sql = format!(
                    "ALTER TABLE {table} ALTER COLUMN {column} TYPE VARCHAR({length}) COLLATE \"C\""
                );
                self.manager.get_connection().execute_unprepared(&sql).await.map(drop)
            }
            _ => {
                let column = self.exact(column, length).required();
                self.manager
                    .alter_table(Table::alter().table(table).modify_column(column).take())
                    .await
            }
        }
    }

    /// Adds a column to a table that is in use, unless it is there already. One that is required
    /// needs a default: programs of the release before know nothing of it.
    pub(crate) async fn add_column(
        &self,
        table: &'static str,
        column: ColumnDef,
    ) -> Result<(), DbErr> {
        if self.manager.has_column(table, column.get_column_name()).await? {
            return Ok(());
        }
        self.manager.alter_table(Table::alter().table(table).add_column(column).take()).await
    }

    /// Drops a column that no index holds, if it is there.
    pub(crate) async fn drop_column(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<(), DbErr> {
        if !self.manager.has_column(table, column).await? {
            return Ok(());
        }
        self.manager.alter_table(Table::alter().table(table).drop_column(column).take()).await
    }

    /// Drops a table, if it is there.
    pub(crate) async fn drop(&self, table: &'static str) -> Result<(), DbErr> {
        self.manager.drop_table(Table::drop().table(table).if_exists().take()).await
    }
}

/// A column that must hold something.
pub(crate) trait Required {
    /// The same column, `NOT NULL`.
    fn required(self) -> Self;
}

impl Required for ColumnDef {
    fn required(mut self) -> Self {
        self.not_null();
        self
    }
}

fn index_name(kind: &'static str, table: &'static str, columns: &[&'static str]) -> String {
    format!("{kind}_{table}_{}", columns.join("_"))
}

/// A reference from `column` to the id of a row of `parent`.
pub(crate) fn refers(
    table: &'static str,
    column: &'static str,
    parent: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_{column}"))
        .from(table, column)
        .to(parent, "id")
        .take()
}

/// The collation of all our text on MySQL and MariaDB: the one of the server's that compares byte
/// for byte, trailing spaces included.
///
/// `utf8mb4_bin` pads with spaces before it compares; the two newer names do not. MariaDB knows the
/// first, MySQL 8 the second; where a server knows both, all tables must agree on one.
///
/// # Errors
/// [`DbErr::Migration`] when the server has neither, and what the database refused.
pub async fn binary_collation(connection: &impl ConnectionTrait) -> Result<String, DbErr> {
    let sql = "SELECT CAST(collation_name AS CHAR) AS name FROM information_schema.collations \
               WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin') \
               ORDER BY collation_name DESC LIMIT 1";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await?;
    row.map_or_else(
        || {
            Err(DbErr::Migration(
                "this server has no binary collation in which trailing spaces count; use MySQL \
                 8.0.17 or MariaDB 10.2 or newer"
                    .to_owned(),
            ))
        },
        |row| row.try_get("", "name"),
    )
}
