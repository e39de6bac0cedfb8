//! Redirect URIs: where a tenant's administrators and fans may be sent. Found by digest, since no
//! database indexes text of that length alike.

use lingpai_model::{Instant, caller::TenantScope, digest::Digest, id::TenantId};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::{RedirectUriRepo, Write};
use crate::{
    entity::redirect_uris::{self, Column, Entity},
    error::Result,
};

impl<A> RedirectUriRepo<'_, A> {
    /// Whether the tenant registered exactly this address.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn contains(&self, scope: &TenantScope, uri: &str) -> Result<bool> {
        self.system_contains(scope.tenant_id(), uri).await
    }

    /// As [`RedirectUriRepo::contains`], of the tenant whose link somebody follows.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_contains(&self, tenant: &TenantId, uri: &str) -> Result<bool> {
        let key = (tenant.to_string(), digest(uri));
        let row = Entity::find_by_id(key).one(&self.at.conn).await;
        Ok(row.map_err(self.at.failed("look for a redirect URI"))?.is_some())
    }

    /// The tenant's addresses in alphabetical order.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn list(&self, scope: &TenantScope) -> Result<Vec<String>> {
        let rows = Entity::find()
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .order_by_asc(Column::Uri)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list redirect URIs"))?;
        Ok(rows.into_iter().map(|row| row.uri).collect())
    }
}

impl RedirectUriRepo<'_, Write> {
    /// Adds an address. One that is there already stays.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn insert(&self, scope: &TenantScope, uri: &str, at: Instant) -> Result<()> {
        let row = redirect_uris::Model {
            tenant_id: scope.tenant_id().to_string(),
            uri_digest: digest(uri),
            uri: uri.to_owned(),
            created_at: at.timestamp_millis(),
        };
        self.at.insert_once("keep a redirect URI", row).await.map(drop)
    }

    /// Removes an address. `false` when the tenant had not registered it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn delete(&self, scope: &TenantScope, uri: &str) -> Result<bool> {
        let key = (scope.tenant_id().to_string(), digest(uri));
        let deleted = Entity::delete_by_id(key).exec(&self.at.conn).await;
        let deleted = deleted.map_err(self.at.failed("remove a redirect URI"))?;
        Ok(deleted.rows_affected == 1)
    }
}

fn digest(uri: &str) -> String {
    Digest::of(&[b"redirect_uri", uri.as_bytes()]).to_hex()
}
