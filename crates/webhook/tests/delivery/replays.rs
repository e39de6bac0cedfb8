//! Events are delivered again: one, a range, to another endpoint.

use std::collections::BTreeSet;

use lingpai_model::{
    audit::Action,
    delivery::{DeadReason, DeliveryCause, DeliveryState},
    endpoint::Role,
    event::{EventKind, EventPattern},
    page::PageRequest,
};
use lingpai_webhook::{Deliveries, EndpointChange, Error, EventQuery, ReplayOf, Replayed, Wanted};

use crate::{
    receiver::{Manner, Receiver},
    world::{World, all_delivered},
};

fn service(world: &World) -> Deliveries {
    Deliveries::new(world.base())
}

fn range(event_type: Option<&str>) -> ReplayOf {
    let event_type = event_type.map(|pattern| EventPattern::parse(pattern).unwrap());
    let query = EventQuery { event_type, ..EventQuery::default() };
    ReplayOf::Range { query, after: None }
}

#[tokio::test]
async fn one_event_goes_again_to_all_who_want_it_with_the_same_id() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let one = world.webhook(receiver.url()).await;
    let two = world.webhook(receiver.url()).await;
    let event = world.message(&[&one, &two]).await;
    world.deliver().await;
    let of = ReplayOf::Event(event.id.clone());
    let replayed = service(&world).replay(&world.caller, of, None).await.unwrap();
    assert_eq!(replayed, Replayed { deliveries: 2, next: None });
    world.deliver().await;

    let ids: Vec<String> =
        receiver.requests().iter().map(|request| request.event_id().to_owned()).collect();
    assert_eq!(ids, vec![event.id.as_str(); 4]);
    let deliveries = world.deliveries().await;
    let replays = deliveries.iter().filter(|one| one.cause == DeliveryCause::Replay).count();
    assert_eq!((deliveries.len(), replays), (4, 2));
    let done = (Action::DeliveriesReplayed, event.id.to_string());
    assert!(world.trail().await.contains(&done));
}

#[tokio::test]
async fn a_dead_delivery_goes_again_to_its_endpoint() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(410)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    let dead = service(&world).system_dead(None, &PageRequest::first()).await.unwrap().items;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].state, DeliveryState::Dead(DeadReason::EndpointDisabled));

    let of = ReplayOf::Delivery(dead[0].id.clone());
    let refused = service(&world).replay(&world.caller, of.clone(), None).await;
    assert!(matches!(refused, Err(Error::EndpointNotActive { .. })), "{refused:?}");
    receiver.behave(Manner::ok());
    let active = EndpointChange { wanted: Some(Wanted::Active), ..EndpointChange::default() };
    world.endpoints().change(&world.caller, &endpoint.id, active).await.unwrap();
    service(&world).replay(&world.caller, of, None).await.unwrap();
    let by_operator = service(&world).replay_for(&world.operator(), &dead[0].id).await.unwrap();
    assert_eq!(by_operator.deliveries, 1);
    world.deliver().await;
    assert_eq!(receiver.load().came, 3);
}

#[tokio::test]
async fn a_range_goes_to_another_endpoint_whatever_that_wants() {
    let world = World::start().await;
    let [old, new] = [Receiver::start(Manner::ok()).await, Receiver::start(Manner::ok()).await];
    let endpoint = world.webhook(old.url()).await;
    let events = world.messages(250, &[&endpoint]).await;
    let own = world.own_event(EventKind::QuotaWarning).await;
    let other = world.webhook(new.url()).await;
    let nothing = EndpointChange {
        event_types: Some(vec![EventPattern::parse("event.scan").unwrap()]),
        ..EndpointChange::default()
    };
    world.endpoints().change(&world.caller, &other.id, nothing).await.unwrap();

    let to = Some(other.id.clone());
    let replayed =
        service(&world).replay(&world.caller, range(Some("message.*")), to).await.unwrap();
    assert_eq!(replayed, Replayed { deliveries: 250, next: None });
    world.deliver().await;
    let told: BTreeSet<String> =
        new.requests().iter().map(|request| request.event_id().to_owned()).collect();
    assert_eq!(told, events.iter().map(|event| event.id.to_string()).collect());
    assert!(!told.contains(own.id.as_str()));
    assert!(all_delivered(&world.deliveries_to(&other).await));
}

#[tokio::test]
async fn a_long_range_is_replayed_part_by_part() {
    let world = World::start().await;
    let endpoint = world.webhook("http://127.0.0.1:9/".to_owned()).await;
    world.messages(1_030, &[]).await;
    let (mut of, mut made, mut calls) = (range(None), 0, 0);
    loop {
        let replayed = service(&world).replay(&world.caller, of, None).await.unwrap();
        made += replayed.deliveries;
        calls += 1;
        let Some(next) = replayed.next else { break };
        of = ReplayOf::Range { query: EventQuery::default(), after: Some(next) };
    }
    assert_eq!((made, calls), (1_030, 2));
    let deliveries = world.deliveries_to(&endpoint).await;
    let events: BTreeSet<_> = deliveries.iter().map(|one| one.event_id.clone()).collect();
    assert_eq!(events.len(), 1_030, "each once");
}

#[tokio::test]
async fn who_has_much_to_be_delivered_gets_no_more_until_it_is() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let events = world.messages(320, &[]).await;
    let service = service(&world).bounded(150);
    let replayed = service.replay(&world.caller, range(None), None).await.unwrap();
    assert_eq!(replayed.deliveries, 200, "two pages: behind the second there are enough");
    let rest = replayed.next.expect("a page and more is left");
    let rest = ReplayOf::Range { query: EventQuery::default(), after: Some(rest) };
    for of in [rest.clone(), ReplayOf::Event(events[0].id.clone())] {
        let refused = service.replay(&world.caller, of, None).await;
        assert!(matches!(refused, Err(Error::TooManyPending { most: 150 })), "{refused:?}");
    }
    let stranger = world.stranger().await;
    assert!(service.replay(&stranger, range(None), None).await.is_ok(), "others may");

    world.deliver().await;
    let replayed = service.replay(&world.caller, rest, None).await.unwrap();
    assert_eq!(replayed, Replayed { deliveries: 120, next: None });
    let told: BTreeSet<_> =
        world.deliveries_to(&endpoint).await.into_iter().map(|one| one.event_id).collect();
    assert_eq!(told.len(), 320, "each once");
}

#[tokio::test]
async fn what_has_no_form_for_an_endpoint_is_not_replayed_to_it() {
    let world = World::start().await;
    let handler = world.handler("http://127.0.0.1:9/".to_owned(), Role::Listening).await;
    let own = world.own_event(EventKind::QuotaWarning).await;
    world.message(&[]).await;
    let (of, to) = (ReplayOf::Event(own.id.clone()), Some(handler.id.clone()));
    let refused = service(&world).replay(&world.caller, of, to.clone()).await;
    assert!(matches!(refused, Err(Error::NotReplayable)), "{refused:?}");
    let replayed = service(&world).replay(&world.caller, range(None), to).await.unwrap();
    assert_eq!(replayed.deliveries, 1, "the message only");
}

#[tokio::test]
async fn nothing_of_another_tenant_can_be_replayed() {
    let world = World::start().await;
    let stranger = world.stranger().await;
    let endpoint = world.webhook("http://127.0.0.1:9/".to_owned()).await;
    let theirs = world.webhook_of(&stranger, "http://127.0.0.1:9/".to_owned()).await;
    let event = world.message(&[&endpoint]).await;
    let delivery = world.deliveries().await.remove(0);
    let service = service(&world);

    let refused = service.replay(&stranger, ReplayOf::Event(event.id.clone()), None).await;
    assert!(matches!(refused, Err(Error::EventUnknown { .. })), "{refused:?}");
    let of = ReplayOf::Delivery(delivery.id.clone());
    let refused = service.replay(&stranger, of, None).await;
    assert!(matches!(refused, Err(Error::DeliveryUnknown { .. })), "{refused:?}");
    let refused = service.get(&stranger.scope, &delivery.id).await;
    assert!(matches!(refused, Err(Error::DeliveryUnknown { .. })), "{refused:?}");
    let (of, to) = (ReplayOf::Event(event.id), Some(theirs.id.clone()));
    let refused = service.replay(&world.caller, of, to).await;
    assert!(matches!(refused, Err(Error::EndpointUnknown { .. })), "{refused:?}");
    let replayed = service.replay(&stranger, range(None), None).await.unwrap();
    assert_eq!(replayed.deliveries, 0);
}
