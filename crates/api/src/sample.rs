//! Records for the tests of this crate.

use std::sync::Arc;

use lingpai_authorizer::AuthorizationPage;
use lingpai_model::{
    Secret,
    authorization::{AccountKind, Authorization, AuthorizationState},
    clock::{Entropy, ManualClock, SharedClock},
    digest::Digest,
    id::{AuthorizationId, ComponentId, TenantId},
};

use crate::example;

/// The time and the chance that tests have.
pub(crate) fn world() -> (SharedClock, Entropy) {
    (Arc::new(ManualClock::at(example::instant())), Entropy::seeded(1))
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
        authorizer_name: None,
        is_expired: false,
    }
}
