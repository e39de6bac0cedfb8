//! The codes of fans: their grants, their one-time codes, and their mini programs.

use lingpai_model::web_authorization::WebAuthorizationRefusal as Refused;
use lingpai_wechat::{jssdk::PageUrl, mini_program::MiniProgramError};

use super::*;

#[tokio::test]
async fn fan_not_found() {
    let body = assert_told(AuthorizerError::FanUnknown, "fan_not_found", 404, 7900063).await;
    assert!(body["detail"].as_str().unwrap().contains("/gateway/connect/oauth2/authorize"));
}

#[tokio::test]
async fn fan_grant_ended() {
    assert_told(AuthorizerError::FanGrantEnded, "fan_grant_ended", 409, 7900064).await;
}

#[tokio::test]
async fn one_time_code_unknown() {
    let unknown = AuthorizerError::OneTimeCodeUnknown;
    let unknown = assert_told(unknown, "one_time_code_unknown", 422, 7900065).await;
    for refused in [Refused::Ended, Refused::OtherBrowser] {
        let error = AuthorizerError::WebAuthorizationRefused(refused);
        assert_eq!(told(error).await.1, unknown, "nobody learns that there is such an attempt");
    }
}

#[tokio::test]
async fn one_time_code_used() {
    let error = AuthorizerError::WebAuthorizationRefused(Refused::CodeUsed);
    assert_told(error, "one_time_code_used", 409, 7900066).await;
}

#[tokio::test]
async fn one_time_code_expired() {
    let error = AuthorizerError::WebAuthorizationRefused(Refused::CodeExpired);
    let body = assert_told(error, "one_time_code_expired", 409, 7900067).await;
    assert!(body["detail"].as_str().unwrap().contains("a minute"));
}

#[tokio::test]
async fn page_url_refused() {
    let long = format!("https://shop.example/canary{}", "a".repeat(2048));
    for url in
        ["ftp://shop.example/canary", "https:///canary", "https://shop.example/ canary", &long]
    {
        let fault = AuthorizerError::from(PageUrl::parse(url).unwrap_err());
        let body = assert_told(fault, "page_url_refused", 422, 7900068).await;
        assert_eq!(body["field"], "url");
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(detail.matches("location.href").count(), 1, "{detail}");
        assert!(!body.to_string().contains("canary"), "an address is not repeated: {body}");
    }
}

#[tokio::test]
async fn mini_program_session_not_found() {
    let error = AuthorizerError::MiniProgramSessionNotFound { appid: appid() };
    let body = assert_told(error, "mini_program_session_not_found", 404, 7900069).await;
    let way_out = "POST /v1/authorizers/wx570bc396a51b8ff8/mini-program-sessions";
    assert!(body["detail"].as_str().unwrap().contains(way_out));
}

#[tokio::test]
async fn mini_program_data_unreadable() {
    use MiniProgramError as E;
    for (fault, field, way_out) in [
        (E::BadIv, Some("iv"), "send the iv as"),
        (E::BadData, Some("encrypted_data"), "send encryptedData as"),
        (E::TooLarge, Some("encrypted_data"), "send encryptedData as"),
        (E::WrongKey, None, "log the fan in again"),
        (E::OtherAppid, None, "use the appid"),
    ] {
        let code = "mini_program_data_unreadable";
        let body = assert_told(AuthorizerError::from(fault), code, 422, 7900070).await;
        assert_eq!(body.get("field").and_then(Value::as_str), field, "{fault:?}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(way_out), "{detail}");
        let login = detail.matches("log the fan in").count();
        assert_eq!(login, usize::from(fault == E::WrongKey), "it helps nothing else: {detail}");
    }
}

#[tokio::test]
async fn a_fan_on_the_way_is_no_matter_of_the_api() {
    for error in [AuthorizerError::WebLinkUnknown, AuthorizerError::WebAuthorizationUnknown] {
        assert_told(error, "internal", 500, 7900099).await;
    }
}

#[tokio::test]
async fn a_crowd_of_fans_is_asked_to_wait() {
    for error in [AuthorizerError::TooManyFans, AuthorizerError::Busy] {
        assert_told(error, "overloaded", 503, 7900059).await;
    }
}
