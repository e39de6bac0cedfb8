//! The schema steps on rows that an older program wrote, also when they broke off.

use lingpai_migrations::Migrator;
use lingpai_storage::testing::{Backend, TestDb};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, FromQueryResult as _, JsonValue, Statement, Value,
    sea_query::{Expr, Query},
};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};
use serde_json::json;

use crate::world::{count, raw};

/// How many steps the schema had when [`write_old_rows`] was as programs wrote.
const OLD_STEPS: u32 = 17;

const OLD_AUTHORIZERS: &str = "SELECT id, component_id, component_appid, tenant_id, appid, state, \
     state_at, generation, granted_at, profile_json, func_info_json, created_at, updated_at \
     FROM authorizers ORDER BY id";
const OLD_EVENTS: &str = "SELECT id, tenant_id, component_appid, authorizer_appid, kind, \
     occurred_at FROM events ORDER BY id";
const TOKENS: &str = "SELECT owner_id, kind, generation, due_at, failures, leased_until, \
     lease_epoch FROM tokens ORDER BY owner_id";

/// The rows that `sql` selects, as JSON.
pub(crate) async fn read(raw: &DatabaseConnection, sql: &str) -> Vec<JsonValue> {
    let statement = Statement::from_string(raw.get_database_backend(), sql);
    JsonValue::find_by_statement(statement).all(raw).await.unwrap()
}

async fn try_write(
    raw: &DatabaseConnection,
    table: &'static str,
    row: &[(&'static str, Value)],
) -> Result<(), sea_orm::DbErr> {
    let mut insert = Query::insert();
    insert.into_table(table).columns(row.iter().map(|(column, _)| *column));
    insert.values_panic(row.iter().map(|(_, value)| Expr::val(value.clone())));
    raw.execute(&insert).await.map(|_| ())
}

/// Inserts a row.
pub(crate) async fn write(
    raw: &DatabaseConnection,
    table: &'static str,
    row: &[(&'static str, Value)],
) {
    try_write(raw, table, row).await.unwrap();
}

fn nothing() -> Value {
    Value::from(None::<String>)
}

/// An authorizer as a program of [`OLD_STEPS`] wrote it.
fn old_authorizer(
    id: &'static str,
    component: &'static str,
    state: &'static str,
) -> Vec<(&'static str, Value)> {
    vec![
        ("id", id.into()),
        ("component_id", component.into()),
        ("component_appid", "wxC".into()),
        ("tenant_id", if state == "active" { "tnt_1".into() } else { nothing() }),
        ("appid", format!("wx of {id}").into()),
        ("state", state.into()),
        ("state_at", if state == "active" { Value::from(None::<i64>) } else { 5_i64.into() }),
        ("generation", 3_i64.into()),
        ("granted_at", 1_700_000_000_123_i64.into()),
        ("profile_json", "{\"nick_name\":\"小店 🍜\"}".into()),
        ("func_info_json", "[1,15,4]".into()),
        ("created_at", 1_i64.into()),
        ("updated_at", 2_i64.into()),
    ]
}

fn with(
    mut row: Vec<(&'static str, Value)>,
    column: &'static str,
    value: Value,
) -> Vec<(&'static str, Value)> {
    row.retain(|(name, _)| *name != column);
    row.push((column, value));
    row
}

/// An authorizer that is connected by its own secret.
fn own_authorizer(id: &'static str) -> Vec<(&'static str, Value)> {
    let row = with(old_authorizer(id, "cmp_kept", "active"), "component_id", nothing());
    with(with(row, "component_appid", nothing()), "connection", "secret".into())
}

/// The secret of [`own_authorizer`].
fn account(id: &'static str, appid: &'static str) -> [(&'static str, Value); 5] {
    [
        ("authorizer_id", id.into()),
        ("appid", appid.into()),
        ("appsecret_sealed", vec![1_u8].into()),
        ("token_api", "token".into()),
        ("created_at", 1_i64.into()),
    ]
}

/// An event as a program of [`OLD_STEPS`] wrote it.
fn old_event(id: &'static str, tenant: Value) -> [(&'static str, Value); 6] {
    [
        ("id", id.into()),
        ("tenant_id", tenant),
        ("component_appid", "wxC".into()),
        ("authorizer_appid", "wxA".into()),
        ("kind", "authorizer.authorized".into()),
        ("occurred_at", 7_i64.into()),
    ]
}

/// What a program of [`OLD_STEPS`] may have left in the tables that later steps change.
async fn write_old_rows(raw: &DatabaseConnection) {
    let sealed = || Value::from(vec![0_u8, 255, 39]);
    let name = ("name", Value::from("店"));
    write(raw, "tenants", &[("id", "tnt_1".into()), name.clone(), ("created_at", 1_i64.into())])
        .await;
    for (id, appid) in [("cmp_kept", "wxC"), ("cmp_new", "wxD")] {
        let row = [
            ("id", id.into()),
            ("appid", appid.into()),
            name.clone(),
            ("appsecret_sealed", sealed()),
            ("push_token_sealed", sealed()),
            ("encoding_aes_key_sealed", sealed()),
            ("created_at", 1_i64.into()),
            ("updated_at", 1_i64.into()),
        ];
        write(raw, "components", &row).await;
    }
    let token = |owner: &'static str, id: &'static str| {
        vec![
            (owner, id.into()),
            ("access_token_sealed", sealed()),
            ("expires_at", 9_i64.into()),
            ("obtained_at", 8_i64.into()),
            ("failed_at", 7_i64.into()),
            ("failure_reason", "no answer".into()),
        ]
    };
    write(raw, "component_tokens", &token("component_id", "cmp_kept")).await;
    for (id, state, generation) in [
        ("aut_active", "active", Some(4_i64)),
        ("aut_lost", "needs_reauthorization", Some(2)),
        ("aut_never", "active", None),
        ("aut_revoked", "revoked", Some(1)),
    ] {
        write(raw, "authorizers", &old_authorizer(id, "cmp_kept", state)).await;
        if let Some(generation) = generation {
            let mut row = token("authorizer_id", id);
            row.extend([("generation", generation.into()), ("refresh_token_sealed", sealed())]);
            write(raw, "authorizer_tokens", &row).await;
        }
    }
    for id in ["evt_1", "evt_2"] {
        write(raw, "events", &old_event(id, "tnt_1".into())).await;
    }
}

/// A database with the rows of [`write_old_rows`], and the rows that must come through.
async fn old(backend: &Backend) -> (TestDb, DatabaseConnection, [Vec<JsonValue>; 2]) {
    let test = TestDb::open_empty(backend).await;
    let raw = raw(&test.config.url).await;
    Migrator::up(&raw, Some(OLD_STEPS)).await.unwrap();
    write_old_rows(&raw).await;
    let rows = [read(&raw, OLD_AUTHORIZERS).await, read(&raw, OLD_EVENTS).await];
    assert_eq!(rows.each_ref().map(Vec::len), [4, 2]);
    (test, raw, rows)
}

/// Closes the connection and removes the database.
pub(crate) async fn close(test: TestDb, raw: DatabaseConnection) {
    raw.close().await.unwrap();
    test.remove().await;
}

/// Makes the database forget that it took the step whose name ends in `step`.
pub(crate) async fn forget(raw: &DatabaseConnection, step: &str) {
    let sql = format!("DELETE FROM seaql_migrations WHERE version LIKE '%{step}'");
    assert_eq!(raw.execute_unprepared(&sql).await.unwrap().rows_affected(), 1, "{step}");
}

/// Makes the database believe that it took the step whose name ends in `step`.
pub(crate) async fn note(raw: &DatabaseConnection, step: &str) {
    let name = Migrator::migrations()[number(step) as usize - 1].name().to_owned();
    let row = [("version", Value::from(name)), ("applied_at", 0_i64.into())];
    write(raw, "seaql_migrations", &row).await;
}

/// The number of the step whose name ends in `step`, counted from one.
pub(crate) fn number(step: &str) -> u32 {
    let steps = Migrator::migrations();
    let place = steps.iter().position(|known| known.name().ends_with(step)).unwrap();
    u32::try_from(place + 1).unwrap()
}

/// The tokens that are due or wait, and nothing that was sealed for another place.
async fn assert_seeded(raw: &DatabaseConnection) {
    let row = |owner: &str, kind: &str, generation: i64, due_at: Option<i64>| {
        json!({
            "owner_id": owner, "kind": kind, "generation": generation, "due_at": due_at,
            "failures": 0, "leased_until": 0, "lease_epoch": 0,
        })
    };
    let wanted = [
        row("aut_active", "authorizer_access_token", 4, Some(0)),
        row("aut_lost", "authorizer_access_token", 2, None),
        row("aut_revoked", "authorizer_access_token", 1, None),
        row("cmp_kept", "component_access_token", 1, Some(0)),
    ];
    assert_eq!(read(raw, TOKENS).await, wanted);
    let empty = "tokens WHERE value_sealed IS NULL AND refresh_token_sealed IS NULL \
                 AND expires_at IS NULL AND obtained_at IS NULL AND failed_at IS NULL";
    assert_eq!(count(raw, empty).await, 4);
}

#[tokio::test]
async fn rows_of_the_first_schema_come_through() {
    for backend in Backend::available() {
        let (test, raw, [authorizers, events]) = old(&backend).await;
        let steps = Migrator::migrations().len() - OLD_STEPS as usize;
        assert_eq!(test.db.migrate().await.unwrap() as usize, steps, "{}", backend.name());

        assert_seeded(&raw).await;
        assert_eq!(read(&raw, OLD_AUTHORIZERS).await, authorizers);
        assert_eq!(read(&raw, OLD_EVENTS).await, events);
        let connected = "authorizers WHERE connection = 'component' AND listed_at IS NULL";
        assert_eq!(count(&raw, connected).await, 4);
        let unwatched = "components WHERE ticket_asked_at IS NULL AND ticket_late_since IS NULL \
                         AND reconciled_at IS NULL AND reconciliation_json IS NULL";
        assert_eq!(count(&raw, unwatched).await, 2);
        for gone in ["component_tokens", "authorizer_tokens"] {
            assert!(!SchemaManager::new(&raw).has_table(gone).await.unwrap(), "{gone}");
        }
        test.db.prove_collation().await.unwrap();
        close(test, raw).await;
    }
}

#[tokio::test]
async fn every_newer_step_may_be_taken_twice_over_old_rows() {
    for backend in Backend::available() {
        let (test, raw, [authorizers, events]) = old(&backend).await;
        for step in Migrator::migrations().iter().skip(OLD_STEPS as usize) {
            Migrator::up(&raw, Some(1)).await.unwrap();
            forget(&raw, step.name()).await;
            Migrator::up(&raw, Some(1)).await.unwrap();
        }
        assert!(test.db.pending_migrations().await.unwrap().is_empty());
        assert_seeded(&raw).await;
        assert_eq!(read(&raw, OLD_AUTHORIZERS).await, authorizers);
        assert_eq!(read(&raw, OLD_EVENTS).await, events);
        close(test, raw).await;
    }
}

#[tokio::test]
async fn a_seed_that_broke_off_adds_what_is_missing_and_leaves_what_is_there() {
    for backend in Backend::available() {
        let (test, raw, _) = old(&backend).await;
        Migrator::up(&raw, Some(number("seed_token") - OLD_STEPS)).await.unwrap();
        for change in [
            "DELETE FROM tokens WHERE owner_id IN ('aut_lost', 'aut_revoked')",
            "UPDATE tokens SET generation = 9 WHERE owner_id = 'cmp_kept'",
        ] {
            raw.execute_unprepared(change).await.unwrap();
        }
        forget(&raw, "seed_token").await;
        Migrator::up(&raw, None).await.unwrap();
        assert_eq!(count(&raw, "tokens").await, 4);
        assert_eq!(count(&raw, "tokens WHERE generation = 9").await, 1);
        raw.execute_unprepared("UPDATE tokens SET generation = 1 WHERE generation = 9")
            .await
            .unwrap();
        assert_seeded(&raw).await;
        close(test, raw).await;
    }
}

#[tokio::test]
async fn columns_that_a_broken_off_step_left_out_are_added() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        for (step, table, column) in [
            ("add_component_ticket_watch", "components", "ticket_late_since"),
            ("add_component_reconciliation", "components", "reconciliation_json"),
        ] {
            forget(&raw, step).await;
            let drop = format!("ALTER TABLE {table} DROP COLUMN {column}");
            raw.execute_unprepared(&drop).await.unwrap();
            test.db.migrate().await.unwrap();
            assert!(SchemaManager::new(&raw).has_column(table, column).await.unwrap());
        }
        forget(&raw, "add_authorizer_listing").await;
        let (on, index) = ("authorizers", "idx_authorizers_component_id_listed_at");
        let drop = match backend {
            Backend::MySql(_) => format!("DROP INDEX {index} ON {on}"),
            Backend::Sqlite | Backend::Postgres(_) => format!("DROP INDEX {index}"),
        };
        raw.execute_unprepared(&drop).await.unwrap();
        test.db.migrate().await.unwrap();
        assert!(SchemaManager::new(&raw).has_index(on, index).await.unwrap());
        close(test, raw).await;
    }
}

#[tokio::test]
async fn what_was_required_may_be_left_out_and_all_else_holds_as_before() {
    for backend in Backend::available() {
        let (test, raw, _) = old(&backend).await;
        Migrator::up(&raw, None).await.unwrap();
        let on = backend.name();
        for id in ["aut_own", "aut_own_too"] {
            write(&raw, "authorizers", &own_authorizer(id)).await;
        }
        let event = [
            ("id", "evt_3".into()),
            ("kind", "component.ticket_late".into()),
            ("occurred_at", 9_i64.into()),
        ];
        write(&raw, "events", &event).await;

        let granted = old_authorizer("aut_1", "cmp_kept", "active");
        for (why, refused) in [
            ("a state is required", with(granted.clone(), "state", nothing())),
            ("the component must be there", with(granted.clone(), "component_id", "cmp_0".into())),
            ("once for each component", with(granted.clone(), "appid", "wx of aut_lost".into())),
            ("an id stands once", old_authorizer("aut_lost", "cmp_new", "active")),
        ] {
            assert!(try_write(&raw, "authorizers", &refused).await.is_err(), "{why}, {on}");
        }
        write(&raw, "authorizers", &granted).await;
        let foreign = old_event("evt_4", "tnt_0".into());
        assert!(try_write(&raw, "events", &foreign).await.is_err(), "no such tenant, {on}");

        write(&raw, "account_secrets", &account("aut_own", "wxOwn")).await;
        write(&raw, "account_secrets", &account("aut_own_too", "wxown")).await;
        let twice = try_write(&raw, "account_secrets", &account("aut_1", "wxOwn")).await;
        assert!(twice.is_err(), "an account is connected once, {on}");
        let unknown = try_write(&raw, "account_secrets", &account("aut_0", "wxZ")).await;
        assert!(unknown.is_err(), "no such authorizer, {on}");
        close(test, raw).await;
    }
}

#[tokio::test]
async fn a_schema_in_use_whose_notes_were_lost_is_left_as_it_is() {
    for backend in Backend::available() {
        let (test, raw, [authorizers, events]) = old(&backend).await;
        Migrator::up(&raw, None).await.unwrap();
        write(&raw, "authorizers", &own_authorizer("aut_own")).await;
        write(&raw, "account_secrets", &account("aut_own", "wxOwn")).await;
        raw.execute_unprepared("DELETE FROM seaql_migrations").await.unwrap();
        test.db.migrate().await.unwrap();
        assert_seeded(&raw).await;
        assert_eq!(count(&raw, "authorizers WHERE connection = 'secret'").await, 1);
        assert_eq!(count(&raw, "account_secrets").await, 1);
        raw.execute_unprepared("DELETE FROM account_secrets").await.unwrap();
        raw.execute_unprepared("DELETE FROM authorizers WHERE id = 'aut_own'").await.unwrap();
        assert_eq!(read(&raw, OLD_AUTHORIZERS).await, authorizers);
        assert_eq!(read(&raw, OLD_EVENTS).await, events);
        close(test, raw).await;
    }
}

#[tokio::test]
async fn going_back_keeps_what_the_first_schema_can_hold() {
    for backend in Backend::available() {
        let (test, raw, [authorizers, events]) = old(&backend).await;
        Migrator::up(&raw, None).await.unwrap();
        write(&raw, "authorizers", &own_authorizer("aut_own")).await;
        write(&raw, "events", &old_event("evt_3", nothing())).await;

        let steps = u32::try_from(Migrator::migrations().len()).unwrap() - OLD_STEPS;
        for step in Migrator::migrations().iter().skip(OLD_STEPS as usize).rev() {
            Migrator::down(&raw, Some(1)).await.unwrap();
            note(&raw, step.name()).await;
            Migrator::down(&raw, Some(1)).await.unwrap();
        }
        assert_eq!(read(&raw, OLD_AUTHORIZERS).await, authorizers, "{}", backend.name());
        assert_eq!(read(&raw, OLD_EVENTS).await, events, "{}", backend.name());
        let own = with(old_authorizer("aut_2", "cmp_kept", "active"), "component_id", nothing());
        let none = try_write(&raw, "authorizers", &own).await;
        assert!(none.is_err(), "a component is required again, {}", backend.name());
        let foreign = old_authorizer("aut_1", "cmp_0", "active");
        assert!(try_write(&raw, "authorizers", &foreign).await.is_err(), "{}", backend.name());

        assert_eq!(test.db.migrate().await.unwrap(), steps);
        assert_eq!(read(&raw, OLD_AUTHORIZERS).await, authorizers);
        close(test, raw).await;
    }
}

/// Where a rebuild on SQLite may have been cut off. The copy is named as the step names it.
#[derive(Debug, Clone, Copy)]
enum Cut {
    CopyEmpty,
    CopyHalfFilled,
    CopyFilled,
    TableDropped,
    CopyRenamed,
    AllButNoted,
}

impl Cut {
    const ALL: [Self; 6] = [
        Self::CopyEmpty,
        Self::CopyHalfFilled,
        Self::CopyFilled,
        Self::TableDropped,
        Self::CopyRenamed,
        Self::AllButNoted,
    ];
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

/// Takes the step that is next on the `way`.
async fn take(raw: &DatabaseConnection, way: Way) {
    match way {
        Way::Up => Migrator::up(raw, Some(1)).await.unwrap(),
        Way::Down => Migrator::down(raw, Some(1)).await.unwrap(),
    }
}

/// Everything that SQLite knows of the schema.
async fn schema(raw: &DatabaseConnection) -> Vec<JsonValue> {
    read(raw, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").await
}

/// Leaves `table` as a run of `step` on the `way` that was cut off there.
async fn cut_off(raw: &DatabaseConnection, table: &str, (step, way): (&str, Way), cut: Cut) {
    let copy = |how: &str| format!("CREATE TABLE {table}_rebuilt AS SELECT * FROM {table} {how}");
    let unfinished = match cut {
        Cut::CopyEmpty => vec![copy("LIMIT 0")],
        Cut::CopyHalfFilled => vec![copy("LIMIT 1")],
        Cut::CopyFilled => vec![copy("")],
        Cut::TableDropped | Cut::CopyRenamed | Cut::AllButNoted => {
            take(raw, way).await;
            match way {
                Way::Up => forget(raw, step).await,
                Way::Down => note(raw, step).await,
            }
            let indexes = format!(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' \
                 AND sql IS NOT NULL"
            );
            let mut undo = Vec::new();
            if !matches!(cut, Cut::AllButNoted) {
                let indexes = read(raw, &indexes).await;
                assert!(!indexes.is_empty());
                undo.extend(indexes.iter().map(|index| format!("DROP INDEX {}", index["name"])));
            }
            if matches!(cut, Cut::TableDropped) {
                undo.push(format!("ALTER TABLE {table} RENAME TO {table}_rebuilt"));
            }
            undo
        }
    };
    for sql in unfinished {
        raw.execute_unprepared(&sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_rebuild_that_was_cut_off_is_finished_by_the_next_run() {
    for (table, step) in [("authorizers", "relax_authorizer"), ("events", "relax_event")] {
        for way in [Way::Up, Way::Down] {
            let (test, raw, rows) = old(&Backend::Sqlite).await;
            assert_eq!(count(&raw, "pragma_foreign_keys WHERE foreign_keys = 1").await, 1);
            let before = match way {
                Way::Up => number(step) - 1,
                Way::Down => number(step),
            };
            Migrator::up(&raw, Some(before - OLD_STEPS)).await.unwrap();
            let start = schema(&raw).await;
            take(&raw, way).await;
            let goal = schema(&raw).await;
            assert_ne!(start, goal, "{step} changes something");

            for cut in Cut::ALL {
                let back = match way {
                    Way::Up => Way::Down,
                    Way::Down => Way::Up,
                };
                take(&raw, back).await;
                cut_off(&raw, table, (step, way), cut).await;
                take(&raw, way).await;
                assert_eq!(schema(&raw).await, goal, "{step} {way:?} {cut:?}");
                let kept = [read(&raw, OLD_AUTHORIZERS).await, read(&raw, OLD_EVENTS).await];
                assert_eq!(kept, rows, "{step} {way:?} {cut:?}");
                assert_eq!(count(&raw, "pragma_foreign_key_check").await, 0);
            }
            close(test, raw).await;
        }
    }
}
