use lingpai_model::{
    api_key::{KeyKind, KeyText},
    audit::{Act, Action},
    caller::{OperatorCaller, Via},
    clock::{Entropy, SharedClock},
    digest::Digest,
    id::OperatorId,
    operator::Operator,
    page::{Page, PageRequest},
};
use lingpai_storage::Db;

use crate::{Error, Result, audit};

/// Creates, lists, revokes and verifies operator keys.
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

    /// Creates an operator key called `name`. Its text is in the answer and nowhere else. Whose
    /// `act` it is: another operator's, or ours where the command line asks for it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn create(&self, act: &Act, name: String) -> Result<(Operator, KeyText)> {
        let now = self.clock.now();
        let id = OperatorId::new(now, &self.entropy);
        let text = KeyText::for_operator(&id, &self.entropy);
        let key_digest = text.digest();
        let operator = Operator { id, name, key_digest, created_at: now, revoked_at: None };
        let done = (Action::OperatorCreated, operator.id.as_str());
        let tx = self.db.begin().await?;
        tx.operators().insert(&operator).await?;
        audit::append(&tx, act, done, (now, &self.entropy)).await?;
        tx.commit().await?;
        Ok((operator, text))
    }

    /// The operators, oldest first, also those that were revoked.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database failed.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<Operator>> {
        Ok(self.db.operators().list(page).await?)
    }

    /// Ends an operator's key. One that was revoked before stays as it was, and the last one that is
    /// left always stays.
    ///
    /// # Errors
    /// [`Error::OperatorNotFound`] when there is no such operator; [`Error::LastOperator`] when
    /// nobody else would be left.
    pub async fn revoke(&self, by: &OperatorCaller, id: &OperatorId) -> Result<()> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        // Counted first: this also holds back others who revoke at the same time.
        let live = tx.operators().count_live().await?;
        let operator = tx.operators().find(id).await?;
        let operator = operator.ok_or_else(|| Error::OperatorNotFound { id: id.clone() })?;
        if operator.revoked_at.is_some() {
            return Ok(());
        }
        if live <= 1 {
            return Err(Error::LastOperator);
        }
        tx.operators().mark_revoked(id, now).await?;
        let done = (Action::OperatorRevoked, id.as_str());
        audit::append(&tx, &by.act(), done, (now, &self.entropy)).await?;
        Ok(tx.commit().await?)
    }

    /// Verifies the text of an operator key that is used from `via`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is none, unknown or revoked.
    pub async fn authenticate(&self, text: &str, via: Via) -> Result<OperatorCaller> {
        let shown = KeyText::parse(KeyKind::Operator, text).ok_or(Error::Unauthenticated)?;
        let id = shown.operator_id().ok_or(Error::Unauthenticated)?;
        let stored = self.db.operators().find(&id).await?;
        // An unknown id takes the same comparison, against a digest that no key has.
        let expected = stored.as_ref().map_or(Digest::of(&[]), |operator| operator.key_digest);
        let matches = shown.digest() == expected;
        let operator = stored.filter(|operator| matches && operator.revoked_at.is_none());
        let operator = operator.ok_or(Error::Unauthenticated)?;
        Ok(OperatorCaller { id: operator.id, via })
    }
}
