//! The schema steps around messages and replies: on rows of programs that knew nothing of them, and
//! where they broke off.

use lingpai_migrations::Migrator;
use lingpai_model::{
    id::PushId,
    page::PageRequest,
    push::Disposition,
    quarantine::{QuarantineReason, Quarantined},
};
use lingpai_storage::{
    Arrival,
    testing::{Backend, TestDb, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use crate::{
    migrations::{close, forget, note, number},
    world::{World, raw},
};

/// The tables that the steps create, each with an index of its own.
const TABLES: [(&str, &str, Option<&str>); 6] = [
    ("create_auto_reply", "auto_replies", None),
    ("create_late_reply", "late_replies", Some("uq_late_replies_event_id")),
    ("create_listener", "listeners", Some("idx_listeners_seen_at")),
    ("create_listener_reply", "listener_replies", None),
    (
        "create_quarantined_message",
        "quarantined_messages",
        Some("uq_quarantined_messages_appid_dedupe"),
    ),
    ("create_publish_check", "publish_checks", Some("idx_publish_checks_component_id_code_digest")),
];

/// The columns that the steps add.
const COLUMNS: [(&str, &str, &str); 2] = [
    ("add_component_publish_test", "components", "answers_publish_test"),
    ("add_push_quarantine_reason", "pushes", "quarantine_reason"),
];

#[tokio::test]
async fn they_go_up_down_and_up_each_as_often_as_it_is_taken() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        let before = number("create_auto_reply") - 1;
        let steps = Migrator::migrations();
        for step in steps.iter().skip(before as usize).rev() {
            Migrator::down(&raw, Some(1)).await.unwrap();
            note(&raw, step.name()).await;
            Migrator::down(&raw, Some(1)).await.unwrap();
        }
        let manager = SchemaManager::new(&raw);
        for (_, table, _) in TABLES {
            assert!(!manager.has_table(table).await.unwrap(), "{table}, {}", backend.name());
        }
        for (_, table, column) in COLUMNS {
            let there = manager.has_column(table, column).await.unwrap();
            assert!(!there, "{table}.{column}, {}", backend.name());
        }
        for step in steps.iter().skip(before as usize) {
            Migrator::up(&raw, Some(1)).await.unwrap();
            forget(&raw, step.name()).await;
            Migrator::up(&raw, Some(1)).await.unwrap();
        }
        assert!(test.db.pending_migrations().await.unwrap().is_empty());
        close(test, raw).await;
    }
}

#[tokio::test]
async fn what_a_broken_off_step_left_out_is_added() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        for (step, table, column) in COLUMNS {
            forget(&raw, step).await;
            let drop = format!("ALTER TABLE {table} DROP COLUMN {column}");
            raw.execute_unprepared(&drop).await.unwrap();
            test.db.migrate().await.unwrap();
            assert!(SchemaManager::new(&raw).has_column(table, column).await.unwrap());
        }
        for (step, table, index) in TABLES {
            let Some(index) = index else { continue };
            forget(&raw, step).await;
            let drop = match backend {
                Backend::MySql(_) => format!("DROP INDEX {index} ON {table}"),
                Backend::Sqlite | Backend::Postgres(_) => format!("DROP INDEX {index}"),
            };
            raw.execute_unprepared(&drop).await.unwrap();
            test.db.migrate().await.unwrap();
            assert!(SchemaManager::new(&raw).has_index(table, index).await.unwrap(), "{index}");
        }
        close(test, raw).await;
    }
}

#[tokio::test]
async fn a_component_from_before_the_step_does_not_answer_the_publish_test() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let component = World::new().stored_component(&db, "wxOld").await;
            let raw = raw(&url).await;
            let step = COLUMNS[0];
            let drop = format!("ALTER TABLE {} DROP COLUMN {}", step.1, step.2);
            raw.execute_unprepared(&drop).await.unwrap();
            forget(&raw, step.0).await;
            db.migrate().await.unwrap();
            // A program of the release before, which still runs, names no such column either.
            let copied = "appsecret_sealed, push_token_sealed, encoding_aes_key_sealed, name, \
                          created_at, updated_at";
            let insert = format!(
                "INSERT INTO components (id, appid, {copied}) \
                 SELECT 'cmp_x', 'wxNew', {copied} FROM components"
            );
            raw.execute_unprepared(&insert).await.unwrap();
            let no = "components WHERE answers_publish_test = FALSE";
            assert_eq!(crate::world::count(&raw, no).await, 2);
            let read = db.components().get(&component.id).await.unwrap();
            assert!(!read.answers_publish_test);
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_in_quarantine_before_the_step_tells_why() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let component = world.stored_component(&db, "wxC").await;
            let mut ids: Vec<PushId> = Vec::new();
            for text in ["unreadable", "unopenable"] {
                let mut push = world.push(&component, text);
                push.disposition = Disposition::Quarantine;
                ids.push(push.id.clone());
                db.record_arrival(Arrival::Push(push)).await.unwrap();
            }
            let raw = raw(&url).await;
            for old in [
                "UPDATE pushes SET quarantine_reason = NULL".to_owned(),
                format!(
                    "UPDATE pushes SET last_failure = 'cannot be opened' WHERE id = '{}'",
                    ids[1]
                ),
            ] {
                raw.execute_unprepared(&old).await.unwrap();
            }
            raw.close().await.unwrap();
            let listed = db.quarantine().list(&PageRequest::first()).await.unwrap().items;
            let why = |one: Quarantined| (one.id, one.reason);
            let why: Vec<_> = listed.into_iter().map(why).collect();
            let [unreadable, unopenable]: [PushId; 2] = ids.try_into().unwrap();
            let expected = [
                (unopenable, QuarantineReason::Unopenable),
                (unreadable.clone(), QuarantineReason::Unreadable),
            ];
            assert_eq!(why, expected);
            let (read, _) = db.quarantine().get(&unreadable).await.unwrap().unwrap();
            assert_eq!(read.reason, QuarantineReason::Unreadable);
        }
    })
    .await;
}
