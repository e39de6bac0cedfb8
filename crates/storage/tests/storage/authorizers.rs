//! Authorizers: a newer grant is never overwritten by an older one.

use lingpai_model::{
    authorizer::{AuthorizerState, Profile, ProfileKind},
    id::AuthorizerId,
};
use lingpai_storage::{
    Error,
    testing::{Backend, TestDb, on_each_database},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, app, at, raw, scope};

#[tokio::test]
async fn an_authorizer_reads_back_as_it_was_written() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let mut authorizer = world.stored_authorizer(&db, &component, None, "wxA").await;
        authorizer.profile = Profile {
            kind: Some(ProfileKind::MiniProgram),
            nick_name: Some("小店 🍜 \0 \"'\\".to_owned()),
            signature: Some("介绍".repeat(30_000)),
            service_type: Some(0),
            verify_type: Some(-1),
            ..Profile::default()
        };
        authorizer.state = AuthorizerState::NeedsReauthorization { since: at(9) };
        authorizer.func_info = vec![];
        authorizer.updated_at = at(10);
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&authorizer).await.unwrap();
        tx.commit().await.unwrap();
        let found = db.authorizers().system_find(&component.id, &app("wxA")).await.unwrap();
        assert_eq!(found, Some(authorizer));
    })
    .await;
}

#[tokio::test]
async fn one_account_is_one_authorizer_of_a_component() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        world.stored_authorizer(&db, &c, None, "wxA").await;
        world.stored_authorizer(&db, &d, None, "wxA").await;
        let tx = db.begin().await.unwrap();
        let again = world.authorizer(&c, None, "wxA");
        let error = tx.authorizers().system_insert(&again).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { what: "authorizer" }));
        let goes_on = world.authorizer(&c, None, "wxB");
        tx.authorizers().system_insert(&goes_on).await.unwrap();
        tx.commit().await.unwrap();
        let stored = db.authorizers().system_find(&c.id, &goes_on.appid).await.unwrap();
        assert_eq!(stored, Some(goes_on));
    })
    .await;
}

#[tokio::test]
async fn of_several_grants_the_active_one_is_meant_then_the_newest() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let mut grants = Vec::new();
        for (appid, granted) in [("wxC", 5), ("wxD", 3), ("wxE", 1)] {
            let component = world.stored_component(&db, appid).await;
            let mut grant = world.stored_authorizer(&db, &component, Some(&tenant), "wxA").await;
            grant.granted_at = at(granted);
            grants.push(grant);
        }
        grants[0].state = AuthorizerState::Revoked { at: at(6) };
        let tx = db.begin().await.unwrap();
        for grant in &grants {
            tx.authorizers().system_update(grant).await.unwrap();
        }
        tx.commit().await.unwrap();
        let meant = db.authorizers().get(&scope(&tenant), &app("wxA")).await.unwrap();
        assert_eq!(meant.connection.component_appid(), Some(&app("wxD")));
    })
    .await;
}

#[tokio::test]
async fn an_older_grant_never_overwrites_a_newer_one() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let old = world.stored_authorizer(&db, &component, None, "wxA").await;
        let mut new = old.clone();
        new.generation = 2;
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&new).await.unwrap();
        tx.authorizers().system_update(&new).await.unwrap();
        let fenced = tx.authorizers().system_update(&old).await.unwrap_err();
        assert!(matches!(fenced, Error::Fenced { .. }));
        let unknown = world.authorizer(&component, None, "wxB");
        let missing = tx.authorizers().system_update(&unknown).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }));
        tx.commit().await.unwrap();

        let stored = db.authorizers().system_find(&component.id, &old.appid).await.unwrap();
        assert_eq!(stored.unwrap().generation, 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_owner_is_seen_by_both_tenants_at_once() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [old, new] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let mut authorizer = world.stored_authorizer(&db, &component, Some(&old), "wxA").await;
        assert!(db.cached_authorizer(&scope(&old), &authorizer.appid).await.is_ok());
        assert!(db.cached_authorizer(&scope(&new), &authorizer.appid).await.is_err());
        authorizer.tenant_id = Some(new.id.clone());
        let tx = db.begin().await.unwrap();
        tx.authorizers().system_update(&authorizer).await.unwrap();
        assert!(db.cached_authorizer(&scope(&old), &authorizer.appid).await.is_ok(), "not yet");
        tx.commit().await.unwrap();
        assert!(db.cached_authorizer(&scope(&old), &authorizer.appid).await.is_err());
        let read = db.cached_authorizer(&scope(&new), &authorizer.appid).await.unwrap();
        assert_eq!(*read, authorizer);
    })
    .await;
}

#[tokio::test]
async fn an_authorizer_that_is_locked_is_changed_by_one_transaction_at_a_time() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let first = world.stored_authorizer(&db, &component, None, "wxA").await;
        let changes = (0..8).map(|_| async {
            let tx = db.begin().await.unwrap();
            let locked = tx.authorizers().system_lock(&component.id, &app("wxA")).await.unwrap();
            let mut authorizer = locked.expect("it is stored");
            authorizer.generation += 1;
            tx.authorizers().system_update(&authorizer).await.unwrap();
            tx.commit().await.unwrap();
        });
        futures_util::future::join_all(changes).await;
        let last = db.authorizers().system_find(&component.id, &app("wxA")).await.unwrap();
        assert_eq!(last.expect("it is stored").generation, first.generation + 8);
    })
    .await;
}

#[tokio::test]
async fn several_hold_an_authorizer_at_once_and_nobody_changes_it_meanwhile() {
    for backend in Backend::available() {
        let test = TestDb::open(&backend).await;
        let (world, db) = (World::new(), &test.db);
        let component = world.stored_component(db, "wxC").await;
        let kept = world.stored_authorizer(db, &component, None, "wxA").await;
        let unknown = AuthorizerId::new(at(1), &lingpai_model::clock::Entropy::seeded(9));
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.authorizers().system_share_by_id(&unknown).await.unwrap(), None);
        let held = tx.authorizers().system_share_by_id(&kept.id).await.unwrap();
        assert_eq!(held.as_ref(), Some(&kept), "{}", backend.name());
        // SQLite has one writer anyway.
        if !matches!(backend, Backend::Sqlite) {
            let other = db.begin().await.unwrap();
            let shared = other.authorizers().system_share_by_id(&kept.id).await.unwrap();
            assert_eq!(shared.as_ref(), Some(&kept), "{}", backend.name());
            drop(other);
            let raw = raw(&test.config.url).await;
            let change =
                format!("SELECT id FROM authorizers WHERE id = '{}' FOR UPDATE NOWAIT", kept.id);
            assert!(raw.execute_unprepared(&change).await.is_err(), "{}", backend.name());
            tx.commit().await.unwrap();
            raw.execute_unprepared(&change).await.unwrap();
            raw.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_connections_of_an_account_are_those_that_have_an_owner() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let tenant = world.stored_tenant(&db).await;
        let by_c = world.stored_authorizer(&db, &c, Some(&tenant), "wxA").await;
        let by_secret = world.stored_account(&db, &tenant, "wxA").await;
        world.stored_authorizer(&db, &d, None, "wxA").await;
        world.stored_authorizer(&db, &c, Some(&tenant), "wxB").await;
        let connected = async |component: Option<&str>| {
            let (authorizers, component) = (db.authorizers(), component.map(app));
            let mut found =
                authorizers.system_list_connected(&app("wxA"), component.as_ref()).await.unwrap();
            found.sort_by(|one, other| one.id.cmp(&other.id));
            found
        };
        assert_eq!(connected(None).await, [by_c.clone(), by_secret]);
        assert_eq!(connected(Some("wxC")).await, [by_c]);
        assert!(connected(Some("wxD")).await.is_empty(), "nobody's");
        assert!(connected(Some("wxZ")).await.is_empty());
    })
    .await;
}
