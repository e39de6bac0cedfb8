use lingpai_model::{
    Instant,
    api_key::ApiKey,
    id::{ApiKeyId, TenantId},
};
use lingpai_tenant::ApiKeys;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::OperatorAuth,
    input::{self, Input},
    page::{self, PageView},
    problem::{Problem, Result},
};

pub(crate) struct ApiKeysApi {
    pub(super) api_keys: ApiKeys,
}

/// A key to create.
#[derive(Debug, Object)]
#[oai(rename = "NewApiKey", skip_serializing_if_is_none, example)]
struct NewApiKey {
    /// What its owner calls it.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
    /// What it may do; absent: everything. `authorizer:read`, `authorizer:write`, `token:read`,
    /// `wechat:call`, `event:read`, `endpoint:write`.
    #[oai(validator(min_items = 1, max_items = 16))]
    scopes: Option<Vec<String>>,
}

impl Example for NewApiKey {
    fn example() -> Self {
        let scopes = vec!["authorizer:read".to_owned(), "wechat:call".to_owned()];
        Self { name: "shop backend".to_owned(), scopes: Some(scopes) }
    }
}

/// A key that has just been created.
#[derive(Debug, Object)]
#[oai(rename = "CreatedApiKey")]
struct CreatedApiKeyView {
    /// Its id.
    id: String,
    /// The key itself, shown this once.
    key: String,
    /// What its owner calls it.
    name: String,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was created.
    created_at: Instant,
}

/// A key, without its text.
#[derive(Debug, Object)]
#[oai(rename = "ApiKey")]
struct ApiKeyView {
    /// Its id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was created.
    created_at: Instant,
    /// When it was revoked; null while it works.
    #[oai(nullable)]
    revoked_at: Option<Instant>,
}

#[OpenApi(tag = "Group::ApiKeys")]
impl ApiKeysApi {
    /// Create an API key of a tenant.
    ///
    /// The key is in the answer and nowhere else. For operators.
    #[oai(path = "/tenants/:id/api-keys", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<String>,
        input: Input<NewApiKey>,
    ) -> Result<Created<CreatedApiKeyView>> {
        let tenant = tenant_id(&id)?;
        let Input(NewApiKey { name, scopes }) = input;
        let scopes = input::scopes(scopes.as_deref())?;
        let (key, text) = self.api_keys.create(&tenant, name, scopes).await?;
        Ok(Created(CreatedApiKeyView {
            id: key.id.to_string(),
            key: text.into_text().expose().clone(),
            scopes: names(&key),
            name: key.name,
            created_at: key.created_at,
        }))
    }

    /// List the API keys of a tenant.
    ///
    /// Oldest first, revoked ones too. For operators.
    #[oai(path = "/tenants/:id/api-keys", method = "get", operation_id = "list_api_keys")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<String>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<u64>>,
        /// `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<PageView<ApiKeyView>>> {
        let tenant = tenant_id(&id)?;
        let page = page::request(*limit, cursor.as_deref())?;
        Ok(Json(PageView::of(self.api_keys.list(&tenant, &page).await?, ApiKeyView::from)))
    }

    /// Revoke an API key.
    ///
    /// Within seconds it is refused everywhere. One that was revoked before stays as it was. For
    /// operators.
    #[oai(
        path = "/tenants/:id/api-keys/:key_id",
        method = "delete",
        operation_id = "revoke_api_key"
    )]
    async fn revoke(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<String>,
        /// The key.
        key_id: Path<String>,
    ) -> Result<NoContent> {
        let tenant = tenant_id(&id)?;
        let key = ApiKeyId::parse(&key_id).map_err(|_| Problem::api_key_not_found())?;
        self.api_keys.revoke(&tenant, &key).await?;
        Ok(NoContent)
    }
}

fn tenant_id(text: &str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|_| Problem::tenant_not_found())
}

fn names(key: &ApiKey) -> Vec<String> {
    key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            scopes: names(&key),
            id: key.id.to_string(),
            name: key.name,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}
