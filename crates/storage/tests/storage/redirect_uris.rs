//! Redirect URIs: each tenant's own.

use lingpai_storage::testing::on_each_database;

use crate::world::{World, at, scope};

#[tokio::test]
async fn an_address_is_removed_by_its_tenant_only() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let [owner, other] = [scope(&owner), scope(&other)];
        let tx = db.begin().await.unwrap();
        for uri in ["https://a.example/", "https://b.example/"] {
            tx.redirect_uris().insert(&owner, uri, at(1)).await.unwrap();
        }
        tx.redirect_uris().insert(&other, "https://a.example/", at(1)).await.unwrap();
        assert!(!tx.redirect_uris().delete(&other, "https://b.example/").await.unwrap());
        assert!(tx.redirect_uris().delete(&owner, "https://a.example/").await.unwrap());
        assert!(!tx.redirect_uris().delete(&owner, "https://a.example/").await.unwrap(), "gone");
        tx.commit().await.unwrap();
        assert_eq!(db.redirect_uris().list(&owner).await.unwrap(), ["https://b.example/"]);
        assert_eq!(db.redirect_uris().list(&other).await.unwrap(), ["https://a.example/"]);
        assert!(!db.redirect_uris().contains(&owner, "https://a.example/").await.unwrap());
    })
    .await;
}
