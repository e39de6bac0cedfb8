//! Who is calling. Who *may* call is the type of a route's parameter: an operation that takes a
//! `TenantAuth<WechatCall>` cannot be reached without that scope, and the documents say so.

use std::{marker::PhantomData, sync::Arc};

use lingpai_model::{
    api_key::Scope,
    caller::{Caller, OperatorCaller, TenantScope},
};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use crate::problem::{Problem, Result};

/// What the door found of the key that a request shows. Only [`crate::door`] lays one into a request;
/// a request without one showed no valid key.
#[derive(Debug)]
pub(crate) enum Entry<C> {
    /// The key is valid, and this is whose it is.
    Of(Arc<C>),
    /// The key is valid, but not from the address that it was shown from.
    Elsewhere,
}

impl<C> Clone for Entry<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Of(caller) => Self::Of(Arc::clone(caller)),
            Self::Elsewhere => Self::Elsewhere,
        }
    }
}

impl<C: Send + Sync + 'static> Entry<C> {
    /// Who makes `request`.
    ///
    /// # Errors
    /// A problem `unauthenticated` or `address_refused`.
    pub(crate) fn caller(request: &Request) -> Result<&Arc<C>> {
        match request.data::<Self>() {
            Some(Self::Of(caller)) => Ok(caller),
            Some(Self::Elsewhere) => Err(Problem::address_refused()),
            None => Err(Problem::unauthenticated()),
        }
    }
}

/// A scope that an operation asks for.
pub(crate) trait Asks: Send + Sync {
    /// Which one; none if any valid key will do.
    const SCOPE: Option<Scope>;
}

macro_rules! asks {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {$(
        $(#[doc = $doc])+
        pub(crate) enum $name {}

        impl Asks for $name {
            const SCOPE: Option<Scope> = Some(Scope::$name);
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
    /// Asks for `event:read`.
    EventRead;
    /// Asks for `endpoint:write`.
    EndpointWrite;
    /// Asks for `event:erase`.
    EventErase;
    /// Asks for `usage:read`.
    UsageRead;
    /// Asks for `audit:read`.
    AuditRead;
    /// Asks for `file:write`.
    FileWrite;
    /// Asks for `quota:clear`.
    QuotaClear;
}

/// Asks for no scope: any valid key will do.
pub(crate) enum NoScope {}

impl Asks for NoScope {
    const SCOPE: Option<Scope> = None;
}

/// A tenant's program that showed a valid key with the scope `S`.
pub(crate) struct TenantAuth<S> {
    caller: Arc<Caller>,
    asks: PhantomData<S>,
}

/// An operator that showed a valid key.
pub(crate) struct OperatorAuth {
    caller: Arc<OperatorCaller>,
}

impl<S: Asks> TenantAuth<S> {
    const SCHEME: &'static str = "TenantKey";

    /// The caller of `request`, if its key has the scope.
    ///
    /// # Errors
    /// A problem `unauthenticated`, `address_refused` or `scope_missing`.
    pub(crate) fn of(request: &Request) -> Result<Self> {
        let caller = Entry::<Caller>::caller(request)?;
        if let Some(scope) = S::SCOPE.filter(|scope| !caller.may(*scope)) {
            return Err(Problem::scope_missing(scope));
        }
        Ok(Self { caller: Arc::clone(caller), asks: PhantomData })
    }

    /// Who is calling.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The rows that the caller may reach.
    pub(crate) fn scope(&self) -> &TenantScope {
        &self.caller.scope
    }
}

impl OperatorAuth {
    const SCHEME: &'static str = "OperatorKey";

    fn of(request: &Request) -> Result<Self> {
        let caller = Arc::clone(Entry::<OperatorCaller>::caller(request)?);
        Ok(Self { caller })
    }

    /// Who is calling.
    pub(crate) fn caller(&self) -> &OperatorCaller {
        &self.caller
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
        Ok(Self::of(request)?)
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
        Ok(Self::of(request)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{problem::Code, sample};

    fn request(entry: Option<Entry<Caller>>) -> Request {
        let mut request = Request::builder().finish();
        if let Some(entry) = entry {
            request.extensions_mut().insert(entry);
        }
        request
    }

    fn refused<S: Asks>(entry: Option<Entry<Caller>>) -> Option<Code> {
        TenantAuth::<S>::of(&request(entry)).err().map(|problem| problem.code())
    }

    fn entry(scopes: &[Scope]) -> Entry<Caller> {
        Entry::Of(Arc::new(sample::caller(scopes)))
    }

    #[test]
    fn only_whom_the_door_let_in_with_the_scope_is_served() {
        assert_eq!(refused::<TokenRead>(None), Some(Code::Unauthenticated));
        assert_eq!(refused::<TokenRead>(Some(Entry::Elsewhere)), Some(Code::AddressRefused));
        let other = entry(&[Scope::WechatCall, Scope::AuthorizerRead]);
        assert_eq!(refused::<TokenRead>(Some(other)), Some(Code::ScopeMissing));
        assert_eq!(refused::<TokenRead>(Some(entry(&[Scope::TokenRead]))), None);
    }

    #[test]
    fn a_tenants_key_is_no_operators() {
        let request = request(Some(entry(&Scope::ALL)));
        let problem = OperatorAuth::of(&request).err().expect("no operator");
        assert_eq!(problem.code(), Code::Unauthenticated);
    }
}
