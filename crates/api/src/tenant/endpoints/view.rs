//! What is told of an endpoint. Its secrets are not, save the one that has just been made.

use lingpai_model::{
    Appid, Instant, Secret,
    endpoint::{Endpoint, EndpointHealth, EndpointKind, EndpointState, LateReplies, Mode, Role},
    event::EventPattern,
};
use lingpai_webhook::TestOutcome;
use poem_openapi::{Enum, Object, types::Example};

use crate::{example, view};

/// In which form an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "EndpointKind", rename_all = "snake_case")]
pub(super) enum EndpointKindView {
    /// As JSON, signed by the rules of Standard Webhooks.
    Webhook,
    /// As WeChat itself would push them to the account's own server: what WeChat pushes only.
    Wechat,
}

/// How pushes to a handler are protected, as WeChat calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "PushMode", rename_all = "snake_case", remote = "Mode")]
pub(super) enum ModeView {
    /// 明文模式: the message itself.
    Plain,
    /// 兼容模式: the message, and beside it the encrypted one.
    Compatible,
    /// 安全模式: the encrypted message only.
    Secure,
}

/// What becomes of a reply that comes too late to be WeChat's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "LateReply", rename_all = "snake_case", remote = "LateReplies")]
pub(super) enum LateReplyView {
    /// It is dropped.
    Drop,
    /// It goes to the fan as a customer-service message (客服消息).
    CustomerService,
}

/// Whether anything is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "EndpointState", rename_all = "snake_case")]
enum StateView {
    /// Events are sent.
    Active,
    /// You hold it: events wait.
    Paused,
    /// It failed for three days, or said that it is gone: nothing new is kept for it.
    Disabled,
}

/// How sending to an endpoint went of late.
#[derive(Debug, Object)]
#[oai(rename = "EndpointHealth", example)]
struct HealthView {
    /// How many attempts in a row have failed.
    failures_in_row: u32,
    /// When the first of them failed; null if none did.
    #[oai(nullable)]
    failing_since: Option<Instant>,
    /// Until when nothing is sent, after too many of them; null while it is.
    #[oai(nullable)]
    blocked_until: Option<Instant>,
    /// When an attempt last went well; null if none ever did.
    #[oai(nullable)]
    last_success_at: Option<Instant>,
    /// When an attempt last failed; null if none ever did.
    #[oai(nullable)]
    last_failure_at: Option<Instant>,
    /// Why, in words; null if none ever did.
    #[oai(nullable)]
    last_failure: Option<String>,
}

impl Example for HealthView {
    fn example() -> Self {
        let last_success_at = Some(example::instant());
        EndpointHealth { last_success_at, ..EndpointHealth::default() }.into()
    }
}

impl From<EndpointHealth> for HealthView {
    fn from(health: EndpointHealth) -> Self {
        Self {
            failures_in_row: health.failures_in_row,
            failing_since: health.failing_since,
            blocked_until: health.blocked_until,
            last_success_at: health.last_success_at,
            last_failure_at: health.last_failure_at,
            last_failure: health.last_failure,
        }
    }
}

/// Where events are sent, and how.
#[derive(Debug, Object)]
#[oai(rename = "Endpoint", example)]
pub(super) struct EndpointView {
    /// Its id.
    id: String,
    /// What you call it; may be empty.
    name: String,
    /// In which form it gets events.
    kind: EndpointKindView,
    /// Where they are posted.
    url: String,
    /// Which event types it wants, with `*` for families; empty: all.
    event_types: Vec<String>,
    /// Of which authorizers; empty: of all, and what is about none.
    authorizers: Vec<String>,
    /// How pushes to it are protected; null for a `webhook`.
    #[oai(nullable)]
    mode: Option<ModeView>,
    /// Whether its passive replies go back to WeChat; null for a `webhook`.
    #[oai(nullable)]
    replying: Option<bool>,
    /// What becomes of a reply that comes too late; null if it is not replying.
    #[oai(nullable)]
    late_reply: Option<LateReplyView>,
    /// Whether anything is sent to it.
    state: StateView,
    /// Since when it is paused or disabled; null while it is active.
    #[oai(nullable)]
    state_since: Option<Instant>,
    /// Why it is disabled; null if it is not.
    #[oai(nullable)]
    state_reason: Option<String>,
    /// How sending to it went of late.
    health: HealthView,
    /// Until when the secret before the present one signs as well; null if none does.
    #[oai(nullable)]
    previous_secret_until: Option<Instant>,
    /// When it was created.
    created_at: Instant,
    /// When you last changed it.
    updated_at: Instant,
    /// What webhooks to it are signed with; only in the answer that creates a `webhook`.
    #[oai(skip_serializing_if_is_none)]
    secret: Option<String>,
}

impl Example for EndpointView {
    fn example() -> Self {
        Self {
            id: example::ENDPOINT_ID.to_owned(),
            name: "shop backend".to_owned(),
            kind: EndpointKindView::Webhook,
            url: "https://shop.example/hooks/wechat".to_owned(),
            event_types: vec!["message.*".to_owned(), "authorizer.*".to_owned()],
            authorizers: vec![],
            mode: None,
            replying: None,
            late_reply: None,
            state: StateView::Active,
            state_since: None,
            state_reason: None,
            health: HealthView::example(),
            previous_secret_until: None,
            created_at: example::instant(),
            updated_at: example::instant(),
            secret: Some(example_secret()),
        }
    }
}

/// A secret as the examples show one.
pub(super) fn example_secret() -> String {
    format!("whsec_{}=", "c2VjcmV0".repeat(5) + "c2V")
}

/// A secret as it is handed out, once.
pub(super) fn shown(secret: &Secret<String>) -> String {
    secret.expose().clone()
}

impl EndpointView {
    /// An endpoint that has just been created, with its secret if it has one to show.
    pub(super) fn created(endpoint: Endpoint, secret: Option<&Secret<String>>) -> Self {
        Self { secret: secret.map(shown), ..endpoint.into() }
    }
}

impl From<Endpoint> for EndpointView {
    fn from(endpoint: Endpoint) -> Self {
        let form = Form::of(&endpoint.kind);
        let (state, state_since, state_reason) = match endpoint.state {
            EndpointState::Active => (StateView::Active, None, None),
            EndpointState::Paused { since } => (StateView::Paused, Some(since), None),
            EndpointState::Disabled { since, reason } => {
                (StateView::Disabled, Some(since), Some(reason))
            }
        };
        let (event_types, authorizers) = (endpoint.filter.event_types, endpoint.filter.authorizers);
        Self {
            id: endpoint.id.to_string(),
            name: endpoint.name,
            kind: form.kind,
            url: endpoint.url,
            event_types: event_types.iter().map(EventPattern::as_str).map(str::to_owned).collect(),
            authorizers: authorizers.iter().map(Appid::to_string).collect(),
            mode: form.mode,
            replying: form.replying,
            late_reply: form.late_reply,
            state,
            state_since,
            state_reason,
            health: endpoint.health.into(),
            previous_secret_until: form.previous_secret_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            secret: None,
        }
    }
}

/// What the fields of an endpoint's kind tell.
struct Form {
    kind: EndpointKindView,
    mode: Option<ModeView>,
    replying: Option<bool>,
    late_reply: Option<LateReplyView>,
    previous_secret_until: Option<Instant>,
}

impl Form {
    fn of(kind: &EndpointKind) -> Self {
        match kind {
            EndpointKind::Webhook(secrets) => Self {
                kind: EndpointKindView::Webhook,
                mode: None,
                replying: None,
                late_reply: None,
                previous_secret_until: secrets.previous.as_ref().map(|(_, until)| *until),
            },
            EndpointKind::Wechat(handler) => Self {
                kind: EndpointKindView::Wechat,
                mode: Some(handler.mode.into()),
                replying: Some(matches!(handler.role, Role::Replying { .. })),
                late_reply: match handler.role {
                    Role::Listening => None,
                    Role::Replying { late } => Some(late.into()),
                },
                previous_secret_until: None,
            },
        }
    }
}

/// How a test went.
#[derive(Debug, Object)]
#[oai(rename = "TestOutcome", example)]
pub(super) struct TestOutcomeView {
    /// Whether the endpoint took it.
    delivered: bool,
    /// The HTTP status; null if it did not answer.
    #[oai(nullable)]
    status: Option<u16>,
    /// How many milliseconds it took.
    took_ms: u64,
    /// Why it failed, in words; null if it went well.
    #[oai(nullable)]
    failure: Option<String>,
    /// How its answer begins; null if there is none. Text of others: escape it.
    #[oai(nullable)]
    answer: Option<String>,
}

impl Example for TestOutcomeView {
    fn example() -> Self {
        Self { delivered: true, status: Some(204), took_ms: 87, failure: None, answer: None }
    }
}

impl From<TestOutcome> for TestOutcomeView {
    fn from(outcome: TestOutcome) -> Self {
        let TestOutcome { status, took, failure, answer } = outcome;
        Self {
            delivered: failure.is_none(),
            status,
            took_ms: view::millis(took),
            failure,
            answer: Some(answer).filter(|answer| !answer.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lingpai_model::{
        endpoint::{WebhookSecrets, WechatHandler},
        event::EventFilter,
        id::{EndpointId, TenantId},
    };
    use poem_openapi::types::ToJSON as _;
    use serde_json::{Value, json};

    use super::*;

    fn endpoint(kind: EndpointKind) -> Endpoint {
        let at = example::instant();
        Endpoint {
            id: EndpointId::parse(example::ENDPOINT_ID).unwrap(),
            tenant_id: TenantId::parse(example::TENANT_ID).unwrap(),
            name: String::new(),
            url: "https://shop.example/".to_owned(),
            kind,
            filter: EventFilter {
                authorizers: vec![Appid::parse(example::AUTHORIZER_APPID).unwrap()],
                event_types: vec![EventPattern::parse("message.*").unwrap()],
            },
            state: EndpointState::Active,
            health: EndpointHealth::default(),
            created_at: at,
            updated_at: at,
        }
    }

    fn handler(role: Role) -> EndpointKind {
        EndpointKind::Wechat(WechatHandler {
            push_token: Secret::from("canary"),
            encoding_aes_key: Secret::from("canary"),
            mode: Mode::Secure,
            role,
        })
    }

    fn webhook() -> EndpointKind {
        EndpointKind::Webhook(WebhookSecrets {
            current: Secret::from("whsec_canary"),
            previous: Some((Secret::from("whsec_canary"), example::instant())),
        })
    }

    fn told(endpoint: Endpoint) -> Value {
        EndpointView::from(endpoint).to_json().unwrap()
    }

    #[test]
    fn no_secret_of_an_endpoint_is_told_but_the_new_one() {
        for kind in [webhook(), handler(Role::Listening)] {
            let kind_name = kind.as_str();
            let view = told(endpoint(kind));
            assert!(!view.to_string().contains("canary"), "{view}");
            assert_eq!((&view["kind"], view.get("secret")), (&json!(kind_name), None));
            assert_eq!(view["event_types"], json!(["message.*"]));
            assert_eq!(view["authorizers"], json!([example::AUTHORIZER_APPID]));
        }
        let created = EndpointView::created(endpoint(webhook()), Some(&Secret::from("whsec_new")));
        let created = created.to_json().unwrap();
        assert_eq!(created["secret"], "whsec_new");
        assert_eq!(created["previous_secret_until"], example::instant().to_json().unwrap());
    }

    #[test]
    fn modes_roles_and_states_are_written_as_the_model_writes_them() {
        for mode in Mode::ALL {
            assert_eq!(ModeView::from(mode).to_json(), Some(mode.as_str().into()));
        }
        let silent = told(endpoint(handler(Role::Listening)));
        assert_eq!((&silent["replying"], &silent["late_reply"]), (&json!(false), &Value::Null));
        for (late, name) in
            [(LateReplies::Drop, "drop"), (LateReplies::CustomerService, "customer_service")]
        {
            let replying = told(endpoint(handler(Role::Replying { late })));
            assert_eq!(
                (&replying["replying"], &replying["late_reply"]),
                (&json!(true), &json!(name))
            );
        }
        let since = example::instant();
        for state in [
            EndpointState::Active,
            EndpointState::Paused { since },
            EndpointState::Disabled { since, reason: "gone".to_owned() },
        ] {
            let is_active = state == EndpointState::Active;
            let name = state.as_str();
            let view = told(Endpoint { state, ..endpoint(webhook()) });
            assert_eq!(view["state"], name);
            assert_eq!(view["state_since"].is_null(), is_active);
            assert_eq!(view["state_reason"].is_string(), name == "disabled");
        }
    }

    #[test]
    fn a_test_that_failed_is_told_with_its_reason() {
        let outcome = TestOutcome {
            status: Some(500),
            took: Duration::from_millis(12),
            failure: Some("the endpoint answered 500".to_owned()),
            answer: "oops".to_owned(),
        };
        let told = TestOutcomeView::from(outcome).to_json().unwrap();
        let expected = json!({
            "delivered": false, "status": 500, "took_ms": 12,
            "failure": "the endpoint answered 500", "answer": "oops",
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn the_secret_of_the_examples_has_the_form_of_one() {
        let secret = example_secret();
        let text = secret.strip_prefix("whsec_").unwrap();
        assert_eq!((text.len(), text.matches('=').count()), (44, 1));
    }
}
