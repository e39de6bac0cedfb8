//! Scopes, as they are written in both APIs.

use lingpai_model::api_key::{Scope, Scopes};
use poem_openapi::Enum;

/// What a key may do, written `noun:verb`.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "Scope", remote = "Scope")]
pub(crate) enum ScopeView {
    /// See authorizations and authorizers.
    #[oai(rename = "authorizer:read")]
    AuthorizerRead,
    /// Start authorizations, connect and release authorizers, register redirect URIs.
    #[oai(rename = "authorizer:write")]
    AuthorizerWrite,
    /// Read real access tokens.
    #[oai(rename = "token:read")]
    TokenRead,
    /// Call WeChat through proxy and gateway, and look after fans.
    #[oai(rename = "wechat:call")]
    WechatCall,
    /// Read events and deliveries.
    #[oai(rename = "event:read")]
    EventRead,
    /// Change endpoints and what accounts answer by themselves, replay deliveries, reply to messages.
    #[oai(rename = "endpoint:write")]
    EndpointWrite,
    /// Erase what is kept of fans.
    #[oai(rename = "event:erase")]
    EventErase,
    /// Read the tenant's own figures.
    #[oai(rename = "usage:read")]
    UsageRead,
    /// Read the tenant's own audit trail.
    #[oai(rename = "audit:read")]
    AuditRead,
    /// Keep domain verification files.
    #[oai(rename = "file:write")]
    FileWrite,
    /// Have WeChat count an account's calls anew, which it allows few times a month.
    #[oai(rename = "quota:clear")]
    QuotaClear,
}

/// The scopes of a key, in a fixed order.
pub(crate) fn views(scopes: &Scopes) -> Vec<ScopeView> {
    scopes.iter().map(ScopeView::from).collect()
}

/// The scopes that are named.
pub(crate) fn named(views: Vec<ScopeView>) -> Scopes {
    views.into_iter().map(Scope::from).collect()
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn scopes_are_written_as_the_model_writes_them() {
        for scope in Scope::ALL {
            assert_eq!(ScopeView::from(scope).to_json(), Some(scope.as_str().into()));
        }
        assert_eq!(views(&named(views(&Scopes::all()))).len(), Scope::ALL.len());
    }
}
