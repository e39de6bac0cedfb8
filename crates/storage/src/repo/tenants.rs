//! Tenants.

use lingpai_model::{
    id::TenantId,
    page::{Page, PageRequest},
    tenant::Tenant,
};
use sea_orm::EntityTrait as _;

use super::{Reader, TenantRepo, Write, page, text};
use crate::{entity::tenants, error::Result};

impl<A> TenantRepo<'_, A> {
    /// The tenant with this id.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn find(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let row = tenants::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read a tenant"))?.map(record).transpose()
    }

    /// All tenants, the oldest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Tenant>> {
        let rows = page(tenants::Entity::find(), tenants::Column::Id, request);
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed("list tenants"))?;
        let tenants = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(tenants, request, |tenant| tenant.id.as_str()))
    }
}

impl TenantRepo<'_, Write> {
    /// Adds a tenant.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], [`crate::Error::Unavailable`].
    pub async fn insert(&self, tenant: &Tenant) -> Result<()> {
        let row = tenants::Model {
            id: tenant.id.as_str().to_owned(),
            name: text(&tenant.name),
            created_at: tenant.created_at.timestamp_millis(),
        };
        self.at.insert_new("add a tenant", "tenant", row).await
    }
}

fn record(row: tenants::Model) -> Result<Tenant> {
    let read = Reader { table: "tenants", key: &row.id };
    Ok(Tenant {
        id: read.parsed(TenantId::parse(&row.id))?,
        created_at: read.instant(row.created_at)?,
        name: row.name,
    })
}
