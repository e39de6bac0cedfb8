//! API keys of tenants.

use lingpai_model::{
    Instant,
    api_key::{ApiKey, Scope},
    id::{ApiKeyId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, sea_query::Expr,
};

use super::{ApiKeyRepo, Reader, Write, page, text};
use crate::{
    cache::Changed,
    entity::api_keys::{self, Column},
    error::Result,
};

impl<A> ApiKeyRepo<'_, A> {
    /// The key with this id, revoked or not. For authentication, which knows no tenant yet.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_find(&self, id: &ApiKeyId) -> Result<Option<ApiKey>> {
        let row = api_keys::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read an API key"))?.map(record).transpose()
    }

    /// The keys of one tenant, the oldest first. Operators ask this, so it takes an id, not a scope.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, tenant: &TenantId, request: &PageRequest) -> Result<Page<ApiKey>> {
        let rows = api_keys::Entity::find().filter(Column::TenantId.eq(tenant.as_str()));
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list API keys"))?;
        let keys = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(keys, request, |key| key.id.as_str()))
    }
}

impl ApiKeyRepo<'_, Write> {
    /// Adds a key.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn insert(&self, key: &ApiKey) -> Result<()> {
        let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
        let row = api_keys::Model {
            id: key.id.as_str().to_owned(),
            tenant_id: key.tenant_id.as_str().to_owned(),
            name: text(&key.name),
            key_digest: key.key_digest.to_hex(),
            scopes_json: serde_json::to_string(&scopes).expect("words are always JSON"),
            created_at: key.created_at.timestamp_millis(),
            revoked_at: key.revoked_at.map(|at| at.timestamp_millis()),
        };
        self.at.changed(Changed::ApiKey(key.id.clone()));
        self.at.insert_new("add an API key", "API key", row).await
    }

    /// Revokes a key of this tenant; one that was revoked before stays as it was. `false` when the
    /// tenant has no such key.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn mark_revoked(
        &self,
        tenant: &TenantId,
        id: &ApiKeyId,
        revoked_at: Instant,
    ) -> Result<bool> {
        self.at.changed(Changed::ApiKey(id.clone()));
        let revoked_at = Expr::col(Column::RevokedAt).if_null(revoked_at.timestamp_millis());
        let updated = api_keys::Entity::update_many()
            .col_expr(Column::RevokedAt, revoked_at)
            .filter(Column::Id.eq(id.as_str()))
            .filter(Column::TenantId.eq(tenant.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("revoke an API key"))?;
        Ok(updated.rows_affected == 1)
    }
}

fn record(row: api_keys::Model) -> Result<ApiKey> {
    let read = Reader { table: "api_keys", key: &row.id };
    let scopes: Vec<String> = read.json(&row.scopes_json)?;
    Ok(ApiKey {
        id: read.parsed(ApiKeyId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        key_digest: read.digest(&row.key_digest)?,
        // A scope that only a newer program knows opens nothing here.
        scopes: scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
        created_at: read.instant(row.created_at)?,
        revoked_at: read.instant_if_any(row.revoked_at)?,
        name: row.name,
    })
}
