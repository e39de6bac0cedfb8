//! Changes which columns of a table that is in use may hold nothing.
//!
//! PostgreSQL and MySQL alter the columns. SQLite cannot: there the table is copied into one of the
//! new shape, which then takes its place. Which of the two are there tells how far a run came that
//! broke off:
//!
//! | the table | the copy | so far | from there |
//! |---|---|---|---|
//! | old shape | none | nothing | all of it |
//! | old shape | there | the copy may lack rows | drop the copy, then all of it |
//! | none | there | the copy is whole: only then is the table dropped | rename the copy |
//! | new shape | none | all but the indexes | nothing |
//!
//! While foreign keys are enforced, SQLite refuses to drop a table to whose rows others refer. So
//! a table is reshaped only while none do; otherwise the step fails and nothing is lost.

use sea_orm_migration::{
    sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement},
    sea_query::{Alias, ColumnDef, Expr, ExprTrait as _, Query, Table, TableCreateStatement},
};

use super::Schema;

/// Whether columns may hold nothing.
#[derive(Clone, Copy)]
pub(crate) enum Nothing {
    /// They may.
    Allowed,
    /// They must hold something.
    Refused,
}

impl Nothing {
    /// The same column, with this said of it.
    pub(crate) fn in_column(self, mut column: ColumnDef) -> ColumnDef {
        match self {
            Self::Allowed => column.null(),
            Self::Refused => column.not_null(),
        };
        column
    }
}

impl Schema<'_> {
    /// Lets the columns `changed` of `table` hold nothing, or no longer, as `shape` says, which
    /// differs in nothing else from what is there. Rows that do not fit are dropped. The indexes are
    /// to be created after it: on SQLite they went with the old table.
    pub(crate) async fn reshape(
        &self,
        table: &'static str,
        changed: &[&'static str],
        shape: &TableCreateStatement,
    ) -> Result<(), DbErr> {
        if self.backend == DbBackend::Sqlite {
            self.rebuild(table, changed, shape).await
        } else {
            self.alter(table, changed, shape).await
        }
    }

    async fn rebuild(
        &self,
        table: &'static str,
        changed: &[&'static str],
        shape: &TableCreateStatement,
    ) -> Result<(), DbErr> {
        let copy = Alias::new(format!("{table}_rebuilt"));
        let take_place = Table::rename().table(copy.clone(), table).take();
        if !self.manager.has_table(table).await? && self.manager.has_table(&copy.0).await? {
            self.manager.rename_table(take_place.clone()).await?;
        }
        if self.fits(table, changed, shape).await? {
            return Ok(());
        }
        self.manager.drop_table(Table::drop().table(copy.clone()).if_exists().take()).await?;
        self.create(shape.clone().table(copy.clone()).take()).await?;
        let columns: Vec<Alias> =
            shape.get_columns().iter().map(|column| Alias::new(column.get_column_name())).collect();
        let mut rows = Query::select().columns(columns.clone()).from(table).take();
        for column in required(shape, changed) {
            rows.and_where(Expr::col(column).is_not_null());
        }
        let mut insert = Query::insert().into_table(copy).columns(columns).take();
        insert.select_from(rows).expect("as many columns are selected as are inserted");
        self.manager.execute(insert).await?;
        self.drop(table).await?;
        self.manager.rename_table(take_place).await
    }

    /// Whether the columns `changed` are as `shape` has them, on SQLite.
    async fn fits(
        &self,
        table: &'static str,
        changed: &[&'static str],
        shape: &TableCreateStatement,
    ) -> Result<bool, DbErr> {
        let wanted: Vec<&str> = required(shape, changed).collect();
        for column in changed {
            let sql = format!(
                "SELECT \"notnull\" AS required FROM pragma_table_info('{table}') \
                 WHERE name = '{column}'"
            );
            let statement = Statement::from_string(DbBackend::Sqlite, sql);
            let row = self.manager.get_connection().query_one_raw(statement).await?;
            let row =
                row.ok_or_else(|| DbErr::Migration(format!("{table}.{column} is missing")))?;
            if row.try_get::<bool>("", "required")? != wanted.contains(column) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn alter(
        &self,
        table: &'static str,
        changed: &[&'static str],
        shape: &TableCreateStatement,
    ) -> Result<(), DbErr> {
        for column in required(shape, changed) {
            let misfits =
                Query::delete().from_table(table).and_where(Expr::col(column).is_null()).take();
            self.manager.execute(misfits).await?;
        }
        let mut alter = Table::alter().table(table).take();
        for column in shape.get_columns() {
            let name = column.get_column_name();
            if !changed.contains(&name.as_str()) {
                continue;
            }
            // MySQL must be told the type again, and takes the collation from the table; PostgreSQL
            // would put its default collation in the place of the column's own.
            let nothing = if is_required(column) { Nothing::Refused } else { Nothing::Allowed };
            alter.modify_column(match self.backend {
                DbBackend::Postgres => nothing.in_column(ColumnDef::new(name)),
                _ => column.clone(),
            });
        }
        self.manager.alter_table(alter).await
    }
}

/// Those of the columns `changed` that must hold something in `shape`.
fn required<'a>(
    shape: &'a TableCreateStatement,
    changed: &'a [&'static str],
) -> impl Iterator<Item = &'static str> + 'a {
    let must = |name: &str| {
        shape
            .get_columns()
            .iter()
            .any(|column| column.get_column_name() == name && is_required(column))
    };
    changed.iter().copied().filter(move |name| must(name))
}

fn is_required(column: &ColumnDef) -> bool {
    column.get_column_spec().nullable == Some(false)
}
