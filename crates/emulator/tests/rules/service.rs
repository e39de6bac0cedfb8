//! A service that answers messages: as a third-party platform should, or as a test wants it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use lingpai_emulator::EmulatorConfig;
use lingpai_wechat::crypt::{Crypt, KeySlot};
use lingpai_wechat::push::component::ComponentPush;
use lingpai_wechat::push::message::MessagePush;
use lingpai_wechat::push::publish_test::{self, Question};
use lingpai_wechat::push::reply::Reply;
use lingpai_wechat::push::{Envelope, PushQuery};
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{Endpoint, EndpointExt as _, Request, Response, Route, Server};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::TaskTracker;

use crate::world::{COMPONENT, QUERY_AUTH, World, crypt};

/// What is answered to a push.
pub(crate) enum Answer {
    /// A body in clear.
    Plain(String),
    /// A reply, sealed.
    Sealed(Reply),
    /// A reply, sealed, with the names not swapped.
    Unswapped(Reply),
}

type Decide = dyn Fn(&MessagePush) -> Answer + Send + Sync;

/// Answers messages as `decide` says and authorization events by `success`.
#[derive(Clone)]
pub(crate) struct Service {
    keys: Crypt,
    decide: Arc<Decide>,
    queries: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<MessagePush>>>,
}

impl Service {
    /// Listens with the component's keys and has WeChat push there.
    pub(crate) async fn start(
        world: &World,
        decide: impl Fn(&MessagePush) -> Answer + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let component = EmulatorConfig::default().component;
        let keys = crypt(&component.appid, &component.push_token, &component.encoding_aes_key)?;
        Self::start_with(world, keys, decide).await
    }

    /// The same with other keys.
    pub(crate) async fn start_with(
        world: &World,
        keys: Crypt,
        decide: impl Fn(&MessagePush) -> Answer + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let (queries, seen) = <(Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
        let service = Self { keys, decide: Arc::new(decide), queries, seen };
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
        let addr = acceptor.local_addr()[0].to_string();
        let port = addr.rsplit(':').next().context("a port")?.to_owned();
        let app = Route::new().at("/*path", service.clone()).map_to_response();
        TaskTracker::new().spawn(Server::new_with_acceptor(acceptor).run(app));
        world.wechat.set_events_url(&format!("http://127.0.0.1:{port}/events"));
        world.wechat.set_messages_url(&format!("http://127.0.0.1:{port}/messages/$APPID$"));
        Ok(service)
    }

    pub(crate) fn queries(&self) -> Vec<String> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages that arrived.
    pub(crate) fn seen(&self) -> Vec<MessagePush> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, query: &str, body: &[u8]) -> anyhow::Result<String> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).push(query.to_owned());
        let envelope = if body.starts_with(b"{") {
            Envelope::parse_json(body)?
        } else {
            Envelope::parse(body)?
        };
        let opened = self.keys.open(&PushQuery::parse(query)?, &envelope.encrypt)?;
        if ComponentPush::parse(&opened.plaintext).is_ok() {
            return Ok("success".to_owned());
        }
        let push = MessagePush::parse(&opened.plaintext)?;
        let answer = (self.decide)(&push);
        let (fan, account) = (push.from_user_name.clone(), push.to_user_name.clone());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(push);
        let xml = match answer {
            Answer::Plain(body) => return Ok(body),
            Answer::Sealed(reply) => reply.to_xml(&fan, &account, 1),
            Answer::Unswapped(reply) => reply.to_xml(&account, &fan, 1),
        };
        let sealed = self.keys.seal(xml.as_bytes(), KeySlot::Current, 1, "2", [3; 16]);
        Ok(if body.starts_with(b"{") { sealed.to_json() } else { sealed.to_xml() })
    }
}

impl Endpoint for Service {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_bytes_limit(256 * 1024).await?;
        let query = request.uri().query().unwrap_or_default();
        let answer = self.answer(query, &body).unwrap_or_else(|error| format!("{error:#}"));
        Ok(Response::builder().body(answer))
    }
}

/// A code that is to be exchanged, and the fan who is to be told.
pub(crate) type Asked = (String, String);

/// What a platform that passes the publish test answers. The codes that it is to exchange go to
/// `codes`: it does so after the answer.
pub(crate) fn passing(push: &MessagePush, codes: &UnboundedSender<Asked>) -> Answer {
    let says = |content: String| Answer::Sealed(Reply::Text { content });
    match publish_test::question(push) {
        Some(Question::Text) => says(publish_test::TEXT_REPLY.to_owned()),
        Some(Question::Event(event)) => says(publish_test::event_reply(event)),
        Some(Question::Code(code)) => {
            // Nobody listens any more once the test is over.
            let _ = codes.send((code.to_owned(), push.from_user_name.clone()));
            Answer::Plain(String::new())
        }
        None => Answer::Plain("success".to_owned()),
    }
}

/// Exchanges a code; gives the `authorization_info` that came for it.
pub(crate) async fn exchange(
    world: &World,
    component_token: &str,
    code: &str,
) -> anyhow::Result<Value> {
    let body = json!({ "component_appid": COMPONENT, "authorization_code": code });
    let answer = world.component(QUERY_AUTH, component_token, body).await?;
    Ok(answer["authorization_info"].clone())
}

/// Sends a customer-service text.
pub(crate) async fn send_text(
    world: &World,
    token: &str,
    openid: &str,
    content: &str,
) -> anyhow::Result<Value> {
    let message = json!({ "touser": openid, "msgtype": "text", "text": { "content": content } });
    world.post(&format!("/cgi-bin/message/custom/send?access_token={token}"), &message).await
}
