//! A worker that slept too long changes nothing that others have done since.

use std::time::Duration;

use lingpai_model::delivery::{DeliveryState, FirstAttempt};
use lingpai_storage::testing::end_endpoint_lease;
use lingpai_webhook::{ASKED_FOR, Deliverer};

use crate::{
    receiver::{Manner, Receiver},
    world::{World, all_delivered},
};

/// Longer than anybody leaves a claimed delivery alone.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_a_fenced_worker_brings_late_does_not_count() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(500, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(30, &[&endpoint]).await;
    let slow = Deliverer::new(world.other_process().await);
    slow.run_once().await.unwrap();
    receiver.open(4).await;

    // It sleeps: its lease ends, and what it had claimed is due again.
    end_endpoint_lease(world.db(), &endpoint.id).await;
    world.advance(LONG);
    receiver.behave(Manner::ok());
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await), "nothing is lost");
    assert_eq!(receiver.load().came, 4 + 30);

    receiver.release();
    slow.settled().await;
    let deliveries = world.deliveries().await;
    assert!(all_delivered(&deliveries), "its failures came too late");
    assert_eq!(receiver.load().came, 4 + 30, "and it sends nothing more");
    let twice = deliveries.iter().filter(|delivery| delivery.attempts == 2).count();
    assert_eq!(twice, 8, "those that it had claimed: an attempt counts before it is made");
    assert_eq!(world.endpoint(&endpoint).await.health.failures_in_row, 0);
}

#[tokio::test]
async fn a_fenced_worker_leaves_the_rest_to_its_successor() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(30, &[&endpoint]).await;
    let slow = Deliverer::new(world.other_process().await);
    slow.run_once().await.unwrap();
    receiver.open(4).await;
    end_endpoint_lease(world.db(), &endpoint.id).await;
    let successor = Deliverer::new(world.other_process().await);
    assert_eq!(successor.run_once().await.unwrap(), 1);
    receiver.open(8).await;
    receiver.release();
    slow.settled().await;
    successor.settled().await;
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await));
    assert_eq!(receiver.load().came, 30, "none twice");
}

#[tokio::test]
async fn what_nobody_asked_for_in_the_end_is_delivered_by_a_worker() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    // A process recorded it, to make the first attempt itself, and died.
    let mut delivery = world.delivery(&endpoint);
    delivery.first_attempt = FirstAttempt::Recorder(ASKED_FOR);
    world.record(&world.caller, "oFan-1", vec![delivery]).await;
    world.deliver().await;
    assert_eq!(receiver.load().came, 0, "it may still be at it");
    world.advance(ASKED_FOR);
    world.deliver().await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 2));
    assert_eq!(receiver.load().came, 1);
}
