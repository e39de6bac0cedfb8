//! Runs the schema steps, one runner at a time in the whole cluster.
//!
//! The runner holds one connection in a transaction. On SQLite and PostgreSQL that makes all steps
//! one; MySQL commits each by itself, which is why every step can be repeated.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lingpai_migrations::Migrator;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _, Statement,
};
use sea_orm_migration::{
    IntoSchemaManagerConnection, MigratorTrait as _, SchemaManager, seaql_migrations,
};
use tokio::time::{Instant, sleep};

use super::Store;
use crate::error::{Error, Result};

const WHAT: &str = "bring the schema up to date";
/// How long a runner waits for another one before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a waiting runner asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the lock is a number of our own.
const POSTGRES_LOCK: &str = "SELECT pg_try_advisory_xact_lock(7811887834837411073) AS taken";
/// The lock of the server is for all its databases, so its name tells ours from the others.
const MYSQL_LOCK: &str = "SELECT GET_LOCK(CONCAT('lingpai/', MD5(DATABASE())), 0) = 1 AS taken";
const MYSQL_UNLOCK: &str = "SELECT RELEASE_LOCK(CONCAT('lingpai/', MD5(DATABASE()))) AS released";

/// Somebody else has been changing the schema for longer than we wait.
#[derive(Debug, thiserror::Error)]
#[error("another instance has been at it for {} seconds", PATIENCE.as_secs())]
struct AnotherRunner;

/// The steps that this program knows and the database lacks.
pub(super) async fn pending<'a>(conn: impl IntoSchemaManagerConnection<'a>) -> Result<Vec<String>> {
    let applied = applied(&SchemaManager::new(conn)).await;
    let applied = applied.map_err(|error| Error::judge("read the schema's state", &error))?;
    let known = Migrator::get_migration_files();
    let missing = known.iter().filter(|step| !applied.contains(step.name()));
    Ok(missing.map(|step| step.name().to_owned()).collect())
}

/// The steps that were taken, those of newer programs included: sea-orm's own question takes them
/// for a fault.
async fn applied(manager: &SchemaManager<'_>) -> Result<BTreeSet<String>, DbErr> {
    if !manager.has_table("seaql_migrations").await? {
        return Ok(BTreeSet::new());
    }
    let taken = seaql_migrations::Entity::find().all(manager.get_connection()).await?;
    Ok(taken.into_iter().map(|step| step.version).collect())
}

/// Takes the steps that are missing. Must run to its end, or a lock could stay with a connection.
pub(super) async fn run(store: &Store) -> Result<u32> {
    // Asked first: with nothing to do, nobody waits, and an older program leaves newer steps alone.
    if pending(&store.readers).await?.is_empty() {
        return Ok(0);
    }
    let give_up = Instant::now() + PATIENCE;
    loop {
        match attempt(store).await {
            Ok(Some(taken)) => return Ok(taken),
            Ok(None) if Instant::now() < give_up => sleep(PAUSE).await,
            Err(error) if error.is_transient() && Instant::now() < give_up => {
                tracing::info!(%error, "the schema is not up to date yet");
                sleep(PAUSE).await;
            }
            Ok(None) => {
                return Err(Error::Unavailable { what: WHAT, source: Arc::new(AnotherRunner) });
            }
            Err(error) => return Err(error),
        }
    }
}

/// `None` while another runner is at it.
async fn attempt(store: &Store) -> Result<Option<u32>> {
    let tx = store.begin().await?;
    if !lock(&tx).await.map_err(|error| Error::judge(WHAT, &error))? {
        return Ok(None);
    }
    let taken = take_steps(&tx).await;
    unlock(&tx).await.map_err(|error| Error::judge(WHAT, &error))?;
    let taken = taken?;
    tx.commit().await.map_err(|error| Error::judge(WHAT, &error))?;
    Ok(Some(taken))
}

async fn take_steps(tx: &DatabaseTransaction) -> Result<u32> {
    let missing = pending(tx).await?;
    if missing.is_empty() {
        return Ok(0);
    }
    Migrator::up(tx, None).await.map_err(|error| Error::judge(WHAT, &error))?;
    Ok(u32::try_from(missing.len()).unwrap_or(u32::MAX))
}

async fn lock(tx: &DatabaseTransaction) -> Result<bool, DbErr> {
    let sql = match tx.get_database_backend() {
        // An IMMEDIATE transaction is the lock.
        DbBackend::Sqlite => return Ok(true),
        DbBackend::Postgres => POSTGRES_LOCK,
        _ => MYSQL_LOCK,
    };
    let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?;
    row.map_or(Ok(false), |row| row.try_get("", "taken"))
}

async fn unlock(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    if tx.get_database_backend() == DbBackend::MySql {
        tx.query_one_raw(Statement::from_string(DbBackend::MySql, MYSQL_UNLOCK)).await?;
    }
    Ok(())
}
