//! Group commit.

use futures_util::{FutureExt as _, future::join_all};
use lingpai_model::push::PushState;
use lingpai_storage::{
    Arrival, Db, Error,
    testing::{
        Backend, TestDb, count_pushes, kept_push, kept_tickets, on_each_database, on_each_test_db,
    },
};

use crate::world::{World, all_at_once, at, ticket};

async fn pending(db: &Db) -> u64 {
    count_pushes(db, PushState::Pending).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_arrives_at_once_is_kept_and_repetitions_fold() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let other = world.stored_component(&db, "wxD").await;
        let mut pushes: Vec<_> =
            (0..150).map(|i| world.push(&component, &format!("push {}", i % 100))).collect();
        pushes.extend((0..10).map(|i| world.push(&other, &format!("push {i}"))));
        let arrivals = pushes.into_iter().map(|push| {
            let db = db.clone();
            async move { db.record_arrival(Arrival::Push(push)).await.unwrap() }
        });
        all_at_once(arrivals).await;
        assert_eq!(pending(&db).await, 110, "a hundred of one component, ten of the other");
        db.record_arrival(Arrival::Push(world.push(&component, "push 7"))).await.unwrap();
        assert_eq!(pending(&db).await, 110, "also later");
    })
    .await;
}

#[tokio::test]
async fn a_broken_arrival_is_refused_alone() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let taken = world.push(&component, "first");
        db.record_arrival(Arrival::Push(taken.clone())).await.unwrap();

        // SQLite's one writer is held, so that all of them wait for one batch.
        let held = db.begin().await.unwrap();
        let mut arrivals: Vec<Arrival> =
            (0..20).map(|i| Arrival::Push(world.push(&component, &format!("good {i}")))).collect();
        arrivals[10] = Arrival::Push({
            let mut broken = world.push(&component, "broken");
            broken.id = taken.id;
            broken
        });
        arrivals[15] = Arrival::Ticket(ticket(&world.component("wxUnknown"), "t", 0));
        let recorded = join_all(arrivals.into_iter().map(|arrival| db.record_arrival(arrival)));
        let (outcomes, ()) = tokio::join!(recorded, async { drop(held) });
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(()) => assert!(index != 10 && index != 15),
                Err(error) => {
                    assert!(index == 10 || index == 15, "{index}: {error}");
                    assert!(matches!(error, Error::Query { .. }), "{error:?}");
                }
            }
        }
        assert_eq!(pending(&db).await, 19, "the first and eighteen good ones");
    })
    .await;
}

#[tokio::test]
async fn an_arrival_is_committed_though_its_caller_went_away() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let abandoned = world.push(&component, "abandoned");
        let answer = db.record_arrival(Arrival::Push(abandoned.clone())).now_or_never();
        assert!(answer.is_none(), "it was dropped before its commit");
        db.record_arrival(Arrival::Push(world.push(&component, "next"))).await.unwrap();
        assert!(kept_push(&db, &abandoned.id).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn closing_commits_what_waits_and_refuses_what_comes_later() {
    for backend in Backend::available() {
        let mut test = TestDb::open(&backend).await;
        let db = test.db.clone();
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let waiting: Vec<_> = (0..100).map(|i| world.push(&component, &i.to_string())).collect();
        for push in &waiting {
            assert!(db.record_arrival(Arrival::Push(push.clone())).now_or_never().is_none());
        }
        test.db.close().await;
        let late = db.record_arrival(Arrival::Push(world.push(&component, "late"))).await;
        assert!(late.unwrap_err().is_transient());

        test.db = Db::connect(&test.config, test.keys.clone()).await.unwrap();
        assert_eq!(pending(&test.db).await, 100);
        test.remove().await;
    }
}

#[tokio::test]
async fn the_last_ten_tickets_are_kept_and_the_newest_is_by_its_inner_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let other = world.stored_component(&db, "wxD").await;
        // Pushed out of order, the older half last.
        for second in (50..56).chain(0..8) {
            let ticket = ticket(&component, &format!("ticket {second}"), second);
            db.record_arrival(Arrival::Ticket(ticket)).await.unwrap();
        }
        db.record_arrival(Arrival::Ticket(ticket(&other, "other's", 99))).await.unwrap();

        let kept = kept_tickets(&db, &component.id).await;
        let seconds: Vec<_> = kept.iter().map(|ticket| ticket.issued_at).collect();
        let wanted: Vec<_> = [55, 54, 53, 52, 51, 50, 7, 6, 5, 4].map(at).into();
        assert_eq!(seconds, wanted);
        let newest = db.tickets().newest(&component.id, at(55)).await.unwrap().unwrap();
        assert_eq!(newest.value.expose(), "ticket 55");
        assert!(db.tickets().newest(&component.id, at(56)).await.unwrap().is_none(), "too old");
        let listed = db.tickets().list(&component.id, at(7)).await.unwrap();
        let told: Vec<_> = listed.iter().map(|ticket| ticket.value.expose().clone()).collect();
        let wanted = [55, 54, 53, 52, 51, 50, 7].map(|second| format!("ticket {second}"));
        assert_eq!(told, wanted, "the newest first, those that are too old left out");
    })
    .await;
}

#[tokio::test]
async fn the_same_ticket_twice_is_one() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await;
        let first = ticket(&component, "same", 1);
        let again = ticket(&component, "same", 2);
        // SQLite's one writer is held, so that these two wait for one batch.
        let held = db.begin().await.unwrap();
        let both = [first, again.clone()].map(|ticket| db.record_arrival(Arrival::Ticket(ticket)));
        let (recorded, ()) = tokio::join!(join_all(both), async { drop(held) });
        recorded.into_iter().for_each(|outcome| outcome.unwrap());
        db.record_arrival(Arrival::Ticket(again)).await.unwrap();
        let kept = kept_tickets(&db, &component.id).await;
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].issued_at, at(1), "the first stays as it was");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_instances_record_in_the_same_moment_is_one() {
    on_each_test_db(|test| {
        let (one, config, keys) = (test.db.clone(), test.config.clone(), test.keys.clone());
        async move {
            let other = Db::connect(&config, keys).await.unwrap();
            let world = World::new();
            let component = world.stored_component(&one, "wxC").await;
            for i in 0..40 {
                let twice = [(); 2].map(|()| world.push(&component, &format!("push {i}")));
                let [first, second] = twice.map(Arrival::Push);
                let (first, second) =
                    tokio::join!(one.record_arrival(first), other.record_arrival(second));
                first.unwrap();
                second.unwrap();
            }
            other.close().await;
            assert_eq!(pending(&one).await, 40);
        }
    })
    .await;
}
