use lingpai_model::{
    Instant,
    id::TenantId,
    tenant::{Tenant, TenantLimits},
};
use lingpai_tenant::{self as tenant, Tenants};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::{Example, MaybeUndefined},
};

use super::{Group, given};
use crate::{
    answer::Created,
    auth::OperatorAuth,
    example,
    input::Input,
    page::PageView,
    parameter::{self, CursorText, Limit, TenantIdText},
    problem::{Problem, Result},
};

pub(crate) struct TenantsApi {
    pub(super) tenants: Tenants,
}

/// A tenant to create.
#[derive(Debug, Object)]
#[oai(rename = "NewTenant", skip_serializing_if_is_none, example)]
struct NewTenant {
    /// The name people read, also administrators on the authorization page.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
    /// Where its logo is, for the authorization page: an absolute https address.
    #[oai(nullable, validator(min_length = 1, max_length = 512))]
    logo_url: Option<String>,
    /// How many requests a second all its keys may make together; absent: as many as the
    /// installation allows.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "1000000")))]
    requests_per_second: Option<u32>,
    /// How many of its requests are answered at the same time; absent: as many as the installation
    /// allows.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    concurrent_requests: Option<u32>,
}

impl Example for NewTenant {
    fn example() -> Self {
        Self {
            name: "Corner Shops".to_owned(),
            logo_url: Some("https://shop.example/logo.png".to_owned()),
            requests_per_second: Some(200),
            concurrent_requests: None,
        }
    }
}

impl From<NewTenant> for tenant::NewTenant {
    fn from(input: NewTenant) -> Self {
        let NewTenant { name, logo_url, requests_per_second, concurrent_requests } = input;
        Self { name, logo_url, limits: TenantLimits { requests_per_second, concurrent_requests } }
    }
}

/// What to change of a tenant; what is absent stays.
#[derive(Debug, Object)]
#[oai(rename = "TenantChange", skip_serializing_if_is_none, example)]
struct TenantChange {
    /// The name people read, also administrators on the authorization page.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    name: Option<String>,
    /// Where its logo is, for the authorization page: an absolute https address. Null takes it away.
    #[oai(nullable, validator(min_length = 1, max_length = 512))]
    logo_url: MaybeUndefined<String>,
    /// How many requests a second all its keys may make together. Null: as many as the installation
    /// allows.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "1000000")))]
    requests_per_second: MaybeUndefined<u32>,
    /// How many of its requests are answered at the same time. Null: as many as the installation
    /// allows.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    concurrent_requests: MaybeUndefined<u32>,
}

impl Example for TenantChange {
    fn example() -> Self {
        Self {
            name: None,
            logo_url: MaybeUndefined::Undefined,
            requests_per_second: MaybeUndefined::Value(400),
            concurrent_requests: MaybeUndefined::Value(64),
        }
    }
}

impl From<TenantChange> for tenant::TenantChange {
    fn from(input: TenantChange) -> Self {
        Self {
            name: input.name,
            logo_url: given(input.logo_url),
            requests_per_second: given(input.requests_per_second),
            concurrent_requests: given(input.concurrent_requests),
        }
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
    /// Where its logo is; null if it has none.
    #[oai(nullable)]
    logo_url: Option<String>,
    /// How many requests a second all its keys may make together; null if that is not limited for
    /// this tenant in particular.
    #[oai(nullable)]
    requests_per_second: Option<u32>,
    /// How many of its requests are answered at the same time; null if that is not limited for this
    /// tenant in particular.
    #[oai(nullable)]
    concurrent_requests: Option<u32>,
    /// When it was created.
    created_at: Instant,
    /// When it was last changed.
    updated_at: Instant,
}

impl Example for TenantView {
    fn example() -> Self {
        let NewTenant { name, logo_url, requests_per_second, concurrent_requests } =
            NewTenant::example();
        Self {
            id: example::TENANT_ID.to_owned(),
            name,
            logo_url,
            requests_per_second,
            concurrent_requests,
            created_at: example::instant(),
            updated_at: example::instant(),
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
        auth: OperatorAuth,
        input: Input<NewTenant>,
    ) -> Result<Created<TenantView>> {
        let tenant = self.tenants.create(auth.caller(), input.0.into()).await?;
        Ok(Created(tenant.into()))
    }

    /// List the tenants.
    ///
    /// Oldest first. For operators.
    #[oai(path = "/tenants", method = "get", operation_id = "list_tenants")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<TenantView>>> {
        let page = parameter::page(&limit, &cursor)?;
        Ok(Json(PageView::of(self.tenants.list(&page).await?, TenantView::from)))
    }

    /// Look up one tenant.
    ///
    /// For operators.
    #[oai(path = "/tenants/:id", method = "get", operation_id = "get_tenant")]
    async fn get(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
    ) -> Result<Json<TenantView>> {
        Ok(Json(self.tenants.get(&tenant_id(&id)?).await?.into()))
    }

    /// Change a tenant.
    ///
    /// Its name, its logo or its limits; what the body leaves out stays as it is. New limits hold
    /// within seconds. For operators.
    #[oai(path = "/tenants/:id", method = "patch", operation_id = "change_tenant")]
    async fn change(
        &self,
        auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        input: Input<TenantChange>,
    ) -> Result<Json<TenantView>> {
        let change = input.0.into();
        let changed = self.tenants.change(auth.caller(), &tenant_id(&id)?, change).await?;
        Ok(Json(changed.into()))
    }
}

/// Reads the id of a tenant in a path; one that cannot be is one of no tenant.
pub(super) fn tenant_id(text: &str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|_| Problem::tenant_not_found())
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            logo_url: tenant.logo_url,
            requests_per_second: tenant.limits.requests_per_second,
            concurrent_requests: tenant.limits.concurrent_requests,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input, problem::Code};

    fn change(body: &str) -> tenant::TenantChange {
        input::read::<TenantChange>(body.as_bytes()).unwrap().into()
    }

    #[test]
    fn what_a_change_leaves_out_stays_and_what_it_nulls_goes() {
        let nothing = change("{}");
        assert_eq!((&nothing.name, &nothing.logo_url), (&None, &None));
        assert_eq!((nothing.requests_per_second, nothing.concurrent_requests), (None, None));
        let some =
            change(r#"{"logo_url":null,"requests_per_second":7,"concurrent_requests":null}"#);
        assert_eq!(some.logo_url, Some(None));
        assert_eq!(some.requests_per_second, Some(Some(7)));
        assert_eq!(some.concurrent_requests, Some(None));
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        for body in [
            r#"{"name":"a","requests_per_second":0}"#,
            r#"{"name":"a","concurrent_requests":0}"#,
            r#"{"name":"a","concurrent_requests":257}"#,
        ] {
            let problem = input::read::<NewTenant>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), Code::InvalidField, "{body}");
        }
    }

    #[test]
    fn an_impossible_tenant_is_an_unknown_one() {
        assert_eq!(tenant_id("tnt_1").unwrap_err().code(), Code::TenantNotFound);
        assert!(tenant_id(example::TENANT_ID).is_ok());
    }
}
