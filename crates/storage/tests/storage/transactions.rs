//! Transactions: whole or not at all, whatever happens to their callers.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
};

use futures_util::poll;
use lingpai_model::{
    Secret,
    authorizer::{ReceivedRefreshToken, RefreshTokenSource},
    page::PageRequest,
    token::TokenKey,
};
use lingpai_storage::{
    Error,
    testing::{Backend, TestDb, on_each_database},
};
use sea_orm::ConnectionTrait as _;
use tokio_util::task::TaskTracker;

use crate::world::{World, all_at_once, app, at, kept, raw, stored_token};

/// Polls `work` a number of times and then drops it, wherever it is.
async fn abandon_after(polls: usize, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    for _ in 0..polls {
        if poll!(work.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_abandoned_anywhere_leaves_the_database_usable() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let mut left_behind = Vec::new();
        for polls in 0..120 {
            let tenant = world.tenant();
            let authorizer = world.authorizer(&component, Some(&tenant), &format!("wx{polls}"));
            abandon_after(polls, async {
                let tx = db.begin().await.unwrap();
                tx.tenants().insert(&tenant).await.unwrap();
                tx.authorizers().system_insert(&authorizer).await.unwrap();
                tx.commit().await.unwrap();
            })
            .await;
            left_behind.push((tenant, authorizer));
        }
        // Every connection is sound again: more of them than there are in the pool.
        for _ in 0..20 {
            world.stored_tenant(&db).await;
        }
        for (tenant, authorizer) in left_behind {
            let tenant = db.tenants().find(&tenant.id).await.unwrap();
            let found = db.authorizers().system_find(&component.id, &authorizer.appid).await;
            assert_eq!(tenant.is_some(), found.unwrap().is_some(), "both or neither");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_transaction_changes_nothing() {
    on_each_database(|db| async move {
        let tenant = World::new().tenant();
        let tx = db.begin().await.unwrap();
        tx.tenants().insert(&tenant).await.unwrap();
        assert_eq!(tx.tenants().find(&tenant.id).await.unwrap().as_ref(), Some(&tenant));
        assert_eq!(db.tenants().find(&tenant.id).await.unwrap(), None, "readers do not wait");
        drop(tx);
        assert!(db.tenants().list(&PageRequest::first()).await.unwrap().items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_is_not_called_committed() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.tenant();
        let tx = db.begin().await.unwrap();
        tx.tenants().insert(&tenant).await.unwrap();
        let ownerless = ReceivedRefreshToken {
            component_id: world.component("wxU").id,
            authorizer_appid: app("wxA"),
            value: Secret::from("r"),
            source: RefreshTokenSource::QueryAuth,
            received_at: at(0),
        };
        let error = tx.refresh_tokens().append(&ownerless).await.unwrap_err();
        assert!(matches!(error, Error::Query { .. }), "{error:?}");
        assert!(matches!(tx.commit().await, Err(Error::RolledBack)));
        assert_eq!(db.tenants().find(&tenant.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_duplicate_does_not_spoil_the_transaction_around_it() {
    on_each_database(|db| async move {
        let world = World::new();
        world.stored_component(&db, "wxC").await;
        let tenant = world.tenant();
        let tx = db.begin().await.unwrap();
        let error = tx.components().insert(&world.component("wxC")).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { what: "component" }));
        tx.tenants().insert(&tenant).await.unwrap();
        tx.commit().await.unwrap();
        assert!(db.tenants().find(&tenant.id).await.unwrap().is_some());
        assert!(db.components().find(&app("wxC")).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_leaves_the_outcome_unknown() {
    for backend in Backend::available() {
        let cut = match &backend {
            Backend::Sqlite => continue,
            Backend::Postgres(_) => {
                "SELECT CAST(COUNT(pg_terminate_backend(pid)) AS CHAR) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()"
            }
            Backend::MySql(_) => {
                "BEGIN NOT ATOMIC FOR c IN (SELECT id FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()) DO KILL c.id; END FOR; END"
            }
        };
        let test = TestDb::open(&backend).await;
        let tenant = World::new().tenant();
        let tx = test.db.begin().await.unwrap();
        tx.tenants().insert(&tenant).await.unwrap();
        let raw = raw(&test.config.url).await;
        raw.execute_unprepared(cut).await.unwrap();
        raw.close().await.unwrap();
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
        assert!(error.is_transient());

        // Other connections of the pool were cut as well: each fails once at most.
        while let Err(error) = test.db.ping().await {
            assert!(error.is_transient(), "{error:?}");
        }
        assert_eq!(test.db.tenants().find(&tenant.id).await.unwrap(), None);
        test.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_read_and_then_write_all_succeed() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await.id;
        let key = TokenKey::Component(component.clone());
        let writers = (0..24).map(|i| {
            let (db, component) = (db.clone(), component.clone());
            let kept = kept(&key, &format!("t{i}"));
            async move {
                let tx = db.begin().await.unwrap();
                tx.components().get(&component).await.unwrap();
                tx.tokens().replace(&kept).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        all_at_once(writers).await;
        assert!(stored_token(&db, &key).await.token.is_some());
    })
    .await;
}

#[tokio::test]
async fn work_that_can_wait_leaves_the_next_connection_to_others() {
    let test = TestDb::sqlite().await;
    let first = test.db.begin_patiently().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks = TaskTracker::new();
    for _ in 0..20 {
        let (db, order) = (test.db.clone(), order.clone());
        tasks.spawn(async move {
            let tx = db.begin_patiently().await.unwrap();
            order.lock().unwrap().push("patient");
            tx.commit().await.unwrap();
        });
    }
    // All of them wait before the one who comes last.
    yielding().await;
    let (db, arrived) = (test.db.clone(), order.clone());
    tasks.spawn(async move {
        let tx = db.begin().await.unwrap();
        arrived.lock().unwrap().push("arrival");
        tx.commit().await.unwrap();
    });
    yielding().await;
    first.commit().await.unwrap();
    tasks.close();
    tasks.wait().await;
    let order = order.lock().unwrap().clone();
    let place = order.iter().position(|who| *who == "arrival");
    assert!(place <= Some(1) && order.len() == 21, "{order:?}");
    test.remove().await;
}

/// Lets everything else go as far as it can.
async fn yielding() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
