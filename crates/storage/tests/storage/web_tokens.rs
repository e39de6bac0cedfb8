//! What fans granted: one grant for each authorizer, fan and scope.

use lingpai_model::web_token::{WebGrant, WebTokenOwner};
use lingpai_storage::{Db, Error, testing::on_each_database};

use crate::world::{World, at};

async fn upsert(db: &Db, grant: &WebGrant, second: i64) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.web_tokens().system_upsert(grant, at(second)).await?;
    tx.commit().await
}

async fn find(db: &Db, owner: &WebTokenOwner) -> Option<WebGrant> {
    db.web_tokens().system_find(owner).await.unwrap()
}

#[tokio::test]
async fn a_grant_is_told_from_those_of_other_accounts_fans_and_scopes() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [a, b] = [
            world.stored_authorizer(&db, &component, None, "wxA").await,
            world.stored_authorizer(&db, &component, None, "wxB").await,
        ];
        let mut first = world.web_grant(&a, "oFan", "snsapi_base");
        first.unionid = Some("oUnion".to_owned());
        let others = [
            world.web_grant(&b, "oFan", "snsapi_base"),
            world.web_grant(&a, "ofan", "snsapi_base"),
            world.web_grant(&a, "oFan", "snsapi_userinfo"),
        ];
        for grant in [&first].into_iter().chain(&others) {
            assert_eq!(find(&db, &grant.owner).await, None);
            upsert(&db, grant, 1).await.unwrap();
        }
        for grant in [&first].into_iter().chain(&others) {
            assert_eq!(find(&db, &grant.owner).await.as_ref(), Some(grant));
        }
        let mut of_fan = db.web_tokens().system_list(&a.id, "oFan").await.unwrap();
        of_fan.sort_by_key(|grant| grant.owner.scope.clone());
        assert_eq!(of_fan, [first, others[2].clone()]);
        assert!(db.web_tokens().system_list(&a.id, "oNobody").await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_brought_up_to_date_and_erased_under_its_id() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let authorizer = world.stored_authorizer(&db, &component, None, "wxA").await;
        let first = world.web_grant(&authorizer, "oFan", "snsapi_userinfo");
        upsert(&db, &first, 1).await.unwrap();
        let renewed = WebGrant {
            unionid: Some("oUnion".to_owned()),
            refresh_until: at(60 * 86_400),
            ..first.clone()
        };
        upsert(&db, &renewed, 2).await.unwrap();
        assert_eq!(find(&db, &first.owner).await.as_ref(), Some(&renewed));

        let again = world.web_grant(&authorizer, "oFan", "snsapi_userinfo");
        let twice = upsert(&db, &again, 3).await.unwrap_err();
        assert!(matches!(twice, Error::AlreadyExists { what: "web grant" }));
        assert_eq!(find(&db, &first.owner).await.as_ref(), Some(&renewed));

        let tx = db.begin().await.unwrap();
        tx.web_tokens().system_erase(&again.id).await.unwrap();
        tx.commit().await.unwrap();
        assert!(find(&db, &first.owner).await.is_some(), "another's erasure is none of its own");
        let tx = db.begin().await.unwrap();
        tx.web_tokens().system_erase(&first.id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(find(&db, &first.owner).await, None);
        upsert(&db, &again, 4).await.unwrap();
        assert_eq!(find(&db, &first.owner).await, Some(again));
    })
    .await;
}
