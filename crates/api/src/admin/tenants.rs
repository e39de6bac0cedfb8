use lingpai_model::{Instant, tenant::Tenant};
use lingpai_tenant::Tenants;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json, types::Example};

use super::Group;
use crate::{
    answer::Created,
    auth::OperatorAuth,
    example,
    input::Input,
    page::{self, PageView},
    problem::Result,
};

pub(crate) struct TenantsApi {
    pub(super) tenants: Tenants,
}

/// A tenant to create.
#[derive(Debug, Object)]
#[oai(rename = "NewTenant", example)]
struct NewTenant {
    /// The name people read, also administrators on the authorization page.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
}

impl Example for NewTenant {
    fn example() -> Self {
        Self { name: "Corner Shops".to_owned() }
    }
}

/// A tenant: whom this installation serves.
#[derive(Debug, Object)]
#[oai(rename = "Tenant", example)]
struct TenantView {
    /// Its id.
    id: String,
    /// The name people read.
    name: String,
    /// When it was created.
    created_at: Instant,
}

impl Example for TenantView {
    fn example() -> Self {
        Self {
            id: "tnt_01KAEXAMPLE0000000000000AB".to_owned(),
            name: "Corner Shops".to_owned(),
            created_at: example::instant(),
        }
    }
}

#[OpenApi(tag = "Group::Tenants")]
impl TenantsApi {
    /// Create a tenant.
    ///
    /// It can do nothing until it has an API key. For operators.
    #[oai(path = "/tenants", method = "post", operation_id = "create_tenant")]
    async fn create(
        &self,
        _auth: OperatorAuth,
        input: Input<NewTenant>,
    ) -> Result<Created<TenantView>> {
        Ok(Created(self.tenants.create(input.0.name).await?.into()))
    }

    /// List the tenants.
    ///
    /// Oldest first. For operators.
    #[oai(path = "/tenants", method = "get", operation_id = "list_tenants")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<u64>>,
        /// `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<PageView<TenantView>>> {
        let page = page::request(*limit, cursor.as_deref())?;
        Ok(Json(PageView::of(self.tenants.list(&page).await?, TenantView::from)))
    }
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self { id: tenant.id.to_string(), name: tenant.name, created_at: tenant.created_at }
    }
}
