//! Messages that WeChat pushed: recorded once, with their deliveries or not at all.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lingpai_model::{
    Secret,
    delivery::{Delivery, DeliveryCause, DeliveryState, FirstAttempt},
    event::{Event, EventContent, EventType},
    push::{NewMessage, Recorded},
};
use lingpai_storage::{
    Arrival, Db, Error,
    testing::{
        count_messages, count_pushes, kept_deliveries, kept_events, on_each_database,
        on_each_test_db,
    },
};

use crate::world::{World, all_at_once, at, count, raw};

const HOLD: Duration = Duration::from_secs(20);

/// How many of these were new.
fn new(recorded: &[Recorded]) -> usize {
    recorded.iter().filter(|recorded| **recorded == Recorded::New).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_copies_at_two_instances_one_is_new_and_has_its_deliveries() {
    on_each_test_db(|test| {
        let (db, config, keys) = (test.db.clone(), test.config.clone(), test.keys.clone());
        async move {
            let other_instance = Db::connect(&config, keys).await.unwrap();
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let accounts = ["wxA", "wxB"].map(|appid| {
                let component = world.component("wxC");
                world.authorizer(&component, Some(&tenant), appid)
            });
            let endpoints = [world.endpoint(&tenant), world.endpoint(&tenant)];
            let endpoints = endpoints.each_ref();
            let copies = (0..4).flat_map(|_| 0..60).map(|i| {
                world.owned_message(&accounts[i % 2], &format!("message {i}"), &endpoints)
            });
            let arrivals: Vec<_> = copies
                .enumerate()
                .map(|(i, message)| {
                    let db = if i % 2 == 0 { db.clone() } else { other_instance.clone() };
                    async move { recorded(&db, message).await }
                })
                .collect();
            let recorded = all_at_once(arrivals).await;
            assert_eq!((recorded.len(), new(&recorded)), (240, 60));
            other_instance.close().await;

            assert_eq!(count_messages(&db).await, 60);
            let deliveries = kept_deliveries(&db).await;
            assert_eq!(deliveries.len(), 120, "two of each");
            let events = kept_events(&db, Some(&tenant.id)).await;
            for event in &events {
                let of_event = |delivery: &&Delivery| delivery.event_id == event.id;
                assert_eq!(deliveries.iter().filter(of_event).count(), 2);
            }
            let raw = raw(&config.url).await;
            assert_eq!(count(&raw, "events WHERE undispatched IS NOT NULL").await, 0);
            raw.close().await.unwrap();
        }
    })
    .await;
}

/// Records a message, again if two instances were in each other's way, as WeChat would.
async fn recorded(db: &Db, message: NewMessage) -> Recorded {
    loop {
        match db.record_message(message.clone()).await {
            Ok(recorded) => return recorded,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_repetition_in_the_same_batch_or_later_writes_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let endpoint = world.endpoint(&tenant);
        let message = |dedupe: &str| world.owned_message(&account, dedupe, &[&endpoint]);
        let first = message("same");

        // SQLite's one writer is held, so that these wait for one batch.
        let held = db.begin().await.unwrap();
        let batch = [first.clone(), message("same"), message("other"), message("same")];
        let copies = batch.clone();
        let batch = join_all(batch.into_iter().map(|message| db.record_message(message)));
        let (outcomes, ()) = tokio::join!(batch, async { drop(held) });
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!((new(&outcomes), outcomes[2]), (2, Recorded::New), "{outcomes:?}");
        let same = outcomes.iter().position(|outcome| *outcome == Recorded::New).unwrap();

        for again in [message("same"), first.clone()] {
            assert_eq!(db.record_message(again).await.unwrap(), Recorded::Repeated, "also later");
        }
        assert_eq!(count_messages(&db).await, 2);
        let deliveries = kept_deliveries(&db).await;
        assert_eq!(deliveries.len(), 2);
        let kept = &copies[same];
        let its_own = |delivery: &&Delivery| delivery.event_id == kept.event.id;
        let its_own: Vec<_> = deliveries.iter().filter(its_own).map(|d| &d.id).collect();
        assert_eq!(its_own, [&kept.deliveries[0].id], "event and delivery are of the same copy");
    })
    .await;
}

#[tokio::test]
async fn of_many_messages_at_once_those_that_are_there_are_skipped() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let endpoint = world.endpoint(&tenant);
        let message =
            |i: usize| world.owned_message(&account, &format!("message {i}"), &[&endpoint]);
        // Some of them come once more as they are, as after an outcome that nobody heard.
        let known: Vec<_> = (0..100).step_by(10).map(message).collect();
        for message in &known {
            assert_eq!(recorded(&db, message.clone()).await, Recorded::New);
        }
        for batch in [(0..100).map(message).collect(), {
            let new = (100..190).map(message);
            new.chain(known).collect::<Vec<_>>()
        }] {
            // SQLite's one writer is held, so that these share batches.
            let held = db.begin().await.unwrap();
            let batch = join_all(batch.into_iter().map(|message| db.record_message(message)));
            let (outcomes, ()) = tokio::join!(batch, async { drop(held) });
            let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
            assert_eq!((outcomes.len(), new(&outcomes)), (100, 90), "{outcomes:?}");
        }
        assert_eq!(count_messages(&db).await, 190);
        assert_eq!(kept_deliveries(&db).await.len(), 190, "one of each");
    })
    .await;
}

#[tokio::test]
async fn a_message_is_kept_byte_for_byte_with_what_its_event_tells() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let payloads: [&[u8]; 5] = [
            b"",
            "表情 🍜".as_bytes(),
            b"\0nul\0",
            b"\xff not UTF-8 \xed\xa0\x80",
            &[0xff; 200_000],
        ];
        for (index, payload) in payloads.into_iter().enumerate() {
            let message = world.owned_message(&account, &index.to_string(), &[]);
            let event = Event {
                content: EventContent::Pushed(Secret::new(payload.to_vec())),
                event_type: EventType::of_event(&"x".repeat(100)),
                ..message.event
            };
            let message = NewMessage { event: event.clone(), ..message };
            db.record_message(message).await.unwrap();
            assert_eq!(db.events().system_get(&event.id).await.unwrap(), event);
        }
        let odd = world.owned_message(&account, "odd fan", &[]);
        let odd = Event { openid: Some(format!("o\0{}", "微".repeat(100))), ..odd.event };
        let id = odd.id.clone();
        let message = NewMessage { event: odd, ..world.owned_message(&account, "odd fan", &[]) };
        db.record_message(message).await.unwrap();
        let kept = db.events().system_get(&id).await.unwrap().openid.unwrap();
        assert!(kept.starts_with("o\u{fffd}微") && kept.chars().count() == 64, "{kept}");
    })
    .await;
}

#[tokio::test]
async fn the_recorders_own_attempt_counts_as_made_and_is_left_alone_for_a_while() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let [asked, told] = [world.endpoint(&tenant), world.endpoint(&tenant)];
        let mut message = world.owned_message(&account, "m", &[&asked, &told]);
        message.deliveries[0].first_attempt = FirstAttempt::Recorder(HOLD);
        db.record_message(message.clone()).await.unwrap();
        let delivery = |endpoint: &lingpai_model::endpoint::Endpoint, attempts, due_at| Delivery {
            id: message.deliveries[usize::from(attempts == 0)].id.clone(),
            tenant_id: tenant.id.clone(),
            event_id: message.event.id.clone(),
            endpoint_id: endpoint.id.clone(),
            cause: DeliveryCause::Event,
            state: DeliveryState::Pending,
            attempts,
            due_at: Some(due_at),
            created_at: at(2),
            ended_at: None,
        };
        let wanted = [delivery(&asked, 1, at(22)), delivery(&told, 0, at(2))];
        assert_eq!(kept_deliveries(&db).await, wanted);
    })
    .await;
}

#[tokio::test]
async fn a_message_of_nobodys_account_goes_nowhere_and_is_kept() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.tenant();
        let account = world.authorizer(&world.component("wxC"), None, "wxA");
        let message = world.owned_message(&account, "m", &[&world.endpoint(&tenant)]);
        assert_eq!(db.record_message(message).await.unwrap(), Recorded::New);
        assert_eq!(kept_events(&db, None).await.len(), 1);
        assert!(kept_deliveries(&db).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_message_that_cannot_be_recorded_leaves_neither_event_nor_deliveries() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let component = world.stored_component(&db, "wxC").await;
        let account = world.authorizer(&component, Some(&tenant), "wxA");
        let endpoint = world.endpoint(&tenant);
        let good = world.owned_message(&account, "good", &[&endpoint]);
        db.record_message(good.clone()).await.unwrap();

        let mut taken = world.owned_message(&account, "its delivery is there", &[&endpoint]);
        taken.deliveries[0].id = good.deliveries[0].id.clone();
        let others = (0..10).map(|i| world.owned_message(&account, &format!("{i}"), &[&endpoint]));
        let messages: Vec<_> = others.chain([taken]).collect();
        // SQLite's one writer is held, so that all of them wait for one batch.
        let held = db.begin().await.unwrap();
        let push = db.record_arrival(Arrival::Push(world.push(&component, "beside them")));
        let recorded = join_all(messages.into_iter().map(|message| db.record_message(message)));
        let (pushed, outcomes, ()) = tokio::join!(push, recorded, async { drop(held) });
        pushed.unwrap();
        let refused = outcomes.iter().position(Result::is_err);
        assert_eq!(refused, Some(10));
        assert!(matches!(outcomes[10], Err(Error::Query { .. })), "{:?}", outcomes[10]);
        assert!(outcomes[..10].iter().all(|outcome| matches!(outcome, Ok(Recorded::New))));
        assert_eq!(count_messages(&db).await, 11);
        assert_eq!(kept_deliveries(&db).await.len(), 11);
        assert_eq!(count_pushes(&db, lingpai_model::push::PushState::Pending).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_batch_of_messages_alone_leaves_the_writer_to_others() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let endpoints = [world.endpoint(&tenant), world.endpoint(&tenant)];
        let endpoints = endpoints.each_ref();
        let good = world.owned_message(&account, "good", &endpoints);
        db.record_message(good.clone()).await.unwrap();

        let mut event_taken = world.owned_message(&account, "its id is there", &endpoints);
        event_taken.event.id = good.event.id.clone();
        let mut delivery_taken = world.owned_message(&account, "its delivery is there", &endpoints);
        delivery_taken.deliveries[1].id = good.deliveries[0].id.clone();
        for broken in [event_taken, delivery_taken] {
            let dedupe = broken.dedupe.to_hex();
            let others = (0..99)
                .map(|i| world.owned_message(&account, &format!("{dedupe} {i}"), &endpoints));
            let messages: Vec<_> = others.chain([broken]).collect();
            // SQLite's one writer is held, so that all of them wait for one batch.
            let held = db.begin().await.unwrap();
            let recorded = join_all(messages.into_iter().map(|message| db.record_message(message)));
            let (outcomes, ()) = tokio::join!(recorded, async { drop(held) });
            let refused = outcomes.iter().position(Result::is_err);
            assert_eq!(refused, Some(99));
            assert!(matches!(outcomes[99], Err(Error::Query { .. })), "{:?}", outcomes[99]);
        }
        assert_eq!(count_messages(&db).await, 1 + 2 * 99);
        assert_eq!(kept_deliveries(&db).await.len(), 2 + 4 * 99);
        db.begin().await.unwrap().commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_for_many_endpoints_is_recorded_whole() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let endpoints: Vec<_> = (0..50).map(|_| world.endpoint(&tenant)).collect();
        let endpoints: Vec<_> = endpoints.iter().collect();
        let messages: Vec<_> =
            (0..64).map(|i| world.owned_message(&account, &format!("{i}"), &endpoints)).collect();
        // One batch of 3,200 deliveries: more values than one statement takes.
        let held = db.begin().await.unwrap();
        let recorded = join_all(messages.into_iter().map(|message| db.record_message(message)));
        let (outcomes, ()) = tokio::join!(recorded, async { drop(held) });
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!(new(&outcomes), 64);
        assert_eq!(kept_deliveries(&db).await.len(), 3_200);
    })
    .await;
}

#[tokio::test]
async fn what_is_cached_of_an_account_is_forgotten_when_it_changes() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, heir] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let component = world.stored_component(&db, "wxC").await;
        let none = db.cached_account(&component.id, &crate::world::app("wxA")).await.unwrap();
        assert!(none.is_none(), "and nothing is cached of it");
        let account = world.stored_authorizer(&db, &component, Some(&owner), "wxA").await;
        let read = async || {
            let granted = db.cached_account(&component.id, &account.appid).await.unwrap().unwrap();
            let by_id = db.cached_authorizer_by_id(&account.id).await.unwrap().unwrap();
            assert_eq!(granted, by_id);
            granted
        };
        assert_eq!(*read().await, account);
        assert!(Arc::ptr_eq(&read().await, &read().await));

        let moved = lingpai_model::authorizer::Authorizer {
            tenant_id: Some(heir.id.clone()),
            ..account.clone()
        };
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&moved).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(*read().await, moved);

        let other = world.stored_component(&db, "wxD").await;
        assert!(db.cached_account(&other.id, &account.appid).await.unwrap().is_none());
        let own = world.stored_account(&db, &owner, "wxOwn").await;
        assert_eq!(*db.cached_authorizer_by_id(&own.id).await.unwrap().unwrap(), own);
    })
    .await;
}
