//! The event streams: listed, searched, followed, dispatched once, erased with all that hangs on them.

use std::time::Duration;

use lingpai_model::{
    Instant, Secret,
    delivery::{Attempt, AttemptOutcome, FirstAttempt, Next},
    event::{Event, EventContent, EventPattern, EventType},
    id::EventId,
    page::PageRequest,
    push::NewMessage,
    tenant::Tenant,
};
use lingpai_storage::{
    Db, ErasureScope, Error, EventHead, EventMark, EventQuery,
    testing::{count_attempts, kept_deliveries, kept_events, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, app, at, raw, scope};

/// A pushed event of the tenant's, as it is recorded.
fn pushed(
    world: &World,
    tenant: &Tenant,
    (appid, fan): (&str, &str),
    event_type: EventType,
    second: i64,
) -> NewMessage {
    let own = world.event(tenant, second);
    let account = world.authorizer(&world.component("wxC"), Some(tenant), appid);
    let message = world.owned_message(&account, own.id.as_str(), &[]);
    let event = Event {
        authorizer_appid: Some(app(appid)),
        event_type,
        openid: Some(fan.to_owned()),
        content: EventContent::Pushed(Secret::new(b"<xml/>".to_vec())),
        ..own
    };
    NewMessage { event, ..message }
}

async fn append(db: &Db, event: &Event) {
    let tx = db.begin().await.unwrap();
    tx.events().append(event).await.unwrap();
    tx.commit().await.unwrap();
}

async fn found(db: &Db, tenant: &Tenant, query: &EventQuery) -> Vec<EventId> {
    let page = db.events().list(&scope(tenant), query, &PageRequest::first()).await.unwrap();
    page.items.into_iter().map(|head| head.id).collect()
}

#[tokio::test]
async fn events_are_found_by_type_account_fan_and_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let text = || EventType::of_message("text");
        let day = 86_400;
        let messages = [
            pushed(&world, &tenant, ("wxA", "oOne"), text(), 1),
            pushed(&world, &tenant, ("wxA", "oone"), EventType::of_message("text_plus"), 2),
            pushed(&world, &tenant, ("wxa", "oOne"), EventType::of_event("scan"), 3 * day),
            pushed(&world, &tenant, ("wxA", "oOne"), EventType::of_event("click"), 6 * day),
            pushed(&world, &other, ("wxA", "oOne"), text(), 2),
        ];
        for message in &messages {
            db.record_message(message.clone()).await.unwrap();
        }
        let ours = world.event(&tenant, 9 * day);
        append(&db, &ours).await;
        let [a, b, c, d, foreign] = messages.map(|message| message.event.id);
        let e = ours.id;

        let pattern = |text| Some(EventPattern::parse(text).unwrap());
        let any = EventQuery::default;
        let cases = [
            (any(), vec![&e, &d, &c, &b, &a]),
            (EventQuery { event_type: pattern("*"), ..any() }, vec![&e, &d, &c, &b, &a]),
            (EventQuery { event_type: pattern("message.*"), ..any() }, vec![&b, &a]),
            (EventQuery { event_type: pattern("message.text"), ..any() }, vec![&a]),
            (EventQuery { event_type: pattern("event.*"), ..any() }, vec![&d, &c]),
            (EventQuery { event_type: pattern("mess.*"), ..any() }, vec![]),
            (EventQuery { authorizer_appid: Some(app("wxa")), ..any() }, vec![&c]),
            (EventQuery { openid: Some("oOne".to_owned()), ..any() }, vec![&d, &c, &a]),
            (EventQuery { openid: Some("oone".to_owned()), ..any() }, vec![&b]),
            (EventQuery { from: Some(at(2)), ..any() }, vec![&e, &d, &c, &b]),
            (EventQuery { until: Some(at(2)), ..any() }, vec![&a]),
            (EventQuery { from: Some(at(2)), until: Some(at(6 * day)), ..any() }, vec![&c, &b]),
            (
                EventQuery {
                    openid: Some("oOne".to_owned()),
                    event_type: pattern("event.*"),
                    from: Some(at(4 * day)),
                    ..any()
                },
                vec![&d],
            ),
        ];
        for (query, wanted) in cases {
            let found = found(&db, &tenant, &query).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{query:?}");
        }
        assert_eq!(found(&db, &other, &any()).await, [foreign]);
        let all = db.events().system_list(None, &any(), &PageRequest::first()).await.unwrap();
        assert_eq!(all.items.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_list_goes_page_by_page_and_tells_all_but_the_content() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let message = pushed(&world, &tenant, ("wxA", "oOne"), EventType::of_message("text"), 1);
        db.record_message(message.clone()).await.unwrap();
        let ours = world.event(&tenant, 2);
        append(&db, &ours).await;

        let head = |event: &Event| EventHead {
            id: event.id.clone(),
            tenant_id: event.tenant_id.clone(),
            component_appid: event.component_appid.clone(),
            authorizer_appid: event.authorizer_appid.clone(),
            event_type: event.event_type.clone(),
            openid: event.openid.clone(),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            is_pushed: event.content.is_pushed(),
        };
        let request = PageRequest::new(1, None).unwrap();
        let (scope, all) = (scope(&tenant), EventQuery::default());
        let first = db.events().list(&scope, &all, &request).await.unwrap();
        assert_eq!(first.items, [head(&ours)]);
        let request = request.following(first.next.unwrap());
        let second = db.events().list(&scope, &all, &request).await.unwrap();
        assert_eq!(second.items, [head(&message.event)]);
        assert_eq!(second.next, None);
        assert_eq!(db.events().get(&scope, &message.event.id).await.unwrap(), message.event);
    })
    .await;
}

#[tokio::test]
async fn a_list_begins_and_ends_at_any_instant_there_is() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let event = world.event(&tenant, 1);
        append(&db, &event).await;
        // Behind the last time that an id can hold.
        let behind = Instant::from_timestamp_millis(1 << 49).unwrap();
        for (from, until, wanted) in [
            (Some(Instant::MIN_UTC), None, 1),
            (None, Some(Instant::MAX_UTC), 1),
            (Some(Instant::MIN_UTC), Some(Instant::MAX_UTC), 1),
            (None, Some(behind), 1),
            (Some(event.received_at), Some(behind), 1),
            (None, Some(Instant::MIN_UTC), 0),
            (Some(Instant::MAX_UTC), None, 0),
            (Some(behind), None, 0),
        ] {
            let query = EventQuery { from, until, ..EventQuery::default() };
            assert_eq!(found(&db, &tenant, &query).await.len(), wanted, "{query:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn another_tenants_event_is_as_if_it_were_not_there() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let event = world.event(&owner, 1);
        append(&db, &event).await;
        let [foreign, missing] = [event.id.clone(), world.event(&owner, 2).id];
        let refused = async |id: &EventId| {
            let error = db.events().get(&scope(&other), id).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { what: "event", .. }));
            error.to_string().replace(id.as_str(), "")
        };
        assert_eq!(refused(&foreign).await, refused(&missing).await, "told alike");
        let before = EventId::parse("evt_00000000000000000000000000").unwrap();
        assert!(db.events().tail(&scope(&other), &before, 10).await.unwrap().is_empty());
        let tx = db.begin().await.unwrap();
        let all = ErasureScope::Authorizer(app("wxA"));
        tx.events().mark_dispatched(std::slice::from_ref(&event.id)).await.unwrap();
        assert_eq!(tx.events().erase(&scope(&other), &all, 10).await.unwrap(), 0);
        assert_eq!(tx.events().erase(&scope(&owner), &all, 10).await.unwrap(), 1);
    })
    .await;
}

/// An event of our own, as the tail has it.
fn mark(event: &Event) -> EventMark {
    EventMark {
        id: event.id.clone(),
        event_type: event.event_type.clone(),
        authorizer_appid: event.authorizer_appid.clone(),
        bytes: 0,
    }
}

#[tokio::test]
async fn a_stream_is_followed_by_id() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let events: Vec<Event> = (1..=4).map(|second| world.event(&tenant, second)).collect();
        for event in events.iter().rev() {
            append(&db, event).await;
        }
        let (tail, scope) = (db.events(), scope(&tenant));
        let marks = |events: &[Event]| events.iter().map(mark).collect::<Vec<_>>();
        assert_eq!(tail.tail(&scope, &events[0].id, 2).await.unwrap(), marks(&events[1..3]));
        assert_eq!(tail.tail(&scope, &events[2].id, 2).await.unwrap(), marks(&events[3..]));
        assert!(tail.tail(&scope, &events[3].id, 2).await.unwrap().is_empty());
        for (younger, expected) in [(0, Some(3)), (3, Some(0)), (4, None)] {
            let found = tail.find_with_younger(&scope, younger).await.unwrap();
            assert_eq!(found, expected.map(|place: usize| events[place].id.clone()));
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_opened_delays_nobody_and_is_told() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let messages: Vec<_> = (1..=4)
                .map(|second| {
                    pushed(&world, &tenant, ("wxA", "oOne"), EventType::of_message("text"), second)
                })
                .collect();
            for message in &messages {
                db.record_message(message.clone()).await.unwrap();
            }
            let [a, b, c, d] = [0, 1, 2, 3].map(|i: usize| messages[i].event.clone());
            let raw = raw(&url).await;
            let moved = format!(
                "UPDATE events SET payload_sealed = NULL, detail_json = 'no JSON' \
                 WHERE id IN ('{}', '{}')",
                b.id, c.id
            );
            raw.execute_unprepared(&moved).await.unwrap();
            raw.close().await.unwrap();

            let ids = [&a.id, &b.id, &c.id, &d.id, &world.event(&tenant, 9).id].map(Clone::clone);
            let (mut there, mut unreadable) = db.events().system_find_many(&ids).await.unwrap();
            there.sort_by(|x, y| x.id.cmp(&y.id));
            unreadable.sort();
            assert_eq!(there, [a.clone(), d.clone()]);
            assert_eq!(unreadable, [b.id.clone(), c.id.clone()], "one that is gone is in neither");
            let scope = scope(&tenant);
            let tail = db.events().tail(&scope, &a.id, 10).await.unwrap();
            let told: Vec<_> = tail.iter().map(|mark| (&mark.id, mark.bytes > 0)).collect();
            assert_eq!(told, [(&b.id, false), (&c.id, false), (&d.id, true)]);
            assert!(matches!(
                db.events().get(&scope, &b.id).await,
                Err(Error::Inconsistent { .. })
            ));
        }
    })
    .await;
}

#[tokio::test]
async fn a_payload_moved_to_another_event_or_tenant_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [owner, thief] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
            let text = || EventType::of_message("text");
            let [a, b] = [1, 2].map(|i| pushed(&world, &owner, ("wxA", "oOne"), text(), i));
            for message in [&a, &b] {
                db.record_message(message.clone()).await.unwrap();
            }
            let raw = raw(&url).await;
            let moved =
                format!("UPDATE events SET tenant_id = '{}' WHERE id = '{}'", thief.id, a.event.id);
            raw.execute_unprepared(&moved).await.unwrap();
            raw.close().await.unwrap();
            let error = db.events().get(&scope(&thief), &a.event.id).await.unwrap_err();
            assert!(matches!(error, Error::Unopenable { table: "events", .. }), "{error}");
            assert_eq!(db.events().system_get(&b.event.id).await.unwrap(), b.event);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_events_are_dispatched_once_and_pushed_ones_never() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let message = pushed(&world, &tenant, ("wxA", "oOne"), EventType::of_message("text"), 1);
        db.record_message(message).await.unwrap();
        for second in 0..20 {
            append(&db, &world.event(&tenant, second)).await;
        }
        // Dropped without a commit: the events are still to be dispatched.
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.events().claim_undispatched(3).await.unwrap().len(), 3);
        drop(tx);

        let workers = (0..4).map(|_| {
            let db = db.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let tx = db.begin().await.unwrap();
                    let events = tx.events().claim_undispatched(3).await.unwrap();
                    if events.is_empty() {
                        return mine;
                    }
                    let ids: Vec<_> = events.into_iter().map(|event| event.id).collect();
                    tx.events().mark_dispatched(&ids).await.unwrap();
                    tx.commit().await.unwrap();
                    mine.extend(ids);
                }
            }
        });
        let mut dispatched: Vec<_> = all_at_once(workers).await.into_iter().flatten().collect();
        dispatched.sort();
        // A worker may find everything locked by others and stop early.
        let tx = db.begin().await.unwrap();
        dispatched
            .extend(tx.events().claim_undispatched(99).await.unwrap().into_iter().map(|e| e.id));
        let distinct: std::collections::BTreeSet<_> = dispatched.iter().collect();
        assert_eq!((dispatched.len(), distinct.len()), (20, 20));
    })
    .await;
}

/// Two fans' messages at two accounts, each with a delivery of one attempt, and an event of our own.
async fn fill(db: &Db, world: &World, tenant: &Tenant) {
    let endpoint = world.stored_endpoint(db, tenant).await;
    let mut second = 0;
    for appid in ["wxA", "wxB"] {
        for fan in ["oOne", "oone"] {
            for _ in 0..3 {
                second += 1;
                let event_type = EventType::of_message("text");
                let mut message = pushed(world, tenant, (appid, fan), event_type, second);
                message.deliveries = vec![world.delivery(&endpoint)];
                message.deliveries[0].first_attempt = FirstAttempt::Recorder(Duration::ZERO);
                db.record_message(message.clone()).await.unwrap();
                let outcome = AttemptOutcome {
                    delivery_id: message.deliveries[0].id.clone(),
                    attempt: Attempt {
                        number: 1,
                        began_at: at(second),
                        took: Duration::ZERO,
                        status: None,
                        failure: Some("nobody there".to_owned()),
                    },
                    next: Next::Again(at(99)),
                };
                let tx = db.begin().await.unwrap();
                assert_eq!(tx.deliveries().record(&[outcome]).await.unwrap(), 1);
                tx.commit().await.unwrap();
            }
        }
    }
    append(db, &world.event(tenant, 50)).await;
}

async fn left(db: &Db) -> [u64; 3] {
    let mut events = kept_events(db, None).await.len();
    let mut tenants = db.tenants().list(&PageRequest::first()).await.unwrap().items;
    while let Some(tenant) = tenants.pop() {
        events += kept_events(db, Some(&tenant.id)).await.len();
    }
    [events as u64, kept_deliveries(db).await.len() as u64, count_attempts(db).await]
}

#[tokio::test]
async fn erasing_a_fan_or_an_account_takes_deliveries_and_attempts_along() {
    on_each_database(|db| async move {
        let world = World::new();
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        fill(&db, &world, &tenant).await;
        fill(&db, &world, &other).await;
        assert_eq!(left(&db).await, [26, 24, 24]);

        let erase = async |whose: &ErasureScope, limit| {
            let tx = db.begin().await.unwrap();
            let erased = tx.events().erase(&scope(&tenant), whose, limit).await.unwrap();
            tx.commit().await.unwrap();
            erased
        };
        let fan = ErasureScope::Fan { appid: app("wxA"), openid: "oOne".to_owned() };
        assert_eq!(erase(&fan, 2).await, 2, "no more than wanted");
        assert_eq!(erase(&fan, 100).await, 1);
        assert_eq!(erase(&fan, 100).await, 0);
        assert_eq!(left(&db).await, [23, 21, 21]);

        let account = ErasureScope::Authorizer(app("wxA"));
        assert_eq!(erase(&account, 100).await, 3, "but for what is not dispatched yet");
        assert_eq!(left(&db).await, [20, 18, 18]);
        let tx = db.begin().await.unwrap();
        let claimed = tx.events().claim_undispatched(9).await.unwrap();
        let ids: Vec<_> = claimed.into_iter().map(|event| event.id).collect();
        tx.events().mark_dispatched(&ids).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(erase(&account, 100).await, 1);
        assert_eq!(left(&db).await, [19, 18, 18], "the other tenant's are untouched");
    })
    .await;
}

#[tokio::test]
async fn a_sweep_erases_what_is_older_and_nothing_else() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        fill(&db, &world, &tenant).await;
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.events().sweep(at(5)).await.unwrap(), 4);
        assert_eq!(tx.events().sweep(at(5)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(left(&db).await, [9, 8, 8]);
        let kept = kept_events(&db, Some(&tenant.id)).await;
        assert!(kept.iter().all(|event| event.received_at >= at(5)));
    })
    .await;
}

#[tokio::test]
async fn only_small_events_are_read_together() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let text = || EventType::of_message("text");
        let of = |bytes: usize, second| {
            let mut message = pushed(&world, &tenant, ("wxA", "oFan"), text(), second);
            message.event.content = EventContent::Pushed(Secret::new(vec![b'x'; bytes]));
            message
        };
        let [small, large] = [of(900, 1), of(1_200, 2)];
        for message in [&small, &large] {
            db.record_message(message.clone()).await.unwrap();
        }
        let own = world.event(&tenant, 3);
        append(&db, &own).await;
        let ids = [&small.event.id, &large.event.id, &own.id].map(Clone::clone);
        let (mut read, unreadable) = db.events().system_find_small(&ids, 1_000).await.unwrap();
        read.sort_by(|x, y| x.id.cmp(&y.id));
        assert_eq!(read, [small.event, own]);
        assert!(unreadable.is_empty());
    })
    .await;
}
