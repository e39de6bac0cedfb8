use lingpai_model::{
    Instant,
    api_key::{ApiKey, Scope, Scopes},
    id::{ApiKeyId, TenantId},
};
use lingpai_tenant::ApiKeys;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    answer::{Created, NoContent},
    auth::OperatorAuth,
    example,
    input::Input,
    page::{self, PageView},
    problem::{Problem, Result},
};

pub(crate) struct ApiKeysApi {
    pub(super) api_keys: ApiKeys,
}

/// What a key may do, written `noun:verb`.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "Scope", remote = "Scope")]
enum ScopeView {
    /// See authorizations and authorizers.
    #[oai(rename = "authorizer:read")]
    AuthorizerRead,
    /// Start authorizations, release authorizers.
    #[oai(rename = "authorizer:write")]
    AuthorizerWrite,
    /// Read real access tokens.
    #[oai(rename = "token:read")]
    TokenRead,
    /// Call WeChat.
    #[oai(rename = "wechat:call")]
    WechatCall,
    /// Read events and deliveries.
    #[oai(rename = "event:read")]
    EventRead,
    /// Change endpoints.
    #[oai(rename = "endpoint:write")]
    EndpointWrite,
}

/// A key to create.
#[derive(Debug, Object)]
#[oai(rename = "NewApiKey", skip_serializing_if_is_none, example)]
struct NewApiKey {
    /// What its owner calls it.
    #[oai(validator(min_length = 1, max_length = 64))]
    name: String,
    /// What it may do; absent: everything.
    #[oai(validator(min_items = 1, max_items = 16))]
    scopes: Option<Vec<ScopeView>>,
}

impl Example for NewApiKey {
    fn example() -> Self {
        Self { name: "shop backend".to_owned(), scopes: Some(example_scopes()) }
    }
}

/// A key that has just been created.
#[derive(Debug, Object)]
#[oai(rename = "CreatedApiKey", example)]
struct CreatedApiKeyView {
    /// Its id.
    id: String,
    /// The key itself, shown this once.
    key: String,
    /// What its owner calls it.
    name: String,
    /// What it may do.
    scopes: Vec<ScopeView>,
    /// When it was created.
    created_at: Instant,
}

impl Example for CreatedApiKeyView {
    fn example() -> Self {
        let ApiKeyView { id, name, scopes, created_at, .. } = ApiKeyView::example();
        let key = format!("lpk_01KAEXAMPLE0000000000000AB{}_5f0c3a9e", "5f0c3a9e".repeat(8));
        Self { id, key, name, scopes, created_at }
    }
}

/// A key, without its text.
#[derive(Debug, Object)]
#[oai(rename = "ApiKey", example)]
struct ApiKeyView {
    /// Its id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// What it may do.
    scopes: Vec<ScopeView>,
    /// When it was created.
    created_at: Instant,
    /// When it was revoked; null while it works.
    #[oai(nullable)]
    revoked_at: Option<Instant>,
}

impl Example for ApiKeyView {
    fn example() -> Self {
        Self {
            id: "key_01KAEXAMPLE0000000000000AB".to_owned(),
            name: "shop backend".to_owned(),
            scopes: example_scopes(),
            created_at: example::instant(),
            revoked_at: None,
        }
    }
}

fn example_scopes() -> Vec<ScopeView> {
    vec![ScopeView::AuthorizerRead, ScopeView::WechatCall]
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
        let (key, text) = self.api_keys.create(&tenant, name, given(scopes)).await?;
        Ok(Created(CreatedApiKeyView {
            id: key.id.to_string(),
            key: text.into_text().expose().clone(),
            scopes: views(&key.scopes),
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

/// The scopes of a new key: those that are named, else all.
fn given(named: Option<Vec<ScopeView>>) -> Scopes {
    named.map_or_else(Scopes::all, |named| named.into_iter().map(Scope::from).collect())
}

fn views(scopes: &Scopes) -> Vec<ScopeView> {
    scopes.iter().map(ScopeView::from).collect()
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            scopes: views(&key.scopes),
            id: key.id.to_string(),
            name: key.name,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;
    use crate::{input, problem::Code};

    #[test]
    fn scopes_are_written_as_the_model_writes_them() {
        for scope in Scope::ALL {
            assert_eq!(ScopeView::from(scope).to_json(), Some(scope.as_str().into()));
        }
    }

    #[test]
    fn a_key_without_named_scopes_gets_all_and_an_unknown_scope_is_refused() {
        let read = |body: &str| input::read::<NewApiKey>(body.as_bytes());
        let all = given(read(r#"{"name":"a"}"#).unwrap().scopes);
        assert!(all.contains(Scope::WechatCall));
        let named = given(read(r#"{"name":"a","scopes":["token:read"]}"#).unwrap().scopes);
        assert_eq!(named.iter().collect::<Vec<_>>(), [Scope::TokenRead]);
        let problem = read(r#"{"name":"a","scopes":["token:read","root"]}"#).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidField);
        let told = problem.to_string();
        assert!(told.contains("authorizer:read, authorizer:write, token:read"), "{told}");
    }
}
