//! Trying an endpoint out.

use std::time::Duration;

use lingpai_model::{
    Appid, Instant, Secret,
    audit::Action,
    caller::{Caller, TenantScope},
    endpoint::{Endpoint, EndpointKind},
    event::{Event, EventContent, EventType},
    id::{EndpointId, EventId},
    page::PageRequest,
};
use lingpai_storage::AuthorizerFilter;
use serde_json::json;

use super::Endpoints;
use crate::{Error, Result, attempt, endpoints::MOST_TESTS};

/// How much of an answer is shown.
const MAX_EXCERPT_BYTES: usize = 1024;

/// Which event a webhook is tried out with.
const TEST_TYPE: &str = "endpoint.test";

/// What came of trying an endpoint out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The HTTP status, if the endpoint answered.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, or why its reply could not be passed on; `None` if all went well.
    pub failure: Option<String>,
    /// The beginning of its answer, at most 1 KiB.
    pub answer: String,
}

impl Endpoints {
    /// Sends one event to an endpoint that is made up on the spot: `endpoint.test` to a webhook, a
    /// fan's text message to a handler. It is kept nowhere, and what comes of it changes nothing. A
    /// tenant may try [`MOST_TESTS`] out at once.
    ///
    /// # Errors
    /// [`Error::EndpointUnknown`], [`Error::TooManyTests`].
    pub async fn test(&self, caller: &Caller, id: &EndpointId) -> Result<TestOutcome> {
        let endpoint = self.get(&caller.scope, id).await?;
        let seats = self.tests.of(&endpoint.tenant_id);
        let seat = seats.try_acquire_owned();
        let _seat = seat.map_err(|_| Error::TooManyTests { most: MOST_TESTS })?;
        let now = self.base.clock.now();
        let event = self.made_up(&caller.scope, &endpoint, now).await?;
        let tx = self.base.db.begin().await?;
        self.record(&tx, caller, (Action::EndpointTested, id), now).await?;
        tx.commit().await?;
        let (made, answer) = attempt::make_and_show(&self.base, &endpoint, &event, 1).await;
        let attempt::Made { attempt, .. } = made;
        let (status, took, failure) = (attempt.status, attempt.took, attempt.failure);
        Ok(TestOutcome { status, took, failure, answer: excerpt(&answer) })
    }

    async fn made_up(
        &self,
        scope: &TenantScope,
        endpoint: &Endpoint,
        now: Instant,
    ) -> Result<Event> {
        let base = Event {
            id: EventId::new(now, &self.base.entropy),
            tenant_id: Some(endpoint.tenant_id.clone()),
            component_appid: None,
            authorizer_appid: None,
            event_type: EventType::parse(TEST_TYPE).expect("it is two words and a dot"),
            openid: None,
            occurred_at: now,
            received_at: now,
            content: EventContent::Ours(Some(json!({ "endpoint_id": endpoint.id.as_str() }))),
        };
        match &endpoint.kind {
            EndpointKind::Webhook(_) => Ok(base),
            EndpointKind::Wechat(_) => {
                let (appid, user_name) = self.account(scope, endpoint).await?;
                Ok(Event {
                    authorizer_appid: Some(appid),
                    event_type: EventType::of_message("text"),
                    openid: Some(FAN.to_owned()),
                    content: EventContent::Pushed(message(&user_name, now)),
                    ..base
                })
            }
        }
    }

    /// An account that the handler serves: its code looks whether the frame names its own.
    async fn account(&self, scope: &TenantScope, endpoint: &Endpoint) -> Result<(Appid, String)> {
        let authorizers = self.base.db.authorizers();
        let known = match endpoint.filter.authorizers.first() {
            Some(appid) => match authorizers.get(scope, appid).await {
                Ok(authorizer) => Some(authorizer),
                Err(lingpai_storage::Error::NotFound { .. }) => {
                    return Ok((appid.clone(), USER_NAME.to_owned()));
                }
                Err(error) => return Err(error.into()),
            },
            None => {
                let filter = AuthorizerFilter::default();
                let page = authorizers.list(scope, &filter, &PageRequest::first()).await?;
                page.items.into_iter().next()
            }
        };
        Ok(match known {
            Some(authorizer) => {
                let user_name = authorizer.profile.user_name.unwrap_or_default();
                let known = if user_name.is_empty() { USER_NAME } else { user_name.as_str() };
                (authorizer.appid, known.to_owned())
            }
            None => {
                let appid = Appid::parse(APPID).expect("it has the form of an appid");
                (appid, USER_NAME.to_owned())
            }
        })
    }
}

/// The account of a tenant that has none.
const APPID: &str = "wx0000000000000000";
/// The original id of an account whose own is not known.
const USER_NAME: &str = "gh_000000000000";
/// A fan that nobody is.
const FAN: &str = "o000000000000000000000000000";

/// A text message.
///
/// Source: WeChat docs, "Receive standard messages" (接收普通消息): text message.
fn message(user_name: &str, now: Instant) -> Secret<Vec<u8>> {
    let (secs, millis) = (now.timestamp(), now.timestamp_millis());
    let xml = format!(
        "<xml><ToUserName><![CDATA[{user_name}]]></ToUserName>\
         <FromUserName><![CDATA[{FAN}]]></FromUserName><CreateTime>{secs}</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[lingpai test]]></Content>\
         <MsgId>{millis}</MsgId></xml>"
    );
    Secret::new(xml.into_bytes())
}

/// The beginning of an answer as text.
fn excerpt(answer: &[u8]) -> String {
    let beginning = &answer[..answer.len().min(MAX_EXCERPT_BYTES)];
    let mut text = String::from_utf8_lossy(beginning).into_owned();
    // What stands in for cut or bad characters is longer than they were.
    while text.len() > MAX_EXCERPT_BYTES {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_whatever_was_answered() {
        assert_eq!(excerpt(b"ok"), "ok");
        assert_eq!(excerpt(&[0xff; 5000]).len() / 3, MAX_EXCERPT_BYTES / 3);
        assert!(excerpt("微".repeat(1000).as_bytes()).len() <= MAX_EXCERPT_BYTES);
    }
}
