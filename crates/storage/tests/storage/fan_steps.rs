//! The schema steps around fans: as often as they are taken, and where they broke off.

use lingpai_migrations::Migrator;
use lingpai_storage::testing::{Backend, TestDb};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use crate::{
    migrations::{close, forget, note, number},
    web_authorizations::{insert, owner, read},
    world::{World, count, raw},
};

/// The steps with their tables, and the indexes that they add.
const STEPS: [(&str, &str, &[&str]); 5] = [
    (
        "create_web_authorization",
        "web_authorizations",
        &["uq_web_authorizations_state_digest", "idx_web_authorizations_expires_at"],
    ),
    (
        "create_mini_program_session",
        "mini_program_sessions",
        &["uq_mini_program_sessions_authorizer_id_openid"],
    ),
    ("index_web_token", "web_tokens", &["idx_web_tokens_refresh_until"]),
    (
        "index_mini_program_session",
        "mini_program_sessions",
        &["idx_mini_program_sessions_updated_at"],
    ),
    ("index_authorizer_appid", "authorizers", &["idx_authorizers_appid"]),
];

#[tokio::test]
async fn they_go_up_down_and_up_and_leave_all_else_alone() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let (world, on) = (World::new(), backend.name());
        let (tenant, account) = owner(&world, &test.db, "wxA").await;
        let raw = raw(&test.config.url).await;
        let steps = Migrator::migrations();
        let ours = &steps[number("create_web_authorization") as usize - 1..];
        for step in ours.iter().rev() {
            Migrator::down(&raw, Some(1)).await.unwrap();
            note(&raw, step.name()).await;
            Migrator::down(&raw, Some(1)).await.unwrap();
        }
        let manager = SchemaManager::new(&raw);
        for (step, table, indexes) in STEPS {
            for index in indexes {
                assert!(!manager.has_index(table, index).await.unwrap(), "{index}, {on}");
            }
            let there = manager.has_table(table).await.unwrap();
            assert_eq!(there, ["web_tokens", "authorizers"].contains(&table), "{step}, {on}");
        }
        for step in ours {
            Migrator::up(&raw, Some(1)).await.unwrap();
            forget(&raw, step.name()).await;
            Migrator::up(&raw, Some(1)).await.unwrap();
        }
        assert!(test.db.pending_migrations().await.unwrap().is_empty());
        test.db.prove_collation().await.unwrap();
        assert_eq!(count(&raw, "authorizers").await, 1);
        let attempt = world.web_authorization(&tenant, &account);
        insert(&test.db, &attempt).await.unwrap();
        assert!(read(&test.db, &tenant, &attempt.id).await.unwrap().is_some(), "{on}");
        close(test, raw).await;
    }
}

#[tokio::test]
async fn an_index_that_a_broken_off_step_left_out_is_added() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let raw = raw(&test.config.url).await;
        for (step, table, indexes) in STEPS {
            for index in indexes {
                // MySQL keeps an index that a reference needs.
                let drop = match backend {
                    Backend::MySql(_) if index.contains("authorizer_id") => continue,
                    Backend::MySql(_) => format!("DROP INDEX {index} ON {table}"),
                    Backend::Sqlite | Backend::Postgres(_) => format!("DROP INDEX {index}"),
                };
                raw.execute_unprepared(&drop).await.unwrap();
                forget(&raw, step).await;
                test.db.migrate().await.unwrap();
                let there = SchemaManager::new(&raw).has_index(table, index).await.unwrap();
                assert!(there, "{index}, {}", backend.name());
            }
        }
        close(test, raw).await;
    }
}
