use lingpai_model::{
    api_key::{ApiKey, KeyKind, KeyText, Scopes},
    caller::{Caller, TenantScope},
    clock::{Entropy, SharedClock},
    digest::Digest,
    id::{ApiKeyId, TenantId},
    page::{Page, PageRequest},
};
use lingpai_storage::Db;

use crate::{Error, Result};

/// Creates, lists, revokes and verifies the API keys of tenants.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    db: Db,
    clock: SharedClock,
    entropy: Entropy,
}

impl ApiKeys {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, entropy: Entropy) -> Self {
        Self { db, clock, entropy }
    }

    /// Creates a key of a tenant. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is no such tenant.
    pub async fn create(
        &self,
        tenant_id: &TenantId,
        name: String,
        scopes: Scopes,
    ) -> Result<(ApiKey, KeyText)> {
        let now = self.clock.now();
        let id = ApiKeyId::new(now, &self.entropy);
        let text = KeyText::for_api_key(&id, &self.entropy);
        let key = ApiKey {
            id,
            tenant_id: tenant_id.clone(),
            name,
            key_digest: text.digest(),
            scopes,
            created_at: now,
            revoked_at: None,
        };
        let tx = self.db.begin().await?;
        if tx.tenants().find(tenant_id).await?.is_none() {
            return Err(Error::TenantNotFound { id: tenant_id.clone() });
        }
        tx.api_keys().insert(&key).await?;
        tx.commit().await?;
        Ok((key, text))
    }

    /// The keys of a tenant, oldest first.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`] when there is no such tenant.
    pub async fn list(&self, tenant_id: &TenantId, page: &PageRequest) -> Result<Page<ApiKey>> {
        if self.db.tenants().find(tenant_id).await?.is_none() {
            return Err(Error::TenantNotFound { id: tenant_id.clone() });
        }
        Ok(self.db.api_keys().list(tenant_id, page).await?)
    }

    /// Ends a key. A key that ended before stays as it was.
    ///
    /// # Errors
    /// [`Error::ApiKeyNotFound`] when the tenant has no such key.
    pub async fn revoke(&self, tenant_id: &TenantId, id: &ApiKeyId) -> Result<()> {
        let tx = self.db.begin().await?;
        if !tx.api_keys().mark_revoked(tenant_id, id, self.clock.now()).await? {
            return Err(Error::ApiKeyNotFound { tenant_id: tenant_id.clone(), id: id.clone() });
        }
        Ok(tx.commit().await?)
    }

    /// Verifies the text of a key. Within seconds of its end a key is refused on every instance.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is none, unknown or revoked.
    pub async fn authenticate(&self, text: &str) -> Result<Caller> {
        let shown = KeyText::parse(KeyKind::Tenant, text).ok_or(Error::Unauthenticated)?;
        let id = shown.api_key_id().ok_or(Error::Unauthenticated)?;
        let stored = self.db.cached_api_key(&id).await?;
        // An unknown id takes the same comparison, against a digest that no key has.
        let expected = stored.as_ref().map_or(Digest::of(&[]), |key| key.key_digest);
        let matches = shown.digest() == expected;
        let key = stored.filter(|key| matches && key.revoked_at.is_none());
        let key = key.ok_or(Error::Unauthenticated)?;
        Ok(Caller {
            scope: TenantScope::authenticated(key.tenant_id.clone()),
            key_id: key.id.clone(),
            scopes: key.scopes.clone(),
        })
    }
}
