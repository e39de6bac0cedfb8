//! Each code once: which error leads to it, and what is told.

mod events;
mod fans;

use std::sync::Arc;

use lingpai_authorizer::{Error as AuthorizerError, JudgedPath};
use lingpai_component_token::Error as ComponentError;
use lingpai_model::{
    Appid,
    api_key::Scope,
    clock::Entropy,
    file::FileName,
    id::{ApiKeyId, AuthorizationId, AuthorizerId, OperatorId, TenantId},
};
use lingpai_tenant::Error as TenantError;
use lingpai_wechat::crypt::CryptError;
use poem::{
    Body, Endpoint, Response, Route, endpoint::make_sync, error::NotFoundError, get,
    http::StatusCode, test::TestClient,
};
use serde_json::Value;

use super::*;
use crate::{
    middleware::{Observed, RequestId},
    sample,
};

fn appid() -> Appid {
    Appid::parse("wx570bc396a51b8ff8").unwrap()
}

fn at() -> Instant {
    chrono::DateTime::UNIX_EPOCH
}

async fn told(problem: impl Into<Problem>) -> (u16, Value) {
    let answer = problem.into().into_answer(&RequestId::draw(&Entropy::seeded(1)), at());
    body_of(answer).await
}

async fn body_of(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    assert_eq!(answer.content_type(), Some("application/problem+json"));
    let bytes = answer.into_body().into_bytes_limit(64 * 1024).await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["errmsg"], body["detail"]);
    assert_eq!(body["type"], format!("urn:lingpai:problem:{}", body["code"].as_str().unwrap()));
    assert!(!body["title"].as_str().unwrap().is_empty());
    assert_eq!(body["request_id"].as_str().unwrap().len(), 32);
    (status, body)
}

async fn assert_told(problem: impl Into<Problem>, code: &str, status: u16, errcode: i64) -> Value {
    let (told_status, body) = told(problem).await;
    assert_eq!(body["code"], code);
    assert_eq!((told_status, &body["errcode"]), (status, &Value::from(errcode)));
    body
}

async fn assert_served(endpoint: impl Endpoint, path: &str, code: &str, status: u16) {
    let client = TestClient::new(Observed::new(endpoint, sample::world()));
    let (told_status, body) = body_of(client.post(path).send().await.0).await;
    assert_eq!((told_status, body["code"].as_str()), (status, Some(code)));
}

#[tokio::test]
async fn unauthenticated() {
    assert_told(TenantError::Unauthenticated, "unauthenticated", 401, 7900001).await;
    let answer =
        Problem::unauthenticated().into_answer(&RequestId::draw(&Entropy::seeded(1)), at());
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"lingpai\""));
}

#[tokio::test]
async fn scope_missing() {
    let problem = Problem::scope_missing(Scope::WechatCall);
    let body = assert_told(problem, "scope_missing", 403, 7900003).await;
    assert!(body["detail"].as_str().unwrap().contains("wechat:call"));
    let beside = AuthorizerError::ScopeMissing { scope: Scope::QuotaClear };
    let body = assert_told(beside, "scope_missing", 403, 7900003).await;
    assert!(body["detail"].as_str().unwrap().contains("quota:clear"));
}

#[tokio::test]
async fn authorizer_not_found() {
    let error = AuthorizerError::AuthorizerNotFound { appid: appid() };
    let shared = AuthorizerError::Shared(Arc::new(error));
    let foreign = assert_told(shared, "authorizer_not_found", 404, 7900004).await;
    let malformed = told(Problem::authorizer_not_found()).await.1;
    assert_eq!(foreign, malformed, "foreign and impossible look alike");
}

#[tokio::test]
async fn component_not_found() {
    let error = AuthorizerError::from(ComponentError::ComponentNotFound { appid: appid() });
    assert_told(error, "component_not_found", 404, 7900005).await;
}

#[tokio::test]
async fn tenant_not_found() {
    let id = TenantId::new(at(), &Entropy::seeded(1));
    let error = TenantError::TenantNotFound { id: id.clone() };
    assert_told(error, "tenant_not_found", 404, 7900006).await;
    let error = AuthorizerError::TenantNotFound { id };
    assert_told(error, "tenant_not_found", 404, 7900006).await;
}

#[tokio::test]
async fn authorization_not_found() {
    let id = AuthorizationId::new(at(), &Entropy::seeded(1));
    let error = AuthorizerError::AuthorizationNotFound { id };
    let one = assert_told(error, "authorization_not_found", 404, 7900007).await;
    let other = assert_told(AuthorizerError::LinkUnknown, "authorization_not_found", 404, 7900007);
    assert_eq!(one, other.await);
}

#[tokio::test]
async fn api_key_not_found() {
    let entropy = Entropy::seeded(1);
    let (tenant_id, id) = (TenantId::new(at(), &entropy), ApiKeyId::new(at(), &entropy));
    let error = TenantError::ApiKeyNotFound { tenant_id, id };
    assert_told(error, "api_key_not_found", 404, 7900008).await;
}

#[tokio::test]
async fn authorizer_revoked() {
    let error = AuthorizerError::Revoked { appid: appid() };
    assert_told(error, "authorizer_revoked", 409, 7900009).await;
}

#[tokio::test]
async fn route_not_found() {
    assert_served(Route::new(), "/nowhere", "route_not_found", 404).await;
    let problem = Problem::of_framework(NotFoundError.into());
    assert_told(problem, "route_not_found", 404, 7900010).await;
}

#[tokio::test]
async fn method_not_allowed() {
    let route = Route::new().at("/", get(make_sync(|_| "only to be read")));
    assert_served(route, "/", "method_not_allowed", 405).await;
    assert_eq!(Code::MethodNotAllowed.errcode(), 7900011);
}

#[tokio::test]
async fn invalid_request() {
    let problem = Problem::invalid_request("the body is no JSON");
    assert_told(problem, "invalid_request", 400, 7900012).await;
}

#[tokio::test]
async fn invalid_field() {
    let error = TenantError::BadRedirectUri { reason: "a redirect URI has at most 512 bytes" };
    let body = assert_told(error, "invalid_field", 422, 7900013).await;
    assert_eq!(body["field"], "uri");
    let body = told(AuthorizerError::ReturnUrlUnregistered).await.1;
    assert_eq!(body["field"], "return_url");
    assert_eq!(told(InvalidPage::Cursor).await.1["field"], "cursor");
    let error = TenantError::BadField { field: "logo_url", reason: "it has no host" };
    assert_eq!(told(error).await.1["field"], "logo_url");
    let error = AuthorizerError::BadEncodingAesKey(CryptError::BadKey);
    let ours = assert_told(error, "invalid_field", 422, 7900013).await;
    assert_eq!(ours["field"], "encoding_aes_key");
    assert_eq!(told(ComponentError::BadEncodingAesKey(CryptError::BadKey)).await.1, ours);
}

#[tokio::test]
async fn body_too_large() {
    assert_told(Problem::body_too_large(10), "body_too_large", 413, 7900014).await;
}

#[tokio::test]
async fn unsupported_media_type() {
    let problem = Problem::unsupported_media_type();
    assert_told(problem, "unsupported_media_type", 415, 7900015).await;
}

#[tokio::test]
async fn body_timeout() {
    assert_told(Problem::body_timeout(), "body_timeout", 408, 7900016).await;
}

#[tokio::test]
async fn overloaded() {
    assert_told(Problem::overloaded(), "overloaded", 503, 7900059).await;
}

#[tokio::test]
async fn component_exists() {
    let error = ComponentError::ComponentExists { appid: appid() };
    assert_told(error, "component_exists", 409, 7900017).await;
}

#[tokio::test]
async fn component_change_under_way() {
    let error = ComponentError::ChangeUnderWay { appid: appid(), until: at() };
    let body = assert_told(error, "component_change_under_way", 409, 7900039).await;
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains(&at().format("%H:%M:%S UTC").to_string()), "{detail}");
}

#[tokio::test]
async fn path_refused() {
    for (path, ways_out) in [
        ("/cgi-bin/component/api_query_auth", ["an interface of the component", "/docs"]),
        ("/cgi-bin/token", ["hands out tokens", "the token is put in"]),
        ("/a//b", ["no segment that is empty", "letter by letter"]),
    ] {
        let error = AuthorizerError::from(JudgedPath::judge(path).unwrap_err());
        let body = assert_told(error, "path_refused", 403, 7900018).await;
        let detail = body["detail"].as_str().unwrap();
        assert!(ways_out.iter().all(|words| detail.contains(words)), "{detail}");
    }
}

#[tokio::test]
async fn no_api_permission() {
    let error = AuthorizerError::NoApiPermission { appid: appid() };
    assert_told(error, "no_api_permission", 403, 7900019).await;
}

#[tokio::test]
async fn link_exhausted() {
    let id = AuthorizationId::new(at(), &Entropy::seeded(1));
    assert_told(AuthorizerError::TooManyVisits { id }, "link_exhausted", 409, 7900020).await;
}

#[tokio::test]
async fn needs_reauthorization() {
    let error = AuthorizerError::NeedsReauthorization { appid: appid() };
    let body = assert_told(error, "needs_reauthorization", 409, 7900021).await;
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("administrator") && detail.contains("POST /v1/authorizations"));
}

#[tokio::test]
async fn account_connected_elsewhere() {
    let error = AuthorizerError::AccountElsewhere { appid: appid() };
    assert_told(error, "account_connected_elsewhere", 409, 7900022).await;
}

async fn answered(problem: impl Into<Problem>) -> Response {
    problem.into().into_answer(&RequestId::draw(&Entropy::seeded(1)), at())
}

#[tokio::test]
async fn address_refused() {
    assert_told(TenantError::AddressRefused, "address_refused", 403, 7900024).await;
}

#[tokio::test]
async fn rate_limited() {
    let wait = Duration::from_millis(1_200);
    let too_fast = || TenantError::TooFast { limit: 5, retry_after: wait };
    assert_told(too_fast(), "rate_limited", 429, 7900025).await;
    let answer = answered(too_fast()).await;
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"tenant\";q=10;w=2"));
    assert_eq!(answer.header("ratelimit"), Some("\"tenant\";r=0;t=2"));
    let changes = || TenantError::TooManyChanges { limit: 10, retry_after: wait };
    assert_told(changes(), "rate_limited", 429, 7900025).await;
    let answer = answered(changes()).await;
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("ratelimit"), None, "that is another limit");
}

#[tokio::test]
async fn too_many_at_once() {
    let error = || TenantError::TooManyAtOnce { limit: 128 };
    let body = assert_told(error(), "too_many_at_once", 429, 7900026).await;
    assert!(body["detail"].as_str().unwrap().starts_with("128 requests"));
    assert_eq!(answered(error()).await.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn operator_not_found() {
    let id = OperatorId::new(at(), &Entropy::seeded(1));
    assert_told(TenantError::OperatorNotFound { id }, "operator_not_found", 404, 7900027).await;
}

#[tokio::test]
async fn last_operator() {
    assert_told(TenantError::LastOperator, "last_operator", 409, 7900028).await;
}

#[tokio::test]
async fn idempotency_mismatch() {
    assert_told(TenantError::IdempotencyMismatch, "idempotency_mismatch", 422, 7900029).await;
    let body = told(TenantError::BadIdempotencyKey).await.1;
    assert_eq!(
        (&body["code"], &body["field"]),
        (&"invalid_field".into(), &"Idempotency-Key".into())
    );
}

#[tokio::test]
async fn idempotency_under_way() {
    let error = || TenantError::IdempotencyUnderWay;
    assert_told(error(), "idempotency_under_way", 409, 7900030).await;
    assert_eq!(answered(error()).await.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn idempotency_interrupted() {
    let error = TenantError::IdempotencyInterrupted;
    let body = assert_told(error, "idempotency_interrupted", 409, 7900031).await;
    assert!(body["detail"].as_str().unwrap().contains("new key"));
}

fn file() -> FileName {
    FileName::parse("MP_verify_a1.txt").unwrap()
}

#[tokio::test]
async fn file_not_found() {
    let error = TenantError::FileNotFound { name: file() };
    assert_told(error, "file_not_found", 404, 7900032).await;
}

#[tokio::test]
async fn file_taken() {
    assert_told(TenantError::FileTaken { name: file() }, "file_taken", 409, 7900033).await;
}

#[tokio::test]
async fn redirect_uri_not_found() {
    let error = TenantError::RedirectUriNotFound;
    assert_told(error, "redirect_uri_not_found", 404, 7900034).await;
}

#[tokio::test]
async fn authorizer_claimed() {
    let id = AuthorizerId::new(at(), &Entropy::seeded(1));
    let error = AuthorizerError::AuthorizerClaimed { id: id.clone() };
    assert_told(error, "authorizer_claimed", 409, 7900035).await;
    let absent = AuthorizerError::AuthorizerAbsent { id };
    assert_told(absent, "authorizer_not_found", 404, 7900004).await;
}

#[tokio::test]
async fn allowance_used_up() {
    let error =
        |month: &str| AuthorizerError::AllowanceUsedUp { allowance: 10, month: month.into() };
    let body = assert_told(error("1970-01"), "allowance_used_up", 429, 7900036).await;
    assert!(body["detail"].as_str().unwrap().contains("10 times a month"));
    for (month, days) in [("1970-01", 31), ("1969-12", 0), ("1970-12", 365)] {
        // Months end eight hours earlier in Beijing; what is over is waited for a second.
        let secs = if days == 0 { 1 } else { days * 86_400 - 8 * 3_600 };
        let told = answered(error(month)).await;
        assert_eq!(told.header("retry-after"), Some(secs.to_string().as_str()), "{month}");
    }
}

#[tokio::test]
async fn renewed_just_now() {
    let error = || AuthorizerError::RenewedJustNow { appid: appid() };
    assert_told(error(), "renewed_just_now", 429, 7900037).await;
    assert_eq!(answered(error()).await.header("retry-after"), Some("60"));
    let expired = AuthorizerError::RenewalExpired;
    assert_told(expired, "authorization_not_found", 404, 7900007).await;
}

#[tokio::test]
async fn no_profile() {
    let error = AuthorizerError::NoProfile { appid: appid() };
    assert_told(error, "no_profile", 409, 7900038).await;
}

#[tokio::test]
async fn every_429_says_when_to_come_again() {
    for code in Code::ALL {
        let own = [Code::RateLimited, Code::AllowanceUsedUp].contains(&code);
        if code.status() == StatusCode::TOO_MANY_REQUESTS && !own {
            assert!(code.retry_after_secs().is_some(), "{code:?}");
        }
    }
}

#[tokio::test]
async fn upstream_rejected() {
    let fault = UpstreamFault::Refused {
        errcode: 61004,
        errmsg: "access clientip is not registered".into(),
        meaning: Some("the IP is not on the white list"),
    };
    let body = assert_told(Problem::upstream(fault), "upstream_rejected", 502, 7900052).await;
    assert_eq!(body["upstream_errcode"], 61004);
    assert_eq!(body["upstream_errmsg"], "access clientip is not registered");
}

#[tokio::test]
async fn ticket_missing() {
    let error = AuthorizerError::from(ComponentError::TicketMissing { appid: appid() });
    let body = assert_told(error, "ticket_missing", 503, 7900053).await;
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("wait up to ten minutes"));
    assert!(detail.contains("POST /admin/v1/components/wx570bc396a51b8ff8/ticket-push"));
    let problem = Problem::from(ComponentError::TicketMissing { appid: appid() });
    let answer = problem.into_answer(&RequestId::draw(&Entropy::seeded(1)), at());
    assert_eq!(answer.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn upstream_timeout() {
    let problem = Problem::upstream(UpstreamFault::Silent);
    assert_told(problem, "upstream_timeout", 504, 7900054).await;
}

#[tokio::test]
async fn upstream_unreachable() {
    let problem = Problem::upstream(UpstreamFault::Unreachable);
    assert_told(problem, "upstream_unreachable", 502, 7900055).await;
}

#[tokio::test]
async fn upstream_garbled() {
    let problem = Problem::upstream(UpstreamFault::Garbled);
    let garbled = assert_told(problem, "upstream_garbled", 502, 7900056).await;
    let error = AuthorizerError::NoAccessToken { appid: appid() };
    assert_eq!(told(error).await.1, garbled);
}

#[tokio::test]
async fn unavailable() {
    assert_told(Problem::storage(true), "unavailable", 503, 7900057).await;
}

#[tokio::test]
async fn refresh_busy() {
    let error = ComponentError::LeaseBusy { what: "component-token/cmp_1".into() };
    assert_told(error, "refresh_busy", 503, 7900058).await;
}

fn resting(until: Instant) -> ComponentError {
    let (what, reason) = ("access_token of aut_1".into(), "WeChat is busy".into());
    ComponentError::Resting { what, reason, until }
}

#[tokio::test]
async fn refresh_resting() {
    let until = at() + chrono::Duration::milliseconds(14_001);
    let error = AuthorizerError::from(resting(until));
    let body = assert_told(error, "refresh_resting", 503, 7900060).await;
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("WeChat is busy") && detail.contains("1970-01-01T00:00:14"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_resting_token_tells_how_many_seconds_are_left_of_its_rest() {
    for (left_millis, told) in [(14_001, "15"), (14_000, "14"), (1, "1"), (0, "1"), (-5_000, "1")] {
        let until = at() + chrono::Duration::milliseconds(left_millis);
        let problem = Problem::from(resting(until));
        let answer = problem.into_answer(&RequestId::draw(&Entropy::seeded(1)), at());
        assert_eq!(answer.header("retry-after"), Some(told), "{left_millis}");
    }
}

#[tokio::test]
async fn refresh_ceiling() {
    let error = || ComponentError::CeilingReached { what: "access_token of aut_1".into() };
    assert_told(AuthorizerError::from(error()), "refresh_ceiling", 429, 7900023).await;
    let answer = Problem::from(error()).into_answer(&RequestId::draw(&Entropy::seeded(1)), at());
    assert_eq!(answer.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn internal_tells_nothing_but_the_request_id() {
    let problem = Problem::panicked();
    let body = assert_told(problem, "internal", 500, 7900099).await;
    assert!(!body.to_string().contains("panicked"));
    let problem = Problem::upstream(UpstreamFault::Misconfigured);
    assert_told(problem, "internal", 500, 7900099).await;
}

#[tokio::test]
async fn a_panic_is_a_problem_and_what_it_said_is_told_to_nobody() {
    let route = Route::new().at("/", make_sync(|_| -> Body { panic!("row 17") }));
    let client = TestClient::new(Observed::new(route, sample::world()));
    let answer = client.get("/").send().await.0;
    let cause = answer.data::<crate::middleware::Cause>().unwrap().as_str().to_owned();
    assert!(cause.contains("panicked") && !cause.contains("row 17"), "{cause}");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body_of(answer).await.1["code"], "internal");
}
