//! What fans granted: one grant for each authorizer, fan and scope.

use lingpai_model::{
    authorizer::Authorizer,
    web_token::{WebGrant, WebTokenOwner},
};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, at, raw};

async fn upsert(db: &Db, grant: &WebGrant, second: i64) -> Result<bool, Error> {
    let tx = db.begin().await.unwrap();
    let is_newest = tx.web_tokens().system_upsert(grant, at(second)).await?;
    tx.commit().await.map(|()| is_newest)
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
            let found = db.web_tokens().system_find_by_id(&grant.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(grant));
        }
        let unknown = world.web_grant(&a, "oFan", "snsapi_base").id;
        assert_eq!(db.web_tokens().system_find_by_id(&unknown).await.unwrap(), None);
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

#[tokio::test]
async fn a_grant_is_not_set_back_and_not_erased_once_it_is_renewed() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let account = world.stored_authorizer(&db, &component, None, "wxA").await;
        let until = |second| WebGrant {
            refresh_until: at(second),
            ..world.web_grant(&account, "oFan", "snsapi_base")
        };
        let first = until(10);
        let [older, same, newer] =
            [9, 10, 11].map(|second| WebGrant { id: first.id.clone(), ..until(second) });
        assert!(upsert(&db, &first, 1).await.unwrap());
        assert!(!upsert(&db, &older, 2).await.unwrap());
        assert_eq!(find(&db, &first.owner).await.as_ref(), Some(&first));
        assert!(upsert(&db, &same, 3).await.unwrap());
        assert!(upsert(&db, &newer, 4).await.unwrap());
        assert_eq!(find(&db, &first.owner).await.as_ref(), Some(&newer));

        let erase = async |second| {
            let tx = db.begin().await.unwrap();
            let erased = tx.web_tokens().system_erase_if(&first.id, at(second)).await.unwrap();
            tx.commit().await.unwrap();
            erased
        };
        assert!(!erase(10).await, "it was renewed");
        assert!(find(&db, &first.owner).await.is_some());
        assert_eq!([erase(11).await, erase(11).await], [true, false]);
        assert_eq!(find(&db, &first.owner).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_cannot_be_read_keeps_no_other_from_being_listed() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let component = world.stored_component(&db, "wxC").await;
            let account = world.stored_authorizer(&db, &component, None, "wxA").await;
            let [bad, good] =
                ["oBad", "oGood"].map(|openid| world.web_grant(&account, openid, "snsapi_base"));
            for grant in [&bad, &good] {
                upsert(&db, grant, 1).await.unwrap();
            }
            let tx = db.begin().await.unwrap();
            let given = Authorizer { released_at: Some(good.refresh_until), ..account };
            tx.authorizers().system_update(&given).await.unwrap();
            tx.commit().await.unwrap();
            let raw = raw(&url).await;
            raw.execute_unprepared("UPDATE web_tokens SET id = 'bad' WHERE openid = 'oBad'")
                .await
                .unwrap();
            raw.close().await.unwrap();
            let grants = db.web_tokens();
            let life = std::time::Duration::from_secs(1);
            let (before, good) = (good.refresh_until + life, std::slice::from_ref(&good));
            assert_eq!(grants.system_list_given_up(life, 9).await.unwrap(), good);
            assert_eq!(grants.system_list_ended(before, 9).await.unwrap(), good);
        }
    })
    .await;
}

#[tokio::test]
async fn what_nobody_can_use_any_more_is_listed_to_be_erased() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let [released, kept] = [
            world.stored_authorizer(&db, &component, None, "wxA").await,
            world.stored_authorizer(&db, &component, None, "wxB").await,
        ];
        let life = std::time::Duration::from_secs(100);
        let granted = |account, openid, second| WebGrant {
            refresh_until: at(second) + life,
            ..world.web_grant(account, openid, "snsapi_base")
        };
        let grants = [
            granted(&released, "oBefore", 9),
            granted(&released, "oThen", 10),
            granted(&released, "oSince", 11),
            granted(&kept, "oBefore", 9),
        ];
        for grant in &grants {
            upsert(&db, grant, 1).await.unwrap();
        }
        let given_up = async |limit| {
            let mut found = db.web_tokens().system_list_given_up(life, limit).await.unwrap();
            found.sort_by(|one, other| one.id.cmp(&other.id));
            found
        };
        assert!(given_up(9).await.is_empty());
        let tx = db.begin().await.unwrap();
        let given = Authorizer { released_at: Some(at(10)), ..released };
        tx.authorizers().system_update(&given).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(given_up(9).await, grants[..2]);
        assert_eq!(given_up(1).await.len(), 1);

        let ended = async |second| {
            let before = at(second) + life;
            db.web_tokens().system_list_ended(before, 9).await.unwrap().len()
        };
        assert_eq!([ended(9).await, ended(10).await, ended(12).await], [0, 2, 4]);
    })
    .await;
}
