//! Opening the database as the settings say.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, time::Duration};

use anyhow::{Context as _, bail};
use lingpai_model::clock::Entropy;
use lingpai_storage::{DatabaseConfig, Db, Error};

use crate::{
    master_key::{MasterKey, path_of_made_key},
    settings::Settings,
};

/// How long to wait for a connection of the pool: a push must be answered within 3.5 s, also when
/// the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects, without a look at the schema.
///
/// # Errors
/// There is no usable master key, or the database cannot be reached or made durable.
pub async fn connect(settings: &Settings, entropy: &Entropy) -> anyhow::Result<(Db, MasterKey)> {
    if let Some(folder) = settings.database.folder() {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(|| {
            format!(
                "the folder {} cannot be made; make its parent writable or change database.url",
                folder.display()
            )
        })?;
    }
    let key = MasterKey::obtain(settings, entropy)?;
    let config = DatabaseConfig {
        url: settings.database.url.expose().clone(),
        max_connections: settings.database.max_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
    };
    let db = Db::connect(&config, key.ring.clone()).await.with_context(|| {
        format!(
            "the database {} cannot be opened; check database.url and that it runs",
            settings.database.masked_url()
        )
    })?;
    Ok((db, key))
}

/// Connects, brings the schema up to date unless the settings forbid it, and checks that it tells
/// all identifiers apart and that the master key is the one that this database was sealed with.
///
/// # Errors
/// As [`connect`]; the schema is behind and may not be changed, or its collation was changed; the
/// key is another.
pub async fn open(settings: &Settings, entropy: &Entropy) -> anyhow::Result<Db> {
    let (db, key) = connect(settings, entropy).await?;
    if settings.database.auto_migrate {
        migrate(&db).await?;
    } else {
        let pending = db.pending_migrations().await.context("the schema cannot be read")?;
        if !pending.is_empty() {
            bail!(
                "the schema is {} step(s) behind and database.auto_migrate is false; run \
                 `lingpai migrate`",
                pending.len()
            );
        }
    }
    db.prove_collation().await.context("the schema cannot be used as it is")?;
    check_key(settings, &db, &key).await?;
    Ok(db)
}

/// Brings the schema up to date; returns how many steps that took.
///
/// # Errors
/// A step failed; the ones before it stay.
pub async fn migrate(db: &Db) -> anyhow::Result<u32> {
    let steps = db.migrate().await.context("the schema cannot be brought up to date")?;
    if steps > 0 {
        tracing::info!(steps, "the schema was brought up to date");
    }
    Ok(steps)
}

/// Checks that the master key is the one that this database was sealed with.
///
/// # Errors
/// It is another, or the database failed.
pub async fn check_key(settings: &Settings, db: &Db, key: &MasterKey) -> anyhow::Result<()> {
    match db.check_key().await {
        Ok(()) => Ok(()),
        Err(error @ Error::WrongMasterKey) => {
            key.discard();
            Err(error).with_context(|| {
                format!(
                    "this database was sealed with another master key; put that one back to {} or \
                     name it in secrets.master_key_file",
                    path_of_made_key(settings).display()
                )
            })
        }
        Err(error) => Err(error).context("the master key cannot be checked"),
    }
}
