//! The stream is followed as it grows.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use lingpai_model::{
    event::{Event, EventFilter, EventPattern},
    id::EventId,
};
use lingpai_webhook::Tail;

use crate::world::{FAN, World, text};

fn follow(
    world: &World,
    filter: EventFilter,
    from: Option<&Event>,
) -> impl Stream<Item = Event> + use<> {
    let tail = Tail::new(world.db().clone(), world.shared_clock());
    tail.follow(world.caller.scope.clone(), filter, from.map(|event| event.id.clone()))
}

async fn next(stream: &mut (impl Stream<Item = Event> + Unpin)) -> EventId {
    stream.next().await.expect("it never ends").id
}

#[tokio::test]
async fn events_come_in_their_order_once_each() {
    let world = World::start().await;
    let first = world.message(&[]).await;
    let mut expected = Vec::new();
    for _ in 0..450 {
        world.advance(Duration::from_millis(1));
        expected.push(world.message(&[]).await.id);
    }
    let stream = follow(&world, EventFilter::default(), Some(&first));
    let told: Vec<EventId> = stream.take(450).map(|event| event.id).collect().await;
    assert_eq!(told, expected, "from the one after the last that is known");
}

#[tokio::test]
async fn without_a_place_to_begin_it_begins_now() {
    let world = World::start().await;
    world.message(&[]).await;
    world.advance(Duration::from_millis(1));
    let mut stream = Box::pin(follow(&world, EventFilter::default(), None));
    let event = world.message(&[]).await;
    assert_eq!(next(&mut stream).await, event.id);
}

#[tokio::test]
async fn what_is_committed_late_is_not_missed() {
    let world = World::start().await;
    let begin = world.message(&[]).await;
    world.advance(Duration::from_secs(1));
    // Its id is made now, and it is committed after a younger one was told.
    let late = world.event(&world.caller, FAN, text(FAN, "late"));
    world.advance(Duration::from_secs(5));
    let young = world.message(&[]).await;
    let mut stream = Box::pin(follow(&world, EventFilter::default(), Some(&begin)));
    assert_eq!(next(&mut stream).await, young.id);
    let late = world.record_event(late, Vec::new()).await;
    assert!(late.id < young.id);
    assert_eq!(next(&mut stream).await, late.id);
    let last = world.message(&[]).await;
    assert_eq!(next(&mut stream).await, last.id, "and nothing is told twice");
}

#[tokio::test]
async fn others_events_and_unwanted_ones_are_left_out() {
    let world = World::start().await;
    let begin = world.message(&[]).await;
    let stranger = world.stranger().await;
    world.advance(Duration::from_millis(1));
    world.message_of(&stranger, FAN, &[]).await;
    world.message(&[]).await;
    world.advance(Duration::from_millis(1));
    let own = world.own_event(lingpai_model::event::EventKind::QuotaWarning).await;
    let event_types = vec![EventPattern::parse("authorizer.*").unwrap()];
    let filter = EventFilter { authorizers: Vec::new(), event_types };
    let mut stream = Box::pin(follow(&world, filter, Some(&begin)));
    assert_eq!(next(&mut stream).await, own.id);
}

#[tokio::test]
async fn large_events_come_in_their_order_too() {
    let world = World::start().await;
    let begin = world.message(&[]).await;
    let mut expected = Vec::new();
    for _ in 0..9 {
        world.advance(Duration::from_millis(1));
        // Together more than may be in memory at once.
        let large = world.event(&world.caller, FAN, text(FAN, &"x".repeat(250 * 1024)));
        expected.push(world.record_event(large, Vec::new()).await.id);
    }
    let stream = follow(&world, EventFilter::default(), Some(&begin));
    let told: Vec<EventId> = stream.take(9).map(|event| event.id).collect().await;
    assert_eq!(told, expected);
}
