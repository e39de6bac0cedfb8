//! An operator: who runs this installation and may use the admin API.

use crate::{Instant, digest::Digest, id::OperatorId};

/// One operator key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its id, also inside the key's text.
    pub id: OperatorId,
    /// What the key is called.
    pub name: String,
    /// Digest of the key's text.
    pub key_digest: Digest,
    /// When it was created.
    pub created_at: Instant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Instant>,
}
