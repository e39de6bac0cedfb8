use lingpai_model::{
    Instant,
    audit::{Act, Action, AuditEntry},
    caller::TenantScope,
    clock::Entropy,
    page::{Page, PageRequest},
};
use lingpai_storage::{AuditFilter, Db, Tx};

use crate::Result;

/// Reads the audit trail: who did what, when and from where. Entries are written by the services
/// that act, each in the transaction of its act.
#[derive(Debug, Clone)]
pub struct AuditTrail {
    db: Db,
}

impl AuditTrail {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// What was done by this tenant or to it, the newest first.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn own(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditEntry>> {
        Ok(self.db.audit().list(scope, page).await?)
    }

    /// What was done in the whole installation as far as it fits `filter`, the newest first. For
    /// operators.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn all(&self, filter: &AuditFilter, page: &PageRequest) -> Result<Page<AuditEntry>> {
        Ok(self.db.audit().system_list(filter, page).await?)
    }
}

/// Appends that `act` did `action` to `subject`, as part of the transaction that does it: the act
/// and its entry come about together or not at all.
pub(crate) async fn append(
    tx: &Tx,
    act: &Act,
    (action, subject): (Action, &str),
    (at, entropy): (Instant, &Entropy),
) -> Result<()> {
    let entry = AuditEntry::of(act, action, subject, (at, entropy));
    Ok(tx.audit().append(&entry).await?)
}
