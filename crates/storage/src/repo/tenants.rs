//! Tenants.

use lingpai_model::{
    id::TenantId,
    page::{Page, PageRequest},
    tenant::{Tenant, TenantLimits},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QuerySelect as _,
};

use super::{Reader, TenantRepo, Write, page, text};
use crate::{
    cache::Changed,
    entity::tenants::{self, Column},
    error::{Error, Result},
};

impl<A> TenantRepo<'_, A> {
    /// The tenant with this id.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn find(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let row = tenants::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read a tenant"))?.map(record).transpose()
    }

    /// All tenants, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Tenant>> {
        let rows = page(tenants::Entity::find(), Column::Id, request);
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed("list tenants"))?;
        let tenants = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(tenants, request, |tenant| tenant.id.as_str()))
    }
}

impl TenantRepo<'_, Write> {
    /// Adds a tenant.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn insert(&self, tenant: &Tenant) -> Result<()> {
        self.at.changed(Changed::Tenant(tenant.id.clone()));
        self.at.insert_new("add a tenant", "tenant", row(tenant)).await
    }

    /// The tenant with this id, which nobody else changes until this transaction ends. SQLite has
    /// one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn lock(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let row =
            tenants::Entity::find_by_id(id.as_str()).lock_exclusive().one(&self.at.conn).await;
        row.map_err(self.at.failed("lock a tenant"))?.map(record).transpose()
    }

    /// Writes everything that can change of a tenant: all but its id and when it was created.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn update(&self, tenant: &Tenant) -> Result<()> {
        self.at.changed(Changed::Tenant(tenant.id.clone()));
        let mut changed = row(tenant).into_active_model().reset_all();
        for column in [Column::Id, Column::CreatedAt] {
            changed.not_set(column);
        }
        let updated = tenants::Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(tenant.id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("update a tenant"))?;
        match updated.rows_affected {
            1 => Ok(()),
            _ => Err(Error::not_found("tenant", &tenant.id)),
        }
    }
}

fn row(tenant: &Tenant) -> tenants::Model {
    tenants::Model {
        id: tenant.id.as_str().to_owned(),
        name: text(&tenant.name),
        logo_url: tenant.logo_url.as_deref().map(text),
        requests_per_second: tenant.limits.requests_per_second.map(i64::from),
        concurrent_requests: tenant.limits.concurrent_requests.map(i64::from),
        created_at: tenant.created_at.timestamp_millis(),
        updated_at: Some(tenant.updated_at.timestamp_millis()),
    }
}

fn record(row: tenants::Model) -> Result<Tenant> {
    let read = Reader { table: "tenants", key: &row.id };
    Ok(Tenant {
        id: read.parsed(TenantId::parse(&row.id))?,
        limits: TenantLimits {
            requests_per_second: read.count_if_any(row.requests_per_second)?,
            concurrent_requests: read.count_if_any(row.concurrent_requests)?,
        },
        created_at: read.instant(row.created_at)?,
        // Programs of the release before wrote none.
        updated_at: read.instant(row.updated_at.unwrap_or(row.created_at))?,
        name: row.name,
        logo_url: row.logo_url,
    })
}
