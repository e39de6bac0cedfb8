//! Pushes: claimed once, finished under their claim, stored byte for byte.

use std::{collections::HashSet, time::Duration};

use lingpai_model::{
    Secret,
    push::{Disposition, Push, PushState},
};
use lingpai_storage::{
    Arrival, Db, Error,
    testing::{kept_push, on_each_database},
};

use crate::world::{World, all_at_once};

const HOUR: Duration = Duration::from_secs(3600);
/// Over as soon as it begins, by the database's clock.
const OVER: Duration = Duration::ZERO;

async fn claim(db: &Db, limit: u64, ttl: Duration) -> Vec<Push> {
    let tx = db.begin().await.unwrap();
    let claimed = tx.pushes().claim(limit, ttl).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

async fn record(db: &Db, world: &World, count: usize) {
    let component = world.stored_component(db, "wxC").await;
    for i in 0..count {
        let push = world.push(&component, &format!("push {i}"));
        db.record_arrival(Arrival::Push(push)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_never_claim_the_same_push() {
    on_each_database(|db| async move {
        record(&db, &World::new(), 61).await;
        let workers = (0..6).map(|_| {
            let db = db.clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = claim(&db, 7, HOUR).await;
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed);
                }
            }
        });
        let mut claimed: Vec<_> =
            all_at_once(workers).await.into_iter().flatten().map(|push| push.id).collect();
        // A worker may find everything locked by others and stop early; what is left is claimed now.
        claimed.extend(claim(&db, 100, HOUR).await.into_iter().map(|push| push.id));
        let distinct: HashSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len()), (61, 61));
    })
    .await;
}

#[tokio::test]
async fn a_dead_workers_push_comes_back_and_the_late_worker_changes_nothing() {
    on_each_database(|db| async move {
        record(&db, &World::new(), 1).await;
        let late = claim(&db, 1, OVER).await.remove(0);
        let present = claim(&db, 1, HOUR).await.remove(0);
        assert_eq!((late.attempts, present.attempts), (0, 1));
        assert!(claim(&db, 1, HOUR).await.is_empty());

        let tx = db.begin().await.unwrap();
        let fenced = tx.pushes().mark_done(&late).await.unwrap_err();
        assert!(matches!(fenced, Error::Fenced { .. }));
        let fenced = tx.pushes().schedule_retry(&late, OVER, "late").await.unwrap_err();
        assert!(matches!(fenced, Error::Fenced { .. }));
        tx.pushes().mark_done(&present).await.unwrap();
        tx.commit().await.unwrap();
        let stored = kept_push(&db, &present.id).await.unwrap();
        assert_eq!(stored.state, PushState::Done);
    })
    .await;
}

#[tokio::test]
async fn a_push_put_off_waits_and_one_given_up_is_never_claimed() {
    on_each_database(|db| async move {
        record(&db, &World::new(), 3).await;
        let [a, b, c] = claim(&db, 3, HOUR).await.try_into().unwrap();
        let tx = db.begin().await.unwrap();
        tx.pushes().schedule_retry(&a, OVER, "again at once").await.unwrap();
        tx.pushes().schedule_retry(&b, HOUR, "later").await.unwrap();
        tx.pushes().mark_failed(&c, "never").await.unwrap();
        tx.commit().await.unwrap();

        let due = claim(&db, 3, HOUR).await;
        assert_eq!(due.iter().map(|push| &push.id).collect::<Vec<_>>(), [&a.id]);
        assert_eq!(due[0].attempts, 1);
        let later = kept_push(&db, &b.id).await.unwrap();
        assert_eq!(later.last_failure.as_deref(), Some("later"));
        let given_up = kept_push(&db, &c.id).await.unwrap();
        assert_eq!(given_up.state, PushState::Failed);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_push_is_claimed_first() {
    on_each_database(|db| async move {
        record(&db, &World::new(), 5).await;
        let mut claimed = Vec::new();
        for _ in 0..5 {
            claimed.extend(claim(&db, 1, HOUR).await.into_iter().map(|push| push.id));
        }
        assert!(claimed.is_sorted(), "{claimed:?}");
    })
    .await;
}

#[tokio::test]
async fn every_payload_is_kept_byte_for_byte() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let payloads: [&[u8]; 6] = [
            b"",
            "表情 🍜👩‍👩‍👧".as_bytes(),
            b"\0nul\0",
            b"\xff\xfe not UTF-8 \xed\xa0\x80",
            &[0xff; 200_000],
            b"trailing blanks  ",
        ];
        for (index, payload) in payloads.into_iter().enumerate() {
            let mut push = world.push(&component, &index.to_string());
            push.payload = Secret::new(payload.to_vec());
            push.info_type = "未知\0🍜".repeat(40);
            push.authorizer_appid = None;
            push.disposition = Disposition::Quarantine;
            db.record_arrival(Arrival::Push(push.clone())).await.unwrap();
            let stored = kept_push(&db, &push.id).await.unwrap();
            assert_eq!(stored.payload.expose(), payload);
            assert_eq!(stored.state, PushState::Quarantined);
            assert!(stored.info_type.starts_with("未知\u{fffd}🍜"), "{}", stored.info_type);
        }
        assert!(claim(&db, 10, HOUR).await.is_empty(), "nobody acts on these");
    })
    .await;
}
