//! Events that go: erased for a fan or an account, or past their retention.

use std::time::Duration;

use lingpai_model::{
    audit::Action,
    delivery::{DeadReason, DeliveryCause, DeliveryState},
    digest::Digest,
    event::{Event, EventFilter},
    id::PushId,
    page::PageRequest,
    quarantine::{NewQuarantined, QuarantineReason, QuarantinedFor},
};
use lingpai_storage::testing::{count_attempts, count_messages};
use lingpai_webhook::{Error, EventQuery, Events, LISTENER_LIFE, Listeners};

use crate::{
    receiver::{Manner, Receiver},
    world::{World, text},
};

fn service(world: &World) -> Events {
    Events::new(world.db().clone(), world.shared_clock(), world.entropy.clone())
}

#[tokio::test]
async fn a_fan_is_erased_with_everything_and_nobody_else_is() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let stranger = world.stranger().await;
    for _ in 0..3 {
        world.message_of(&world.caller, "oFan-1", &[&endpoint]).await;
        world.message_of(&stranger, "oFan-1", &[]).await;
    }
    let kept = world.message_of(&world.caller, "oFan-2", &[&endpoint]).await;
    world.deliver().await;

    let appid = &world.authorizer.appid;
    assert_eq!(service(&world).erase_fan(&world.caller, appid, "oFan-1").await.unwrap(), 3);
    let page = PageRequest::first();
    let scope = &world.caller.scope;
    let left = service(&world).list(scope, &EventQuery::default(), &page).await.unwrap().items;
    assert_eq!(left.iter().map(|head| &head.id).collect::<Vec<_>>(), [&kept.id]);
    assert_eq!(world.deliveries().await.len(), 1);
    assert_eq!(count_attempts(world.db()).await, 1);
    assert_eq!(count_messages(world.db()).await, 1 + 3, "those of the other tenant stay");
    let done = (Action::FanErased, appid.to_string());
    assert!(world.trail().await.contains(&done), "the trail does not name the fan");
    let again = service(&world).erase_fan(&world.caller, appid, "oFan-1").await.unwrap();
    assert_eq!(again, 0);
}

#[tokio::test]
async fn an_account_is_erased_however_much_there_is() {
    let world = World::start().await;
    let endpoint = world.webhook("http://127.0.0.1:9/".to_owned()).await;
    world.messages(1_100, &[&endpoint]).await;
    let appid = &world.authorizer.appid;
    let erased = service(&world).erase_authorizer(&world.caller, appid).await.unwrap();
    assert_eq!(erased, 1_100);
    assert!(world.deliveries().await.is_empty());
}

#[tokio::test]
async fn an_event_that_is_erased_in_the_middle_leaves_nothing_behind() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::Hold(500, String::new())).await;
    let endpoint = world.webhook(receiver.url()).await;
    world.messages(12, &[&endpoint]).await;
    let deliverer = world.deliverer();
    deliverer.run_once().await.unwrap();
    receiver.open(4).await;
    let appid = &world.authorizer.appid;
    service(&world).erase_authorizer(&world.caller, appid).await.unwrap();
    let later = world.message(&[&endpoint]).await;
    receiver.behave(Manner::ok());
    receiver.release();
    deliverer.settled().await;
    world.advance(Duration::from_secs(60));
    world.deliver().await;

    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].event_id, later.id);
    assert_eq!(deliveries[0].state.as_str(), "delivered", "what came later is not held up");
}

#[tokio::test]
async fn a_delivery_without_its_event_is_given_up_and_holds_up_nobody() {
    let world = World::start().await;
    let receiver = Receiver::start(Manner::ok()).await;
    let endpoint = world.webhook(receiver.url()).await;
    let gone = world.event(&world.caller, "oFan-1", text("oFan-1", "gone"));
    let (tenant, delivery) = (world.caller.scope.tenant_id(), world.delivery(&endpoint));
    let tx = world.db().begin().await.unwrap();
    let new = [(gone.id.clone(), delivery)];
    tx.deliveries().insert(tenant, &new, DeliveryCause::Replay, world.now()).await.unwrap();
    tx.commit().await.unwrap();
    let there = world.message(&[&endpoint]).await;
    world.deliver().await;
    let state = async |event: &Event| {
        let deliveries = world.deliveries().await;
        deliveries.into_iter().find(|one| one.event_id == event.id).unwrap().state
    };
    assert_eq!(state(&gone).await, DeliveryState::Dead(DeadReason::EventGone));
    assert_eq!(state(&there).await, DeliveryState::Delivered);
    assert_eq!(world.endpoint(&endpoint).await.health.last_failure, None);
}

#[tokio::test]
async fn events_past_their_retention_are_swept() {
    let world = World::start().await;
    let old = world.message(&[]).await;
    world.advance(Duration::from_secs(30 * 24 * 3600));
    let young = world.message(&[]).await;
    let retention = Duration::from_secs(30 * 24 * 3600);
    assert_eq!(service(&world).sweep(retention).await.unwrap(), 0);
    world.advance(Duration::from_secs(1));
    assert_eq!(service(&world).sweep(retention).await.unwrap(), 1);
    let scope = &world.caller.scope;
    let gone = service(&world).get(scope, &old.id).await;
    assert!(matches!(gone, Err(Error::EventUnknown { .. })), "{gone:?}");
    assert_eq!(service(&world).get(scope, &young.id).await.unwrap(), young);
    assert_eq!(service(&world).sweep(Duration::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn a_sweep_erases_all_that_is_old_however_much_there_is() {
    let world = World::start().await;
    let authorizer = world.authorizer.id.clone();
    let quarantined = NewQuarantined {
        id: PushId::new(world.now(), &world.entropy),
        recipient: QuarantinedFor::Account(authorizer),
        appid: world.authorizer.appid.clone(),
        reason: QuarantineReason::Unreadable,
        dedupe: Digest::of(&[b"quarantined"]),
        payload: text("oFan-1", "hello"),
        received_at: world.now(),
    };
    world.db().quarantine_message(quarantined).await.unwrap();
    let listeners = Listeners::new(world.db().clone(), world.shared_clock(), world.entropy.clone());
    listeners.arrive(&world.caller, EventFilter::default()).await.unwrap();
    world.messages(1_100, &[]).await;
    world.advance(LISTENER_LIFE + Duration::from_secs(1));
    let there = listeners.arrive(&world.caller, EventFilter::default()).await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(service(&world).sweep(day).await.unwrap(), 0);
    let tenant = world.caller.scope.tenant_id();
    let left = world.db().listeners().system_list(tenant).await.unwrap();
    assert_eq!(left, [there], "those that are gone are forgotten at once");
    assert_eq!(world.db().quarantine().count().await.unwrap(), 1);

    world.advance(day);
    assert_eq!(service(&world).sweep(day).await.unwrap(), 1_100);
    assert_eq!(count_messages(world.db()).await, 0);
    assert_eq!(world.db().quarantine().count().await.unwrap(), 0);
}
