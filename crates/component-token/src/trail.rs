use lingpai_model::audit::AuditEntry;
use lingpai_storage::Db;

/// Keeps an entry of the audit trail in a commit of its own: what somebody asks for is known before
/// WeChat is called for it, whatever becomes of the call.
///
/// # Errors
/// The database's.
pub async fn keep_entry(db: &Db, entry: &AuditEntry) -> lingpai_storage::Result<()> {
    let tx = db.begin().await?;
    tx.audit().append(entry).await?;
    tx.commit().await
}
