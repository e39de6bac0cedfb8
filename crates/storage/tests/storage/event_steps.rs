//! The schema steps that make what WeChat pushes an event, on rows of the release before them.

use lingpai_migrations::Migrator;
use lingpai_model::{
    Instant,
    event::{EventContent, EventKind},
    id::EventId,
    page::PageRequest,
    tenant::Tenant,
};
use lingpai_storage::{
    EventQuery,
    testing::{Backend, TestDb, count_messages},
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};
use serde_json::json;

use crate::{
    migrations::{close, forget, note, number, read, write},
    world::{World, count, raw, scope},
};

const FIRST: &str = "lengthen_event_kind";
const LAST: &str = "drop_message_push";
/// Everything that the release before knows of an event.
const OLD_EVENTS: &str = "SELECT id, tenant_id, component_appid, authorizer_appid, kind, \
     occurred_at, detail_json FROM events ORDER BY id";
const OCCURRED_AT: i64 = 1_700_000_000_123;

/// An event as the release before writes it.
async fn write_event(raw: &DatabaseConnection, tenant: &Tenant, second: i64) -> EventId {
    let event = World::new().event(tenant, second);
    let row = [
        ("id", event.id.to_string().into()),
        ("tenant_id", tenant.id.to_string().into()),
        ("authorizer_appid", "wxA".into()),
        ("kind", "authorizer.quota_warning".into()),
        ("occurred_at", OCCURRED_AT.into()),
        ("detail_json", "{\"errcode\":45009}".into()),
    ];
    write(raw, "events", &row).await;
    event.id
}

/// A database with an event and a push of the release before.
async fn old(backend: &Backend) -> (TestDb, DatabaseConnection, Tenant, EventId) {
    let test = TestDb::open_empty(backend).await;
    let raw = raw(&test.config.url).await;
    Migrator::up(&raw, Some(number(FIRST) - 1)).await.unwrap();
    let tenant = World::new().tenant();
    let row =
        [("id", tenant.id.to_string().into()), ("name", "店".into()), ("created_at", 1_i64.into())];
    write(&raw, "tenants", &row).await;
    let id = write_event(&raw, &tenant, 1).await;
    let push = [
        ("id", "psh_1".into()),
        ("authorizer_id", "aut_1".into()),
        ("dedupe", "0".repeat(64).into()),
        ("payload_sealed", vec![0_u8, 255].into()),
        ("state", "kept".into()),
        ("issued_at", 1_i64.into()),
        ("received_at", 1_i64.into()),
    ];
    write(&raw, "message_pushes", &push).await;
    (test, raw, tenant, id)
}

/// Takes the steps from [`FIRST`] to [`LAST`] back, each twice.
async fn down(raw: &DatabaseConnection) {
    let steps = Migrator::migrations();
    for step in steps.iter().skip(number(FIRST) as usize - 1).rev() {
        Migrator::down(raw, Some(1)).await.unwrap();
        note(raw, step.name()).await;
        Migrator::down(raw, Some(1)).await.unwrap();
    }
}

#[tokio::test]
async fn events_of_the_release_before_reached_us_when_they_happened_and_are_dispatched() {
    for backend in Backend::available() {
        let (test, raw, tenant, id) = old(&backend).await;
        test.db.migrate().await.unwrap();
        test.db.prove_collation().await.unwrap();
        let db = &test.db;
        let occurred_at = Instant::from_timestamp_millis(OCCURRED_AT).unwrap();
        let event = db.events().get(&scope(&tenant), &id).await.unwrap();
        assert!(event.event_type == EventKind::QuotaWarning);
        assert_eq!((event.occurred_at, event.received_at), (occurred_at, occurred_at));
        assert_eq!(event.content, EventContent::Ours(Some(json!({ "errcode": 45009 }))));
        assert_eq!(count(&raw, &format!("events WHERE received_at = {OCCURRED_AT}")).await, 1);
        let first = PageRequest::first();
        let listed = db.events().list(&scope(&tenant), &EventQuery::default(), &first).await;
        assert_eq!(listed.unwrap().items[0].id, id);
        let tx = db.begin().await.unwrap();
        assert!(tx.events().claim_undispatched(10).await.unwrap().is_empty(), "it is dispatched");
        drop(tx);
        let pushes = SchemaManager::new(&raw).has_table("message_pushes").await.unwrap();
        assert!(!pushes, "{}", backend.name());
        close(test, raw).await;
    }
}

#[tokio::test]
async fn going_back_keeps_what_the_release_before_can_hold() {
    for backend in Backend::available() {
        let (test, raw, tenant, _) = old(&backend).await;
        let on = backend.name();
        let kept = read(&raw, OLD_EVENTS).await;
        test.db.migrate().await.unwrap();
        assert_eq!(read(&raw, OLD_EVENTS).await, kept, "{on}");

        let world = World::new();
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        let endpoint = world.endpoint(&tenant);
        let message = world.owned_message(&account, "since", &[&endpoint]);
        test.db.record_message(message).await.unwrap();
        down(&raw).await;
        assert_eq!(read(&raw, OLD_EVENTS).await, kept, "what was pushed is gone, {on}");
        assert_eq!(count(&raw, "message_pushes").await, 0, "{on}");
        let manager = SchemaManager::new(&raw);
        for table in ["endpoints", "deliveries", "delivery_attempts"] {
            assert!(!manager.has_table(table).await.unwrap(), "{table}, {on}");
        }
        for column in ["authorizer_id", "dedupe", "openid", "received_at", "payload_sealed"] {
            assert!(!manager.has_column("events", column).await.unwrap(), "{column}, {on}");
        }

        for step in Migrator::migrations().iter().skip(number(FIRST) as usize - 1) {
            Migrator::up(&raw, Some(1)).await.unwrap();
            forget(&raw, step.name()).await;
            Migrator::up(&raw, Some(1)).await.unwrap();
        }
        assert!(test.db.pending_migrations().await.unwrap().is_empty());
        assert_eq!(read(&raw, OLD_EVENTS).await, kept, "{on}");
        test.db.prove_collation().await.unwrap();
        close(test, raw).await;
    }
}

#[tokio::test]
async fn what_the_release_before_goes_on_writing_is_read_and_swept() {
    for backend in Backend::available() {
        let (test, raw, tenant, _) = old(&backend).await;
        test.db.migrate().await.unwrap();
        let since = write_event(&raw, &tenant, 2).await;
        let db = &test.db;
        let event = db.events().system_get(&since).await.unwrap();
        assert_eq!(event.received_at, event.occurred_at);
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.events().sweep(event.received_at).await.unwrap(), 0);
        let later = event.received_at + std::time::Duration::from_millis(1);
        assert_eq!(tx.events().sweep(later).await.unwrap(), 2);
        tx.commit().await.unwrap();
        close(test, raw).await;
    }
}

#[tokio::test]
async fn names_as_long_as_wechats_fit_and_are_told_apart() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let world = World::new();
        let tenant = world.stored_tenant(&test.db).await;
        let account = world.authorizer(&world.component("wxC"), Some(&tenant), "wxA");
        for dedupe in ["a", "A", "a "] {
            let message = world.owned_message(&account, dedupe, &[]);
            test.db.record_message(message).await.unwrap();
        }
        assert_eq!(count_messages(&test.db).await, 3);
        let raw = raw(&test.config.url).await;
        let long = format!("event.{}", "x".repeat(58));
        let update = format!("UPDATE events SET kind = '{long}'");
        raw.execute_unprepared(&update).await.unwrap();
        assert_eq!(count(&raw, &format!("events WHERE kind = '{long}'")).await, 3);
        assert_eq!(count(&raw, &format!("events WHERE kind = '{}'", long.to_uppercase())).await, 0);
        close(test, raw).await;
    }
}

#[tokio::test]
async fn columns_and_indexes_that_a_broken_off_step_left_out_are_added() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        let manager = SchemaManager::new(&raw);
        forget(&raw, "add_event_push").await;
        raw.execute_unprepared("ALTER TABLE events DROP COLUMN payload_sealed").await.unwrap();
        test.db.migrate().await.unwrap();
        assert!(manager.has_column("events", "payload_sealed").await.unwrap());
        for (step, table, index) in [
            ("index_event", "events", "uq_events_authorizer_id_dedupe"),
            ("index_event", "events", "idx_events_undispatched_id"),
            ("index_event", "events", "idx_events_received_at"),
            ("index_event", "events", "idx_events_tenant_id_kind_id"),
            ("create_delivery", "deliveries", "idx_deliveries_event_id"),
            ("create_delivery", "deliveries", "idx_deliveries_endpoint_id_id"),
            ("create_delivery", "deliveries", "idx_deliveries_endpoint_id_due_at"),
        ] {
            forget(&raw, step).await;
            let drop = match backend {
                Backend::MySql(_) => format!("DROP INDEX {index} ON {table}"),
                Backend::Sqlite | Backend::Postgres(_) => format!("DROP INDEX {index}"),
            };
            raw.execute_unprepared(&drop).await.unwrap();
            test.db.migrate().await.unwrap();
            assert!(manager.has_index(table, index).await.unwrap(), "{index}");
        }
        assert_eq!(number(LAST) - number(FIRST), 7, "no step is left out here");
        close(test, raw).await;
    }
}
