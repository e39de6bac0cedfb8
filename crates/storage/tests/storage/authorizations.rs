//! Authorizations and visits.

use lingpai_model::{
    authorization::{Authorization, AuthorizationState},
    clock::Entropy,
    digest::Digest,
    id::AuthorizationId,
};
use lingpai_storage::{Db, Error, testing::on_each_database};

use crate::world::{World, all_at_once, app, at, scope};

async fn stored(db: &Db, world: &World) -> Authorization {
    let component = world.stored_component(db, "wxC").await;
    let tenant = world.stored_tenant(db).await;
    let authorization = world.authorization(&component, &tenant);
    let tx = db.begin().await.unwrap();
    tx.authorizations().insert(&scope(&tenant), &authorization).await.unwrap();
    tx.commit().await.unwrap();
    authorization
}

#[tokio::test]
async fn an_authorization_is_found_by_its_link_and_by_its_pre_auth_code() {
    on_each_database(|db| async move {
        let world = World::new();
        let authorization = stored(&db, &world).await;
        let repo = db.authorizations();
        let by_link = repo.system_find_by_link(&authorization.link_digest).await.unwrap().unwrap();
        assert_eq!(by_link.id, authorization.id);
        assert_eq!(by_link.pre_auth_code, authorization.pre_auth_code);
        assert_eq!(by_link.category_ids, [7]);
        assert_eq!(by_link.reference.as_deref(), Some("order 7\u{fffd}"));
        assert_eq!(by_link.expires_at, authorization.expires_at);

        let code = Authorization::pre_auth_code_digest(&authorization.pre_auth_code);
        let by_code = repo.system_find_by_pre_auth_code(&authorization.component_id, &code);
        assert_eq!(by_code.await.unwrap().unwrap().id, authorization.id);
        let elsewhere = world.component("wxD").id;
        let by_code = repo.system_find_by_pre_auth_code(&elsewhere, &code).await.unwrap();
        assert!(by_code.is_none(), "a code counts for its component only");
        let unknown = repo.system_find_by_link(&Digest::of(&[b"unknown"])).await.unwrap();
        assert!(unknown.is_none());
    })
    .await;
}

#[tokio::test]
async fn every_state_reads_back() {
    on_each_database(|db| async move {
        let authorization = stored(&db, &World::new()).await;
        let states = [
            AuthorizationState::Finished { authorizer_appid: app("wxA"), at: at(3) },
            AuthorizationState::OwnedElsewhere { authorizer_appid: app("wxB"), at: at(4) },
            AuthorizationState::Refused { errcode: 61028, at: at(5) },
            AuthorizationState::Pending,
        ];
        for state in states {
            let tx = db.begin().await.unwrap();
            tx.authorizations().system_set_state(&authorization.id, &state).await.unwrap();
            tx.commit().await.unwrap();
            let read = db.authorizations().system_find_by_link(&authorization.link_digest).await;
            assert_eq!(read.unwrap().unwrap().state, state);
        }
        let tx = db.begin().await.unwrap();
        let unknown = AuthorizationId::new(at(0), &Entropy::seeded(9));
        let state = AuthorizationState::Pending;
        let error = tx.authorizations().system_set_state(&unknown, &state).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_comes_back_once() {
    on_each_database(|db| async move {
        let id = stored(&db, &World::new()).await.id;
        let visit = Digest::of(&[b"visit"]);
        let tx = db.begin().await.unwrap();
        assert!(tx.authorizations().system_open_visit(&id, &visit, at(1)).await.unwrap());
        assert!(!tx.authorizations().system_open_visit(&id, &visit, at(1)).await.unwrap());
        tx.commit().await.unwrap();

        let returns = (0..6).map(|_| {
            let (db, id) = (db.clone(), id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let first =
                    tx.authorizations().system_close_visit(&id, &visit, at(2)).await.unwrap();
                tx.commit().await.unwrap();
                first
            }
        });
        let first = all_at_once(returns).await.into_iter().filter(|first| *first).count();
        assert_eq!(first, 1);
        let tx = db.begin().await.unwrap();
        let never_opened = Digest::of(&[b"invented"]);
        assert!(!tx.authorizations().system_close_visit(&id, &never_opened, at(2)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn one_link_carries_thirty_two_visits() {
    on_each_database(|db| async move {
        let id = stored(&db, &World::new()).await.id;
        let tx = db.begin().await.unwrap();
        for visit in 0..32_u8 {
            let visit = Digest::of(&[&[visit]]);
            assert!(tx.authorizations().system_open_visit(&id, &visit, at(1)).await.unwrap());
        }
        let one_more = Digest::of(&[b"one more"]);
        assert!(!tx.authorizations().system_open_visit(&id, &one_more, at(1)).await.unwrap());
        tx.commit().await.unwrap();
    })
    .await;
}
