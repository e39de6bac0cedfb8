//! Quota marks: counted per authorizer, subject and period, by any number of instances.

use lingpai_model::{Instant, id::AuthorizerId};
use lingpai_storage::{Db, testing::on_each_database};

use crate::world::{World, all_at_once, at};

const DAY: &str = "2026-11-20";

async fn mark(db: &Db, authorizer: &AuthorizerId, subject: &str, at: Instant) -> u64 {
    let tx = db.begin().await.unwrap();
    let marks = tx.quotas().mark(authorizer, subject, DAY, at).await.unwrap();
    tx.commit().await.unwrap();
    marks
}

fn authorizer(world: &World) -> AuthorizerId {
    world.authorizer(&world.component("wxC"), None, "wxA").id
}

#[tokio::test]
async fn marks_are_counted_apart_by_authorizer_subject_and_period() {
    on_each_database(|db| async move {
        let world = World::new();
        let [a, b] = [authorizer(&world), authorizer(&world)];
        let long = "/很长的路径".repeat(200);
        for subject in ["/a", &long, "nul \0"] {
            assert_eq!(mark(&db, &a, subject, at(1)).await, 1);
            assert_eq!(mark(&db, &a, subject, at(2)).await, 2);
            assert_eq!(mark(&db, &b, subject, at(2)).await, 1);
        }
        let count = async |authorizer, subject, period| {
            db.quotas().count(authorizer, subject, period).await.unwrap()
        };
        assert_eq!(count(&a, "/a", DAY).await, 2);
        assert_eq!(count(&b, "/a", DAY).await, 1);
        assert_eq!(count(&a, "/A", DAY).await, 0);
        assert_eq!(count(&a, "/a", "2026-11").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_mark_is_given_back_and_none_that_was_not_made() {
    on_each_database(|db| async move {
        let id = authorizer(&World::new());
        for _ in 0..2 {
            mark(&db, &id, "clear_quota", at(1)).await;
        }
        for wanted in [1, 0, 0] {
            let tx = db.begin().await.unwrap();
            tx.quotas().unmark(&id, "clear_quota", DAY).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(db.quotas().count(&id, "clear_quota", DAY).await.unwrap(), wanted);
        }
        assert_eq!(mark(&db, &id, "clear_quota", at(1)).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_mark_each_gets_a_count_of_its_own() {
    on_each_database(|db| async move {
        let id = authorizer(&World::new());
        let marking = (0..8).map(|_| {
            let (db, id) = (db.clone(), id.clone());
            async move { mark(&db, &id, "clear_quota", at(1)).await }
        });
        let mut counts = all_at_once(marking).await;
        counts.sort_unstable();
        assert_eq!(counts, (1..=8).collect::<Vec<u64>>());
    })
    .await;
}

#[tokio::test]
async fn a_mark_that_was_not_committed_does_not_count() {
    on_each_database(|db| async move {
        let id = authorizer(&World::new());
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.quotas().mark(&id, "/a", DAY, at(1)).await.unwrap(), 1);
        assert_eq!(tx.quotas().mark(&id, "/a", DAY, at(1)).await.unwrap(), 2);
        drop(tx);
        assert_eq!(mark(&db, &id, "/a", at(1)).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_erases_what_was_last_marked_before() {
    on_each_database(|db| async move {
        let id = authorizer(&World::new());
        for (subject, second) in [("old", 1), ("renewed", 1), ("renewed", 5), ("new", 5)] {
            mark(&db, &id, subject, at(second)).await;
        }
        for wanted in [1, 0] {
            let tx = db.begin().await.unwrap();
            assert_eq!(tx.quotas().sweep(at(5)).await.unwrap(), wanted);
            tx.commit().await.unwrap();
        }
        assert_eq!(db.quotas().count(&id, "old", DAY).await.unwrap(), 0);
        assert_eq!(db.quotas().count(&id, "renewed", DAY).await.unwrap(), 2);
    })
    .await;
}
