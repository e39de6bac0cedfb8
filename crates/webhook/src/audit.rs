use lingpai_model::{
    Instant,
    audit::{Act, Action, AuditEntry},
    clock::Entropy,
};
use lingpai_storage::Tx;

use crate::Result;

/// Appends that `act` did `action` to `subject`, as part of the transaction that does it.
pub(crate) async fn append(
    tx: &Tx,
    act: &Act,
    (action, subject): (Action, &str),
    (at, entropy): (Instant, &Entropy),
) -> Result<()> {
    let entry = AuditEntry::of(act, action, subject, (at, entropy));
    Ok(tx.audit().append(&entry).await?)
}
