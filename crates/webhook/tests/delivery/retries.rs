//! What fails is tried again, for three days.

use std::time::Duration;

use lingpai_model::delivery::{DeadReason, DeliveryState};
use lingpai_webhook::Deliveries;

use crate::{
    receiver::{Manner, Receiver},
    world::World,
};

#[tokio::test]
async fn an_attempt_counts_before_it_is_made() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    let deliverer = world.deliverer();
    deliverer.run_once().await.unwrap();
    receiver.open(1).await;

    let under_way = world.deliveries().await.remove(0);
    assert_eq!((under_way.attempts, under_way.state), (1, DeliveryState::Pending));
    assert!(under_way.due_at > Some(world.now()), "nobody else makes it meanwhile");
    receiver.release();
    deliverer.settled().await;
    let made = world.deliveries().await.remove(0);
    assert_eq!((made.attempts, made.state, made.due_at), (1, DeliveryState::Delivered, None));
}

#[tokio::test]
async fn a_delivery_is_tried_for_three_days_and_then_given_up() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(503)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    let began = world.now();

    let mut last = began;
    while let Some(due) = world.deliveries().await[0].due_at {
        let blocked = world.endpoint(&endpoint).await.health.blocked_until;
        let next = due.max(blocked.unwrap_or(due));
        world.advance((next - world.now()).to_std().unwrap_or_default());
        last = world.now();
        world.deliver().await;
    }
    let delivery = world.deliveries().await.remove(0);
    assert_eq!(delivery.state, DeliveryState::Dead(DeadReason::GaveUp));
    assert!(last - began > chrono::Duration::days(2), "{}", last - began);
    assert!(last - began <= chrono::Duration::days(3), "{}", last - began);

    let scope = &world.caller.scope;
    let (_, attempts) = Deliveries::new(world.base()).get(scope, &delivery.id).await.unwrap();
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (1..=delivery.attempts).collect::<Vec<_>>());
    assert_eq!(receiver.load().came, attempts.len());
    assert!(attempts.iter().all(|attempt| attempt.status == Some(503)));
    let ids: Vec<String> =
        receiver.requests().iter().map(|request| request.event_id().to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same id on every attempt");
}

#[tokio::test]
async fn an_endpoint_says_how_long_it_wants_to_be_left_alone() {
    let world = World::start().await;
    let manner = Manner::AnswerWith(429, "retry-after: 900\r\n", String::new());
    let receiver = Receiver::start(manner).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    let due = world.deliveries().await[0].due_at.unwrap();
    assert!(due >= world.now() + Duration::from_secs(900), "{due}");

    receiver.behave(Manner::ok());
    world.advance(Duration::from_secs(899));
    world.deliver().await;
    assert_eq!(receiver.load().came, 1);
    world.advance(Duration::from_secs(2));
    world.deliver().await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn redirects_are_failures() {
    let world = World::start().await;
    let elsewhere = Receiver::start(Manner::ok()).await;
    let receiver = Receiver::start(Manner::status(307)).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Pending);
    assert_eq!(elsewhere.load().came, 0);
    let failure = world.endpoint(&endpoint).await.health.last_failure.unwrap();
    assert!(failure.contains("redirects are not followed"), "{failure}");
}

#[tokio::test]
async fn what_an_endpoint_answers_at_length_was_taken_all_the_same() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Answer(200, "x".repeat(100_000))).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    world.deliver().await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn what_an_endpoint_said_with_its_status_holds_if_it_hangs_up_then() {
    let world = World::start().await;
    let [took, failed] =
        [Receiver::start(Manner::Cut(200)).await, Receiver::start(Manner::Cut(503)).await];
    let took_it = world.webhook(took.url()).await;
    let failed_it = world.webhook(failed.url()).await;
    world.message(&[&took_it, &failed_it]).await;
    world.deliver().await;
    assert_eq!(world.deliveries_to(&took_it).await[0].state, DeliveryState::Delivered);
    assert_eq!(world.endpoint(&took_it).await.health.failures_in_row, 0);
    let again = world.deliveries_to(&failed_it).await.remove(0);
    assert_eq!(again.state, DeliveryState::Pending);
    let service = Deliveries::new(world.base());
    let (_, attempts) = service.get(&world.caller.scope, &again.id).await.unwrap();
    assert_eq!(attempts[0].status, Some(503));
}

#[tokio::test]
async fn what_was_begun_too_often_and_never_ended_is_given_up() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.message(&[&endpoint]).await;
    // Each of these workers died of it.
    let hold = Duration::from_secs(30);
    for _ in 0..11 {
        let lease = world.db().lease_endpoint(&endpoint.id, hold).await.unwrap().unwrap();
        let tx = world.db().begin().await.unwrap();
        let claimed = tx.deliveries().claim(&lease, world.now(), 1, hold).await.unwrap();
        assert_eq!(claimed.len(), 1);
        tx.commit().await.unwrap();
        world.db().release_endpoint(lease).await.unwrap();
        world.advance(hold);
    }
    let sound = world.message(&[&endpoint]).await;
    world.deliver().await;
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries[0].state, DeliveryState::Dead(DeadReason::GaveUp));
    assert_eq!(deliveries[1].state, DeliveryState::Delivered);
    assert_eq!(receiver.requests()[0].event_id(), sound.id.as_str());
}

#[tokio::test]
async fn a_paused_endpoint_gets_nothing_until_it_is_resumed() {
    use lingpai_webhook::{EndpointChange, Wanted};
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let wanted = |wanted| EndpointChange { wanted: Some(wanted), ..EndpointChange::default() };
    let endpoints = world.endpoints();
    let paused =
        endpoints.change(&world.caller, &endpoint.id, wanted(Wanted::Paused)).await.unwrap();
    let event = world.message(&[]).await;
    assert!(paused.wants(&event), "events are kept for it");
    world.messages(3, &[&endpoint]).await;
    world.deliver().await;
    assert_eq!(receiver.load().came, 0);

    // Much later: what waited is not too old.
    world.advance(Duration::from_secs(5 * 24 * 3600));
    endpoints.change(&world.caller, &endpoint.id, wanted(Wanted::Active)).await.unwrap();
    world.deliver().await;
    assert_eq!(receiver.load().came, 3);
}
