//! API keys: how long they live, from where they are good, and what of them can change.

use lingpai_model::{
    Instant,
    api_key::{ApiKey, PreviousKey, Scope},
    digest::Digest,
    id::ApiKeyId,
    network::Network,
};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, all_at_once, at, raw};

/// The same key with everything changed that can change.
fn changed(key: &ApiKey) -> ApiKey {
    ApiKey {
        name: "改名".to_owned(),
        key_digest: Digest::of(&[b"new"]),
        previous: Some(PreviousKey { digest: Digest::of(&[b"old"]), until: at(60) }),
        scopes: [Scope::UsageRead, Scope::QuotaClear].into_iter().collect(),
        networks: ["10.0.0.0/8", "2001:db8::1"].map(|text| Network::parse(text).unwrap()).to_vec(),
        requests_per_second: Some(20),
        expires_at: Some(at(90)),
        ..key.clone()
    }
}

async fn update(db: &Db, key: &ApiKey) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.api_keys().update(key).await?;
    tx.commit().await
}

async fn touch(db: &Db, used: &[(ApiKeyId, Instant)]) {
    let tx = db.begin().await.unwrap();
    tx.api_keys().touch(used).await.unwrap();
    tx.commit().await.unwrap();
}

async fn stored(db: &Db, key: &ApiKey) -> ApiKey {
    db.api_keys().system_find(&key.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_key_reads_back_as_it_was_written() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let key = ApiKey {
            last_used_at: Some(at(5)),
            revoked_at: Some(at(6)),
            ..changed(&world.api_key(&tenant))
        };
        let tx = db.begin().await.unwrap();
        tx.api_keys().insert(&key).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stored(&db, &key).await, key);
    })
    .await;
}

#[tokio::test]
async fn a_change_is_seen_in_the_cache_at_once_and_leaves_the_rest_as_it_is() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [key, other] =
            [world.stored_api_key(&db, &tenant).await, world.stored_api_key(&db, &tenant).await];
        assert_eq!(*db.cached_api_key(&key.id).await.unwrap().unwrap(), key);
        touch(&db, &[(key.id.clone(), at(4))]).await;

        let wanted = changed(&key);
        let also = ApiKey {
            last_used_at: None,
            created_at: at(1),
            revoked_at: Some(at(1)),
            ..wanted.clone()
        };
        update(&db, &also).await.unwrap();
        let wanted = ApiKey { last_used_at: Some(at(4)), ..wanted };
        assert_eq!(stored(&db, &key).await, wanted);
        assert_eq!(*db.cached_api_key(&key.id).await.unwrap().unwrap(), wanted);
        assert_eq!(stored(&db, &other).await, other);

        update(&db, &key).await.unwrap();
        assert_eq!(stored(&db, &key).await, ApiKey { last_used_at: Some(at(4)), ..key }, "back");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_got_locked_and_changed_as_its_own_tenants_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let key = world.stored_api_key(&db, &owner).await;
        assert_eq!(db.api_keys().system_get_for(&owner.id, &key.id).await.unwrap(), key);
        let foreign = db.api_keys().system_get_for(&other.id, &key.id).await.unwrap_err();
        assert!(matches!(foreign, Error::NotFound { .. }));
        let unknown = world.api_key(&owner);
        let missing = db.api_keys().system_get_for(&owner.id, &unknown.id).await.unwrap_err();
        let told = [(foreign, &key), (missing, &unknown)]
            .map(|(error, key)| error.to_string().replace(key.id.as_str(), ""));
        assert_eq!(told[0], told[1], "told alike");

        let tx = db.begin().await.unwrap();
        assert_eq!(tx.api_keys().lock(&other.id, &key.id).await.unwrap(), None);
        assert_eq!(tx.api_keys().lock(&owner.id, &key.id).await.unwrap().as_ref(), Some(&key));
        drop(tx);
        let stolen = ApiKey { tenant_id: other.id.clone(), ..changed(&key) };
        assert!(matches!(update(&db, &stolen).await, Err(Error::NotFound { .. })));
        assert!(matches!(update(&db, &unknown).await, Err(Error::NotFound { .. })));
        assert_eq!(stored(&db, &key).await, key);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_locked_is_changed_by_one_transaction_at_a_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let key = world.stored_api_key(&db, &tenant).await;
        let changes = (0..8).map(|_| {
            let (db, tenant, id) = (db.clone(), tenant.id.clone(), key.id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let mut key = tx.api_keys().lock(&tenant, &id).await.unwrap().unwrap();
                key.requests_per_second = Some(key.requests_per_second.unwrap_or_default() + 1);
                tx.api_keys().update(&key).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        all_at_once(changes).await;
        assert_eq!(stored(&db, &key).await.requests_per_second, Some(8));
    })
    .await;
}

#[tokio::test]
async fn of_two_uses_the_later_one_stays() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [a, b] =
            [world.stored_api_key(&db, &tenant).await, world.stored_api_key(&db, &tenant).await];
        let unknown = world.api_key(&tenant).id;
        touch(&db, &[(b.id.clone(), at(3)), (unknown, at(3)), (a.id.clone(), at(5))]).await;
        touch(&db, &[(a.id.clone(), at(4)), (b.id.clone(), at(9))]).await;
        touch(&db, &[]).await;
        let [a, b] = [stored(&db, &a).await, stored(&db, &b).await];
        assert_eq!([a.last_used_at, b.last_used_at], [Some(at(5)), Some(at(9))]);
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_networks_cannot_be_read_is_good_from_nowhere() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let key = world.stored_api_key(&db, &world.stored_tenant(&db).await).await;
            let raw = raw(&url).await;
            for damage in [
                "networks_json = '[\"10.0.0.0/8\", \"everywhere\"]'",
                "networks_json = ''",
                "networks_json = NULL, previous_until = 5",
                "previous_until = NULL, requests_per_second = -1",
            ] {
                let damage = format!("UPDATE api_keys SET {damage}");
                raw.execute_unprepared(&damage).await.unwrap();
                let error = db.api_keys().system_find(&key.id).await.unwrap_err();
                assert!(matches!(error, Error::Inconsistent { table: "api_keys", .. }), "{damage}");
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}
