use lingpai_model::{
    api_key::{KeyKind, KeyText},
    caller::OperatorCaller,
    clock::{Entropy, SharedClock},
    digest::Digest,
    id::OperatorId,
    operator::Operator,
};
use lingpai_storage::Db;

use crate::{Error, Result};

/// Creates and verifies operator keys.
#[derive(Debug, Clone)]
pub struct Operators {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl Operators {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Creates an operator key called `name`. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn create(&self, name: String) -> Result<(Operator, KeyText)> {
        let now = self.clock.now();
        let id = OperatorId::new(now, &self.entropy);
        let text = KeyText::for_operator(&id, &self.entropy);
        let key_digest = text.digest();
        let operator = Operator { id, name, key_digest, created_at: now, revoked_at: None };
        let tx = self.db.begin().await?;
        tx.operators().insert(&operator).await?;
        tx.commit().await?;
        Ok((operator, text))
    }

    /// Verifies the text of an operator key.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is none, unknown or revoked.
    pub async fn authenticate(&self, text: &str) -> Result<OperatorCaller> {
        let shown = KeyText::parse(KeyKind::Operator, text).ok_or(Error::Unauthenticated)?;
        let id = shown.operator_id().ok_or(Error::Unauthenticated)?;
        let stored = self.db.operators().find(&id).await?;
        let expected = stored.as_ref().map_or(Digest::of(&[]), |operator| operator.key_digest);
        let matches = shown.digest() == expected;
        let operator = stored.filter(|operator| matches && operator.revoked_at.is_none());
        operator.map(|operator| OperatorCaller { id: operator.id }).ok_or(Error::Unauthenticated)
    }
}
