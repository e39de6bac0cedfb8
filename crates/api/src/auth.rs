//! Who is calling. Who *may* call is the type of a route's parameter: an operation that takes a
//! `TenantAuth<WechatCall>` cannot be reached without that scope, and the documents say so.

use std::marker::PhantomData;

use lingpai_model::{
    api_key::Scope,
    caller::{Caller, TenantScope},
};
use lingpai_tenant::{ApiKeys, Operators};
use poem::{Request, RequestBody, http::header::AUTHORIZATION};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use tracing::Span;

use crate::problem::{Problem, Result};

/// A scope that an operation asks for.
pub(crate) trait Asks: Send + Sync {
    /// Which one.
    const SCOPE: Scope;
}

macro_rules! asks {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {$(
        $(#[doc = $doc])+
        pub(crate) enum $name {}

        impl Asks for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+};
}

asks! {
    /// Asks for `authorizer:read`.
    AuthorizerRead;
    /// Asks for `authorizer:write`.
    AuthorizerWrite;
    /// Asks for `token:read`.
    TokenRead;
    /// Asks for `wechat:call`.
    WechatCall;
}

/// A tenant's program that showed a valid key with the scope `S`.
pub(crate) struct TenantAuth<S> {
    caller: Caller,
    asks: PhantomData<S>,
}

/// An operator that showed a valid key.
pub(crate) struct OperatorAuth;

impl<S: Asks> TenantAuth<S> {
    const SCHEME: &'static str = "TenantKey";

    /// The rows that the caller may reach.
    pub(crate) fn scope(&self) -> &TenantScope {
        &self.caller.scope
    }

    /// Verifies the key that `request` shows, then its scope.
    ///
    /// # Errors
    /// A problem `unauthenticated` or `scope_missing`.
    pub(crate) async fn of(request: &Request) -> Result<Self> {
        let keys = request.data::<ApiKeys>().expect("routes() provides the keys of tenants");
        let caller = keys.authenticate(shown_key(request)?).await?;
        Span::current().record("tenant.id", caller.scope.tenant_id().as_str());
        if !caller.may(S::SCOPE) {
            return Err(Problem::scope_missing(S::SCOPE));
        }
        Ok(Self { caller, asks: PhantomData })
    }
}

impl OperatorAuth {
    const SCHEME: &'static str = "OperatorKey";

    /// Verifies the key that `request` shows.
    async fn of(request: &Request) -> Result<Self> {
        let operators = request.data::<Operators>().expect("routes() provides the operators");
        let caller = operators.authenticate(shown_key(request)?).await?;
        Span::current().record("operator.id", caller.id.as_str());
        Ok(Self)
    }
}

/// The key in `Authorization: Bearer …`.
fn shown_key(request: &Request) -> Result<&str> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, key) =
        header.and_then(|text| text.split_once(' ')).ok_or_else(Problem::unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(key.trim())
    } else {
        Err(Problem::unauthenticated())
    }
}

fn bearer(description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

// By hand, not derived: the derived extractor answers a missing key in plain text, and knows no
// scopes.
impl<'a, S: Asks> ApiExtractor<'a> for TenantAuth<S> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = bearer("A tenant's API key, `lpk_…`. What it may do is told by its scopes.");
        registry.create_security_scheme(Self::SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![Self::SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::of(request).await?)
    }
}

impl<'a> ApiExtractor<'a> for OperatorAuth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = bearer("An operator's key, `lpo_…`, from `lingpai operator-key create`.");
        registry.create_security_scheme(Self::SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![Self::SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::of(request).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn shown(header: &str) -> std::result::Result<String, Code> {
        let request = Request::builder().header(AUTHORIZATION, header).finish();
        shown_key(&request).map(str::to_owned).map_err(|problem| problem.code())
    }

    #[test]
    fn only_a_bearer_key_is_a_key() {
        assert_eq!(shown("Bearer lpk_1"), Ok("lpk_1".into()));
        assert_eq!(shown("bearer  lpk_1 "), Ok("lpk_1".into()));
        for header in ["", "lpk_1", "Basic lpk_1", "Bearer"] {
            assert_eq!(shown(header), Err(Code::Unauthenticated), "{header:?}");
        }
        let bare = Request::builder().finish();
        assert_eq!(shown_key(&bare).unwrap_err().code(), Code::Unauthenticated);
    }
}
