//! Endpoints that end: they say so, they fail for too long, or they are removed in the middle.

use std::time::Duration;

use lingpai_model::{
    delivery::{DeadReason, DeliveryState},
    endpoint::EndpointState,
    event::{EventContent, EventKind},
};
use lingpai_storage::testing::kept_events;
use lingpai_webhook::{EndpointChange, Events, Wanted};

use crate::{
    receiver::{Manner, Receiver},
    world::World,
};

fn dead(reason: DeadReason) -> DeliveryState {
    DeliveryState::Dead(reason)
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_its_tenant_is_told() {
    let world = World::start().await;
    let [gone, healthy] =
        [Receiver::start(Manner::status(410)).await, Receiver::start(Manner::ok()).await];
    let endpoint = world.webhook(gone.url()).await;
    let other = world.webhook(healthy.url()).await;
    world.messages(30, &[&endpoint]).await;
    world.deliver().await;

    let disabled = world.endpoint(&endpoint).await;
    let EndpointState::Disabled { reason, .. } = &disabled.state else {
        panic!("it is disabled, not {:?}", disabled.state);
    };
    assert!(reason.contains("410"), "{reason}");
    assert!(gone.load().came <= 4, "only what was in flight already");
    for delivery in world.deliveries_to(&endpoint).await {
        let ended = match delivery.state {
            // What was in flight beside the one that told it came to its own end.
            DeliveryState::Dead(DeadReason::EndpointDisabled) => true,
            DeliveryState::Dead(_) | DeliveryState::Pending | DeliveryState::Delivered => false,
        };
        assert!(ended, "{delivery:?}");
    }
    let event = world.message(&[]).await;
    assert!(!disabled.wants(&event), "nothing new is kept for it");

    // Its event is in the stream, and goes to the tenant's other endpoint, once.
    let tenant = world.caller.scope.tenant_id();
    let told: Vec<_> = kept_events(world.db(), Some(tenant)).await;
    let told: Vec<_> =
        told.iter().filter(|event| event.event_type == EventKind::EndpointDisabled).collect();
    assert_eq!(told.len(), 1);
    let EventContent::Ours(Some(detail)) = &told[0].content else { panic!("it says which") };
    assert_eq!(detail["endpoint_id"], endpoint.id.as_str());
    assert!(!detail.to_string().contains("http"), "the URL may hold secrets: {detail}");
    assert_eq!(world.dispatch().await, 1);
    world.deliver().await;
    assert_eq!(world.deliveries_to(&other).await.len(), 1);
    assert_eq!(healthy.requests()[0].event_id(), told[0].id.as_str());
}

#[tokio::test]
async fn three_days_of_failures_disable_an_endpoint() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(500)).await;
    let endpoint = world.webhook(receiver.url()).await;
    let began = world.now();
    for _ in 0..4 * 24 {
        world.message(&[&endpoint]).await;
        world.deliver().await;
        if world.endpoint(&endpoint).await.state != EndpointState::Active {
            break;
        }
        world.advance(Duration::from_secs(3600));
    }
    let disabled = world.endpoint(&endpoint).await;
    assert!(matches!(disabled.state, EndpointState::Disabled { .. }));
    assert_eq!(world.now() - began, chrono::Duration::days(3));
    let deliveries = world.deliveries().await;
    let disabled = |state| state == dead(DeadReason::EndpointDisabled);
    assert!(deliveries.iter().any(|delivery| disabled(delivery.state)));
    assert!(deliveries.iter().all(|delivery| delivery.due_at.is_none()), "none is left over");
}

#[tokio::test]
async fn what_is_recorded_for_a_disabled_endpoint_is_given_up_too() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(410)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    // By a process that remembers it as active.
    world.message(&[&endpoint]).await;
    world.deliver().await;
    assert_eq!(receiver.load().came, 1);
    for delivery in world.deliveries().await {
        assert_eq!(delivery.state, dead(DeadReason::EndpointDisabled));
    }
}

#[tokio::test]
async fn an_endpoint_that_was_disabled_starts_afresh() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(410)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    receiver.behave(Manner::ok());
    let active = EndpointChange { wanted: Some(Wanted::Active), ..EndpointChange::default() };
    world.endpoints().change(&world.caller, &endpoint.id, active).await.unwrap();
    let endpoint = world.endpoint(&endpoint).await;
    assert_eq!(endpoint.state, EndpointState::Active);
    let health = &endpoint.health;
    assert_eq!((health.failures_in_row, health.failing_since), (0, None));
    world.message(&[&endpoint]).await;
    world.deliver().await;
    assert_eq!(receiver.load().came, 2);
}

#[tokio::test]
async fn what_was_for_an_endpoint_that_is_removed_is_given_up() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(20, &[&endpoint]).await;
    let deliverer = world.deliverer();
    deliverer.run_once().await.unwrap();
    receiver.open(4).await;
    world.endpoints().remove(&world.caller, &endpoint.id).await.unwrap();
    receiver.release();
    deliverer.settled().await;

    assert!(receiver.load().came < 20, "what was claimed came to its end, and no more");
    for delivery in world.deliveries().await {
        assert_eq!(delivery.state, dead(DeadReason::EndpointRemoved));
    }
}

#[tokio::test]
async fn a_change_counts_from_the_next_claim_on() {
    let world = World::start().await;
    let [before, after] = [
        Receiver::start(Manner::Hold(200, String::new())).await,
        Receiver::start(Manner::ok()).await,
    ];
    let endpoint = world.webhook(before.url()).await;
    world.messages(30, &[&endpoint]).await;
    let deliverer = world.deliverer();
    deliverer.run_once().await.unwrap();
    before.open(4).await;
    let moved = EndpointChange { url: Some(after.url()), ..EndpointChange::default() };
    world.endpoints().change(&world.caller, &endpoint.id, moved).await.unwrap();
    before.release();
    deliverer.settled().await;
    assert_eq!(before.load().came + after.load().came, 30);
    assert!(after.load().came > 0);
}

#[tokio::test]
async fn what_is_recorded_for_a_removed_endpoint_is_given_up_too() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(500)).await;
    let endpoint = world.webhook(receiver.url()).await;
    let kept = world.webhook(receiver.url()).await;
    world.endpoints().remove(&world.caller, &endpoint.id).await.unwrap();
    // By a process that remembers it.
    world.messages(3, &[&endpoint, &kept]).await;
    world.deliver().await;
    let events = Events::new(world.db().clone(), world.shared_clock(), world.entropy.clone());
    events.sweep(Duration::from_secs(24 * 3600)).await.unwrap();
    for delivery in world.deliveries_to(&endpoint).await {
        assert_eq!(delivery.state, dead(DeadReason::EndpointRemoved));
    }
    for delivery in world.deliveries_to(&kept).await {
        assert_eq!(delivery.state, DeliveryState::Pending);
    }
}
