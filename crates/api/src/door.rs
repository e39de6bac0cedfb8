//! The doors of the two APIs: who stands before one shows a key, once for each request.
//!
//! A door turns nobody away for want of a key. The request goes on without a caller, so that what
//! is not served stays *not found*, and the operations, which ask for a caller by the types of their
//! parameters, answer 401. It goes on without its body too: nobody reads kilobytes for a stranger.

use std::sync::Arc;

use lingpai_model::caller::{Caller, Via};
use lingpai_tenant::{ApiKeys, Error, Limits, Operators};
use poem::{
    Body, Endpoint, IntoEndpoint, IntoResponse, Request, Response,
    http::{Method, header::AUTHORIZATION},
};
use tracing::Span;

use crate::{
    auth::Entry,
    middleware::{Pool, RateHeaders, TrustedProxies},
    problem::{Problem, Result},
    tenant::is_for_fan,
};

/// Verifies keys, a number of them at the same time: a flood of keys that nobody made must not queue
/// up before the database.
#[derive(Debug, Clone)]
pub(crate) struct Doorman {
    pool: Pool,
    proxies: TrustedProxies,
}

impl Doorman {
    /// One who verifies as many keys at the same time as `pool` has seats.
    pub(crate) fn new(pool: Pool, proxies: TrustedProxies) -> Self {
        Self { pool, proxies }
    }

    /// On which way `request` came.
    pub(crate) fn via(&self, request: &Request) -> Via {
        self.proxies.via(request)
    }

    /// What `verifying` finds.
    ///
    /// # Errors
    /// A problem `overloaded`.
    pub(crate) async fn verify<T>(&self, verifying: impl Future<Output = T>) -> Result<T> {
        let _seat = self.pool.seat_soon().await?;
        Ok(verifying.await)
    }
}

/// The door of the tenant API: knows the caller, holds it to its limits, and tells it how much it may
/// still ask.
pub(crate) struct TenantDoor<E> {
    inner: E,
    keys: ApiKeys,
    limits: Limits,
    doorman: Doorman,
    purpose: Purpose,
}

/// What stands behind a tenant's door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Operations of ours: those that may change something are counted as such, but for what is done
    /// for fans.
    Ours,
    /// WeChat's, which counts for itself what each account may do.
    WeChats,
}

impl<E: Endpoint> TenantDoor<E> {
    /// The door before operations of our own.
    pub(crate) fn new(
        inner: impl IntoEndpoint<Endpoint = E>,
        keys: ApiKeys,
        limits: Limits,
        doorman: Doorman,
    ) -> Self {
        Self { inner: inner.into_endpoint(), keys, limits, doorman, purpose: Purpose::Ours }
    }

    /// This door before what is passed on to WeChat.
    pub(crate) fn before_wechat(self) -> Self {
        Self { purpose: Purpose::WeChats, ..self }
    }

    /// Lets a request of `caller` go on that may change something.
    ///
    /// # Errors
    /// A problem `rate_limited`.
    fn admit_change(&self, request: &Request, caller: &Caller) -> Result<()> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_free = self.purpose == Purpose::WeChats || is_for_fan(request.uri().path());
        if is_read || is_free {
            return Ok(());
        }
        Ok(self.limits.admit_change(caller)?)
    }

    async fn answer(&self, request: Request) -> poem::Result<Response> {
        Ok(self.inner.call(request).await?.into_response())
    }
}

impl<E: Endpoint> Endpoint for TenantDoor<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let Some(key) = shown_key(&request) else {
            return self.answer(without_body(request)).await;
        };
        let verifying = self.keys.authenticate(key, self.doorman.via(&request));
        let entry = entry_of(self.doorman.verify(verifying).await?)?;
        let Some(Entry::Of(caller)) = entry else {
            return self.answer(without_body(lay(request, entry))).await;
        };
        Span::current().record("tenant.id", caller.scope.tenant_id().as_str());
        let admission = self.limits.admit(&caller).await.map_err(Problem::from)?;
        let rate = admission.rate.as_ref().map(RateHeaders::of);
        let admitted = self.admit_change(&request, &caller);
        request = lay(request, Some(Entry::Of(caller)));
        // The tenant's seat is given back when the head of the answer is there: what streams on
        // after it is the connection's.
        let answered = match admitted {
            Ok(()) => self.answer(request).await,
            Err(problem) => Err(problem.into()),
        };
        drop(admission);
        match (answered, rate) {
            (Ok(mut answer), Some(rate)) => {
                rate.write(answer.headers_mut());
                Ok(answer)
            }
            (Err(mut error), Some(rate)) => {
                error.set_data(rate);
                Err(error)
            }
            (answered, None) => answered,
        }
    }
}

/// The door of the admin API. Operators have no limits.
pub(crate) struct OperatorDoor<E> {
    inner: E,
    operators: Operators,
    doorman: Doorman,
}

impl<E: Endpoint> OperatorDoor<E> {
    pub(crate) fn new(
        inner: impl IntoEndpoint<Endpoint = E>,
        operators: Operators,
        doorman: Doorman,
    ) -> Self {
        Self { inner: inner.into_endpoint(), operators, doorman }
    }

    async fn entered(&self, request: Request) -> Result<Request> {
        let Some(key) = shown_key(&request) else { return Ok(without_body(request)) };
        let verifying = self.operators.authenticate(key, self.doorman.via(&request));
        let entry = entry_of(self.doorman.verify(verifying).await?)?;
        let Some(Entry::Of(caller)) = &entry else {
            return Ok(without_body(lay(request, entry)));
        };
        Span::current().record("operator.id", caller.id.as_str());
        Ok(lay(request, entry))
    }
}

impl<E: Endpoint> Endpoint for OperatorDoor<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let request = self.entered(request).await?;
        Ok(self.inner.call(request).await?.into_response())
    }
}

/// What the finding of an authentication is to the operations behind the door.
fn entry_of<C>(found: lingpai_tenant::Result<C>) -> Result<Option<Entry<C>>> {
    match found {
        Ok(caller) => Ok(Some(Entry::Of(Arc::new(caller)))),
        Err(Error::Unauthenticated) => Ok(None),
        Err(Error::AddressRefused) => Ok(Some(Entry::Elsewhere)),
        Err(error) => Err(error.into()),
    }
}

fn lay<C: Send + Sync + 'static>(mut request: Request, entry: Option<Entry<C>>) -> Request {
    if let Some(entry) = entry {
        request.extensions_mut().insert(entry);
    }
    request
}

fn without_body(mut request: Request) -> Request {
    request.set_body(Body::empty());
    request
}

/// The key in `Authorization: Bearer …`.
pub(crate) fn shown_key(request: &Request) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, num::NonZeroU32};

    use lingpai_model::{
        api_key::Scopes, audit::Act, caller::OperatorCaller, network::Network, tenant::TenantLimits,
    };
    use lingpai_storage::testing::TestDb;
    use lingpai_tenant::{LimitDefaults, NewApiKey, NewTenant, Tenants};
    use poem::{
        PathPattern, RequestParts, Route,
        endpoint::make,
        http::{StatusCode, uri::Scheme},
        web::{LocalAddr, RemoteAddr},
    };

    use super::*;
    use crate::{
        auth::{TenantAuth, WechatCall},
        middleware::Observed,
        sample,
    };

    /// A tenant with a key, an operator, and what stands behind both doors.
    struct House {
        _db: TestDb,
        api_keys: ApiKeys,
        operators: Operators,
        limits: Limits,
        key: String,
        operator_key: String,
    }

    impl House {
        async fn with(change: impl FnOnce(&mut NewApiKey)) -> Self {
            let (clock, entropy) = sample::world();
            let test_db = TestDb::sqlite().await;
            let db = test_db.db.clone();
            let api_keys = ApiKeys::new(db.clone(), clock.clone(), entropy.clone());
            let operators = Operators::new(db.clone(), clock.clone(), entropy.clone());
            let tenants = Tenants::new(db.clone(), clock, entropy);
            let (_, text) = operators.create(&Act::of_lingpai(), "me".into()).await.unwrap();
            let operator_key = text.into_text().expose().clone();
            let by = operators.authenticate(&operator_key, Via::default()).await.unwrap();
            let new =
                NewTenant { name: "shop".into(), logo_url: None, limits: TenantLimits::default() };
            let tenant = tenants.create(&by, new).await.unwrap();
            let mut new = NewApiKey {
                name: "backend".into(),
                scopes: Scopes::all(),
                expires_at: None,
                networks: vec![],
                requests_per_second: None,
            };
            change(&mut new);
            let (_, text) = api_keys.create(&by, &tenant.id, new).await.unwrap();
            let key = text.into_text().expose().clone();
            let defaults = LimitDefaults {
                requests_per_second: NonZeroU32::new(2),
                concurrent_requests: 1,
                changes_per_minute: NonZeroU32::MIN,
            };
            let limits = Limits::new(db, defaults);
            Self { _db: test_db, api_keys, operators, limits, key, operator_key }
        }

        async fn new() -> Self {
            Self::with(|_| ()).await
        }

        /// `inner` behind the tenants' door, as clients meet it.
        fn tenants(&self, inner: impl Endpoint + 'static) -> impl Endpoint<Output = Response> {
            let proxies = TrustedProxies::of(&[Network::parse("127.0.0.0/8").unwrap()]);
            let doorman = Doorman::new(Pool::of(1), proxies);
            let (keys, limits) = (self.api_keys.clone(), self.limits.clone());
            let route = Route::new().at("/known", inner);
            Observed::new(TenantDoor::new(route, keys, limits, doorman), sample::world())
        }

        /// `inner` behind the operators' door, as clients meet it.
        fn operators(&self, inner: impl Endpoint + 'static) -> impl Endpoint<Output = Response> {
            let doorman = Doorman::new(Pool::of(1), TrustedProxies::of(&[]));
            let route = Route::new().at("/known", inner);
            Observed::new(
                OperatorDoor::new(route, self.operators.clone(), doorman),
                sample::world(),
            )
        }
    }

    /// Tells whom the door let in, and how much of the body it let through.
    fn asks_tenant() -> impl Endpoint<Output = String> {
        make(|mut request: Request| async move {
            let body = request.take_body().into_bytes_limit(100).await.unwrap();
            let auth = TenantAuth::<WechatCall>::of(&request).map_err(poem::Error::from);
            auth.map(|auth| format!("{:?} {}", auth.caller().via.peer, body.len()))
        })
    }

    async fn call(
        house: &impl Endpoint<Output = Response>,
        path: &'static str,
        key: Option<&str>,
    ) -> Response {
        call_from(house, path, key, ("192.0.2.1:4711", None)).await
    }

    async fn call_from(
        house: &impl Endpoint<Output = Response>,
        path: &'static str,
        key: Option<&str>,
        (socket, forwarded): (&str, Option<&str>),
    ) -> Response {
        let mut request = poem::http::Request::builder().uri(path);
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(forwarded) = forwarded {
            request = request.header("X-Forwarded-For", forwarded);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let socket = RemoteAddr(socket.parse::<SocketAddr>().unwrap().into());
        let head = RequestParts::from((head, LocalAddr::default(), socket, Scheme::HTTP));
        house.get_response(Request::from_parts(head, "body".into())).await
    }

    async fn text(answer: Response) -> String {
        let body = answer.into_body().into_bytes_limit(1 << 16).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_valid_key_is_let_in_with_its_body_and_told_its_rate() {
        let house = House::new().await;
        let answer = call(&house.tenants(asks_tenant()), "/known", Some(&house.key)).await;
        assert_eq!(answer.header("ratelimit-policy"), Some("\"tenant\";q=4;w=2"));
        let left = answer.header("ratelimit").unwrap().to_owned();
        assert!(left.starts_with("\"tenant\";r=3;t="), "{left}");
        assert_eq!(text(answer).await, "Some(192.0.2.1) 4");
    }

    #[tokio::test]
    async fn a_stranger_learns_what_is_served_and_nobody_reads_its_body() {
        let house = House::new().await;
        let reads = make(|mut request: Request| async move {
            let body = request.take_body().into_bytes_limit(100).await.unwrap();
            Ok::<_, poem::Error>(body.len().to_string())
        });
        let mistyped = format!("{}x", house.key);
        for key in [None, Some(mistyped.as_str()), Some(house.operator_key.as_str())] {
            let door = house.tenants(asks_tenant());
            assert_eq!(call(&door, "/known", key).await.status(), StatusCode::UNAUTHORIZED);
            let unknown = call(&door, "/unknown", key).await;
            assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
            assert!(unknown.header("ratelimit").is_none());
        }
        assert_eq!(text(call(&house.tenants(reads), "/known", None).await).await, "0");
    }

    #[tokio::test]
    async fn a_key_is_good_from_its_own_networks_only_and_only_our_proxies_say_from_where() {
        let near =
            |new: &mut NewApiKey| new.networks = vec![Network::parse("192.0.2.0/24").unwrap()];
        let house = House::with(near).await;
        let door = house.tenants(asks_tenant());
        for (socket, forwarded, status) in [
            ("192.0.2.9:1", None, StatusCode::OK),
            ("127.0.0.1:1", Some("198.51.100.1, 192.0.2.9"), StatusCode::OK),
            ("198.51.100.1:1", None, StatusCode::FORBIDDEN),
            ("198.51.100.1:1", Some("192.0.2.9"), StatusCode::FORBIDDEN),
            ("127.0.0.1:1", Some("192.0.2.9, 198.51.100.1"), StatusCode::FORBIDDEN),
            ("127.0.0.1:1", Some("unknown"), StatusCode::FORBIDDEN),
        ] {
            let answer = call_from(&door, "/known", Some(&house.key), (socket, forwarded)).await;
            assert_eq!(answer.status(), status, "{socket} {forwarded:?}");
            if status == StatusCode::FORBIDDEN {
                assert!(text(answer).await.contains("address_refused"));
            }
        }
    }

    #[tokio::test]
    async fn who_is_too_fast_is_told_when_to_come_again() {
        let house = House::with(|new| new.requests_per_second = Some(1)).await;
        let door = house.tenants(asks_tenant());
        let mut refused = None;
        for _ in 0..10 {
            let answer = call(&door, "/known", Some(&house.key)).await;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("ten at once are more than one a second");
        assert!(refused.header("retry-after").is_some());
        assert_eq!(refused.header("ratelimit-policy"), Some("\"tenant\";q=2;w=2"));
        assert!(refused.header("ratelimit").unwrap().starts_with("\"tenant\";r=0;t="));
        assert!(text(refused).await.contains("\"rate_limited\""));
    }

    #[tokio::test]
    async fn what_is_done_for_fans_is_no_change_however_often_they_come() {
        let house = House::new().await;
        let door = house.tenants(asks_tenant());
        let post = async |path: &'static str| {
            let key = format!("Bearer {}", house.key);
            let request = Request::builder().method(Method::POST).uri_str(path);
            door.get_response(request.header(AUTHORIZATION, key).finish()).await
        };
        assert_eq!(post("/known").await.status(), StatusCode::OK);
        let refused = post("/known").await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "one change a minute");
        // Nothing is served there in this house, but they are let through.
        for path in ["/oauth/exchange", "/authorizers/wx1/js-sdk-config"] {
            assert_eq!(post(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn the_seat_is_given_back_with_the_head_of_the_answer_also_of_a_refusal() {
        let house = House::new().await;
        let fails = make(|_| async { Err::<Response, poem::Error>(Problem::overloaded().into()) });
        let door = house.tenants(fails);
        for _ in 0..2 {
            let answer = call(&door, "/known", Some(&house.key)).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.header("ratelimit").is_some(), "told with problems too");
            assert_eq!(answer.data::<PathPattern>().map(|it| it.0.as_ref()), Some("/known"));
        }
    }

    #[tokio::test]
    async fn the_operators_door_knows_operators_only() {
        let house = House::new().await;
        let asks = make(|request: Request| async move {
            let caller = Entry::<OperatorCaller>::caller(&request).map_err(poem::Error::from);
            caller.map(|caller| format!("{:?}", caller.via.peer))
        });
        let door = house.operators(asks);
        let answer = call(&door, "/known", Some(&house.operator_key)).await;
        assert_eq!(text(answer).await, "Some(192.0.2.1)");
        for key in [None, Some(house.key.as_str())] {
            assert_eq!(call(&door, "/known", key).await.status(), StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn only_a_bearer_key_is_a_key() {
        let shown = |header: &str| {
            let request = Request::builder().header(AUTHORIZATION, header).finish();
            shown_key(&request).map(str::to_owned)
        };
        assert_eq!(shown("Bearer lpk_1").as_deref(), Some("lpk_1"));
        assert_eq!(shown("bearer  lpk_1 ").as_deref(), Some("lpk_1"));
        for header in ["", "lpk_1", "Basic lpk_1", "Bearer"] {
            assert_eq!(shown(header), None, "{header:?}");
        }
        assert_eq!(shown_key(&Request::builder().finish()), None);
    }
}
