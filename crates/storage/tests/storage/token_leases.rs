//! The leases under which tokens are refreshed.

use std::time::Duration;

use futures_util::FutureExt as _;
use lingpai_model::token::TokenKey;
use lingpai_storage::{Error, testing::on_each_database};

use crate::world::{World, all_at_once, kept, replace, token};

const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_takers_one_gets_the_lease() {
    on_each_database(|db| async move {
        let world = World::new();
        for round in 0..6 {
            let key = world.token_key();
            if round % 2 == 0 {
                replace(&db, &kept(&key, "there")).await.unwrap();
            }
            let takers = (0..8).map(|_| {
                let (db, key) = (db.clone(), key.clone());
                async move { db.take_token(&key, HOUR).await.unwrap() }
            });
            let taken = all_at_once(takers).await;
            assert_eq!(taken.iter().flatten().count(), 1, "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_kind_of_one_owner_has_its_own_lease() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let TokenKey::Authorizer(id) = key.clone() else { unreachable!("as the world makes them") };
        assert!(db.take_token(&key, HOUR).await.unwrap().is_some());
        assert!(db.take_token(&TokenKey::Ordinary(id), HOUR).await.unwrap().is_some());
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_lease_given_back_is_free_and_one_that_is_over_as_well() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        replace(&db, &kept(&key, "t")).await.unwrap();
        let first = db.take_token(&key, HOUR).await.unwrap().unwrap();
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none());
        db.release_token(&first.lease).await.unwrap();
        let second = db.take_token(&key, OVER).await.unwrap().unwrap();
        assert_ne!(first.lease, second.lease, "each is told from the one before");
        let third = db.take_token(&key, HOUR).await.unwrap().unwrap();
        assert_eq!(third.kept.token, Some(token("t", 0)), "giving back writes nothing");
    })
    .await;
}

#[tokio::test]
async fn a_renewed_lease_is_held_on() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let lease = db.take_token(&key, OVER).await.unwrap().unwrap().lease;
        db.renew_token(&lease, HOUR).await.unwrap();
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none());
        db.renew_token(&lease, OVER).await.unwrap();
        assert!(db.take_token(&key, HOUR).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_lost_lease_is_neither_renewed_nor_given_back() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let lost = db.take_token(&key, OVER).await.unwrap().unwrap().lease;
        let held = db.take_token(&key, HOUR).await.unwrap().unwrap().lease;
        let error = db.renew_token(&lost, HOUR).await.unwrap_err();
        assert!(matches!(error, Error::Fenced { key: lost } if lost == key.to_string()));
        db.release_token(&lost).await.unwrap();
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none(), "it is still the other's");
        db.release_token(&held).await.unwrap();
        assert!(matches!(db.renew_token(&held, HOUR).await, Err(Error::Fenced { .. })));
        assert!(db.take_token(&key, HOUR).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_lease_whose_taker_went_away_is_given_back() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        assert!(db.take_token(&key, HOUR).now_or_never().is_none(), "dropped before it knew");
        // Whether the abandoned taker comes before or after this one, it must not keep the lease.
        while db.take_token(&key, HOUR).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
