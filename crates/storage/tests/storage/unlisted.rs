//! Authorizers that WeChat's list does not tell of.

use std::slice::from_ref;

use lingpai_model::{
    Instant,
    authorizer::{Authorizer, AuthorizerState},
    component::Component,
    id::AuthorizerId,
};
use lingpai_storage::{Db, testing::on_each_database};

use crate::world::{World, app, at};

/// An authorizer of the component that is stored.
async fn stored(
    db: &Db,
    world: &World,
    component: &Component,
    change: impl FnOnce(&mut Authorizer),
) -> AuthorizerId {
    let mut authorizer = world.authorizer(component, None, "wxA");
    authorizer.appid = app(&format!("wx{}", authorizer.id.as_str()[20..].to_lowercase()));
    change(&mut authorizer);
    let tx = db.begin().await.unwrap();
    tx.authorizers().system_insert(&authorizer).await.unwrap();
    tx.commit().await.unwrap();
    authorizer.id
}

async fn mark_listed(db: &Db, ids: &[AuthorizerId], at: Instant) {
    let tx = db.begin().await.unwrap();
    tx.authorizers().system_mark_listed(ids, at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn unlisted(
    db: &Db,
    component: &Component,
    after: Option<&AuthorizerId>,
    limit: u64,
) -> Vec<AuthorizerId> {
    let listed = db.authorizers().system_list_unlisted(&component.id, at(100), after, limit).await;
    listed.unwrap().into_iter().map(|authorizer| authorizer.id).collect()
}

#[tokio::test]
async fn those_whose_grant_should_stand_and_that_were_not_listed_since_are_told() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let tenant = world.stored_tenant(&db).await;
        let never = stored(&db, &world, &c, |_| {}).await;
        let long_ago = stored(&db, &world, &c, |_| {}).await;
        let lost = stored(&db, &world, &c, |authorizer| {
            authorizer.state = AuthorizerState::NeedsReauthorization { since: at(50) };
        });
        let lost = lost.await;
        let just_before =
            stored(&db, &world, &c, |authorizer| authorizer.granted_at = at(99)).await;

        let listed = stored(&db, &world, &c, |_| {}).await;
        stored(&db, &world, &c, |authorizer| {
            authorizer.state = AuthorizerState::Revoked { at: at(50) };
        })
        .await;
        stored(&db, &world, &c, |authorizer| authorizer.granted_at = at(100)).await;
        let of_another = stored(&db, &world, &d, |_| {}).await;
        world.stored_account(&db, &tenant, "wxOwn").await;
        mark_listed(&db, from_ref(&long_ago), at(99)).await;
        mark_listed(&db, from_ref(&listed), at(100)).await;
        mark_listed(&db, &[], at(200)).await;

        assert_eq!(unlisted(&db, &c, None, 100).await, [never, long_ago, lost, just_before]);
        assert_eq!(unlisted(&db, &d, None, 100).await, [of_another]);

        let mut changed = db.authorizers().system_list(&[listed]).await.unwrap().remove(0);
        changed.updated_at = at(101);
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&changed).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(unlisted(&db, &c, None, 100).await.len(), 4, "an update forgets no listing");
    })
    .await;
}

#[tokio::test]
async fn they_are_told_page_by_page_though_some_are_listed_meanwhile() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(stored(&db, &world, &component, |_| {}).await);
        }
        assert_eq!(unlisted(&db, &component, None, 2).await, all[..2]);
        assert_eq!(unlisted(&db, &component, Some(&all[1]), 2).await, all[2..4]);
        mark_listed(&db, &all[..2], at(100)).await;
        assert_eq!(unlisted(&db, &component, Some(&all[3]), 2).await, all[4..]);
        assert!(unlisted(&db, &component, Some(&all[4]), 2).await.is_empty());
        assert_eq!(unlisted(&db, &component, None, 2).await, all[2..4]);
    })
    .await;
}

#[tokio::test]
async fn authorizers_are_read_by_id_and_by_appid_within_their_component() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let first = world.stored_authorizer(&db, &c, None, "wxA").await;
        let second = world.stored_authorizer(&db, &c, None, "wxB").await;
        let elsewhere = world.stored_authorizer(&db, &d, None, "wxA").await;

        let ids = [first.id.clone(), elsewhere.id.clone(), world.authorizer(&c, None, "wxN").id];
        let mut read = db.authorizers().system_list(&ids).await.unwrap();
        read.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(read, [first.clone(), elsewhere]);
        assert!(db.authorizers().system_list(&[]).await.unwrap().is_empty());

        let appids = ["wxA", "wxB", "wxa", "wxN"].map(app);
        let appids: Vec<_> = appids.iter().collect();
        let mut read = db.authorizers().system_list_by_appid(&c.id, &appids).await.unwrap();
        read.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(read, [first, second]);
    })
    .await;
}
