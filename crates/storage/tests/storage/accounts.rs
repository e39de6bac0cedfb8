//! Accounts that are connected by their own secret.

use lingpai_model::{
    Secret,
    authorizer::{AccountSecret, Connection, TokenApi},
    page::PageRequest,
    token::TokenKey,
};
use lingpai_storage::{
    AuthorizerFilter, Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, app, at, raw, scope};

async fn insert(db: &Db, secret: &AccountSecret) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.account_secrets().system_insert(secret).await?;
    tx.commit().await
}

/// What of a secret can be compared.
fn told(secret: &AccountSecret) -> (String, Option<String>, Option<String>, TokenApi) {
    let text = |secret: &Secret<String>| secret.expose().clone();
    let [token, key] =
        [&secret.push_token, &secret.encoding_aes_key].map(|value| value.as_ref().map(text));
    (text(&secret.appsecret), token, key, secret.token_api)
}

#[tokio::test]
async fn an_account_with_its_own_secret_has_no_component() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &tenant, "wxOwn").await;
        let read = db.authorizers().get(&scope(&tenant), &app("wxOwn")).await.unwrap();
        assert_eq!(read, account);
        assert_eq!(read.connection, Connection::Secret);
        assert_eq!(read.token_key(), TokenKey::Ordinary(account.id.clone()));
        let everything = AuthorizerFilter::default();
        let all = PageRequest::first();
        let listed = db.authorizers().list(&scope(&tenant), &everything, &all).await.unwrap();
        assert_eq!(listed.items, [account]);
        let of_component =
            AuthorizerFilter { component_appid: Some(app("wxAny")), ..AuthorizerFilter::default() };
        let listed = db.authorizers().list(&scope(&tenant), &of_component, &all).await.unwrap();
        assert!(listed.items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_makes_no_sense_is_told() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let component = world.stored_component(&db, "wxC").await;
            world.stored_account(&db, &tenant, "wxOwn").await;
            world.stored_authorizer(&db, &component, Some(&tenant), "wxA").await;
            let raw = raw(&url).await;
            for (damage, appid) in [
                ("connection = 'component' WHERE appid = 'wxOwn'", "wxOwn"),
                ("connection = 'secret' WHERE appid = 'wxA'", "wxA"),
                ("connection = 'x' WHERE appid = 'wxA'", "wxA"),
            ] {
                let sql = format!("UPDATE authorizers SET {damage}");
                raw.execute_unprepared(&sql).await.unwrap();
                let error = db.authorizers().get(&scope(&tenant), &app(appid)).await.unwrap_err();
                assert!(matches!(error, Error::Inconsistent { table: "authorizers", .. }));
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_reads_back_whole_or_without_what_pushes_need() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let bare = world.account_secret(&world.stored_account(&db, &tenant, "wxA").await);
        let whole = AccountSecret {
            token_api: TokenApi::Token,
            push_token: Some(Secret::from("push token")),
            encoding_aes_key: Some(Secret::from("key")),
            ..world.account_secret(&world.stored_account(&db, &tenant, "wxa").await)
        };
        for secret in [&bare, &whole] {
            insert(&db, secret).await.unwrap();
            let read = db.account_secrets().system_find(&secret.appid).await.unwrap().unwrap();
            assert_eq!((&read.authorizer_id, &read.appid), (&secret.authorizer_id, &secret.appid));
            assert_eq!((told(&read), read.created_at), (told(secret), secret.created_at));
            let read = db.account_secrets().system_get(&secret.authorizer_id).await.unwrap();
            assert_eq!(told(&read), told(secret));
        }
        assert!(db.account_secrets().system_find(&app("WXA")).await.unwrap().is_none());
        let unknown = world.authorizer(&world.component("wxC"), None, "wxN").id;
        let missing = db.account_secrets().system_get(&unknown).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }));
    })
    .await;
}

#[tokio::test]
async fn an_account_is_connected_once_whoever_connects_it() {
    on_each_database(|db| async move {
        let world = World::new();
        let [first, second] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let connected = world.account_secret(&world.stored_account(&db, &first, "wxA").await);
        let again = world.account_secret(&world.stored_account(&db, &second, "wxA").await);
        insert(&db, &connected).await.unwrap();
        for twice in [&again, &connected] {
            let error = insert(&db, twice).await.unwrap_err();
            assert!(matches!(error, Error::AlreadyExists { what: "account" }));
        }
        let read = db.account_secrets().system_find(&app("wxA")).await.unwrap().unwrap();
        assert_eq!(read.authorizer_id, connected.authorizer_id);
    })
    .await;
}

#[tokio::test]
async fn a_new_secret_replaces_the_old_one_and_is_seen_at_once() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &tenant, "wxA").await;
        let old = world.account_secret(&account);
        let cached = async || db.cached_account_secret(&account.appid).await.unwrap();
        assert!(cached().await.is_none());
        let update = async |secret: &AccountSecret| -> Result<(), Error> {
            let tx = db.begin().await.unwrap();
            tx.account_secrets().system_update(secret).await?;
            assert_eq!(cached().await.map(|seen| told(&seen)), Some(told(&old)), "not yet");
            tx.commit().await
        };
        assert!(matches!(update(&old).await, Err(Error::NotFound { .. })));
        insert(&db, &old).await.unwrap();
        assert_eq!(cached().await.map(|seen| told(&seen)), Some(told(&old)));

        let new = AccountSecret {
            appsecret: Secret::from("new"),
            token_api: TokenApi::Token,
            push_token: Some(Secret::from("push token")),
            created_at: at(9),
            ..old.clone()
        };
        update(&new).await.unwrap();
        let seen = cached().await.unwrap();
        assert_eq!((told(&seen), seen.created_at), (told(&new), at(0)));
        let other = world.account_secret(&world.stored_account(&db, &tenant, "wxB").await);
        insert(&db, &other).await.unwrap();
        let read = db.account_secrets().system_find(&app("wxB")).await.unwrap().unwrap();
        assert_eq!(told(&read), told(&other), "another's stays as it was");
    })
    .await;
}

#[tokio::test]
async fn an_account_secret_moved_to_another_authorizer_or_column_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let tenant = world.stored_tenant(&db).await;
            let [own, foreign] = [
                world.stored_account(&db, &tenant, "wxA").await,
                world.stored_account(&db, &tenant, "wxB").await,
            ];
            insert(&db, &world.account_secret(&own)).await.unwrap();
            let raw = raw(&url).await;
            for (change, column) in [
                (format!("authorizer_id = '{}'", foreign.id), "appsecret_sealed"),
                (format!("authorizer_id = '{}'", own.id), ""),
                ("push_token_sealed = appsecret_sealed".to_owned(), "push_token_sealed"),
            ] {
                let sql = format!("UPDATE account_secrets SET {change}");
                raw.execute_unprepared(&sql).await.unwrap();
                let read = db.account_secrets().system_find(&app("wxA")).await;
                match read {
                    Ok(_) => assert_eq!(column, "", "{change}"),
                    Err(Error::Unopenable { table, column: told }) => {
                        assert_eq!((table, told), ("account_secrets", column));
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            raw.close().await.unwrap();
        }
    })
    .await;
}
