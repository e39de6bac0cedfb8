use lingpai_model::{
    clock::{Entropy, SharedClock},
    id::TenantId,
    page::{Page, PageRequest},
    tenant::Tenant,
};
use lingpai_storage::Db;

use crate::Result;

/// Creates tenants and lists them. For operators.
#[derive(Debug, Clone)]
pub struct Tenants {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl Tenants {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Creates a tenant called `name`.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn create(&self, name: String) -> Result<Tenant> {
        let now = self.clock.now();
        let tenant = Tenant { id: TenantId::new(now, &self.entropy), name, created_at: now };
        let tx = self.db.begin().await?;
        tx.tenants().insert(&tenant).await?;
        tx.commit().await?;
        Ok(tenant)
    }

    /// The tenants, oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] when the database failed.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<Tenant>> {
        Ok(self.db.tenants().list(page).await?)
    }
}
