//! Reads back how the database compares identifiers, and refuses to run where two that differ would
//! be taken for one: `wxAb` and `wxab`, or one with a blank behind it.
//!
//! The schema steps set the collation, but a restored dump, a conversion of the whole database or
//! a tool may have changed it since.

use std::collections::BTreeSet;

use lingpai_migrations::binary_collation;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::{
    entity::TABLES,
    error::{Error, Result},
};

/// Only these columns are compared; text of any length is not.
const POSTGRES: &str = "SELECT CAST(table_name AS TEXT) AS in_table, \
     COALESCE(quote_ident(collation_name), 'default') AS found, \
     format('ALTER TABLE %I ALTER COLUMN %I TYPE VARCHAR(%s) COLLATE', \
            table_name, column_name, character_maximum_length) AS remedy \
     FROM information_schema.columns \
     WHERE table_schema = current_schema() AND data_type = 'character varying' \
     ORDER BY table_name, ordinal_position";

/// A table cannot be converted while others refer to it, not even with the checks switched off.
const MYSQL: &str = "SELECT CAST(table_name AS CHAR) AS in_table, \
     CAST(collation_name AS CHAR) AS found, \
     'dump it and restore the dump with every other collation in it replaced by' AS remedy \
     FROM information_schema.columns \
     WHERE table_schema = DATABASE() AND collation_name IS NOT NULL \
     ORDER BY table_name, ordinal_position";

/// Asks the database how it compares our columns.
pub(super) async fn prove(pool: &DatabaseConnection) -> Result<()> {
    let judged = |error: DbErr| Error::judge("read the collation of the tables", &error);
    let (wanted, sql) = match pool.get_database_backend() {
        // BINARY unless a column says otherwise, and none of ours does.
        DbBackend::Sqlite => return Ok(()),
        DbBackend::Postgres => ("\"C\"".to_owned(), POSTGRES),
        _ => (binary_collation(pool).await.map_err(judged)?, MYSQL),
    };
    let columns = read(pool, sql).await.map_err(judged)?;
    let wrong = || columns.iter().filter(|column| column.found != wanted);
    let found: BTreeSet<String> =
        wrong().map(|column| format!("{} ({})", column.table, column.found)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let remedies: BTreeSet<String> =
        wrong().map(|column| format!("{} {wanted}", column.remedy)).collect();
    let [found, remedy] = [(found, ", "), (remedies, "; ")]
        .map(|(parts, between)| parts.into_iter().collect::<Vec<_>>().join(between));
    Err(Error::WrongCollation { found, wanted, remedy })
}

/// A column of ours that is compared as text.
struct Column {
    table: String,
    found: String,
    /// What to do, up to the collation that it must be.
    remedy: String,
}

async fn read(pool: &DatabaseConnection, sql: &str) -> Result<Vec<Column>, DbErr> {
    let statement = Statement::from_string(pool.get_database_backend(), sql);
    let mut columns = Vec::new();
    for row in pool.query_all_raw(statement).await? {
        let table: String = row.try_get("", "in_table")?;
        if TABLES.contains(&table.as_str()) {
            let [found, remedy] = [row.try_get("", "found")?, row.try_get("", "remedy")?];
            columns.push(Column { table, found, remedy });
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDb;

    #[tokio::test]
    async fn no_table_of_the_schema_is_left_out() {
        let test = TestDb::sqlite().await;
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' \
                   AND name NOT LIKE 'sqlite_%' AND name <> 'seaql_migrations' ORDER BY name";
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        let rows = test.db.handle().conn.query_all_raw(statement).await.expect("they are listed");
        let names: Vec<String> =
            rows.iter().map(|row| row.try_get("", "name").expect("a name")).collect();
        assert_eq!(names, TABLES);
        test.remove().await;
    }
}
