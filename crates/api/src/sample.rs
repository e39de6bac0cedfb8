//! Records for the tests of this crate.

use std::sync::Arc;

use lingpai_authorizer::AuthorizationPage;
use lingpai_model::{
    Appid, Secret,
    api_key::Scope,
    authorization::{AccountKind, Authorization, AuthorizationState},
    authorizer::{Authorizer, AuthorizerState, Connection, Profile},
    caller::{Caller, TenantScope, Via},
    clock::{Entropy, ManualClock, SharedClock},
    digest::Digest,
    id::{ApiKeyId, AuthorizationId, AuthorizerId, ComponentId, TenantId},
};

use crate::example;

/// The time and the chance that tests have.
pub(crate) fn world() -> (SharedClock, Entropy) {
    (Arc::new(ManualClock::at(example::instant())), Entropy::seeded(1))
}

/// A tenant's program whose key has these scopes and no limit of its own.
pub(crate) fn caller(scopes: &[Scope]) -> Caller {
    let (at, entropy) = (example::instant(), Entropy::seeded(1));
    Caller {
        scope: TenantScope::authenticated(TenantId::new(at, &entropy)),
        key_id: ApiKeyId::new(at, &entropy),
        scopes: scopes.iter().copied().collect(),
        requests_per_second: None,
        via: Via::default(),
    }
}

/// An account that granted to the component of the examples, and has an owner.
pub(crate) fn authorizer() -> Authorizer {
    let (at, entropy) = (example::instant(), Entropy::seeded(1));
    let appid = |text| Appid::parse(text).expect("an appid of the examples");
    let id = ComponentId::new(at, &entropy);
    Authorizer {
        id: AuthorizerId::new(at, &entropy),
        connection: Connection::Component { id, appid: appid(example::COMPONENT_APPID) },
        tenant_id: Some(TenantId::new(at, &entropy)),
        appid: appid(example::AUTHORIZER_APPID),
        state: AuthorizerState::Active,
        generation: 1,
        granted_at: at,
        profile: Profile::default(),
        func_info: vec![],
        refused_at: None,
        released_at: None,
        created_at: at,
        updated_at: at,
    }
}

/// A pending authorization that asks for nothing in particular. Its secret is `canary`.
pub(crate) fn authorization() -> Authorization {
    let (at, entropy) = (example::instant(), Entropy::seeded(1));
    Authorization {
        id: AuthorizationId::new(at, &entropy),
        tenant_id: TenantId::new(at, &entropy),
        component_id: ComponentId::new(at, &entropy),
        account_kind: AccountKind::Any,
        appid: None,
        category_ids: vec![],
        return_url: None,
        reference: None,
        purpose: None,
        link_digest: Digest::of(&[]),
        pre_auth_code: Secret::from("canary"),
        state: AuthorizationState::Pending,
        created_at: at,
        expires_at: at,
    }
}

/// The page of `authorization`, asked for by nobody in particular.
pub(crate) fn page(authorization: Authorization) -> AuthorizationPage {
    AuthorizationPage {
        authorization,
        component_name: String::new(),
        tenant_name: String::new(),
        tenant_logo_url: None,
        authorizer_name: None,
        missing: vec![],
        renewal_url: None,
        is_expired: false,
    }
}
