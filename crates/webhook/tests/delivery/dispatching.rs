//! Our own events are delivered to whoever wants them.

use lingpai_model::{
    endpoint::Role,
    event::{EventFilter, EventKind, EventPattern},
};
use lingpai_webhook::{Dispatcher, EndpointChange};

use crate::{
    receiver::{Manner, Receiver},
    world::World,
};

#[tokio::test]
async fn an_event_of_ours_is_dispatched_once_to_all_who_want_it() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let all = world.webhook(receiver.url()).await;
    let some = world.webhook(receiver.url()).await;
    let messages = EndpointChange {
        event_types: Some(vec![EventPattern::parse("message.*").unwrap()]),
        ..EndpointChange::default()
    };
    let some = world.endpoints().change(&world.caller, &some.id, messages).await.unwrap();
    assert_ne!(some.filter, EventFilter::default());
    let handler = world.handler(receiver.url(), Role::Listening).await;
    let stranger = world.stranger().await;
    let others = world.webhook_of(&stranger, receiver.url()).await;
    let event = world.own_event(EventKind::QuotaWarning).await;

    let processes = [Dispatcher::new(world.base()), Dispatcher::new(world.other_process().await)];
    let [one, two] = processes.each_ref().map(Dispatcher::run_once);
    let (one, two) = futures_util::future::join(one, two).await;
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(world.dispatch().await, 0);
    let to = async |endpoint| world.deliveries_to(endpoint).await.len();
    assert_eq!(to(&all).await, 1);
    assert_eq!(to(&some).await, 0, "its filter leaves it out");
    assert_eq!(to(&handler).await, 0, "there is no form for it");
    assert_eq!(to(&others).await, 0, "it is somebody else's");

    world.deliver().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].event_id(), event.id.as_str());
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body["type"], "authorizer.quota_warning");
}

#[tokio::test]
async fn what_wechat_pushed_is_not_dispatched_again() {
    let world = World::start().await;
    let endpoint = world.webhook("http://127.0.0.1:9/".to_owned()).await;
    world.message(&[&endpoint]).await;
    assert_eq!(world.dispatch().await, 0);
    assert_eq!(world.deliveries().await.len(), 1);
}
