use lingpai_model::{Instant, api_key::ApiKey};
use lingpai_tenant::{ApiKeys, Limits, LimitsInForce, Tenants};
use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::Group;
use crate::{
    auth::{NoScope, TenantAuth},
    example,
    problem::Result,
    view::scope::{self, ScopeView},
};

pub(crate) struct ApiKeysApi {
    pub(super) api_keys: ApiKeys,
    pub(super) tenants: Tenants,
    pub(super) limits: Limits,
}

/// How much may be asked of this installation.
#[derive(Debug, Object)]
#[oai(rename = "LimitsInForce", example)]
struct LimitsView {
    /// How many requests a second all keys of the tenant may make together; null: as many as can be.
    #[oai(nullable)]
    requests_per_second: Option<u32>,
    /// How many requests a second this key may make; null if only the tenant's limit counts.
    #[oai(nullable)]
    key_requests_per_second: Option<u32>,
    /// How many of the tenant's requests are answered at the same time.
    concurrent_requests: u32,
}

impl Example for LimitsView {
    fn example() -> Self {
        Self {
            requests_per_second: Some(1000),
            key_requests_per_second: Some(50),
            concurrent_requests: 128,
        }
    }
}

impl From<LimitsInForce> for LimitsView {
    fn from(limits: LimitsInForce) -> Self {
        let LimitsInForce { requests_per_second, key_requests_per_second, concurrent_requests } =
            limits;
        Self { requests_per_second, key_requests_per_second, concurrent_requests }
    }
}

/// The tenant that a key belongs to.
#[derive(Debug, Object)]
#[oai(rename = "TenantName", example)]
struct TenantNameView {
    /// Its id.
    id: String,
    /// The name people read.
    name: String,
}

impl Example for TenantNameView {
    fn example() -> Self {
        Self { id: example::TENANT_ID.to_owned(), name: "Corner Shops".to_owned() }
    }
}

/// The key that a request shows, without its text.
#[derive(Debug, Object)]
#[oai(rename = "OwnKey", example)]
struct OwnKeyView {
    /// Its id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// Whose it is.
    tenant: TenantNameView,
    /// What it may do.
    scopes: Vec<ScopeView>,
    /// From where it may be used; empty: from anywhere.
    networks: Vec<String>,
    /// When it was created.
    created_at: Instant,
    /// When it ends by itself; null if it does not.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// Until when the text that it had before its last rotation counts; null if it was never rotated.
    #[oai(nullable)]
    previous_until: Option<Instant>,
    /// How much may be asked with it.
    limits: LimitsView,
}

impl Example for OwnKeyView {
    fn example() -> Self {
        let created_at = example::instant();
        Self {
            id: example::API_KEY_ID.to_owned(),
            name: "shop backend".to_owned(),
            tenant: TenantNameView::example(),
            scopes: vec![ScopeView::AuthorizerRead, ScopeView::WechatCall],
            networks: vec!["192.0.2.0/24".to_owned()],
            created_at,
            expires_at: Some(created_at + chrono::Duration::days(365)),
            previous_until: None,
            limits: LimitsView::example(),
        }
    }
}

#[OpenApi(tag = "Group::Keys")]
impl ApiKeysApi {
    /// Look up the key that this request shows.
    ///
    /// Whose it is, what it may do, when it ends and how much may be asked with it. For every valid
    /// key, whatever its scopes.
    #[oai(path = "/key", method = "get", operation_id = "get_key")]
    async fn get(&self, auth: TenantAuth<NoScope>) -> Result<Json<OwnKeyView>> {
        let key = self.api_keys.own(auth.caller()).await?;
        let tenant = self.tenants.get(auth.scope().tenant_id()).await?;
        let limits = self.limits.in_force(auth.caller()).await?;
        Ok(Json(OwnKeyView::of(key, tenant.name, limits)))
    }
}

impl OwnKeyView {
    fn of(key: ApiKey, tenant_name: String, limits: LimitsInForce) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            tenant: TenantNameView { id: key.tenant_id.to_string(), name: tenant_name },
            scopes: scope::views(&key.scopes),
            networks: key.networks.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            previous_until: key.previous.map(|previous| previous.until),
            limits: limits.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        api_key::{PreviousKey, Scopes},
        clock::Entropy,
        digest::Digest,
        id::{ApiKeyId, TenantId},
    };
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_learns_whose_it_is_and_what_it_may_ask_and_no_text_of_its_own() {
        let (at, entropy) = (example::instant(), Entropy::seeded(1));
        let key = ApiKey {
            id: ApiKeyId::new(at, &entropy),
            tenant_id: TenantId::new(at, &entropy),
            name: "a".to_owned(),
            key_digest: Digest::of(&[b"new"]),
            previous: Some(PreviousKey { digest: Digest::of(&[b"old"]), until: at }),
            scopes: Scopes::all(),
            networks: Vec::new(),
            requests_per_second: Some(5),
            expires_at: None,
            last_used_at: None,
            created_at: at,
            revoked_at: None,
        };
        let tenant_id = key.tenant_id.to_string();
        let limits = LimitsInForce {
            requests_per_second: None,
            key_requests_per_second: Some(5),
            concurrent_requests: 128,
        };
        let told = OwnKeyView::of(key, "小店".to_owned(), limits).to_json().unwrap();
        assert_eq!(told["tenant"], json!({ "id": tenant_id, "name": "小店" }));
        let limits = json!({
            "requests_per_second": null,
            "key_requests_per_second": 5,
            "concurrent_requests": 128,
        });
        assert_eq!(told["limits"], limits);
        assert_eq!(told["previous_until"], at.to_json().unwrap());
        assert_eq!(told.get("expires_at"), Some(&json!(null)));
        assert!(!told.to_string().contains("digest"));
    }
}
