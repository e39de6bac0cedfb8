//! Due tokens: each is claimed by one worker, the longest due first, and none holds up others.

use std::{collections::HashSet, time::Duration};

use lingpai_model::{
    Instant,
    token::{KeptToken, TokenKey, TokenKind},
};
use lingpai_storage::{
    Db, Error, LeasedToken,
    testing::{Backend, TestDb, on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, kept, raw, replace, stored_token, token};

const KIND: TokenKind = TokenKind::Authorizer;
const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

async fn claim(db: &Db, now: Instant, limit: u64, ttl: Duration) -> Vec<LeasedToken> {
    let tx = db.begin().await.unwrap();
    let claimed = tx.tokens().claim_due(KIND, now, limit, ttl).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

fn keys(claimed: &[LeasedToken]) -> Vec<TokenKey> {
    claimed.iter().map(|leased| leased.kept.key.clone()).collect()
}

/// A token of [`KIND`] that is due at this second.
async fn due(db: &Db, world: &World, second: i64) -> TokenKey {
    let key = world.token_key();
    let due_at = Some(at(second));
    replace(db, &KeptToken { due_at, ..kept(&key, &format!("due {second}")) }).await.unwrap();
    key
}

#[tokio::test]
async fn the_longest_due_are_claimed_first() {
    on_each_database(|db| async move {
        let world = World::new();
        let mut by_time = Vec::new();
        for second in [5, 3, 9, 1, 7] {
            by_time.push((second, due(&db, &world, second).await));
        }
        by_time.sort_by_key(|(second, _)| *second);
        let wanted: Vec<_> = by_time.into_iter().map(|(_, key)| key).collect();
        let first = claim(&db, at(9), 2, HOUR).await;
        assert_eq!(keys(&first), wanted[..2]);
        let rest = claim(&db, at(9), 10, HOUR).await;
        assert_eq!(keys(&rest), wanted[2..]);
        assert!(claim(&db, at(9), 10, HOUR).await.is_empty());
        assert_eq!(first[0].kept.token, Some(token("due 1", 0)));
        assert_eq!(first[0].kept.due_at, Some(at(1)));
    })
    .await;
}

#[tokio::test]
async fn only_what_is_due_free_and_of_the_kind_is_claimed() {
    on_each_database(|db| async move {
        let world = World::new();
        let now = at(10);
        let just_due = due(&db, &world, 10).await;
        let run_out = due(&db, &world, 9).await;
        db.take_token(&run_out, OVER).await.unwrap().unwrap();
        let given_back = due(&db, &world, 8).await;
        let lease = db.take_token(&given_back, HOUR).await.unwrap().unwrap().lease;
        db.release_token(&lease).await.unwrap();

        let leased = due(&db, &world, 7).await;
        db.take_token(&leased, HOUR).await.unwrap().unwrap();
        due(&db, &world, 11).await;
        replace(&db, &kept(&world.token_key(), "never due")).await.unwrap();
        let TokenKey::Authorizer(id) = just_due.clone() else { unreachable!("as `due` makes it") };
        for other in [TokenKey::Ordinary(id), TokenKey::Component(world.component("wxC").id)] {
            replace(&db, &KeptToken { due_at: Some(at(1)), ..kept(&other, "t") }).await.unwrap();
        }

        let claimed = claim(&db, now, 100, HOUR).await;
        assert_eq!(keys(&claimed), [given_back, run_out, just_due]);
        let tx = db.begin().await.unwrap();
        let other_kind = tx.tokens().claim_due(TokenKind::Ordinary, now, 100, HOUR).await.unwrap();
        assert_eq!(other_kind.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_claimed_is_saved_under_the_latest_claim_only() {
    on_each_database(|db| async move {
        let key = due(&db, &World::new(), 1).await;
        let late = claim(&db, at(1), 1, OVER).await.remove(0);
        let present = claim(&db, at(1), 1, HOUR).await.remove(0);
        assert!(db.take_token(&key, HOUR).await.unwrap().is_none(), "a claim is a lease");
        let tx = db.begin().await.unwrap();
        let error = tx.tokens().save(&late.lease, &kept(&key, "late")).await.unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }));
        drop(tx);
        let tx = db.begin().await.unwrap();
        let refreshed = KeptToken { due_at: Some(at(5)), ..kept(&key, "present") };
        tx.tokens().save(&present.lease, &refreshed).await.unwrap();
        tx.commit().await.unwrap();
        assert!(claim(&db, at(4), 1, HOUR).await.is_empty());
        assert_eq!(keys(&claim(&db, at(5), 1, HOUR).await), [key]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_was_rolled_back_never_was() {
    on_each_database(|db| async move {
        let key = due(&db, &World::new(), 1).await;
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.tokens().claim_due(KIND, at(1), 9, HOUR).await.unwrap().len(), 1);
        drop(tx);
        // The database hears of it a little later. A lease waits for that; a claim passes the row over.
        let leased = db.take_token(&key, HOUR).await.unwrap().expect("the claim never was");
        db.release_token(&leased.lease).await.unwrap();
        assert_eq!(keys(&claim(&db, at(1), 9, HOUR).await), [key]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_never_claim_the_same_token() {
    on_each_database(|db| async move {
        let world = World::new();
        for second in 0..61 {
            due(&db, &world, second).await;
        }
        let workers = (0..6).map(|_| {
            let db = db.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = claim(&db, at(99), 7, HOUR).await;
                    if claimed.is_empty() {
                        return mine;
                    }
                    for leased in &claimed {
                        let key = &leased.kept.key;
                        let refreshed = KeptToken { due_at: Some(at(100)), ..kept(key, "fresh") };
                        let tx = db.begin().await.unwrap();
                        tx.tokens().save(&leased.lease, &refreshed).await.unwrap();
                        tx.commit().await.unwrap();
                    }
                    mine.extend(keys(&claimed));
                }
            }
        });
        let mut claimed: Vec<_> = all_at_once(workers).await.into_iter().flatten().collect();
        // A worker may find everything locked by others and stop early; what is left is claimed now.
        claimed.extend(keys(&claim(&db, at(99), 100, HOUR).await));
        let distinct: HashSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len()), (61, 61));
    })
    .await;
}

#[tokio::test]
async fn a_worker_passes_by_what_another_is_just_claiming() {
    // SQLite has one writer: there the second would only begin when the first is done.
    for backend in Backend::available().into_iter().filter(|backend| *backend != Backend::Sqlite) {
        let test = TestDb::open(&backend).await;
        let world = World::new();
        let mut all = Vec::new();
        for second in 1..=40 {
            all.push(due(&test.db, &world, second).await);
        }
        let [first, second] = [test.db.begin().await.unwrap(), test.db.begin().await.unwrap()];
        let of_first = first.tokens().claim_due(KIND, at(99), 10, HOUR).await.unwrap();
        let of_second = second.tokens().claim_due(KIND, at(99), 10, HOUR).await.unwrap();
        assert_eq!(keys(&of_first), all[..10], "{}", backend.name());
        assert_eq!(keys(&of_second), all[10..20], "{}", backend.name());
        first.commit().await.unwrap();
        second.commit().await.unwrap();
        assert_eq!(keys(&claim(&test.db, at(99), 100, HOUR).await), all[20..]);
        test.remove().await;
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_opened_is_put_off_and_holds_up_nobody() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let broken = due(&db, &world, 1).await;
            let good = [due(&db, &world, 2).await, due(&db, &world, 3).await];
            let foreign = world.token_key();
            let raw = raw(&url).await;
            let give = async |from: &TokenKey, to: &TokenKey| {
                let [from, to] = [from.owner_id(), to.owner_id()];
                let sql = format!("UPDATE tokens SET owner_id = '{to}' WHERE owner_id = '{from}'");
                raw.execute_unprepared(&sql).await.unwrap();
            };
            give(&broken, &foreign).await;

            let now = at(10);
            assert_eq!(keys(&claim(&db, now, 2, HOUR).await), good[..1]);
            assert_eq!(keys(&claim(&db, now, 2, HOUR).await), good[1..]);
            let later = now + Duration::from_secs(15 * 60);
            assert!(claim(&db, later - Duration::from_millis(1), 9, HOUR).await.is_empty());
            assert!(claim(&db, later, 9, HOUR).await.is_empty(), "tried, and put off once more");

            give(&foreign, &broken).await;
            raw.close().await.unwrap();
            assert_eq!(stored_token(&db, &broken).await.token, Some(token("due 1", 0)));
            assert!(claim(&db, later, 9, HOUR).await.is_empty());
            let later = later + Duration::from_secs(15 * 60);
            assert_eq!(keys(&claim(&db, later, 9, HOUR).await), [broken]);
        }
    })
    .await;
}
