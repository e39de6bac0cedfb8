//! Tenants and what of them can change.

use lingpai_model::tenant::{Tenant, TenantLimits};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, raw};

async fn update(db: &Db, tenant: &Tenant) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.tenants().update(tenant).await?;
    tx.commit().await
}

#[tokio::test]
async fn what_can_change_of_a_tenant_reads_back_and_is_seen_in_the_cache_at_once() {
    on_each_database(|db| async move {
        let world = World::new();
        let [created, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        assert_eq!(*db.cached_tenant(&created.id).await.unwrap().unwrap(), created);
        let limits =
            TenantLimits { requests_per_second: Some(u32::MAX), concurrent_requests: Some(0) };
        let changed = Tenant {
            name: "改名\0".to_owned(),
            logo_url: Some("https://tenant.example/logo.png".to_owned()),
            limits,
            created_at: at(7),
            updated_at: at(9),
            ..created.clone()
        };
        update(&db, &changed).await.unwrap();
        let wanted =
            Tenant { name: "改名\u{fffd}".to_owned(), created_at: created.created_at, ..changed };
        assert_eq!(db.tenants().find(&created.id).await.unwrap(), Some(wanted.clone()));
        assert_eq!(*db.cached_tenant(&created.id).await.unwrap().unwrap(), wanted);
        assert_eq!(db.tenants().find(&other.id).await.unwrap(), Some(other));

        update(&db, &created).await.unwrap();
        assert_eq!(db.tenants().find(&created.id).await.unwrap(), Some(created), "and back");
        let unknown = world.tenant();
        assert!(matches!(update(&db, &unknown).await, Err(Error::NotFound { .. })));
        assert!(db.cached_tenant(&unknown.id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_tenant_that_an_older_program_wrote_was_last_changed_when_it_was_created() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let tenant = World::new().stored_tenant(&db).await;
            let raw = raw(&url).await;
            raw.execute_unprepared("UPDATE tenants SET updated_at = NULL").await.unwrap();
            raw.close().await.unwrap();
            assert_eq!(db.tenants().find(&tenant.id).await.unwrap(), Some(tenant));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_locked_is_changed_by_one_transaction_at_a_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let id = world.stored_tenant(&db).await.id;
        let changes = (0..8).map(|_| {
            let (db, id) = (db.clone(), id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let mut tenant = tx.tenants().lock(&id).await.unwrap().expect("it is stored");
                let sofar = tenant.limits.concurrent_requests.unwrap_or_default();
                tenant.limits.concurrent_requests = Some(sofar + 1);
                tx.tenants().update(&tenant).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        all_at_once(changes).await;
        let last = db.tenants().find(&id).await.unwrap().expect("it is stored");
        assert_eq!(last.limits.concurrent_requests, Some(8));
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.tenants().lock(&world.tenant().id).await.unwrap(), None);
    })
    .await;
}
