//! Programs that follow the stream may reply to messages.

use std::time::Duration;

use lingpai_model::{Secret, event::EventFilter};
use lingpai_webhook::{Answered, Error, LISTENER_MAY_TAKE, Listeners};
use tokio::time::Instant as Stopwatch;

use crate::world::{World, reply};

fn service(world: &World) -> Listeners {
    Listeners::new(world.db().clone(), world.shared_clock(), world.entropy.clone())
}

/// Longer than any of these tests waits.
fn later() -> Stopwatch {
    Stopwatch::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_listener_is_there_as_long_as_it_is_kept() {
    let world = World::start().await;
    let service = service(&world);
    let listener = service.arrive(&world.caller, EventFilter::default()).await.unwrap();
    let tenant = world.caller.scope.tenant_id();
    let there = async || world.db().cached_listeners(tenant).await.unwrap().as_ref().clone();
    assert_eq!(there().await, std::slice::from_ref(&listener));
    world.advance(Duration::from_secs(10));
    service.keep(&listener).await.unwrap();
    assert_eq!(there().await[0].seen_at, world.now());
    service.leave(&world.caller.scope, &listener).await.unwrap();
    assert!(there().await.is_empty());
}

#[tokio::test]
async fn the_first_reply_counts_and_whoever_waits_gets_it() {
    let world = World::start().await;
    let event = world.message(&[]).await;
    let (service, tenant) = (service(&world), world.caller.scope.tenant_id());
    let hi = Some(Secret::new(reply("hi")));
    let waiting = service.await_reply(tenant, &event.id, later());
    let replying = service.reply(&world.caller, &event.id, hi.clone());
    let (answered, replied) = futures_util::future::join(waiting, replying).await;
    replied.unwrap();
    let Some(Answered::Reply(answer)) = answered else { panic!("it was replied: {answered:?}") };
    assert!(answer.expose().contains("hi"));
    let again = service.reply(&world.caller, &event.id, hi).await;
    assert!(matches!(again, Err(Error::AlreadyReplied { .. })), "{again:?}");
}

#[tokio::test]
async fn nothing_is_a_reply_too() {
    let world = World::start().await;
    let event = world.message(&[]).await;
    let (service, tenant) = (service(&world), world.caller.scope.tenant_id());
    service.reply(&world.caller, &event.id, None).await.unwrap();
    let answered = service.await_reply(tenant, &event.id, later()).await;
    assert_eq!(answered, Some(Answered::Nothing));
}

#[tokio::test]
async fn what_is_no_reply_to_this_message_is_refused() {
    let world = World::start().await;
    let event = world.message(&[]).await;
    let (service, stranger) = (service(&world), world.stranger().await);
    for wrong in ["hello".to_owned(), reply("hi").replace("oFan-1", "oFan-2")] {
        let refused = service.reply(&world.caller, &event.id, Some(Secret::new(wrong))).await;
        assert!(matches!(refused, Err(Error::BadReply(_))), "{refused:?}");
    }
    let refused = service.reply(&stranger, &event.id, None).await;
    assert!(matches!(refused, Err(Error::EventUnknown { .. })), "{refused:?}");
    let tenant = world.caller.scope.tenant_id();
    let answered = service.await_reply(tenant, &event.id, Stopwatch::now()).await;
    assert_eq!(answered, None, "nobody waits for ever");
}

#[tokio::test]
async fn a_reply_for_which_nobody_waits_any_more_is_refused() {
    let world = World::start().await;
    let (service, tenant) = (service(&world), world.caller.scope.tenant_id());
    let hi = || Some(Secret::new(reply("hi")));
    let [last, late] = [world.message(&[]).await, world.message(&[]).await];
    world.advance(LISTENER_MAY_TAKE);
    service.reply(&world.caller, &last.id, hi()).await.expect("it is just in time");
    world.advance(Duration::from_millis(1));
    for reply in [hi(), None] {
        let refused = service.reply(&world.caller, &late.id, reply).await;
        assert!(matches!(refused, Err(Error::TooLate { .. })), "{refused:?}");
    }
    let kept = service.await_reply(tenant, &late.id, Stopwatch::now()).await;
    assert_eq!(kept, None, "it is kept nowhere");
}
