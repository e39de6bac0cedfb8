//! Reads back what makes commits durable, and refuses to run on anything less.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use crate::error::{Error, Result};

/// What the database said of itself when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    database: String,
    facts: Vec<(&'static str, String)>,
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.database)?;
        for (index, (name, value)) in self.facts.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{name}={value}")?;
        }
        Ok(())
    }
}

/// One setting: where to read it, and which values keep commits.
struct Wanted {
    name: &'static str,
    sql: &'static str,
    good: &'static [&'static str],
}

const SQLITE: [Wanted; 4] = [
    Wanted {
        name: "journal_mode",
        sql: "SELECT journal_mode AS v FROM pragma_journal_mode",
        good: &["wal"],
    },
    Wanted {
        name: "synchronous",
        sql: "SELECT CAST(synchronous AS TEXT) AS v FROM pragma_synchronous",
        good: &["2"],
    },
    Wanted {
        name: "foreign_keys",
        sql: "SELECT CAST(foreign_keys AS TEXT) AS v FROM pragma_foreign_keys",
        good: &["1"],
    },
    Wanted {
        name: "secure_delete",
        sql: "SELECT CAST(secure_delete AS TEXT) AS v FROM pragma_secure_delete",
        good: &["1"],
    },
];

const POSTGRES: [Wanted; 3] = [
    Wanted {
        name: "synchronous_commit",
        sql: "SELECT current_setting('synchronous_commit') AS v",
        good: &["on", "remote_apply"],
    },
    Wanted { name: "fsync", sql: "SELECT current_setting('fsync') AS v", good: &["on"] },
    Wanted {
        name: "server_encoding",
        sql: "SELECT current_setting('server_encoding') AS v",
        good: &["UTF8"],
    },
];

const MYSQL: [Wanted; 3] = [
    Wanted {
        name: "innodb_flush_log_at_trx_commit",
        sql: "SELECT CAST(@@innodb_flush_log_at_trx_commit AS CHAR) AS v",
        good: &["1"],
    },
    // After a crash, transactions that the binary log lacks are rolled back, flushed or not.
    Wanted {
        name: "sync_binlog",
        sql: "SELECT IF(@@log_bin, CAST(@@sync_binlog AS CHAR), 'no binary log') AS v",
        good: &["1", "no binary log"],
    },
    Wanted {
        name: "character_set_connection",
        sql: "SELECT CAST(@@character_set_connection AS CHAR) AS v",
        good: &["utf8mb4"],
    },
];

/// Asks the connection that writes; that the readers answer as well is proved on the way.
pub(super) async fn prove(
    readers: &DatabaseConnection,
    writer: &DatabaseConnection,
) -> Result<Durability> {
    read(readers, "SELECT '1' AS v").await?;
    match writer.get_database_backend() {
        DbBackend::Sqlite => {
            check(writer, "SELECT 'SQLite ' || sqlite_version() AS v", &SQLITE).await
        }
        DbBackend::Postgres => {
            check(
                writer,
                "SELECT 'PostgreSQL ' || current_setting('server_version') AS v",
                &POSTGRES,
            )
            .await
        }
        _ => check(writer, "SELECT CONCAT('MySQL ', VERSION()) AS v", &MYSQL).await,
    }
}

async fn check(
    writer: &DatabaseConnection,
    version: &str,
    wanted: &[Wanted],
) -> Result<Durability> {
    let mut facts = Vec::with_capacity(wanted.len());
    for Wanted { name, sql, good } in wanted {
        let value = read(writer, sql).await?;
        judge(name, &value, good)?;
        facts.push((*name, value));
    }
    Ok(Durability { database: read(writer, version).await?, facts })
}

fn judge(name: &str, value: &str, good: &[&str]) -> Result<()> {
    if good.contains(&value) {
        return Ok(());
    }
    let wanted = good.join(" or ");
    Err(Error::NotDurable { what: format!("{name} is {value}, it must be {wanted}") })
}

async fn read(pool: &DatabaseConnection, sql: &str) -> Result<String> {
    let what = "read the database's durability";
    let statement = Statement::from_string(pool.get_database_backend(), sql);
    let row = pool.query_one_raw(statement).await.map_err(|error| Error::judge(what, &error))?;
    let row = row.ok_or_else(|| Error::inconsistent("durability", sql))?;
    row.try_get("", "v").map_err(|error| Error::judge(what, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_loses_commits_is_refused_by_name() {
        for list in [SQLITE.as_slice(), &POSTGRES, &MYSQL] {
            for wanted in list {
                let error = judge(wanted.name, "0", wanted.good).expect_err("0 is never right");
                assert!(error.to_string().contains(wanted.name), "{error}");
            }
        }
        assert!(judge("fsync", "on", &["on"]).is_ok());
    }
}
