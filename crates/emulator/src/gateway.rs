//! The way of an API call: read it, know the caller, plan faults, have the effect, answer.
//!
//! HTTP status is 200 for refusals as well. The effect comes before any wait: a caller who gives
//! up during a latency or a hold has still caused it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::web::Data;
use poem::{Body, Request, Response, handler};
use serde_json::Value;

use crate::authorizer_api::echo;
use crate::faults::{Ending, Plan};
use crate::ledger::{Seen, TokenKind};
use crate::refusal::{self, Refusal};
use crate::serve;
use crate::state::Platform;
use crate::state::tokens::Holder;
use crate::world::World;
use crate::{authorizer_api, mini_program, open_platform, own_secret, web_oauth};

/// The largest body that is read whole, unless a file is in it.
const BODY_BYTES: usize = 12 * 1024 * 1024;

/// What an upload may have beside its file.
const FORM_BYTES: usize = 2 * 1024 * 1024;

/// The headers of signed calls begin like this.
///
/// Source: WeChat docs, "API signature" (服务端API签名): `Wechatmp-Appid`, `Wechatmp-TimeStamp`,
/// `Wechatmp-Signature` in both directions, and `Wechatmp-Serial` in answers.
const SIGNATURE_PREFIX: &str = "wechatmp-";

/// An API call as it arrived.
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ApiBody,
    /// The body as JSON, or null.
    pub(crate) json: Value,
}

/// What arrived as body.
pub(crate) enum ApiBody {
    Whole(Bytes),
    /// Only counted and hashed, so that it may be of any size.
    Digest(echo::BodyDigest),
}

/// An answer other than a refusal.
pub(crate) enum Answer {
    Json(Value),
    File {
        content_type: String,
        filename: String,
        bytes: Bytes,
    },
    /// A JPEG without a file name.
    Picture(Bytes),
    Zeros(u64),
    Status(StatusCode),
}

/// One served path.
pub(crate) struct ApiRoute {
    pub(crate) verb: Verb,
    pub(crate) needs: Needs,
    /// One of these sets must be granted; none named: no check.
    pub(crate) sets: &'static [u32],
    pub(crate) answer: Handler,
}

/// Does the work. The last argument is the appid of the token's account.
pub(crate) type Handler = fn(&Arc<World>, &ApiRequest, &str) -> Result<Answer, Refusal>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Either,
}

/// Which token a path needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// No token: a call that the account makes for itself, without a platform.
    Own,
    Component,
    Account,
    Any,
}

impl ApiRequest {
    /// A query value by name, or the empty text.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A text field of the JSON body, or the empty text.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.json.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The token of the query; both names are accepted for component calls.
    pub(crate) fn token(&self) -> &str {
        match self.query("access_token") {
            "" => self.query("component_access_token"),
            token => token,
        }
    }

    /// The body; empty on the paths that only digest it.
    pub(crate) fn whole_body(&self) -> Bytes {
        match &self.body {
            ApiBody::Whole(bytes) => bytes.clone(),
            ApiBody::Digest(_) => Bytes::new(),
        }
    }

    async fn read(world: &World, request: &Request, body: Body) -> Result<Self, StatusCode> {
        let path = request.uri().path().to_owned();
        let body = if path == echo::PATH {
            ApiBody::Digest(echo::digest(body).await.map_err(|_| StatusCode::BAD_REQUEST)?)
        } else {
            let bytes = body.into_bytes_limit(largest_body(world, &path)).await;
            ApiBody::Whole(bytes.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?)
        };
        let json = match &body {
            ApiBody::Whole(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
            ApiBody::Digest(_) => Value::Null,
        };
        let raw_query = request.uri().query().unwrap_or_default().to_owned();
        let query = url::form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect();
        Ok(Self {
            method: request.method().clone(),
            path,
            raw_query,
            query,
            headers: request.headers().clone(),
            body,
            json,
        })
    }

    fn is_chunked(&self) -> bool {
        self.headers.contains_key(header::TRANSFER_ENCODING)
    }

    fn is_empty(&self) -> bool {
        match &self.body {
            ApiBody::Whole(bytes) => bytes.is_empty(),
            ApiBody::Digest(digest) => digest.bytes == 0,
        }
    }
}

/// Answers every path that is no page.
#[handler]
pub(crate) async fn call(
    request: &Request,
    body: Body,
    Data(world): Data<&Arc<World>>,
) -> Response {
    let request = match ApiRequest::read(world, request, body).await {
        Ok(request) => request,
        Err(status) => return Response::from(status),
    };
    let caller = caller(world, &request);
    let flight = world.ledger.begin(&request.path, &caller.appid);
    let plan = world.faults.plan(&request.path, &caller.appid);
    let result = match &plan.errcode {
        Some((errcode, errmsg)) => {
            let mut refusal = Refusal::new(*errcode);
            if let Some(errmsg) = errmsg {
                refusal.errmsg.clone_from(errmsg);
            }
            Err(refusal)
        }
        None => effect(world, &request, &caller),
    };
    let errcode = result.as_ref().err().map_or(0, |refusal| refusal.errcode);
    tracing::debug!(path = %request.path, appid = %caller.appid, errcode, "called");
    flight.record(Seen {
        at_ms: world.now(),
        method: request.method.clone(),
        token: caller.token,
        errcode,
        faults: plan.names(),
    });
    world.changed();
    let mut response = finish(world, &request.path, plan, result).await;
    return_signature(&request.headers, response.headers_mut());
    drop(flight);
    world.changed();
    response
}

/// The route of any path that is served.
pub(crate) fn route(path: &str) -> Option<ApiRoute> {
    open_platform::route(path)
        .or_else(|| own_secret::route(path))
        .or_else(|| web_oauth::route(path))
        .or_else(|| mini_program::route(path))
        .or_else(|| authorizer_api::route(path))
}

fn largest_body(world: &World, path: &str) -> usize {
    if !authorizer_api::takes_files(path) {
        return BODY_BYTES;
    }
    let file = usize::try_from(world.switches().largest_media_bytes).unwrap_or(usize::MAX);
    file.saturating_add(FORM_BYTES)
}

/// What a signed call is answered with: its own headers, and whose key it was.
fn return_signature(sent: &HeaderMap, answer: &mut HeaderMap) {
    let is_ours = |name: &HeaderName| name.as_str().starts_with(SIGNATURE_PREFIX);
    for (name, value) in sent.iter().filter(|(name, _)| is_ours(name)) {
        answer.append(name, value.clone());
        answer.insert("wechatmp-serial", HeaderValue::from_static("emulated"));
    }
}

/// Whose call it is, and with which kind of token.
struct Caller {
    token: TokenKind,
    /// Empty when nobody known is named.
    appid: String,
}

/// The account that the call names, else the token's, else the component.
fn caller(world: &World, request: &ApiRequest) -> Caller {
    let platform = world.platform();
    let (token, holder) = match platform.tokens.holder_of(request.token()) {
        None => match platform.web.account_of(request.token()) {
            None => (TokenKind::None, ""),
            Some(appid) => (TokenKind::Web, appid),
        },
        Some(Holder::Component) => (TokenKind::Component, platform.component.appid.as_str()),
        Some(Holder::Account(appid)) => (TokenKind::Authorizer, appid.as_str()),
        Some(Holder::Ordinary(appid) | Holder::Stable(appid)) => {
            (TokenKind::Ordinary, appid.as_str())
        }
    };
    let named = [
        request.field("authorizer_appid"),
        own_secret::named_account(request),
        web_oauth::named_account(request),
    ];
    if let Some(named) = named.into_iter().find(|named| platform.accounts.contains_key(*named)) {
        return Caller { token, appid: named.to_owned() };
    }
    let own = request.field("component_appid") == platform.component.appid;
    let appid = if holder.is_empty() && own { &platform.component.appid } else { holder };
    Caller { token, appid: appid.to_owned() }
}

fn effect(world: &Arc<World>, request: &ApiRequest, caller: &Caller) -> Result<Answer, Refusal> {
    let route = route(&request.path).ok_or_else(|| Refusal::new(refusal::WRONG_URL))?;
    // Assumed (#2): WeChat's front answers HTTP 412 to chunked request bodies, before any API.
    if request.is_chunked() {
        return Ok(Answer::Status(StatusCode::PRECONDITION_FAILED));
    }
    match (route.verb, &request.method) {
        (Verb::Get, method) if method != Method::GET => {
            return Err(Refusal::new(refusal::GET_REQUIRED));
        }
        (Verb::Post, method) if method != Method::POST => {
            return Err(Refusal::new(refusal::POST_REQUIRED));
        }
        _ => {}
    }
    if route.verb == Verb::Post && request.is_empty() {
        return Err(Refusal::new(refusal::EMPTY_POST));
    }
    if world.switches().ip_refused {
        // Two white lists: the platform's, and the account's own.
        let own = route.needs == Needs::Own || caller.token == TokenKind::Ordinary;
        return Err(Refusal::new(if own { refusal::OWN_IP_REFUSED } else { refusal::IP_REFUSED }));
    }
    let appid = admit(world, request, &route, caller)?;
    (route.answer)(world, request, &appid)
}

/// Checks token, permission sets and quotas; gives the appid of the account that calls, or the
/// empty text for the component.
fn admit(
    world: &World,
    request: &ApiRequest,
    route: &ApiRoute,
    caller: &Caller,
) -> Result<String, Refusal> {
    let now = world.now();
    let mut platform = world.platform();
    let appid = match route.needs {
        Needs::Nothing => String::new(),
        Needs::Own => caller.appid.clone(),
        Needs::Component | Needs::Account | Needs::Any => holder(&platform, request, route, now)?,
    };
    platform.quota.spend(&request.path, &appid, now)?;
    Ok(appid)
}

/// The account whose token this is, or the empty text for the component's.
fn holder(
    platform: &Platform,
    request: &ApiRequest,
    route: &ApiRoute,
    now: i64,
) -> Result<String, Refusal> {
    let token = request.token();
    if token.is_empty() {
        return Err(Refusal::new(refusal::TOKEN_MISSING));
    }
    match platform.tokens.check(token, now)? {
        Holder::Component if route.needs == Needs::Account => {
            Err(Refusal::new(refusal::ACCOUNT_TOKEN_REQUIRED))
        }
        Holder::Component => Ok(String::new()),
        Holder::Account(_) | Holder::Ordinary(_) | Holder::Stable(_)
            if route.needs == Needs::Component =>
        {
            Err(Refusal::new(refusal::NOT_GRANTED))
        }
        // Its own developer needs nobody's grant.
        Holder::Ordinary(appid) | Holder::Stable(appid) => Ok(appid.clone()),
        Holder::Account(appid) => {
            let (_, grant) = platform.standing(appid)?;
            let granted =
                route.sets.is_empty() || route.sets.iter().any(|set| grant.sets.contains(set));
            if granted { Ok(appid.clone()) } else { Err(Refusal::new(refusal::SET_NOT_GRANTED)) }
        }
    }
}

async fn finish(
    world: &World,
    path: &str,
    plan: Plan,
    result: Result<Answer, Refusal>,
) -> Response {
    if plan.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.latency_ms)).await;
    }
    if plan.hold {
        let released = world.faults.hold(path);
        world.changed();
        // An error means the emulator is going away; then the answer does not matter.
        let _ = released.await;
    }
    match plan.ending {
        Ending::Answer => {
            let answer = result.unwrap_or_else(|refusal| Answer::Json(refusal.to_json()));
            answer.into_response(world, path)
        }
        Ending::Cut => serve::cut(),
        Ending::Empty => Response::from(StatusCode::INTERNAL_SERVER_ERROR),
        Ending::Other { status, content_type, body } => Response::builder()
            .status(StatusCode::from_u16(status).unwrap_or(StatusCode::OK))
            .content_type(content_type)
            .body(body),
    }
}

impl Answer {
    fn into_response(self, world: &World, path: &str) -> Response {
        match self {
            Self::Json(value) => {
                let text_plain = path.starts_with(web_oauth::PREFIX) || world.switches().text_plain;
                let kind =
                    if text_plain { "text/plain" } else { "application/json; charset=UTF-8" };
                Response::builder().content_type(kind).body(value.to_string())
            }
            Self::File { content_type, filename, bytes } => Response::builder()
                .content_type(content_type)
                .header("Content-disposition", format!("attachment; filename=\"{filename}\""))
                .body(bytes),
            Self::Picture(bytes) => Response::builder().content_type("image/jpg").body(bytes),
            Self::Zeros(count) => Response::builder()
                .content_type("application/octet-stream")
                .header(header::CONTENT_LENGTH, count)
                .body(Body::from_bytes_stream(echo::zeros(count))),
            Self::Status(status) => Response::from(status),
        }
    }
}
