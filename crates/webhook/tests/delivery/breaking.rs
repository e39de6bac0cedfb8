//! The breaker: an endpoint that fails is left alone for a while, and tried gently afterwards.

use std::time::Duration;

use lingpai_model::{
    delivery::{DeadReason, DeliveryState},
    endpoint::EndpointHealth,
};

use crate::{
    receiver::{Manner, Receiver},
    world::{World, all_delivered},
};

#[tokio::test]
async fn five_failures_in_a_row_block_an_endpoint_and_one_success_opens_it() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(500)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(20, &[&endpoint]).await;

    world.deliver().await;
    assert_eq!(receiver.load().came, 5);
    let deliveries = world.deliveries().await;
    let tried = deliveries.iter().filter(|delivery| delivery.attempts == 1).count();
    let untouched = deliveries.iter().filter(|delivery| delivery.attempts == 0).count();
    assert_eq!((tried, untouched), (5, 15), "what was only claimed was given back");
    let health = world.endpoint(&endpoint).await.health;
    assert_eq!(health.failures_in_row, 5);
    assert!(health.blocked_until > Some(world.now()));
    assert_eq!(health.last_failure.as_deref(), Some("it answered 500"));
    assert_eq!(world.deliverer().run_once().await.unwrap(), 0, "it is left alone");

    world.advance(Duration::from_secs(15));
    world.deliver().await;
    assert_eq!(receiver.load().came, 6, "one attempt, and blocked again");

    receiver.behave(Manner::ok());
    world.advance(Duration::from_secs(5 * 60));
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await));
    assert_eq!(receiver.load().came, 6 + 20);
    let health = world.endpoint(&endpoint).await.health;
    assert_eq!((health.failures_in_row, health.blocked_until), (0, None));
}

#[tokio::test]
async fn after_a_block_one_is_in_flight_until_one_goes_well() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(500, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    let blocked = EndpointHealth {
        failures_in_row: 5,
        failing_since: Some(world.now()),
        blocked_until: Some(world.now() + Duration::from_secs(10)),
        ..EndpointHealth::default()
    };
    world.note_health(&endpoint, &blocked).await;
    world.messages(10, &[&endpoint]).await;
    let deliverer = world.deliverer();
    assert_eq!(deliverer.run_once().await.unwrap(), 0);

    world.advance(Duration::from_secs(11));
    deliverer.run_once().await.unwrap();
    receiver.open(1).await;
    receiver.release();
    deliverer.settled().await;
    assert_eq!((receiver.load().came, receiver.load().most_open), (1, 1));

    receiver.behave(Manner::ok());
    world.advance(Duration::from_secs(5 * 60));
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_no_fault_of_its_endpoint() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let broken = world.unreadable_message(&endpoint).await;
    let sound = world.message(&[&endpoint]).await;
    world.deliver().await;
    let told: Vec<String> =
        receiver.requests().iter().map(|request| request.event_id().to_owned()).collect();
    assert_eq!(told, [sound.id.as_str()]);
    assert_eq!(world.endpoint(&endpoint).await.health.failures_in_row, 0);
    let deliveries = world.deliveries().await;
    let of_broken = deliveries.iter().find(|delivery| delivery.event_id == broken.id).unwrap();
    assert_eq!(of_broken.state, DeliveryState::Dead(DeadReason::Unreadable));
}
