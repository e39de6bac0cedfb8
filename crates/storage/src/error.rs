//! What can go wrong with stored state, named after what the caller can do about it.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use tokio::task::JoinError;

use crate::db::is_unavailable;

/// The result of everything that touches stored state.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an error, shared because one failed commit answers many callers.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why a read or write did not happen. Carries ids, never secrets or payloads.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database is away, full or busy: try again.
    #[error("could not {what}: the database is not available")]
    Unavailable {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: Source,
    },
    /// There is no such row, or it belongs to somebody else.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// The kind of row.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// There is such a row already.
    #[error("{what} exists already")]
    AlreadyExists {
        /// The kind of row.
        what: &'static str,
    },
    /// Somebody else took over meanwhile: what was to be written is out of date.
    #[error("another holder or a newer grant took over {key}")]
    Fenced {
        /// The lease or row.
        key: String,
    },
    /// The database did not say whether the commit happened. Nothing may be acknowledged.
    #[error("it is unknown whether the transaction was committed")]
    CommitUnknown {
        /// Why the answer is missing.
        source: Source,
    },
    /// An earlier statement of the transaction failed, so it was rolled back instead of committed.
    #[error("the transaction was rolled back because one of its statements had failed")]
    RolledBack,
    /// A row cannot be what we wrote.
    #[error("row {key} of {table} makes no sense")]
    Inconsistent {
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
    },
    /// A commit could be lost in a crash, so we refuse to run.
    #[error("a commit would not survive a crash: {what}")]
    NotDurable {
        /// Which setting is wrong and what it must be.
        what: String,
    },
    /// The master key is not the one this database was sealed with.
    #[error("this database was sealed with another master key")]
    WrongMasterKey,
    /// The database takes identifiers that differ for the same, so we refuse to run.
    #[error(
        "identifiers that differ could be taken for the same: the collation of {found} must be \
         {wanted}; stop every instance, back the database up, then: {remedy}"
    )]
    WrongCollation {
        /// The tables at fault, each with the collation that was found.
        found: String,
        /// What it must be.
        wanted: String,
        /// What sets it.
        remedy: String,
    },
    /// The schema is older than this program.
    #[error("the schema lacks {} steps: run the migrations", pending.len())]
    SchemaBehind {
        /// The missing steps.
        pending: Vec<String>,
    },
    /// A sealed value was damaged, moved, or sealed with a key that is not in the ring.
    #[error(
        "a sealed value in {table}.{column} cannot be opened: the master key that sealed it is not \
         in the ring, or the value was damaged or moved; put that key back into the ring, or \
         restore the row from a backup"
    )]
    Unopenable {
        /// Its table.
        table: &'static str,
        /// Its column.
        column: &'static str,
    },
    /// The database address cannot be used.
    #[error("the database address cannot be used: {what}")]
    BadAddress {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The database refused a statement.
    #[error("could not {what}")]
    Query {
        /// What was attempted.
        what: &'static str,
        /// Why it was refused.
        source: Source,
    },
}

impl Error {
    /// Whether the same attempt may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::CommitUnknown { .. })
    }

    /// Judges a refusal of the database while `what` was attempted.
    pub(crate) fn judge(what: &'static str, error: &DbErr) -> Self {
        let unavailable = is_unavailable(error);
        let source = cause(error);
        if unavailable { Self::Unavailable { what, source } } else { Self::Query { what, source } }
    }

    /// A row of `table` that cannot become a record.
    pub(crate) fn inconsistent(table: &'static str, key: impl Into<String>) -> Self {
        Self::Inconsistent { table, key: key.into() }
    }

    /// A row that is not there, or not the caller's.
    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }
}

/// What the database said, once. The errors of sea-orm and sqlx repeat the text of their cause in
/// their own, so that a report of the whole chain would say everything three times.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// The refusal of the database as the source of an error.
pub(crate) fn cause(error: &DbErr) -> Source {
    let text = match error {
        DbErr::Conn(RuntimeErr::SqlxError(below))
        | DbErr::Exec(RuntimeErr::SqlxError(below))
        | DbErr::Query(RuntimeErr::SqlxError(below)) => below.to_string(),
        other => other.to_string(),
    };
    Arc::new(Refusal(text))
}

/// How a task of ours ended that had no outcome. What it said when it panicked is told to nobody: it
/// may quote a value.
pub(crate) fn lost(task: &JoinError) -> Source {
    let how =
        if task.is_panic() { "the task for it panicked" } else { "the task for it was ended" };
    Arc::new(Refusal(how.to_owned()))
}

/// Whether a row with the same key was in the way.
pub(crate) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use sea_orm::sqlx;

    use super::*;

    #[test]
    fn a_timeout_of_the_pool_is_transient_and_a_refused_statement_is_not() {
        let away = Error::judge(
            "read",
            &DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::PoolTimedOut))),
        );
        assert!(matches!(away, Error::Unavailable { .. }) && away.is_transient());
        let refused = Error::judge("read", &DbErr::Custom("no such table".into()));
        assert!(matches!(refused, Error::Query { .. }) && !refused.is_transient());
    }

    #[test]
    fn the_cause_is_told_once_in_the_whole_chain() {
        let refused = sqlx::Error::Io(io::Error::other("nobody listens"));
        let refused = DbErr::Conn(RuntimeErr::SqlxError(Arc::new(refused)));
        let error = Error::judge("connect to the database", &refused);
        assert!(!error.to_string().contains("nobody listens"), "{error}");
        let source = error.source().expect("it has a cause");
        assert_eq!(source.to_string().matches("nobody listens").count(), 1, "{source}");
        assert!(source.source().is_none());
    }

    #[test]
    fn what_cannot_be_opened_says_why_and_what_to_do() {
        let error = Error::Unopenable { table: "components", column: "appsecret_sealed" };
        let text = error.to_string();
        for part in ["components.appsecret_sealed", "not in the ring", "put that key back"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
