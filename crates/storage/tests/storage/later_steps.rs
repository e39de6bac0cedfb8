//! The later schema steps on rows of the release before them: up, down, up.

use lingpai_migrations::Migrator;
use lingpai_model::{
    authorizer::ProfileKind,
    component::Component,
    event::{EventContent, EventKind},
    id::{AuthorizerId, TenantId},
    page::PageRequest,
    tenant::Tenant,
};
use lingpai_storage::{
    AuthorizerFilter, Claim, SystemAuthorizerFilter,
    testing::{Backend, TestDb, kept_events},
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, JsonValue, Value};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};
use serde_json::json;

use crate::{
    migrations::{close, forget, note, number, read, write},
    world::{World, app, at, raw, scope},
};

/// How many steps the schema had before them.
const OLD_STEPS: u32 = 30;

/// Every column of the release before, of the tables that the later steps change.
const OLD_ROWS: [&str; 6] = [
    "SELECT id, name, created_at FROM tenants ORDER BY id",
    "SELECT id, tenant_id, name, key_digest, scopes_json, created_at, revoked_at FROM api_keys",
    "SELECT id, appid, name, created_at, updated_at FROM components",
    "SELECT id, connection, component_id, tenant_id, appid, state, profile_json, func_info_json \
     FROM authorizers ORDER BY id",
    "SELECT id, tenant_id, component_appid, authorizer_appid, kind, occurred_at FROM events",
    "SELECT id, tenant_id, state, authorizer_appid, state_at FROM authorizations",
];

const NAMES: &str = "SELECT appid, kind, nick_name FROM authorizers ORDER BY appid";

/// The tables that the later steps create.
const NEW_TABLES: [&str; 5] =
    ["audit_entries", "idempotency_keys", "quota_marks", "usage_figures", "verification_files"];

/// What profiles were written as, and what could be read of them.
const PROFILES: [(&str, &str, Option<&str>, Option<&str>); 8] = [
    (
        "wxA",
        r#"{"kind":"mini_program","nick_name":"小店 🍜"}"#,
        Some("mini_program"),
        Some("小店 🍜"),
    ),
    (
        "wxB",
        r#"{"kind":"official_account","nick_name":"\"quoted\" \\ \u5e97"}"#,
        Some("official_account"),
        Some("\"quoted\" \\ 店"),
    ),
    ("wxC", r#"{"kind":null,"nick_name":null}"#, None, None),
    ("wxD", "{}", None, None),
    ("wxE", r#"{"kind":7,"nick_name":["a"]}"#, None, None),
    (
        "wxF",
        r#"{"kind":"a word that is longer than its column admits","nick_name":""}"#,
        None,
        Some(""),
    ),
    ("wxG", "no JSON", None, None),
    ("wxH", "", None, None),
];

/// Ids that a program of ours wrote.
struct Ids {
    tenant: String,
    authorizer: String,
}

/// A database with the rows of the release before.
async fn old(backend: &Backend) -> (TestDb, DatabaseConnection, Ids) {
    let test = TestDb::open_empty(backend).await;
    let raw = raw(&test.config.url).await;
    Migrator::up(&raw, Some(OLD_STEPS)).await.unwrap();
    let world = World::new();
    let tenant = world.tenant();
    let tenant_id = tenant.id.to_string();
    write_tenant(&raw, &world, &tenant).await;
    let component = world.component("wxCmp");
    write_component(&raw, &component).await;
    let authorizer = world.authorizer(&component, None, "wxA").id.to_string();
    for (appid, profile, ..) in PROFILES {
        let id = match appid {
            "wxA" => authorizer.clone(),
            _ => world.authorizer(&component, None, appid).id.to_string(),
        };
        write_authorizer(&raw, (&id, appid), &tenant_id, profile).await;
    }
    let authorization = world.authorization(&component, &tenant);
    let authorization = [
        ("id", authorization.id.to_string().into()),
        ("tenant_id", tenant_id.clone().into()),
        ("component_id", component.id.to_string().into()),
        ("account_kind", "any".into()),
        ("category_ids_json", "[]".into()),
        ("link_digest", digest()),
        ("pre_auth_code_digest", digest()),
        ("pre_auth_code_sealed", sealed()),
        ("state", "finished".into()),
        ("authorizer_appid", "wxA".into()),
        ("state_at", 5_i64.into()),
        ("created_at", 1_i64.into()),
        ("expires_at", 9_i64.into()),
    ];
    write(&raw, "authorizations", &authorization).await;
    (test, raw, Ids { tenant: tenant_id, authorizer })
}

fn digest() -> Value {
    "0".repeat(64).into()
}

fn sealed() -> Value {
    vec![0_u8, 255, 39].into()
}

/// A tenant with a key and an event.
async fn write_tenant(raw: &DatabaseConnection, world: &World, tenant: &Tenant) {
    let tenant_id = || Value::from(tenant.id.to_string());
    let row = [("id", tenant_id()), ("name", "店".into()), ("created_at", 1_i64.into())];
    write(raw, "tenants", &row).await;
    let key = [
        ("id", world.api_key(tenant).id.to_string().into()),
        ("tenant_id", tenant_id()),
        ("name", "ci".into()),
        ("key_digest", digest()),
        ("scopes_json", "[\"wechat:call\"]".into()),
        ("created_at", 1_i64.into()),
    ];
    write(raw, "api_keys", &key).await;
    let event = [
        ("id", world.event(tenant, 1).id.to_string().into()),
        ("tenant_id", tenant_id()),
        ("kind", "authorizer.updated".into()),
        ("occurred_at", 7_i64.into()),
    ];
    write(raw, "events", &event).await;
}

async fn write_component(raw: &DatabaseConnection, component: &Component) {
    let row = [
        ("id", component.id.to_string().into()),
        ("appid", component.appid.to_string().into()),
        ("name", "平台".into()),
        ("appsecret_sealed", sealed()),
        ("push_token_sealed", sealed()),
        ("encoding_aes_key_sealed", sealed()),
        ("created_at", 1_i64.into()),
        ("updated_at", 1_i64.into()),
    ];
    write(raw, "components", &row).await;
}

async fn write_authorizer(
    raw: &DatabaseConnection,
    (id, appid): (&str, &str),
    tenant: &str,
    profile: &str,
) {
    let row = [
        ("id", id.into()),
        ("connection", "secret".into()),
        ("tenant_id", tenant.into()),
        ("appid", appid.into()),
        ("state", "active".into()),
        ("generation", 1_i64.into()),
        ("granted_at", 1_i64.into()),
        ("profile_json", profile.into()),
        ("func_info_json", "[1]".into()),
        ("created_at", 1_i64.into()),
        ("updated_at", 1_i64.into()),
    ];
    write(raw, "authorizers", &row).await;
}

async fn old_rows(raw: &DatabaseConnection) -> Vec<Vec<JsonValue>> {
    let mut rows = Vec::new();
    for sql in OLD_ROWS {
        rows.push(read(raw, sql).await);
    }
    rows
}

/// The names that [`PROFILES`] promise, as their columns tell them.
fn promised() -> Vec<JsonValue> {
    let row = |(appid, _, kind, name)| json!({ "appid": appid, "kind": kind, "nick_name": name });
    PROFILES.map(row).to_vec()
}

#[tokio::test]
async fn rows_of_the_release_before_come_through_up_down_and_up() {
    for backend in Backend::available() {
        let (test, raw, _) = old(&backend).await;
        let on = backend.name();
        let rows = old_rows(&raw).await;
        let steps = u32::try_from(Migrator::migrations().len()).unwrap() - OLD_STEPS;
        assert_eq!(test.db.migrate().await.unwrap(), steps, "{on}");
        assert_eq!(old_rows(&raw).await, rows, "{on}");
        assert_eq!(read(&raw, NAMES).await, promised(), "{on}");
        test.db.prove_collation().await.unwrap();

        for step in Migrator::migrations().iter().skip(OLD_STEPS as usize).rev() {
            Migrator::down(&raw, Some(1)).await.unwrap();
            note(&raw, step.name()).await;
            Migrator::down(&raw, Some(1)).await.unwrap();
        }
        assert_eq!(old_rows(&raw).await, rows, "{on}");
        for table in NEW_TABLES {
            assert!(!SchemaManager::new(&raw).has_table(table).await.unwrap(), "{table}, {on}");
        }
        for (table, column) in [("api_keys", "networks_json"), ("authorizers", "nick_name")] {
            let there = SchemaManager::new(&raw).has_column(table, column).await.unwrap();
            assert!(!there, "{table}.{column}, {on}");
        }
        for step in Migrator::migrations().iter().skip(OLD_STEPS as usize) {
            Migrator::up(&raw, Some(1)).await.unwrap();
            forget(&raw, step.name()).await;
            Migrator::up(&raw, Some(1)).await.unwrap();
        }
        assert!(test.db.pending_migrations().await.unwrap().is_empty());
        assert_eq!(old_rows(&raw).await, rows, "{on}");
        assert_eq!(read(&raw, NAMES).await, promised(), "{on}");
        close(test, raw).await;
    }
}

#[tokio::test]
async fn what_the_release_before_wrote_is_read_by_this_one() {
    for backend in Backend::available() {
        let (test, raw, ids) = old(&backend).await;
        test.db.migrate().await.unwrap();
        let db = &test.db;
        let tenant = TenantId::parse(&ids.tenant).unwrap();
        let tenant = db.tenants().find(&tenant).await.unwrap().unwrap();
        assert_eq!((tenant.updated_at, &tenant.logo_url), (tenant.created_at, &None));
        let keys = db.api_keys().list(&tenant.id, &PageRequest::first()).await.unwrap().items;
        assert!(keys[0].is_live(at(0)) && keys[0].admits(None) && keys[0].previous.is_none());
        assert_eq!(keys[0].last_used_at, None);
        let events = kept_events(db, Some(&tenant.id)).await;
        assert!(events[0].event_type == EventKind::Updated);
        assert_eq!(events[0].content, EventContent::Ours(None));
        assert_eq!(events[0].received_at, events[0].occurred_at);

        let broken = "DELETE FROM authorizers WHERE appid IN ('wxG', 'wxH')";
        raw.execute_unprepared(broken).await.unwrap();
        let mini = Some(ProfileKind::MiniProgram);
        let filter = AuthorizerFilter { kind: mini, ..AuthorizerFilter::default() };
        let found = db.authorizers().list(&scope(&tenant), &filter, &PageRequest::first()).await;
        let found = found.unwrap().items;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].appid, app("wxA"));
        assert_eq!((found[0].refused_at, found[0].released_at), (None, None));
        assert_eq!(found[0].id, AuthorizerId::parse(&ids.authorizer).unwrap());
        let owned = SystemAuthorizerFilter {
            claim: Some(Claim::Owned),
            ..SystemAuthorizerFilter::default()
        };
        let owned = db.authorizers().system_page(&owned, &PageRequest::first()).await;
        assert!(owned.is_err(), "a profile with words in the place of numbers is told");
        close(test, raw).await;
    }
}

#[tokio::test]
async fn a_filling_that_broke_off_is_finished_and_leaves_what_was_learnt_since() {
    for backend in Backend::available() {
        let (test, raw, _) = old(&backend).await;
        Migrator::up(&raw, Some(number("fill_authorizer_name") - OLD_STEPS)).await.unwrap();
        for change in [
            "UPDATE authorizers SET kind = NULL, nick_name = NULL WHERE appid = 'wxB'",
            "UPDATE authorizers SET nick_name = 'since' WHERE appid = 'wxA'",
        ] {
            raw.execute_unprepared(change).await.unwrap();
        }
        forget(&raw, "fill_authorizer_name").await;
        test.db.migrate().await.unwrap();
        let mut wanted = promised();
        wanted[0]["nick_name"] = json!("since");
        assert_eq!(read(&raw, NAMES).await, wanted, "{}", backend.name());
        close(test, raw).await;
    }
}

#[tokio::test]
async fn columns_and_indexes_that_a_broken_off_step_left_out_are_added() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        for (step, table, columns) in [
            ("add_api_key_lifetime", "api_keys", ["expires_at", "last_used_at"].as_slice()),
            ("add_tenant_limits", "tenants", &["concurrent_requests", "updated_at"]),
            ("add_authorizer_name", "authorizers", &["nick_name"]),
            ("add_component_previous_push_token", "components", &["previous_push_token_until"]),
            ("add_component_key_change", "components", &["encoding_aes_key_changed_at"]),
            ("add_authorizer_release", "authorizers", &["released_at"]),
        ] {
            forget(&raw, step).await;
            for column in columns {
                let drop = format!("ALTER TABLE {table} DROP COLUMN {column}");
                raw.execute_unprepared(&drop).await.unwrap();
            }
            test.db.migrate().await.unwrap();
            for column in columns {
                let there = SchemaManager::new(&raw).has_column(table, column).await.unwrap();
                assert!(there, "{table}.{column}");
            }
        }
        for (step, table, columns) in [
            ("create_audit_entry", "audit_entries", "tenant_id_id"),
            ("create_idempotency_key", "idempotency_keys", "created_at"),
            ("create_usage_figure", "usage_figures", "tenant_id_id"),
            ("create_quota_mark", "quota_marks", "marked_at"),
        ] {
            forget(&raw, step).await;
            let index = format!("idx_{table}_{columns}");
            let drop = match backend {
                Backend::MySql(_) => format!("DROP INDEX {index} ON {table}"),
                Backend::Sqlite | Backend::Postgres(_) => format!("DROP INDEX {index}"),
            };
            raw.execute_unprepared(&drop).await.unwrap();
            test.db.migrate().await.unwrap();
            assert!(SchemaManager::new(&raw).has_index(table, &index).await.unwrap(), "{index}");
        }
        close(test, raw).await;
    }
}
