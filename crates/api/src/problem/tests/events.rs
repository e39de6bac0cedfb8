//! The codes of events, endpoints, deliveries, replies and quarantine.

use lingpai_callback::Error as CallbackError;
use lingpai_model::id::{DeliveryId, EndpointId, EventId, PushId};
use lingpai_webhook::{BrokenReply, Error, Refusal};

use super::*;

fn endpoint() -> EndpointId {
    EndpointId::new(at(), &Entropy::seeded(1))
}

fn event() -> EventId {
    EventId::new(at(), &Entropy::seeded(1))
}

#[tokio::test]
async fn endpoint_not_found() {
    let error = Error::EndpointUnknown { id: endpoint() };
    let foreign = assert_told(error, "endpoint_not_found", 404, 7900040).await;
    assert_eq!(foreign, told(Problem::endpoint_not_found()).await.1, "they look alike");
}

#[tokio::test]
async fn event_not_found() {
    let foreign = assert_told(Error::EventUnknown { id: event() }, "event_not_found", 404, 7900041);
    assert_eq!(foreign.await, told(Problem::event_not_found()).await.1, "they look alike");
}

#[tokio::test]
async fn delivery_not_found() {
    let error = Error::DeliveryUnknown { id: DeliveryId::new(at(), &Entropy::seeded(1)) };
    let foreign = assert_told(error, "delivery_not_found", 404, 7900042).await;
    assert_eq!(foreign, told(Problem::delivery_not_found()).await.1, "they look alike");
}

#[tokio::test]
async fn endpoint_limit() {
    let body = assert_told(Error::TooManyEndpoints { most: 50 }, "endpoint_limit", 409, 7900043);
    assert!(body.await["detail"].as_str().unwrap().contains("at most 50 endpoints"));
}

#[tokio::test]
async fn endpoint_url_refused() {
    let error = Error::BadUrl(Refusal::Credentials);
    let body = assert_told(error, "endpoint_url_refused", 422, 7900044).await;
    assert_eq!(body["field"], "url");
    assert!(body["detail"].as_str().unwrap().contains("user name"));
}

#[tokio::test]
async fn replying_taken() {
    let error = Error::ReplyingTaken { endpoint_id: endpoint() };
    let body = assert_told(error, "replying_taken", 409, 7900045).await;
    assert!(body["detail"].as_str().unwrap().contains(endpoint().as_str()));
}

#[tokio::test]
async fn endpoint_not_active() {
    let error = Error::EndpointNotActive { id: endpoint() };
    let body = assert_told(error, "endpoint_not_active", 409, 7900046).await;
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("was disabled") && detail.contains("\"paused\": false"), "{detail}");
}

#[tokio::test]
async fn already_replied() {
    let error = Error::AlreadyReplied { id: event() };
    let body = assert_told(error, "already_replied", 409, 7900047).await;
    assert!(body["detail"].as_str().unwrap().contains("customer-service message"));
}

#[tokio::test]
async fn reply_too_late() {
    let body = assert_told(Error::TooLate { id: event() }, "reply_too_late", 409, 7900062).await;
    assert!(body["detail"].as_str().unwrap().contains("customer-service message"));
}

#[tokio::test]
async fn too_many_pending() {
    let error = || Error::TooManyPending { most: 7 };
    let body = assert_told(error(), "too_many_pending", 429, 7900061).await;
    assert!(body["detail"].as_str().unwrap().starts_with("7 deliveries"));
    assert_eq!(answered(error()).await.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn tests_of_endpoints_at_once_are_refused_as_requests_at_once_are() {
    let error = || Error::TooManyTests { most: 2 };
    let body = assert_told(error(), "too_many_at_once", 429, 7900026).await;
    assert!(body["detail"].as_str().unwrap().starts_with("2 tests of your endpoints"));
    assert_eq!(answered(error()).await.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn reply_refused() {
    let error = Error::BadReply(BrokenReply::WrongNames);
    let body = assert_told(error, "reply_refused", 422, 7900048).await;
    assert!(body["detail"].as_str().unwrap().contains("ToUserName"));
    let rule = Error::BadRule(lingpai_wechat::push::reply::ReplyError::ArticleCount);
    assert_told(rule, "reply_refused", 422, 7900048).await;
}

#[tokio::test]
async fn quarantine_not_found() {
    let error = CallbackError::QuarantineNotFound { id: PushId::new(at(), &Entropy::seeded(1)) };
    assert_told(error, "quarantine_not_found", 404, 7900049).await;
}

#[tokio::test]
async fn still_unreadable() {
    let id = PushId::new(at(), &Entropy::seeded(1));
    let error = CallbackError::StillQuarantined { id, why: "nobody here knows its account" };
    let body = assert_told(error, "still_unreadable", 409, 7900050).await;
    assert!(body["detail"].as_str().unwrap().contains("nobody here knows its account"));
}

#[tokio::test]
async fn too_many_streams() {
    let problem = Problem::too_many_streams(8);
    assert_told(problem, "too_many_streams", 429, 7900051).await;
    assert_eq!(answered(Problem::too_many_streams(8)).await.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn what_an_endpoint_or_a_rule_cannot_have_is_a_fault_of_its_field() {
    for (error, field) in [
        (Error::BadName { why: "it is too long" }, "name"),
        (Error::BadFilter { field: "authorizers", why: "it names too much" }, "authorizers"),
        (Error::BadFilter { field: "event_types", why: "it names too much" }, "event_types"),
        (Error::BadToken, "token"),
        (Error::BadEncodingAesKey(CryptError::BadKey), "encoding_aes_key"),
        (Error::WrongKind { id: endpoint(), field: "mode" }, "mode"),
        (Error::OverlapTooLong { most_secs: 7 }, "overlap_secs"),
        (Error::NotReplayable, "endpoint_id"),
        (Error::BadTrigger { why: "a keyword has no blanks around it" }, "rules"),
    ] {
        let body = assert_told(error, "invalid_field", 422, 7900013).await;
        assert_eq!(body["field"], field);
    }
}

#[tokio::test]
async fn what_comes_through_the_callbacks_keeps_its_own_answer() {
    let component = CallbackError::ComponentNotFound { appid: appid() };
    assert_told(component, "component_not_found", 404, 7900005).await;
    let account = AuthorizerError::AuthorizerNotFound { appid: appid() };
    assert_told(CallbackError::from(account), "authorizer_not_found", 404, 7900004).await;
    let unknown = Error::AuthorizerUnknown { appid: appid() };
    assert_told(CallbackError::from(unknown), "authorizer_not_found", 404, 7900004).await;
    let misconfigured = Error::Misconfigured { what: "canary".to_owned() };
    let body = assert_told(misconfigured, "internal", 500, 7900099).await;
    assert!(!body.to_string().contains("canary"));
}
