//! Endpoints as their tenants keep them.

use std::time::Duration;

use lingpai_model::{
    Appid, Secret,
    audit::Action,
    caller::Caller,
    endpoint::{Endpoint, EndpointKind, EndpointState, LateReplies, Role, WechatHandler},
    event::EventFilter,
    page::PageRequest,
};
use lingpai_webhook::{
    EndpointChange, Error, HandlerChange, MAX_ENDPOINTS, NewEndpoint, NewKind, Wanted,
    signature::sign,
};

use crate::{
    receiver::{Manner, Receiver},
    world::{APPID, World, handler, reply},
};

const REPLYING: Role = Role::Replying { late: LateReplies::Drop };

fn new(kind: NewKind, url: &str) -> NewEndpoint {
    let filter = EventFilter::default();
    NewEndpoint { name: String::new(), url: url.to_owned(), kind, filter }
}

fn replying(accounts: &[&str]) -> NewEndpoint {
    let authorizers = accounts.iter().map(|appid| Appid::parse(appid).unwrap()).collect();
    let filter = EventFilter { authorizers, event_types: Vec::new() };
    NewEndpoint { filter, ..new(NewKind::Wechat(handler(REPLYING)), "https://shop.example/wx") }
}

async fn refusal(world: &World, new: NewEndpoint) -> Error {
    world.endpoints().create(&world.caller, new).await.unwrap_err()
}

#[tokio::test]
async fn an_endpoint_is_its_tenants_only() {
    let world = World::start().await;
    let endpoint = world.webhook("https://shop.example/hook".to_owned()).await;
    let (endpoints, stranger) = (world.endpoints(), world.stranger().await);
    assert_eq!(endpoints.get(&world.caller.scope, &endpoint.id).await.unwrap(), endpoint);
    let page = PageRequest::first();
    assert!(endpoints.list(&stranger.scope, &page).await.unwrap().items.is_empty());
    let unknown = |error: Error| assert!(matches!(error, Error::EndpointUnknown { .. }), "{error}");
    unknown(endpoints.get(&stranger.scope, &endpoint.id).await.unwrap_err());
    let change = EndpointChange::default();
    unknown(endpoints.change(&stranger, &endpoint.id, change).await.unwrap_err());
    unknown(endpoints.rotate(&stranger, &endpoint.id, Duration::ZERO).await.unwrap_err());
    unknown(endpoints.test(&stranger, &endpoint.id).await.unwrap_err());
    unknown(endpoints.remove(&stranger, &endpoint.id).await.unwrap_err());
    assert_eq!(world.endpoint(&endpoint).await, endpoint);
}

#[tokio::test]
async fn what_could_never_work_is_refused_at_the_door() {
    let world = World::start().await;
    for url in ["http://10.0.0.1/", "ftp://shop.example/", "https://a:b@shop.example/", "nowhere"] {
        let refused = refusal(&world, new(NewKind::Webhook, url)).await;
        assert!(matches!(refused, Error::BadUrl(_)), "{url}: {refused}");
    }
    let url = "https://shop.example/wx";
    for token in ["ab", "a b", "令牌令牌", &"a".repeat(33)] {
        let handler = WechatHandler { push_token: Secret::from(token), ..handler(REPLYING) };
        let refused = refusal(&world, new(NewKind::Wechat(handler), url)).await;
        assert!(matches!(refused, Error::BadToken), "{token}: {refused}");
    }
    let short = Secret::from("too short");
    let handler = WechatHandler { encoding_aes_key: short, ..handler(REPLYING) };
    let refused = refusal(&world, new(NewKind::Wechat(handler), url)).await;
    assert!(matches!(refused, Error::BadEncodingAesKey(_)), "{refused}");
    let named = NewEndpoint { name: "x".repeat(65), ..new(NewKind::Webhook, url) };
    assert!(matches!(refusal(&world, named).await, Error::BadName { .. }));
    let page = PageRequest::first();
    let kept = world.endpoints().list(&world.caller.scope, &page).await.unwrap();
    assert!(kept.items.is_empty());
}

#[tokio::test]
async fn a_tenant_has_so_many_endpoints() {
    let world = World::start().await;
    for _ in 0..MAX_ENDPOINTS {
        world.webhook("https://shop.example/hook".to_owned()).await;
    }
    let refused = refusal(&world, new(NewKind::Webhook, "https://shop.example/")).await;
    assert!(matches!(refused, Error::TooManyEndpoints { most: MAX_ENDPOINTS }), "{refused}");
    let stranger = world.stranger().await;
    world.webhook_of(&stranger, "https://other.example/".to_owned()).await;
}

#[tokio::test]
async fn one_endpoint_replies_for_an_account() {
    let world = World::start().await;
    let (other, endpoints) = ("wx0000000000000002", world.endpoints());
    let (first, _) = endpoints.create(&world.caller, replying(&[APPID])).await.unwrap();
    for accounts in [&[APPID][..], &[], &[other, APPID]] {
        let refused = refusal(&world, replying(accounts)).await;
        let Error::ReplyingTaken { endpoint_id } = refused else { panic!("{refused}") };
        assert_eq!(endpoint_id, first.id);
    }
    let (second, _) = endpoints.create(&world.caller, replying(&[other])).await.unwrap();
    let widened = EndpointChange { authorizers: Some(Vec::new()), ..EndpointChange::default() };
    let refused = endpoints.change(&world.caller, &second.id, widened.clone()).await;
    assert!(matches!(refused, Err(Error::ReplyingTaken { .. })), "{refused:?}");
    let role = HandlerChange { role: Some(Role::Listening), ..HandlerChange::default() };
    let listening = EndpointChange { handler: role, ..widened };
    endpoints.change(&world.caller, &second.id, listening).await.unwrap();
}

#[tokio::test]
async fn of_two_who_would_reply_at_the_same_time_one_is_refused() {
    let world = World::start().await;
    let (one, two) =
        (world.endpoints(), lingpai_webhook::Endpoints::new(world.other_process().await));
    let both = futures_util::future::join(
        one.create(&world.caller, replying(&[])),
        two.create(&world.caller, replying(&[])),
    )
    .await;
    let made = [both.0.is_ok(), both.1.is_ok()].into_iter().filter(|made| *made).count();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn both_secrets_sign_while_they_overlap() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoints = world.endpoints();
    let made = endpoints.create(&world.caller, new(NewKind::Webhook, &receiver.url())).await;
    let (endpoint, secret) = made.unwrap();
    let old = secret.expect("a webhook's secret is told once");
    assert!(old.expose().starts_with("whsec_"));
    let overlap = Duration::from_secs(3600);
    let new = endpoints.rotate(&world.caller, &endpoint.id, overlap).await.unwrap();
    let signatures = async || {
        world.message(&[&endpoint]).await;
        world.deliver().await;
        let request = receiver.requests().pop().unwrap();
        let by = |secret: &Secret<String>| {
            let secrets =
                lingpai_model::endpoint::WebhookSecrets { current: secret.clone(), previous: None };
            let timestamp = request.headers["webhook-timestamp"].parse().unwrap();
            let id = request.event_id();
            let sign = sign(&secrets, world.now(), id, timestamp, &request.body).unwrap();
            request.headers["webhook-signature"].split(' ').any(|one| one == sign)
        };
        (by(&old), by(&new))
    };
    assert_eq!(signatures().await, (true, true));
    world.advance(overlap);
    assert_eq!(signatures().await, (false, true));

    let too_long = Duration::from_secs(8 * 24 * 3600);
    let refused = endpoints.rotate(&world.caller, &endpoint.id, too_long).await;
    assert!(matches!(refused, Err(Error::OverlapTooLong { .. })), "{refused:?}");
    let handler = world.handler("https://shop.example/".to_owned(), Role::Listening).await;
    let refused = endpoints.rotate(&world.caller, &handler.id, Duration::ZERO).await;
    assert!(matches!(refused, Err(Error::WrongKind { field: "secret", .. })), "{refused:?}");
}

#[tokio::test]
async fn every_change_is_in_the_trail() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let (endpoints, caller) = (world.endpoints(), &world.caller);
    let paused = EndpointChange { wanted: Some(Wanted::Paused), ..EndpointChange::default() };
    let changed = endpoints.change(caller, &endpoint.id, paused).await.unwrap();
    assert_eq!(changed.state, EndpointState::Paused { since: world.now() });
    endpoints.rotate(caller, &endpoint.id, Duration::ZERO).await.unwrap();
    endpoints.test(caller, &endpoint.id).await.unwrap();
    endpoints.remove(caller, &endpoint.id).await.unwrap();
    let trail = world.trail().await;
    for action in [
        Action::EndpointCreated,
        Action::EndpointChanged,
        Action::EndpointSecretRotated,
        Action::EndpointTested,
        Action::EndpointRemoved,
    ] {
        assert!(trail.contains(&(action.clone(), endpoint.id.to_string())), "{action:?}");
    }
}

#[tokio::test]
async fn secrets_of_a_handler_can_be_changed_and_a_webhook_has_none() {
    let world = World::start().await;
    let endpoint = world.handler("https://shop.example/wx".to_owned(), REPLYING).await;
    let token = Some(Secret::from("another1"));
    let handler = HandlerChange { push_token: token.clone(), ..HandlerChange::default() };
    let change = EndpointChange { handler, ..EndpointChange::default() };
    world.endpoints().change(&world.caller, &endpoint.id, change.clone()).await.unwrap();
    let EndpointKind::Wechat(kept) = world.endpoint(&endpoint).await.kind else {
        panic!("a handler")
    };
    assert_eq!(Some(kept.push_token), token);
    let webhook = world.webhook("https://shop.example/hook".to_owned()).await;
    let refused = world.endpoints().change(&world.caller, &webhook.id, change).await;
    assert!(matches!(refused, Err(Error::WrongKind { field: "token", .. })), "{refused:?}");
}

async fn tested(
    world: &World,
    caller: &Caller,
    endpoint: &Endpoint,
) -> lingpai_webhook::TestOutcome {
    world.endpoints().test(caller, &endpoint.id).await.unwrap()
}

#[tokio::test]
async fn a_test_sends_something_made_up_and_changes_nothing() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Answer(500, "no luck".repeat(1000))).await;
    let endpoint = world.webhook(receiver.url()).await;
    let outcome = tested(&world, &world.caller, &endpoint).await;
    assert_eq!(outcome.status, Some(500));
    assert!(outcome.failure.is_some());
    assert!(outcome.answer.starts_with("no luck") && outcome.answer.len() <= 1024);
    let body: serde_json::Value = serde_json::from_slice(&receiver.requests()[0].body).unwrap();
    assert_eq!(body["type"], "endpoint.test");
    assert_eq!(world.endpoint(&endpoint).await.health.failures_in_row, 0);
    assert!(world.deliveries().await.is_empty());

    receiver.behave(Manner::Answer(200, "success".to_owned()));
    let handler = world.handler(receiver.url(), REPLYING).await;
    let outcome = tested(&world, &world.caller, &handler).await;
    assert_eq!((outcome.status, outcome.failure), (Some(200), None));
    let request = receiver.requests().pop().unwrap();
    let body = String::from_utf8(request.body).unwrap();
    assert!(body.contains("gh_0123456789ab") && body.contains("text"), "{body}");
    assert!(request.target.contains("signature="), "{}", request.target);

    // A reply to another fan is told.
    receiver.behave(Manner::Answer(200, reply("hi")));
    let outcome = tested(&world, &world.caller, &handler).await;
    assert!(outcome.failure.is_some(), "it names a fan that did not write");
}

#[tokio::test]
async fn a_tenant_tries_two_endpoints_out_at_once() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    let stranger = world.stranger().await;
    let theirs = world.webhook_of(&stranger, receiver.url()).await;
    let endpoints = world.endpoints();
    let test = || endpoints.test(&world.caller, &endpoint.id);
    let third = async {
        receiver.open(2).await;
        let refused = test().await;
        assert!(matches!(refused, Err(Error::TooManyTests { most: 2 })), "{refused:?}");
        let other = endpoints.test(&stranger, &theirs.id);
        let released = async {
            receiver.open(3).await;
            receiver.release();
        };
        tokio::join!(other, released).0.expect("another tenant may");
    };
    let (one, two, ()) = tokio::join!(test(), test(), third);
    assert_eq!([one.unwrap().status, two.unwrap().status], [Some(200); 2]);
    assert_eq!(test().await.unwrap().status, Some(200), "the seats are free again");
}

#[tokio::test]
async fn a_filter_that_is_too_long_is_told_by_its_part() {
    let world = World::start().await;
    let appid = Appid::parse("wx0000000000000001").unwrap();
    let pattern = lingpai_model::event::EventPattern::parse("message.*").unwrap();
    let endpoint = world.webhook("https://shop.example/hook".to_owned()).await;
    let accounts =
        EndpointChange { authorizers: Some(vec![appid; 101]), ..EndpointChange::default() };
    let types =
        EndpointChange { event_types: Some(vec![pattern; 101]), ..EndpointChange::default() };
    for (change, expected) in [(accounts, "authorizers"), (types, "event_types")] {
        let refused = world.endpoints().change(&world.caller, &endpoint.id, change).await;
        let Err(Error::BadFilter { field, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(field, expected);
    }
}
