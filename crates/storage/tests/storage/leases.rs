//! Leases and their fences.

use std::time::Duration;

use futures_util::FutureExt as _;
use lingpai_model::{component::Reconciliation, digest::Digest, id::ComponentId};
use lingpai_storage::{Error, LeaseKey, testing::on_each_database};

use crate::world::{World, all_at_once, at};

const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

fn key(name: &str) -> LeaseKey {
    LeaseKey::exchange(&Digest::of(&[name.as_bytes()]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_takers_one_gets_the_lease() {
    on_each_database(|db| async move {
        for round in 0..5 {
            let key = key(&round.to_string());
            let takers = (0..8).map(|_| {
                let (db, key) = (db.clone(), key.clone());
                async move { db.take_lease(&key, HOUR).await.unwrap() }
            });
            let taken = all_at_once(takers).await;
            assert_eq!(taken.iter().flatten().count(), 1);
        }
        assert!(db.take_lease(&key("another"), HOUR).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_lease_given_back_is_free_and_one_that_is_over_as_well() {
    on_each_database(|db| async move {
        let first = db.take_lease(&key("a"), HOUR).await.unwrap().unwrap();
        assert!(db.take_lease(&key("a"), HOUR).await.unwrap().is_none());
        db.release_lease(first).await.unwrap();
        db.take_lease(&key("a"), OVER).await.unwrap().unwrap();
        assert!(db.take_lease(&key("a"), HOUR).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_renewed_lease_is_held_on_and_a_lost_one_is_not_renewed() {
    on_each_database(|db| async move {
        let first = db.take_lease(&key("a"), OVER).await.unwrap().unwrap();
        db.renew_lease(&first, HOUR).await.unwrap();
        assert!(db.take_lease(&key("a"), HOUR).await.unwrap().is_none());
        db.renew_lease(&first, OVER).await.unwrap();
        let second = db.take_lease(&key("a"), OVER).await.unwrap().unwrap();
        let lost = db.renew_lease(&first, HOUR).await.unwrap_err();
        assert!(matches!(lost, Error::Fenced { .. }));
        db.renew_lease(&second, HOUR).await.unwrap();
        assert!(db.take_lease(&key("a"), HOUR).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_holder_that_slept_too_long_changes_nothing() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await;
        let key = LeaseKey::reconciliation(&component.id);
        let report =
            |listed| Reconciliation { at: at(1), listed, recovered: 0, found: 0, withdrawn: 0 };
        let late = db.take_lease(&key, OVER).await.unwrap().unwrap();
        let present = db.take_lease(&key, HOUR).await.unwrap().unwrap();

        let tx = db.begin().await.unwrap();
        tx.components().note_reconciliation(&component.id, &report(1)).await.unwrap();
        let error = tx.finish_lease(&late).await.unwrap_err();
        assert!(matches!(&error, Error::Fenced { key } if key.starts_with("reconciliation/cmp_")));
        drop(tx);
        db.release_lease(late).await.unwrap();
        assert!(db.take_lease(&key, HOUR).await.unwrap().is_none(), "it is still the other's");

        let tx = db.begin().await.unwrap();
        tx.components().note_reconciliation(&component.id, &report(2)).await.unwrap();
        tx.finish_lease(&present).await.unwrap();
        tx.commit().await.unwrap();
        let watch = db.components().watch(&component.id).await.unwrap();
        assert_eq!(watch.reconciliation, Some(report(2)));
        assert!(db.take_lease(&key, HOUR).await.unwrap().is_some(), "finishing gave it back");
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ran_out_without_a_successor_may_still_finish() {
    on_each_database(|db| async move {
        let lease = db.take_lease(&key("a"), OVER).await.unwrap().unwrap();
        let tx = db.begin().await.unwrap();
        tx.finish_lease(&lease).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[test]
fn keys_of_different_things_differ() {
    let world = World::new();
    let [a, b]: [ComponentId; 2] = [world.component("wx1").id, world.component("wx2").id];
    assert_ne!(LeaseKey::reconciliation(&a), LeaseKey::reconciliation(&b));
}

#[tokio::test]
async fn a_lease_whose_taker_went_away_is_given_back() {
    on_each_database(|db| async move {
        let key = key("a");
        assert!(db.take_lease(&key, HOUR).now_or_never().is_none(), "dropped before it knew");
        // Whether the abandoned taker comes before or after this one, it must not keep the lease.
        while db.take_lease(&key, HOUR).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
