use std::time::Duration;

use lingpai_model::{
    Instant,
    api_key::{ApiKey, KeyText, Scopes},
    id::ApiKeyId,
    network::Network,
};
use lingpai_tenant::{self as tenant, ApiKeys};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::{Example, MaybeUndefined},
};

use super::{Group, given, tenants::tenant_id};
use crate::{
    answer::{Created, NoContent},
    auth::OperatorAuth,
    example,
    input::Input,
    page::PageView,
    parameter::{self, ApiKeyIdText, CursorText, Limit, TenantIdText},
    problem::{Problem, Result},
    view::scope::{self, ScopeView},
};

/// How long the text before a rotation counts if the operator does not say.
const USUAL_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// What it may do; absent: everything.
    #[oai(nullable, validator(min_items = 1, max_items = 16))]
    scopes: Option<Vec<ScopeView>>,
    /// When it ends by itself; absent: never.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// From where it may be used: addresses, or networks as in `192.0.2.0/24`; absent: from anywhere.
    #[oai(nullable, validator(max_items = 64, min_length = 2, max_length = 64))]
    networks: Option<Vec<String>>,
    /// How many requests a second it may make; absent: as many as its tenant.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "1000000")))]
    requests_per_second: Option<u32>,
}

impl Example for NewApiKey {
    fn example() -> Self {
        Self {
            name: "shop backend".to_owned(),
            scopes: Some(example_scopes()),
            expires_at: Some(example::instant() + chrono::Duration::days(365)),
            networks: Some(vec!["192.0.2.0/24".to_owned(), "2001:db8::17".to_owned()]),
            requests_per_second: Some(50),
        }
    }
}

/// What to change of a key; what is absent stays.
#[derive(Debug, Object)]
#[oai(rename = "ApiKeyChange", skip_serializing_if_is_none, example)]
struct ApiKeyChange {
    /// What its owner calls it.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    name: Option<String>,
    /// What it may do.
    #[oai(nullable, validator(min_items = 1, max_items = 16))]
    scopes: Option<Vec<ScopeView>>,
    /// When it ends by itself. Null: never.
    #[oai(nullable)]
    expires_at: MaybeUndefined<Instant>,
    /// From where it may be used: addresses, or networks as in `192.0.2.0/24`. An empty list: from
    /// anywhere.
    #[oai(nullable, validator(max_items = 64, min_length = 2, max_length = 64))]
    networks: Option<Vec<String>>,
    /// How many requests a second it may make. Null: as many as its tenant.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "1000000")))]
    requests_per_second: MaybeUndefined<u32>,
}

impl Example for ApiKeyChange {
    fn example() -> Self {
        Self {
            name: None,
            scopes: Some(example_scopes()),
            expires_at: MaybeUndefined::Undefined,
            networks: Some(vec!["192.0.2.0/24".to_owned()]),
            requests_per_second: MaybeUndefined::Value(100),
        }
    }
}

/// How a key gets a new text.
#[derive(Debug, Object)]
#[oai(rename = "NewRotation", skip_serializing_if_is_none, example)]
struct NewRotation {
    /// For how many seconds the text that the key has now still counts: 0 ends it at once, 604800 (a
    /// week) is the most; absent: a day.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "604800")))]
    overlap_secs: Option<u32>,
}

impl Example for NewRotation {
    fn example() -> Self {
        Self { overlap_secs: Some(3600) }
    }
}

impl NewRotation {
    fn overlap(&self) -> Duration {
        self.overlap_secs.map_or(USUAL_OVERLAP, |secs| Duration::from_secs(secs.into()))
    }
}

/// A key whose text has just been made.
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
    /// When it ends by itself; null if it does not.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// Until when the text before this one still counts; null if there is none.
    #[oai(nullable)]
    previous_until: Option<Instant>,
}

impl Example for CreatedApiKeyView {
    fn example() -> Self {
        let ApiKeyView { id, name, scopes, created_at, expires_at, previous_until, .. } =
            ApiKeyView::example();
        let (_, ulid) = example::API_KEY_ID.split_at(ApiKeyId::PREFIX.len());
        let key = format!("lpk_{ulid}{}_5f0c3a9e", "5f0c3a9e".repeat(8));
        Self { id, key, name, scopes, created_at, expires_at, previous_until }
    }
}

impl CreatedApiKeyView {
    fn of((key, text): (ApiKey, KeyText)) -> Self {
        Self {
            id: key.id.to_string(),
            key: text.into_text().expose().clone(),
            scopes: scope::views(&key.scopes),
            name: key.name,
            created_at: key.created_at,
            expires_at: key.expires_at,
            previous_until: key.previous.map(|previous| previous.until),
        }
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
    /// From where it may be used; empty: from anywhere.
    networks: Vec<String>,
    /// How many requests a second it may make; null if only its tenant's limit counts.
    #[oai(nullable)]
    requests_per_second: Option<u32>,
    /// When it was created.
    created_at: Instant,
    /// When it ends by itself; null if it does not.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// When it was last used, to within minutes; null if it never was.
    #[oai(nullable)]
    last_used_at: Option<Instant>,
    /// Until when the text that it had before its last rotation counts; null if it was never rotated.
    #[oai(nullable)]
    previous_until: Option<Instant>,
    /// When it was revoked; null if it was not.
    #[oai(nullable)]
    revoked_at: Option<Instant>,
}

impl Example for ApiKeyView {
    fn example() -> Self {
        let created_at = example::instant();
        Self {
            id: example::API_KEY_ID.to_owned(),
            name: "shop backend".to_owned(),
            scopes: example_scopes(),
            networks: vec!["192.0.2.0/24".to_owned(), "2001:db8::17/128".to_owned()],
            requests_per_second: Some(50),
            created_at,
            expires_at: Some(created_at + chrono::Duration::days(365)),
            last_used_at: Some(created_at + chrono::Duration::minutes(42)),
            previous_until: None,
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
        auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        input: Input<NewApiKey>,
    ) -> Result<Created<CreatedApiKeyView>> {
        let tenant = tenant_id(&id)?;
        let new = tenant::NewApiKey::try_from(input.0)?;
        let created = self.api_keys.create(auth.caller(), &tenant, new).await?;
        Ok(Created(CreatedApiKeyView::of(created)))
    }

    /// List the API keys of a tenant.
    ///
    /// Oldest first, revoked and expired ones too. For operators.
    #[oai(path = "/tenants/:id/api-keys", method = "get", operation_id = "list_api_keys")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<ApiKeyView>>> {
        let tenant = tenant_id(&id)?;
        let page = parameter::page(&limit, &cursor)?;
        Ok(Json(PageView::of(self.api_keys.list(&tenant, &page).await?, ApiKeyView::from)))
    }

    /// Look up one API key.
    ///
    /// What it may do and when it was last used, never its text. For operators.
    #[oai(path = "/tenants/:id/api-keys/:key_id", method = "get", operation_id = "get_api_key")]
    async fn get(
        &self,
        _auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        /// The key.
        key_id: Path<ApiKeyIdText>,
    ) -> Result<Json<ApiKeyView>> {
        let key = self.api_keys.get(&tenant_id(&id)?, &api_key_id(&key_id)?).await?;
        Ok(Json(key.into()))
    }

    /// Change what an API key may do.
    ///
    /// Its name, scopes, end, networks or limit; what the body leaves out stays as it is. Within
    /// seconds it holds everywhere. A revoked key is not changed. For operators.
    #[oai(
        path = "/tenants/:id/api-keys/:key_id",
        method = "patch",
        operation_id = "change_api_key"
    )]
    async fn change(
        &self,
        auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        /// The key.
        key_id: Path<ApiKeyIdText>,
        input: Input<ApiKeyChange>,
    ) -> Result<Json<ApiKeyView>> {
        let (tenant, key) = (tenant_id(&id)?, api_key_id(&key_id)?);
        let change = tenant::ApiKeyChange::try_from(input.0)?;
        let changed = self.api_keys.change(auth.caller(), &tenant, &key, change).await?;
        Ok(Json(changed.into()))
    }

    /// Give an API key a new text.
    ///
    /// The new text is in the answer and nowhere else. The one before counts until the overlap ends,
    /// so that programs can take over the new one in the meantime; one from before that ends now. For
    /// operators.
    #[oai(
        path = "/tenants/:id/api-keys/:key_id/rotate",
        method = "post",
        operation_id = "rotate_api_key"
    )]
    async fn rotate(
        &self,
        auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        /// The key.
        key_id: Path<ApiKeyIdText>,
        input: Input<NewRotation>,
    ) -> Result<Json<CreatedApiKeyView>> {
        let (tenant, key) = (tenant_id(&id)?, api_key_id(&key_id)?);
        let overlap = input.0.overlap();
        let rotated = self.api_keys.rotate(auth.caller(), &tenant, &key, overlap).await?;
        Ok(Json(CreatedApiKeyView::of(rotated)))
    }

    /// Revoke an API key.
    ///
    /// Within seconds it is refused everywhere, with the virtual tokens that were made with it. One
    /// that was revoked before stays as it was. For operators.
    #[oai(
        path = "/tenants/:id/api-keys/:key_id",
        method = "delete",
        operation_id = "revoke_api_key"
    )]
    async fn revoke(
        &self,
        auth: OperatorAuth,
        /// The tenant.
        id: Path<TenantIdText>,
        /// The key.
        key_id: Path<ApiKeyIdText>,
    ) -> Result<NoContent> {
        let (tenant, key) = (tenant_id(&id)?, api_key_id(&key_id)?);
        self.api_keys.revoke(auth.caller(), &tenant, &key).await?;
        Ok(NoContent)
    }
}

/// Reads the id of a key in a path; one that cannot be is one of no key.
fn api_key_id(text: &str) -> Result<ApiKeyId> {
    ApiKeyId::parse(text).map_err(|_| Problem::api_key_not_found())
}

fn networks(texts: &[String]) -> Result<Vec<Network>> {
    texts.iter().map(|text| parameter::parsed("networks", text, Network::parse)).collect()
}

impl TryFrom<NewApiKey> for tenant::NewApiKey {
    type Error = Problem;

    fn try_from(input: NewApiKey) -> Result<Self> {
        Ok(Self {
            name: input.name,
            scopes: input.scopes.map_or_else(Scopes::all, scope::named),
            expires_at: input.expires_at,
            networks: networks(&input.networks.unwrap_or_default())?,
            requests_per_second: input.requests_per_second,
        })
    }
}

impl TryFrom<ApiKeyChange> for tenant::ApiKeyChange {
    type Error = Problem;

    fn try_from(input: ApiKeyChange) -> Result<Self> {
        Ok(Self {
            name: input.name,
            scopes: input.scopes.map(scope::named),
            expires_at: given(input.expires_at),
            networks: input.networks.as_deref().map(networks).transpose()?,
            requests_per_second: given(input.requests_per_second),
        })
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            scopes: scope::views(&key.scopes),
            networks: key.networks.iter().map(ToString::to_string).collect(),
            id: key.id.to_string(),
            name: key.name,
            requests_per_second: key.requests_per_second,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            previous_until: key.previous.map(|previous| previous.until),
            revoked_at: key.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        api_key::{PreviousKey, Scope},
        clock::Entropy,
        digest::Digest,
        id::TenantId,
    };
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::{input, problem::Code};

    fn new(body: &str) -> Result<tenant::NewApiKey> {
        input::read::<NewApiKey>(body.as_bytes())?.try_into()
    }

    fn change(body: &str) -> tenant::ApiKeyChange {
        input::read::<ApiKeyChange>(body.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn a_key_without_named_scopes_gets_all_and_an_unknown_scope_is_refused() {
        assert!(new(r#"{"name":"a"}"#).unwrap().scopes.contains(Scope::QuotaClear));
        let named = new(r#"{"name":"a","scopes":["token:read"]}"#).unwrap().scopes;
        assert_eq!(named.iter().collect::<Vec<_>>(), [Scope::TokenRead]);
        let problem = new(r#"{"name":"a","scopes":["token:read","root"]}"#).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidField);
        let told = problem.to_string();
        assert!(told.contains("authorizer:read, authorizer:write, token:read"), "{told}");
    }

    #[test]
    fn networks_are_read_at_the_door() {
        let good = new(r#"{"name":"a","networks":["10.1.2.3/8","2001:db8::1"]}"#).unwrap();
        let told: Vec<_> = good.networks.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["10.0.0.0/8", "2001:db8::1/128"]);
        for body in [r#"{"name":"a","networks":["10.0.0"]}"#, r#"{"name":"a","networks":[""]}"#] {
            let problem = new(body).unwrap_err();
            assert_eq!(problem.code(), Code::InvalidField, "{body}: {problem}");
        }
    }

    #[test]
    fn what_a_change_leaves_out_stays_and_what_it_nulls_goes() {
        let nothing = change("{}");
        assert!(nothing.name.is_none() && nothing.scopes.is_none() && nothing.networks.is_none());
        assert_eq!((nothing.expires_at, nothing.requests_per_second), (None, None));
        let some = change(
            r#"{"networks":[],"expires_at":null,"requests_per_second":9,"scopes":["usage:read"]}"#,
        );
        assert_eq!(some.networks, Some(Vec::new()));
        assert_eq!((some.expires_at, some.requests_per_second), (Some(None), Some(Some(9))));
        assert!(some.scopes.unwrap().contains(Scope::UsageRead));
        let ending = change(r#"{"expires_at":"2027-01-01T00:00:00Z"}"#).expires_at;
        assert_eq!(ending.flatten().unwrap().timestamp(), 1_798_761_600);
    }

    #[test]
    fn the_old_text_counts_for_a_day_unless_the_operator_says_otherwise() {
        let read = |body: &str| input::read::<NewRotation>(body.as_bytes());
        assert_eq!(read("{}").unwrap().overlap(), Duration::from_secs(86_400));
        assert_eq!(read(r#"{"overlap_secs":0}"#).unwrap().overlap(), Duration::ZERO);
        assert!(read(r#"{"overlap_secs":604801}"#).is_err());
    }

    #[test]
    fn a_listed_key_tells_everything_but_its_texts() {
        let (at, entropy) = (example::instant(), Entropy::seeded(1));
        let key = ApiKey {
            id: ApiKeyId::new(at, &entropy),
            tenant_id: TenantId::new(at, &entropy),
            name: "a".to_owned(),
            key_digest: Digest::of(&[b"new"]),
            previous: Some(PreviousKey { digest: Digest::of(&[b"old"]), until: at }),
            scopes: Scopes::all(),
            networks: vec![Network::parse("10.0.0.0/8").unwrap()],
            requests_per_second: None,
            expires_at: None,
            last_used_at: Some(at),
            created_at: at,
            revoked_at: None,
        };
        let told = ApiKeyView::from(key).to_json().unwrap();
        assert_eq!(told["networks"], json!(["10.0.0.0/8"]));
        assert_eq!(told["previous_until"], at.to_json().unwrap());
        assert_eq!(told["last_used_at"], at.to_json().unwrap());
        assert_eq!(told.get("revoked_at"), Some(&json!(null)));
        assert!(!told.to_string().contains("digest"), "{told}");
    }
}
