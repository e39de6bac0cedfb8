//! Tokens that are kept alive: who may write them, and what is never lost.

use std::time::Duration;

use lingpai_model::{
    Secret,
    token::{
        KeptToken, REMEMBERED_REFRESHES, Refresh, RefreshCause, TokenFailure, TokenKey, TokenKind,
    },
};
use lingpai_storage::{
    Db, Error, TokenLease,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, kept, raw, replace, stored_token, token};

const HOUR: Duration = Duration::from_secs(3600);

async fn save(db: &Db, lease: &TokenLease, kept: &KeptToken) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.tokens().save(lease, kept).await?;
    tx.commit().await
}

async fn retire(db: &Db, key: &TokenKey) {
    let tx = db.begin().await.unwrap();
    tx.tokens().retire(key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn take(db: &Db, key: &TokenKey) -> TokenLease {
    db.take_token(key, HOUR).await.unwrap().expect("nobody holds it").lease
}

fn is_fenced(outcome: &Result<(), Error>) -> bool {
    matches!(outcome, Err(Error::Fenced { .. }))
}

fn secret(value: &str) -> Option<Secret<String>> {
    Some(Secret::from(value))
}

#[tokio::test]
async fn a_token_reads_back_as_it_was_kept() {
    on_each_database(|db| async move {
        let world = World::new();
        let [key, other] = [world.token_key(), world.token_key()];
        let failure = TokenFailure {
            at: at(3),
            reason: "40013 不合法\0".repeat(90),
            in_a_row: 4_000_000_000,
        };
        let written = KeptToken {
            refresh_token: secret("refreshtoken@@@小店"),
            failure: Some(failure.clone()),
            due_at: Some(at(4)),
            due_cause: Some(RefreshCause::Cured),
            generation: 7,
            ..kept(&key, "token")
        };
        replace(&db, &written).await.unwrap();
        replace(&db, &kept(&other, "other's")).await.unwrap();

        let read = stored_token(&db, &key).await;
        assert_eq!((read.key.clone(), read.generation), (key.clone(), 7));
        assert_eq!((read.token, read.refresh_token), (written.token, written.refresh_token));
        assert_eq!((read.due_at, read.due_cause), (Some(at(4)), Some(RefreshCause::Cured)));
        let told = read.failure.unwrap();
        assert_eq!((told.at, told.in_a_row), (at(3), failure.in_a_row));
        let reason: String = failure.reason.replace('\0', "\u{fffd}").chars().take(500).collect();
        assert_eq!(told.reason, reason, "enough of it to understand it");

        let TokenKey::Authorizer(id) = &key else { unreachable!("as the world makes them") };
        assert!(db.tokens().find(&TokenKey::Ordinary(id.clone())).await.unwrap().is_none());
        let owners = [key.owner_id(), other.owner_id(), "aut_unknown"];
        let listed = db.tokens().list(TokenKind::Authorizer, &owners).await.unwrap();
        let mut values: Vec<_> = listed.iter().map(|kept| kept.token.as_ref().unwrap()).collect();
        values.sort_by_key(|token| token.value.expose());
        assert_eq!(values, [&token("other's", 0), &token("token", 0)]);
        assert!(db.tokens().list(TokenKind::Ordinary, &owners).await.unwrap().is_empty());
        assert!(db.tokens().list(TokenKind::Authorizer, &[]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_saved_under_its_lease_and_ends_it() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let leased = db.take_token(&key, HOUR).await.unwrap().unwrap();
        assert!(leased.kept.token.is_none(), "its row was made for the lease");
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none());
        save(&db, &leased.lease, &kept(&key, "t1")).await.unwrap();
        assert!(is_fenced(&save(&db, &leased.lease, &kept(&key, "t2")).await), "saved once");

        let next = db.take_token(&key, HOUR).await.unwrap().unwrap();
        assert_eq!(next.kept.token, Some(token("t1", 0)), "saving gave it back");
        let dropped = db.begin().await.unwrap();
        dropped.tokens().save(&next.lease, &kept(&key, "t3")).await.unwrap();
        drop(dropped);
        assert_eq!(stored_token(&db, &key).await.token, Some(token("t1", 0)));
        save(&db, &next.lease, &kept(&key, "t4")).await.unwrap();
        assert_eq!(stored_token(&db, &key).await.token, Some(token("t4", 0)));
    })
    .await;
}

#[tokio::test]
async fn a_refresher_that_slept_too_long_changes_nothing() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let late = db.take_token(&key, Duration::ZERO).await.unwrap().unwrap().lease;
        let present = take(&db, &key).await;
        let error = save(&db, &late, &kept(&key, "late")).await.unwrap_err();
        assert!(
            matches!(&error, Error::Fenced { key } if key.starts_with("authorizer_access_token of aut_"))
        );
        assert!(stored_token(&db, &key).await.token.is_none());
        save(&db, &present, &kept(&key, "present")).await.unwrap();
        assert!(is_fenced(&save(&db, &late, &kept(&key, "late")).await));
        assert_eq!(stored_token(&db, &key).await.token, Some(token("present", 0)));
    })
    .await;
}

#[tokio::test]
async fn what_is_refreshed_for_another_generation_is_not_saved() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let key = World::new().token_key();
            let raw = raw(&url).await;
            for generation in [2, 0] {
                replace(&db, &kept(&key, "granted")).await.unwrap();
                let lease = take(&db, &key).await;
                let change = format!("UPDATE tokens SET generation = {generation}");
                raw.execute_unprepared(&change).await.unwrap();
                assert!(is_fenced(&save(&db, &lease, &kept(&key, "refreshed")).await));
                raw.execute_unprepared("UPDATE tokens SET generation = 1").await.unwrap();
                assert_eq!(stored_token(&db, &key).await.token, Some(token("granted", 0)));
                save(&db, &lease, &kept(&key, "refreshed")).await.unwrap();
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_without_a_new_refresh_token_keeps_the_old_one() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let granted = KeptToken { refresh_token: secret("r1"), ..kept(&key, "t1") };
        replace(&db, &granted).await.unwrap();
        for (refreshed, stays) in [(None, "r1"), (secret("r3"), "r3"), (None, "r3")] {
            let lease = take(&db, &key).await;
            let refreshed = KeptToken { refresh_token: refreshed, ..kept(&key, "t2") };
            save(&db, &lease, &refreshed).await.unwrap();
            let read = stored_token(&db, &key).await;
            assert_eq!((read.token, read.refresh_token), (Some(token("t2", 0)), secret(stays)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_token_and_the_next_token_clears_the_failure() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        replace(&db, &kept(&key, "t1")).await.unwrap();
        let reason = "WeChat is silent".to_owned();
        let failure = TokenFailure { at: at(1), reason, in_a_row: 2 };
        let leased = db.take_token(&key, HOUR).await.unwrap().unwrap();
        let failed =
            KeptToken { failure: Some(failure.clone()), due_at: Some(at(6)), ..leased.kept };
        save(&db, &leased.lease, &failed).await.unwrap();
        let leased = db.take_token(&key, HOUR).await.unwrap().unwrap();
        assert_eq!(leased.kept.token, Some(token("t1", 0)));
        assert_eq!((leased.kept.failure, leased.kept.due_at), (Some(failure), Some(at(6))));
        save(&db, &leased.lease, &kept(&key, "t2")).await.unwrap();
        let read = stored_token(&db, &key).await;
        assert_eq!((read.token, read.due_at), (Some(token("t2", 0)), None));
        assert!(read.failure.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_token_fences_its_refresher_off() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        replace(&db, &kept(&key, "t1")).await.unwrap();
        for generation in [1, 2] {
            let lease = take(&db, &key).await;
            replace(&db, &KeptToken { generation, ..kept(&key, "granted") }).await.unwrap();
            assert!(is_fenced(&save(&db, &lease, &kept(&key, "refreshed")).await));
            assert!(is_fenced(&db.renew_token(&lease, HOUR).await));
            assert_eq!(stored_token(&db, &key).await.token, Some(token("granted", 0)));
            let next = take(&db, &key).await;
            db.release_token(&next).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_never_goes_back_a_generation() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        let of = |generation, value| KeptToken { generation, ..kept(&key, value) };
        replace(&db, &of(2, "second")).await.unwrap();
        assert!(is_fenced(&replace(&db, &of(1, "first")).await));
        let read = stored_token(&db, &key).await;
        assert_eq!((read.generation, read.token), (2, Some(token("second", 0))));
        for (generation, value) in [(2, "second again"), (5, "fifth")] {
            replace(&db, &of(generation, value)).await.unwrap();
            let read = stored_token(&db, &key).await;
            assert_eq!((read.generation, read.token), (generation, Some(token(value, 0))));
        }
        assert!(is_fenced(&replace(&db, &of(4, "fourth")).await));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_tokens_that_come_at_once_the_newest_generation_stays() {
    on_each_database(|db| async move {
        let world = World::new();
        for _ in 0..4 {
            let key = world.token_key();
            let grants = [1, 1, 3, 3, 2, 2].map(|generation| {
                let db = db.clone();
                let granted = KeptToken { generation, ..kept(&key, &format!("t{generation}")) };
                async move { (generation, replace(&db, &granted).await) }
            });
            for (generation, outcome) in all_at_once(grants).await {
                match outcome {
                    Ok(()) => {}
                    Err(error) => assert!(
                        matches!(error, Error::Fenced { .. }) && generation < 3,
                        "{generation}: {error:?}"
                    ),
                }
            }
            let read = stored_token(&db, &key).await;
            assert_eq!((read.generation, read.token), (3, Some(token("t3", 0))));
        }
    })
    .await;
}

#[tokio::test]
async fn a_retired_token_is_gone_its_refresh_token_stays_and_its_refresher_is_fenced_off() {
    on_each_database(|db| async move {
        let world = World::new();
        let key = world.token_key();
        let granted =
            KeptToken { refresh_token: secret("r1"), due_at: Some(at(1)), ..kept(&key, "t1") };
        replace(&db, &granted).await.unwrap();
        let lease = take(&db, &key).await;
        retire(&db, &key).await;
        assert!(is_fenced(&save(&db, &lease, &granted).await));
        let read = stored_token(&db, &key).await;
        assert_eq!((read.token, read.due_at), (None, None));
        assert_eq!((read.refresh_token, read.generation), (secret("r1"), 1));
        take(&db, &key).await;

        let unknown = world.token_key();
        retire(&db, &unknown).await;
        assert!(db.tokens().find(&unknown).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_restored_where_it_is_missing_and_of_the_same_generation() {
    on_each_database(|db| async move {
        let world = World::new();
        let [lacking, holding, unknown] = [(); 3].map(|()| world.token_key());
        let lost = KeptToken { generation: 3, ..kept(&lacking, "t1") };
        replace(&db, &lost).await.unwrap();
        let held = KeptToken { generation: 3, refresh_token: secret("r1"), ..kept(&holding, "t1") };
        replace(&db, &held).await.unwrap();
        let restore = async |key: &TokenKey, generation| {
            let tx = db.begin().await.unwrap();
            let value = Secret::from("recovered");
            let lacked = tx.tokens().restore_refresh_token(key, generation, &value, at(9)).await;
            tx.commit().await.unwrap();
            lacked.unwrap()
        };
        assert!(!restore(&unknown, 3).await);
        assert!(!restore(&holding, 3).await, "what is there may be the better one");
        assert!(!restore(&lacking, 2).await);
        assert!(!restore(&lacking, 4).await);
        for (key, refresh_token) in [(&lacking, None), (&holding, secret("r1"))] {
            let read = stored_token(&db, key).await;
            assert_eq!((read.refresh_token, read.due_at), (refresh_token, None));
        }

        let lease = take(&db, &lacking).await;
        assert!(restore(&lacking, 3).await);
        assert!(!restore(&lacking, 3).await, "it lacks none any more");
        let read = stored_token(&db, &lacking).await;
        assert_eq!((read.refresh_token, read.due_at), (secret("recovered"), Some(at(9))));
        assert_eq!(read.due_cause, Some(RefreshCause::Reconciliation));
        assert_eq!(read.token, Some(token("t1", 0)));
        save(&db, &lease, &lost).await.unwrap();
        let read = stored_token(&db, &lacking).await;
        assert_eq!(read.refresh_token, secret("recovered"), "whoever refreshes goes on");
    })
    .await;
}

#[tokio::test]
async fn a_token_is_made_due_and_erased_under_its_own_key_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let [key, other] = [world.token_key(), world.token_key()];
        for key in [&key, &other] {
            replace(&db, &kept(key, "t")).await.unwrap();
        }
        let lease = take(&db, &key).await;
        let tx = db.begin().await.unwrap();
        let cause = Some(RefreshCause::Cured);
        tx.tokens().set_due(&key, at(5), cause).await.unwrap();
        tx.tokens().set_due(&world.token_key(), at(5), cause).await.unwrap();
        tx.commit().await.unwrap();
        for (key, due) in [(&key, (Some(at(5)), cause)), (&other, (None, None))] {
            let read = stored_token(&db, key).await;
            assert_eq!((read.due_at, read.due_cause), due);
        }
        let tx = db.begin().await.unwrap();
        tx.tokens().set_due(&key, at(6), None).await.unwrap();
        tx.commit().await.unwrap();
        let read = stored_token(&db, &key).await;
        assert_eq!((read.due_at, read.due_cause), (Some(at(6)), None));
        save(&db, &lease, &kept(&key, "refreshed")).await.unwrap();

        let lease = take(&db, &key).await;
        let tx = db.begin().await.unwrap();
        tx.tokens().erase(&key).await.unwrap();
        tx.commit().await.unwrap();
        assert!(db.tokens().find(&key).await.unwrap().is_none());
        assert_eq!(stored_token(&db, &other).await.token, Some(token("t", 0)));
        assert!(is_fenced(&save(&db, &lease, &kept(&key, "late")).await), "it does not come back");
        assert!(db.tokens().find(&key).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn the_last_refreshes_are_kept_whatever_becomes_of_the_token() {
    on_each_test_db(|test| {
        let (db, config, keys) = (test.db.clone(), test.config.clone(), test.keys.clone());
        async move {
            let key = World::new().token_key();
            let mut wanted = kept(&key, "t");
            for second in 0..13 {
                let leased = db.take_token(&key, HOUR).await.unwrap().unwrap();
                let failure = (second % 2 == 0).then(|| "45009 超限\0".repeat(second));
                let cause = RefreshCause::ALL[second % RefreshCause::ALL.len()];
                let refresh = Refresh { at: at(i64::try_from(second).unwrap()), cause, failure };
                wanted.remember(refresh.clone());
                let mut refreshed = KeptToken { token: Some(token("t", 0)), ..leased.kept };
                refreshed.remember(refresh);
                save(&db, &leased.lease, &refreshed).await.unwrap();
            }
            for refresh in &mut wanted.refreshes {
                let told =
                    |reason: &String| reason.replace('\0', "\u{fffd}").chars().take(160).collect();
                refresh.failure = refresh.failure.as_ref().map(told);
            }
            assert_eq!(wanted.refreshes.len(), REMEMBERED_REFRESHES);
            assert_eq!(stored_token(&db, &key).await.refreshes, wanted.refreshes);
            retire(&db, &key).await;
            let reopened = Db::connect(&config, keys).await.unwrap();
            assert_eq!(stored_token(&reopened, &key).await.refreshes, wanted.refreshes);
            reopened.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_moved_to_another_owner_kind_or_column_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [own, foreign] = [world.token_key(), world.token_key()];
            let granted = KeptToken { refresh_token: secret("r1"), ..kept(&own, "t1") };
            replace(&db, &granted).await.unwrap();
            let raw = raw(&url).await;
            let set = async |change: String| {
                let moved = raw.execute_unprepared(&format!("UPDATE tokens SET {change}")).await;
                assert_eq!(moved.unwrap().rows_affected(), 1);
            };
            let unopenable = async |key: &TokenKey, wanted: &str| {
                let error = db.tokens().find(key).await.unwrap_err();
                assert!(
                    matches!(error, Error::Unopenable { table: "tokens", column } if column == wanted)
                );
            };
            let TokenKey::Authorizer(id) = own.clone() else { unreachable!("as the world makes them") };

            set(format!("owner_id = '{}'", foreign.owner_id())).await;
            unopenable(&foreign, "value_sealed").await;
            set(format!("owner_id = '{}', kind = 'access_token'", own.owner_id())).await;
            unopenable(&TokenKey::Ordinary(id), "value_sealed").await;
            set("kind = 'authorizer_access_token'".to_owned()).await;
            let read = stored_token(&db, &own).await;
            assert_eq!((read.token, read.refresh_token), (Some(token("t1", 0)), secret("r1")));
            set("refresh_token_sealed = value_sealed".to_owned()).await;
            unopenable(&own, "refresh_token_sealed").await;
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_cached_token_follows_every_commit_and_has_no_history() {
    on_each_database(|db| async move {
        let key = World::new().token_key();
        assert!(db.cached_token(&key).await.unwrap().is_none());
        let mut granted = KeptToken { refresh_token: secret("r1"), ..kept(&key, "t1") };
        granted.remember(Refresh { at: at(1), cause: RefreshCause::Grant, failure: None });
        replace(&db, &granted).await.unwrap();
        let cached = async || {
            let cached = db.cached_token(&key).await.unwrap()?;
            assert!(cached.refreshes.is_empty());
            Some((cached.token.clone(), cached.refresh_token.clone(), cached.due_at))
        };
        assert_eq!(cached().await, Some((Some(token("t1", 0)), secret("r1"), None)));
        assert_eq!(stored_token(&db, &key).await.refreshes.len(), 1);

        let lease = take(&db, &key).await;
        let tx = db.begin().await.unwrap();
        tx.tokens().save(&lease, &kept(&key, "t2")).await.unwrap();
        assert_eq!(cached().await, Some((Some(token("t1", 0)), secret("r1"), None)), "not yet");
        tx.commit().await.unwrap();
        assert_eq!(cached().await, Some((Some(token("t2", 0)), secret("r1"), None)));
        replace(&db, &kept(&key, "t3")).await.unwrap();
        assert_eq!(cached().await, Some((Some(token("t3", 0)), None, None)));

        let tx = db.begin().await.unwrap();
        let recovered = Secret::from("r2");
        assert!(tx.tokens().restore_refresh_token(&key, 1, &recovered, at(4)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(cached().await, Some((Some(token("t3", 0)), secret("r2"), Some(at(4)))));
        let tx = db.begin().await.unwrap();
        tx.tokens().set_due(&key, at(5), None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(cached().await, Some((Some(token("t3", 0)), secret("r2"), Some(at(5)))));
        retire(&db, &key).await;
        assert_eq!(cached().await, Some((None, secret("r2"), None)));
        let tx = db.begin().await.unwrap();
        tx.tokens().erase(&key).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(cached().await, None);
    })
    .await;
}

#[tokio::test]
async fn what_another_process_changed_is_seen_once_the_cached_token_is_forgotten() {
    on_each_test_db(|test| {
        let (db, config, keys) = (test.db.clone(), test.config.clone(), test.keys.clone());
        async move {
            let key = World::new().token_key();
            replace(&db, &kept(&key, "t1")).await.unwrap();
            let cached = async || db.cached_token(&key).await.unwrap().unwrap().token.clone();
            assert_eq!(cached().await, Some(token("t1", 0)));
            let other = Db::connect(&config, keys).await.unwrap();
            replace(&other, &kept(&key, "t2")).await.unwrap();
            other.close().await;
            db.forget_token(&key).await;
            assert_eq!(cached().await, Some(token("t2", 0)));
        }
    })
    .await;
}
