//! Repeatable requests: each is under way once and answered once.

use lingpai_model::{Instant, Secret, digest::Digest};
use lingpai_storage::{
    Db, Error, IdempotencyState,
    testing::{TestDb, on_each_database, on_each_test_db},
};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection,
    sea_query::{Expr, Query},
};

use crate::world::{all_at_once, at, raw};

fn digest(text: &str) -> Digest {
    Digest::of(&[text.as_bytes()])
}

async fn insert(db: &Db, id: &str, request: &str, at: Instant) -> bool {
    let tx = db.begin().await.unwrap();
    let inserted = tx.idempotency().insert(&digest(id), &digest(request), at).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

async fn finish(db: &Db, id: &str, status: u16, body: &[u8]) -> bool {
    let tx = db.begin().await.unwrap();
    let (id, body) = (digest(id), Secret::new(body.to_vec()));
    let finished = tx.idempotency().finish(&id, status, "application/json", &body).await.unwrap();
    tx.commit().await.unwrap();
    finished
}

#[tokio::test]
async fn an_answer_reads_back_and_is_given_once() {
    on_each_database(|db| async move {
        assert!(db.idempotency().find(&digest("a")).await.unwrap().is_none());
        assert!(insert(&db, "a", "POST /", at(1)).await);
        let begun = db.idempotency().find(&digest("a")).await.unwrap().unwrap();
        assert_eq!((begun.id, begun.request), (digest("a"), digest("POST /")));
        assert_eq!(begun.created_at, at(1));
        assert!(matches!(begun.state, IdempotencyState::UnderWay));

        let body = [b"{\0}".as_slice(), &[0xff; 70_000]].concat();
        assert!(finish(&db, "a", 201, &body).await);
        assert!(!finish(&db, "a", 500, b"late").await, "it was answered");
        assert!(!finish(&db, "b", 201, b"").await, "it never began");
        let done = db.idempotency().find(&digest("a")).await.unwrap().unwrap();
        let IdempotencyState::Done { status, content_type, body: kept } = done.state else {
            panic!("it is done")
        };
        assert_eq!((status, content_type.as_str()), (201, "application/json"));
        assert!(*kept.expose() == body);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_with_the_same_id_one_is_the_first() {
    on_each_database(|db| async move {
        let asking = (0..6).map(|i| {
            let db = db.clone();
            async move { insert(&db, "a", &i.to_string(), at(i)).await }
        });
        let first = all_at_once(asking).await.into_iter().filter(|first| *first).count();
        assert_eq!(first, 1);
        let tx = db.begin().await.unwrap();
        assert!(!tx.idempotency().insert(&digest("a"), &digest("x"), at(9)).await.unwrap());
        let found = tx.idempotency().find(&digest("a")).await.unwrap();
        assert!(found.is_some(), "the transaction goes on");
    })
    .await;
}

#[tokio::test]
async fn what_is_erased_may_be_asked_anew() {
    on_each_database(|db| async move {
        for id in ["a", "b"] {
            assert!(insert(&db, id, "x", at(1)).await);
        }
        let tx = db.begin().await.unwrap();
        for _ in 0..2 {
            tx.idempotency().delete(&digest("a")).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert!(!insert(&db, "b", "x", at(2)).await);
        assert!(insert(&db, "a", "y", at(2)).await);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_erases_what_began_before() {
    on_each_database(|db| async move {
        for second in 0..5 {
            assert!(insert(&db, &second.to_string(), "x", at(second)).await);
        }
        finish(&db, "1", 200, b"").await;
        let sweep = async |before| {
            let tx = db.begin().await.unwrap();
            let erased = tx.idempotency().sweep(before).await.unwrap();
            tx.commit().await.unwrap();
            erased
        };
        assert_eq!(sweep(at(3)).await, 3, "under way or answered");
        assert_eq!(sweep(at(3)).await, 0);
        assert!(db.idempotency().find(&digest("2")).await.unwrap().is_none());
        assert!(db.idempotency().find(&digest("3")).await.unwrap().is_some());
    })
    .await;
}

/// Adds `count` requests, one each millisecond, as a program of ours does.
async fn write_many(raw: &DatabaseConnection, count: i64) {
    let columns = ["id", "request", "state", "created_at"];
    for first in (0..count).step_by(1000) {
        let mut insert = Query::insert().into_table("idempotency_keys").columns(columns).to_owned();
        for millis in first..count.min(first + 1000) {
            let digest = digest(&millis.to_string()).to_hex();
            let row: [Expr; 4] =
                [digest.clone().into(), digest.into(), "under_way".into(), millis.into()];
            insert.values_panic(row);
        }
        raw.execute(&insert).await.unwrap();
    }
}

#[tokio::test]
async fn a_sweep_of_many_requests_erases_them_in_turns() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let raw = raw(&url).await;
            write_many(&raw, 10_004).await;
            raw.close().await.unwrap();
            for wanted in [10_001, 3, 0] {
                let tx = db.begin().await.unwrap();
                assert_eq!(tx.idempotency().sweep(at(0)).await.unwrap(), wanted);
                tx.commit().await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_moved_to_another_request_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            for (id, body) in [("a", b"a's"), ("b", b"b's")] {
                assert!(insert(&db, id, "x", at(1)).await);
                assert!(finish(&db, id, 200, body).await);
            }
            let [a, b] = ["a", "b"].map(|id| digest(id).to_hex());
            let raw = raw(&url).await;
            for change in [
                format!("DELETE FROM idempotency_keys WHERE id = '{b}'"),
                format!("UPDATE idempotency_keys SET id = '{b}' WHERE id = '{a}'"),
            ] {
                raw.execute_unprepared(&change).await.unwrap();
            }
            let moved = db.idempotency().find(&digest("b")).await.unwrap_err();
            assert!(matches!(moved, Error::Unopenable { table: "idempotency_keys", .. }));
            raw.execute_unprepared("UPDATE idempotency_keys SET body_sealed = NULL").await.unwrap();
            let halved = db.idempotency().find(&digest("b")).await.unwrap_err();
            assert!(matches!(halved, Error::Inconsistent { table: "idempotency_keys", .. }));
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_does_not_stand_in_the_database_in_clear() {
    let test = TestDb::sqlite().await;
    assert!(insert(&test.db, "a", "x", at(1)).await);
    assert!(finish(&test.db, "a", 201, b"canary key").await);
    let path = test.config.url.strip_prefix("sqlite://").unwrap();
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{path}{suffix}")).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "lingpai.db{suffix}");
    }
    test.remove().await;
}
