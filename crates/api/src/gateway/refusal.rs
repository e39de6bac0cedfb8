//! What the gateway refuses, in WeChat's shape.

use std::borrow::Cow;

use lingpai_model::Instant;
use poem::{
    Response,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde_json::json;

use crate::{
    middleware::{Cause, RateHeaders},
    problem::{Code, Problem},
};

/// What every errmsg of ours begins with, so that nobody looks for the fault at WeChat.
const OURS: &str = "lingpai: ";

/// A refusal of ours that an SDK understands.
///
/// The numbers are WeChat's own for the nearest thing. Source: WeChat docs, "Global return codes".
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    errcode: i64,
    reason: Cow<'static, str>,
    problem: Option<Box<Problem>>,
}

impl Refusal {
    fn new(errcode: i64, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::OK, errcode, reason: reason.into(), problem: None }
    }

    /// No token was sent with a call.
    pub(super) fn token_missing() -> Self {
        Self::new(
            41001,
            "the query has no access_token: get one from cgi-bin/token, with an API key as the \
             secret",
        )
    }

    /// The token is none of ours, or not of a living key.
    pub(super) fn token_refused() -> Self {
        Self::new(
            40001,
            "this access_token is not known, or its API key was changed or revoked: get another \
             from cgi-bin/token of this gateway",
        )
    }

    /// The token's time is over.
    pub(super) fn token_expired() -> Self {
        Self::new(
            40001,
            "this access_token has expired: get another from cgi-bin/token of this gateway",
        )
    }

    /// The secret is no valid API key.
    pub(super) fn key_refused() -> Self {
        Self::new(
            40125,
            "the secret is not a valid API key (lpk_…): ask your operator for one; the account's \
             own secret is not used here",
        )
    }

    /// No secret was sent.
    pub(super) fn secret_missing() -> Self {
        Self::new(41004, "the secret is missing: send an API key (lpk_…) as the secret")
    }

    /// No appid was sent.
    pub(super) fn appid_missing() -> Self {
        Self::new(41002, "the appid is missing: send that of an authorizer of yours")
    }

    /// The grant type is another than the one that there is.
    pub(super) fn grant_type(wanted: &'static str) -> Self {
        Self::new(40002, format!("the grant_type is missing or another: it is {wanted}"))
    }

    /// Tokens are asked for by another method.
    pub(super) fn token_method() -> Self {
        Self::new(43001, "a token is asked for with GET, or with POST and a body")
    }

    /// The body of a request for a token is no JSON.
    pub(super) fn unreadable() -> Self {
        Self::new(47001, "the body cannot be read: send a JSON object, or a form")
    }

    /// A token for fans' interfaces is shown where an account's belongs.
    pub(super) fn token_of_fan() -> Self {
        Self::new(
            40001,
            "this access_token is a fan's (lpw_…, lpr_…) and good for /sns/userinfo and /sns/auth \
             only: for this call get the account's from cgi-bin/token of this gateway",
        )
    }

    /// A call for a fan came with another method.
    pub(super) fn fan_method() -> Self {
        Self::new(43001, "this is asked with GET, and everything stands in the query")
    }

    /// No code was sent.
    pub(super) fn code_missing() -> Self {
        Self::new(
            41008,
            "the code is missing: send the one (lpc_…) with which the fan came to your page",
        )
    }

    /// No openid was sent.
    pub(super) fn openid_missing() -> Self {
        Self::new(41009, "the openid is missing: send the one that came with the access_token")
    }

    /// The openid is not the fan's whose token it is.
    pub(super) fn other_openid() -> Self {
        Self::new(
            40003,
            "the openid is not that of the access_token: send the one that came with it",
        )
    }

    /// Nothing that the fan granted is kept for an account of the caller's.
    pub(super) fn fan_unknown() -> Self {
        Self::new(
            40003,
            "nothing that this fan granted is kept for an account of yours any more: send the fan \
             to the authorization page again",
        )
    }

    /// No token was sent with a call for a fan.
    pub(super) fn fan_token_missing() -> Self {
        Self::new(
            41001,
            "the query has no access_token: send the one (lpw_…) that sns/oauth2/access_token of \
             this gateway gave for the fan's code",
        )
    }

    /// The token is no fan's of ours, or not of a living key.
    pub(super) fn fan_token_refused() -> Self {
        Self::new(
            40001,
            "this access_token is not known, or its API key was changed or revoked: refresh it, or \
             send the fan to the authorization page again",
        )
    }

    /// An account's token is shown where a fan's belongs.
    pub(super) fn token_of_account() -> Self {
        Self::new(
            40001,
            "this access_token is an account's (lpv_…), and this interface wants the fan's own \
             (lpw_…), which sns/oauth2/access_token of this gateway gives for the fan's code",
        )
    }

    /// What a fan's token is refreshed with is shown where the token belongs.
    pub(super) fn refresh_token_as_token() -> Self {
        Self::new(
            40001,
            "this access_token is a refresh_token (lpr_…): send the access_token (lpw_…) that came \
             with it",
        )
    }

    /// The fan's token has run out, or WeChat's behind it has for good: to refresh it tells which.
    pub(super) fn fan_token_expired() -> Self {
        Self::new(
            42001,
            "this access_token has expired: refresh it with sns/oauth2/refresh_token of this \
             gateway, which also says if the fan must consent again",
        )
    }

    /// No refresh token was sent.
    pub(super) fn refresh_token_missing() -> Self {
        Self::new(
            41003,
            "the refresh_token is missing: send the one (lpr_…) that came with the access_token",
        )
    }

    /// The refresh token is none of ours, not of a living key, or not of this account.
    pub(super) fn refresh_token_refused() -> Self {
        Self::new(
            40030,
            "this refresh_token is not known for this appid, or its API key was changed or \
             revoked, or the fan withdrew: send the fan to the authorization page again",
        )
    }

    /// The refresh token's time is over, here or at WeChat.
    pub(super) fn refresh_token_expired() -> Self {
        Self::new(
            42002,
            "this refresh_token has expired: send the fan to the authorization page again",
        )
    }

    /// WeChat itself refused with `errcode`, which `problem` tells of.
    pub(super) fn of_wechat(errcode: i64, problem: Problem) -> Self {
        Self { status: StatusCode::OK, errcode, ..problem.into() }
    }

    /// The answer, at `now`.
    pub(super) fn into_answer(self, now: Instant) -> Response {
        let Self { status, errcode, reason, problem } = self;
        tracing::info!(errcode, reason = reason.as_ref(), "the gateway refused");
        let body = json!({ "errcode": errcode, "errmsg": format!("{OURS}{reason}") });
        let answer = Response::builder().status(status).content_type("application/json");
        let mut answer = answer.body(body.to_string());
        if let Some(problem) = problem {
            if let Some(secs) = problem.retry_after_secs(now) {
                answer.headers_mut().insert(RETRY_AFTER, secs.into());
            }
            if let Some(rate) = problem.rate().cloned() {
                RateHeaders::write(rate, answer.headers_mut());
            }
            if status.is_server_error() {
                answer.set_data(Cause::chain(problem.as_ref()));
            }
        }
        answer
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let code = problem.code();
        let (status, errcode) = match wechats(code) {
            Some(errcode) => (StatusCode::OK, errcode),
            None if code.status().is_server_error() => (code.status(), code.errcode()),
            None => (StatusCode::OK, code.errcode()),
        };
        let reason = problem.detail().to_owned().into();
        Self { status, errcode, reason, problem: Some(Box::new(problem)) }
    }
}

/// WeChat's number for what `code` says; `None` where WeChat has nothing like it, or where it is our
/// side that failed.
#[expect(clippy::too_many_lines, reason = "each code once, so that a new one has to say it")]
fn wechats(code: Code) -> Option<i64> {
    match code {
        // Invalid credential. The token interfaces say 40125 themselves.
        Code::Unauthenticated => Some(40001),
        // The calling IP is not on the white list.
        Code::AddressRefused => Some(40164),
        // Invalid appid.
        Code::AuthorizerNotFound => Some(40013),
        // The API is not granted.
        Code::ScopeMissing | Code::PathRefused | Code::NoApiPermission => Some(48001),
        // The account has not authorized the platform, or has withdrawn it.
        Code::AuthorizerRevoked => Some(61003),
        // The refresh token is invalid: the account must authorize again.
        Code::NeedsReauthorization => Some(61023),
        // Called too often within the minute.
        Code::RateLimited | Code::TooManyAtOnce | Code::Overloaded | Code::RefreshCeiling => {
            Some(45011)
        }
        // Invalid openid.
        Code::FanNotFound => Some(40003),
        // The refresh token has expired: the fan must consent again.
        Code::FanGrantEnded => Some(42002),
        // Invalid code.
        Code::OneTimeCodeUnknown => Some(40029),
        // The code has been used.
        Code::OneTimeCodeUsed => Some(40163),
        // The code has expired.
        Code::OneTimeCodeExpired => Some(42003),
        // The clear_quota count of the month is used up.
        Code::AllowanceUsedUp => Some(48006),
        Code::ComponentNotFound
        | Code::TenantNotFound
        | Code::AuthorizationNotFound
        | Code::ApiKeyNotFound
        | Code::OperatorNotFound
        | Code::FileNotFound
        | Code::RedirectUriNotFound
        | Code::RouteNotFound
        | Code::MethodNotAllowed
        | Code::InvalidRequest
        | Code::InvalidField
        | Code::BodyTooLarge
        | Code::UnsupportedMediaType
        | Code::BodyTimeout
        | Code::ComponentExists
        | Code::LinkExhausted
        | Code::AccountConnectedElsewhere
        | Code::LastOperator
        | Code::IdempotencyMismatch
        | Code::IdempotencyUnderWay
        | Code::IdempotencyInterrupted
        | Code::FileTaken
        | Code::AuthorizerClaimed
        | Code::RenewedJustNow
        | Code::NoProfile
        | Code::ComponentChangeUnderWay
        | Code::EndpointNotFound
        | Code::EventNotFound
        | Code::DeliveryNotFound
        | Code::EndpointLimit
        | Code::EndpointUrlRefused
        | Code::ReplyingTaken
        | Code::EndpointNotActive
        | Code::AlreadyReplied
        | Code::ReplyRefused
        | Code::QuarantineNotFound
        | Code::StillUnreadable
        | Code::TooManyStreams
        | Code::TooManyPending
        | Code::ReplyTooLate
        | Code::PageUrlRefused
        | Code::MiniProgramSessionNotFound
        | Code::MiniProgramDataUnreadable
        | Code::UpstreamRejected
        | Code::TicketMissing
        | Code::UpstreamTimeout
        | Code::UpstreamUnreachable
        | Code::UpstreamGarbled
        | Code::Unavailable
        | Code::LeaseBusy
        | Code::RefreshResting
        | Code::Internal => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use lingpai_authorizer::{Error as AuthorizerError, JudgedPath};
    use lingpai_component_token::Error as ComponentError;
    use lingpai_model::{Appid, api_key::Scope};
    use lingpai_tenant::Error as TenantError;
    use serde_json::Value;

    use super::*;
    use crate::example;

    async fn told(refusal: impl Into<Refusal>) -> (u16, i64, String) {
        let answer = refusal.into().into_answer(example::instant());
        assert_eq!(answer.content_type(), Some("application/json"));
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes_limit(1 << 16).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 2, "WeChat's shape and nothing else");
        let errmsg = body["errmsg"].as_str().unwrap().to_owned();
        assert!(errmsg.starts_with("lingpai: "), "{errmsg}");
        (status, body["errcode"].as_i64().unwrap(), errmsg)
    }

    async fn assert_told(problem: impl Into<Problem>, errcode: i64) {
        let (status, number, errmsg) = told(problem.into()).await;
        assert_eq!((status, number), (200, errcode), "{errmsg}");
    }

    fn appid() -> Appid {
        Appid::parse(example::AUTHORIZER_APPID).unwrap()
    }

    #[tokio::test]
    async fn tokens_and_keys_are_refused_by_wechats_numbers() {
        for (refusal, errcode) in [
            (Refusal::token_refused(), 40001),
            (Refusal::token_expired(), 40001),
            (Refusal::token_missing(), 41001),
            (Refusal::key_refused(), 40125),
            (Refusal::secret_missing(), 41004),
            (Refusal::appid_missing(), 41002),
            (Refusal::grant_type("client_credential"), 40002),
            (Refusal::token_method(), 43001),
            (Refusal::unreadable(), 47001),
            (Refusal::token_of_fan(), 40001),
            (Refusal::fan_method(), 43001),
            (Refusal::code_missing(), 41008),
            (Refusal::openid_missing(), 41009),
            (Refusal::other_openid(), 40003),
            (Refusal::fan_unknown(), 40003),
            (Refusal::fan_token_missing(), 41001),
            (Refusal::fan_token_refused(), 40001),
            (Refusal::token_of_account(), 40001),
            (Refusal::refresh_token_as_token(), 40001),
            (Refusal::fan_token_expired(), 42001),
            (Refusal::refresh_token_missing(), 41003),
            (Refusal::refresh_token_refused(), 40030),
            (Refusal::refresh_token_expired(), 42002),
        ] {
            let (status, number, errmsg) = told(refusal).await;
            assert_eq!((status, number), (200, errcode), "{errmsg}");
        }
    }

    #[tokio::test]
    async fn what_an_account_or_a_key_may_not_do_is_refused_by_wechats_numbers() {
        assert_told(AuthorizerError::AuthorizerNotFound { appid: appid() }, 40013).await;
        assert_told(AuthorizerError::Revoked { appid: appid() }, 61003).await;
        assert_told(AuthorizerError::NeedsReauthorization { appid: appid() }, 61023).await;
        assert_told(AuthorizerError::NoApiPermission { appid: appid() }, 48001).await;
        let refused = JudgedPath::judge("/cgi-bin/component/api_query_auth").unwrap_err();
        assert_told(AuthorizerError::from(refused), 48001).await;
        assert_told(AuthorizerError::ScopeMissing { scope: Scope::QuotaClear }, 48001).await;
        assert_told(Problem::scope_missing(Scope::WechatCall), 48001).await;
        assert_told(TenantError::AddressRefused, 40164).await;
        assert_told(TenantError::Unauthenticated, 40001).await;
        let month = || "2026-11".to_owned();
        let used_up = AuthorizerError::AllowanceUsedUp { allowance: 10, month: month() };
        assert_told(used_up, 48006).await;
    }

    #[tokio::test]
    async fn who_asks_too_much_is_refused_by_wechats_number_and_told_how_long_to_wait() {
        let wait = Duration::from_secs(3);
        let too_fast = || TenantError::TooFast { limit: 5, retry_after: wait };
        assert_told(too_fast(), 45011).await;
        assert_told(TenantError::TooManyAtOnce { limit: 5 }, 45011).await;
        assert_told(Problem::overloaded(), 45011).await;
        let answer = Refusal::from(Problem::from(too_fast())).into_answer(example::instant());
        assert_eq!(answer.header("retry-after"), Some("3"));
        assert_eq!(answer.header("ratelimit"), Some("\"tenant\";r=0;t=3"));
    }

    #[tokio::test]
    async fn what_failed_on_our_side_keeps_its_status_and_our_number() {
        let missing = ComponentError::TicketMissing { appid: appid() };
        let shared = AuthorizerError::Shared(Arc::new(missing.into()));
        assert_eq!(told(Problem::from(shared)).await.1, 7_900_053);
        for code in Code::ALL.into_iter().filter(|code| code.status().is_server_error()) {
            if code != Code::Overloaded {
                assert_eq!(wechats(code), None, "{code:?}");
            }
        }
        let answer = Refusal::from(Problem::panicked()).into_answer(example::instant());
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let cause = answer.data::<Cause>().expect("the log tells the cause");
        assert!(cause.as_str().contains("panicked"));
        let (status, errcode, errmsg) = told(Problem::panicked()).await;
        assert_eq!((status, errcode), (500, 7_900_099));
        assert!(!errmsg.contains("panicked"), "{errmsg}");
    }

    #[tokio::test]
    async fn what_wechat_has_no_number_for_is_still_read_by_sdks() {
        let (status, errcode, _) = told(Problem::body_too_large(10)).await;
        assert_eq!((status, errcode), (200, Code::BodyTooLarge.errcode()));
    }
}
