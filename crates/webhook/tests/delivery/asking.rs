//! The replying endpoint is asked while WeChat waits.

use std::{iter, time::Duration};

use lingpai_model::{
    delivery::{DeliveryState, FirstAttempt},
    endpoint::{Endpoint, EndpointHealth, LateReplies},
    event::Event,
    id::{DeliveryId, EndpointId},
    late_reply::LateReply,
};
use lingpai_storage::testing::{Backend, count_attempts};
use lingpai_webhook::{ASKED_FOR, Answered, Asker, Deliveries, PendingReply, ReplayOf};
use tokio::task::yield_now;

use crate::{
    receiver::{Manner, Receiver},
    world::{FAN, World, all_delivered, reply},
};

struct Asked {
    event: Event,
    delivery: DeliveryId,
    pending: PendingReply,
}

impl World {
    /// A fan's message, recorded and asked about.
    async fn ask(&self, asker: &Asker, endpoint: &Endpoint) -> Asked {
        let seat = asker.seat(endpoint).expect("a seat is free");
        let mut delivery = self.delivery(endpoint);
        delivery.first_attempt = FirstAttempt::Recorder(ASKED_FOR);
        let id = delivery.id.clone();
        let event = self.record(&self.caller, FAN, vec![delivery]).await;
        let pending = seat.ask(endpoint.clone(), event.clone(), id.clone());
        Asked { event, delivery: id, pending }
    }

    /// Another endpoint of the same tenant, which is nowhere.
    fn another(&self, endpoint: &Endpoint) -> Endpoint {
        Endpoint { id: EndpointId::new(self.now(), &self.entropy), ..endpoint.clone() }
    }

    async fn late_replies(&self) -> Vec<LateReply> {
        let tx = self.db().begin().await.unwrap();
        let claimed = tx.late_replies().claim(10, Duration::from_secs(30)).await.unwrap();
        drop(tx);
        claimed
    }
}

/// An asker, and the tasks it runs.
fn asker(world: &World) -> (Asker, impl Future<Output = ()>) {
    let base = world.base();
    let tasks = base.tasks.clone();
    let settled = async move {
        tasks.close();
        tasks.wait().await;
    };
    (Asker::new(base), settled)
}

#[tokio::test]
async fn an_answer_in_time_goes_back_and_is_the_delivery() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Answer(200, reply("hi"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    let Some(Answered::Reply(answer)) = asked.pending.wait().await else { panic!("it replies") };
    assert!(answer.expose().contains("hi"));
    settled.await;

    let delivery = world.deliveries().await.remove(0);
    assert_eq!(delivery.id, asked.delivery);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 1));
    assert!(world.late_replies().await.is_empty());
    world.advance(Duration::from_secs(3600));
    world.deliver().await;
    assert_eq!(receiver.load().came, 1, "no worker sends it again");
    assert_eq!(world.endpoint(&endpoint).await.health.last_failure, None);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_goes_to_the_fan() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, reply("late"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    receiver.open(1).await;
    drop(asked.pending);
    receiver.release();
    settled.await;

    let delivery = world.deliveries().await.remove(0);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let late = world.late_replies().await;
    assert_eq!(late.len(), 1);
    assert_eq!((&late[0].event_id, late[0].openid.as_str()), (&asked.event.id, FAN));
    assert_eq!(late[0].authorizer_id, world.authorizer.id);
    assert!(late[0].reply.expose().contains("late"));
}

#[tokio::test]
async fn an_answer_that_is_there_but_is_never_taken_is_late_too() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Answer(200, reply("unread"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    receiver.came(1).await;
    // Whoever waited lost its connection just when the answer came.
    drop(asked.pending);
    settled.await;
    assert_eq!(world.late_replies().await.len(), 1);
}

#[tokio::test]
async fn late_answers_are_dropped_where_nobody_asked_for_them() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, reply("late"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::Drop).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    receiver.open(1).await;
    drop(asked.pending);
    receiver.release();
    settled.await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Delivered);
    assert!(world.late_replies().await.is_empty());
}

#[tokio::test]
async fn what_says_nothing_late_is_no_late_reply() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, "success".to_owned())).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    receiver.open(1).await;
    drop(asked.pending);
    receiver.release();
    settled.await;
    assert!(world.late_replies().await.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_fails_gives_no_answer_and_is_tried_again() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(500)).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    assert_eq!(asked.pending.wait().await, None);
    settled.await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 1));
    assert_eq!(world.endpoint(&endpoint).await.health.failures_in_row, 1);

    receiver.behave(Manner::ok());
    world.advance(Duration::from_secs(10));
    world.deliver().await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 2));
}

#[tokio::test]
async fn an_answer_that_is_no_reply_is_told_and_not_passed_on() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Answer(200, "<html>hello".to_owned())).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    assert_eq!(asked.pending.wait().await, Some(Answered::Nothing));
    settled.await;
    let scope = &world.caller.scope;
    let service = Deliveries::new(world.base());
    let (delivery, attempts) = service.get(scope, &asked.delivery).await.unwrap();
    assert_eq!(delivery.state, DeliveryState::Delivered, "the endpoint has the event");
    assert!(attempts[0].failure.is_some(), "its tenant can see why the fan got nothing");
}

#[tokio::test]
async fn an_endpoint_is_asked_four_times_at_once() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, reply("hi"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::Drop).await;
    let (asker, settled) = asker(&world);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(world.ask(&asker, &endpoint).await);
    }
    receiver.open(4).await;
    assert!(asker.seat(&endpoint).is_none(), "a worker makes this one's first attempt");
    assert!(asker.seat(&world.another(&endpoint)).is_some());
    receiver.release();
    for asked in asked {
        assert!(matches!(asked.pending.wait().await, Some(Answered::Reply(_))));
    }
    settled.await;
    assert!(asker.seat(&endpoint).is_some());
}

#[tokio::test]
async fn a_tenant_has_so_many_seats_and_leaves_the_others_theirs() {
    let world = World::start().await;
    let endpoint = world.replying("http://127.0.0.1:9/".to_owned(), LateReplies::Drop).await;
    let (asker, _) = asker(&world);
    let mut held = Vec::new();
    for _ in 0..4 {
        let another = world.another(&endpoint);
        held.extend(iter::from_fn(|| asker.seat(&another)));
    }
    assert_eq!(held.len(), 16);
    assert!(asker.seat(&endpoint).is_none());
    let stranger = world.stranger().await.scope.tenant_id().clone();
    assert!(asker.seat(&Endpoint { tenant_id: stranger, ..endpoint.clone() }).is_some());
    held.pop();
    assert!(asker.seat(&endpoint).is_some());
}

#[tokio::test]
async fn an_endpoint_for_which_nobody_waits_any_more_keeps_nobody_else_from_being_asked() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(200, reply("late"))).await;
    let endpoint = world.replying(receiver.url(), LateReplies::Drop).await;
    let (asker, settled) = asker(&world);
    let asked = world.ask(&asker, &endpoint).await;
    receiver.open(1).await;
    let (mut held, mut others) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let tenant_id = world.stranger().await.scope.tenant_id().clone();
        others.push(Endpoint { tenant_id, ..world.another(&endpoint) });
        for _ in 0..4 {
            let last = others.last().expect("there is one");
            let same_tenant = Endpoint { tenant_id: last.tenant_id.clone(), ..world.another(last) };
            held.extend(iter::from_fn(|| asker.seat(&same_tenant)));
        }
    }
    assert_eq!(held.len(), 255, "with the one that is asked, that is all");
    drop(asked.pending);
    let fresh = others.last().expect("there is one");
    while asker.seat(fresh).is_none() {
        yield_now().await;
    }
    assert_eq!(count_attempts(world.db()).await, 0, "the slow one is still under way");
    receiver.release();
    settled.await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_worker_that_stands_in_for_the_asker_brings_the_reply_to_the_fan() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::status(500)).await;
    let endpoint = world.replying(receiver.url(), LateReplies::CustomerService).await;
    let mut standing_in = world.delivery(&endpoint);
    standing_in.first_attempt = FirstAttempt::ReplyingWorker;
    let event = world.record(&world.caller, FAN, vec![standing_in]).await;
    // Somebody else replies to this one.
    let other = world.message(&[&endpoint]).await;
    world.deliver().await;
    receiver.behave(Manner::Answer(200, reply("standing in")));
    world.advance(Duration::from_secs(60));
    world.deliver().await;
    assert!(all_delivered(&world.deliveries().await));
    let late = world.late_replies().await;
    assert_eq!(late.iter().map(|late| &late.event_id).collect::<Vec<_>>(), [&event.id]);
    assert!(late[0].reply.expose().contains("standing in"));

    let again = ReplayOf::Event(other.id);
    Deliveries::new(world.base()).replay(&world.caller, again, None).await.unwrap();
    world.deliver().await;
    assert_eq!(receiver.load().came, 5);
    assert_eq!(world.late_replies().await.len(), 1, "what is delivered again replies to nobody");
}

#[tokio::test]
async fn what_is_noted_of_an_endpoint_meanwhile_is_not_overwritten() {
    for backend in Backend::available() {
        let world = World::start_on(&backend).await;
        let receiver = Receiver::start(Manner::Hold(500, String::new())).await;
        let endpoint = world.replying(receiver.url(), LateReplies::Drop).await;
        let (asker, settled) = asker(&world);
        let asked = world.ask(&asker, &endpoint).await;
        receiver.open(1).await;
        // A turn that writes at the same time.
        let tx = world.db().begin().await.unwrap();
        let health = EndpointHealth {
            failures_in_row: 2,
            failing_since: Some(world.now()),
            ..EndpointHealth::default()
        };
        tx.endpoints().note_health(&endpoint.id, &health).await.unwrap();
        receiver.release();
        assert_eq!(asked.pending.wait().await, None);
        for _ in 0..20 {
            world.db().ping().await.unwrap();
        }
        tx.commit().await.unwrap();
        settled.await;
        let health = world.endpoint(&endpoint).await.health;
        assert_eq!(health.failures_in_row, 3, "on {}", backend.name());
        world.database.remove().await;
    }
}
