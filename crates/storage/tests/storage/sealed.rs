//! Secrets at rest.

use lingpai_model::{
    Instant, Secret,
    authorizer::AccountSecret,
    component::Component,
    push::PushState,
    token::{KeptToken, TokenKey},
};
use lingpai_storage::{
    Arrival, Db, Error, KeyRing,
    testing::{count_pushes, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::world::{World, raw, ticket};

#[tokio::test]
async fn a_secret_moved_to_another_row_or_column_does_not_open() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [a, b] = [
                world.stored_component(&db, "wxA").await,
                world.stored_component(&db, "wxB").await,
            ];
            let raw = raw(&url).await;
            raw.execute_unprepared("UPDATE components SET push_token_sealed = appsecret_sealed WHERE appid = 'wxA'")
                .await
                .unwrap();
            let error = db.components().get(&a.id).await.unwrap_err();
            let wanted = Error::Unopenable { table: "components", column: "push_token_sealed" };
            assert_eq!(error.to_string(), wanted.to_string());

            for (component, value) in [(&a, "a's"), (&b, "b's")] {
                let ticket = ticket(component, value, 0);
                db.record_arrival(Arrival::Ticket(ticket)).await.unwrap();
            }
            let swap = format!(
                "UPDATE component_tickets SET component_id = '{}', issued_at = issued_at + 1 WHERE component_id = '{}'",
                b.id, a.id
            );
            raw.execute_unprepared(&swap).await.unwrap();
            let error = db.tickets().newest(&b.id, Instant::UNIX_EPOCH).await.unwrap_err();
            assert!(matches!(error, Error::Unopenable { table: "component_tickets", .. }));
            raw.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_push_is_put_aside_and_holds_up_nobody() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let component = world.stored_component(&db, "wxC").await;
            let [broken, good] = [world.push(&component, "broken"), world.push(&component, "good")];
            for push in [&broken, &good] {
                db.record_arrival(Arrival::Push(push.clone())).await.unwrap();
            }
            let raw = raw(&url).await;
            let cut = format!("UPDATE pushes SET payload_sealed = '' WHERE id = '{}'", broken.id);
            raw.execute_unprepared(&cut).await.unwrap();
            raw.close().await.unwrap();

            let tx = db.begin().await.unwrap();
            let claimed = tx.pushes().claim(10, std::time::Duration::from_secs(60)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(claimed.iter().map(|push| &push.id).collect::<Vec<_>>(), [&good.id]);
            assert_eq!(count_pushes(&db, PushState::Quarantined).await, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_rotation_old_and_new_secrets_open() {
    on_each_test_db(|test| {
        let (db, config) = (test.db.clone(), test.config.clone());
        async move {
            let world = World::new();
            let key = |id: &str, byte: char| format!("{id}:{}=\n", byte.to_string().repeat(43));
            let ring = |text: String| KeyRing::parse(&Secret::new(text)).unwrap();
            drop(db);

            let old = Db::connect(&config, ring(key("old", 'A'))).await.unwrap();
            let before = world.stored_component(&old, "wxBefore").await;
            old.close().await;
            let both = ring(key("new", 'E') + &key("old", 'A'));
            let rotated = Db::connect(&config, both).await.unwrap();
            let after = world.stored_component(&rotated, "wxAfter").await;
            for id in [&before.id, &after.id] {
                let read = rotated.components().get(id).await.unwrap();
                assert_eq!(read.appsecret.expose(), "canary appsecret");
            }
            rotated.close().await;
            let new = Db::connect(&config, ring(key("new", 'E'))).await.unwrap();
            assert!(new.components().get(&after.id).await.is_ok());
            let lost = new.components().get(&before.id).await.unwrap_err();
            assert!(matches!(lost, Error::Unopenable { .. }));
            new.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_secret_stands_in_the_database_in_clear() {
    let test = lingpai_storage::testing::TestDb::sqlite().await;
    let world = World::new();
    let db = &test.db;
    let component = world.stored_component(db, "wxC").await;
    let tenant = world.stored_tenant(db).await;
    let tx = db.begin().await.unwrap();
    let previous_push_token = Some((Secret::from("canary old push token"), Instant::UNIX_EPOCH));
    let rotated = Component { previous_push_token, ..component.clone() };
    tx.components().update(&rotated).await.unwrap();
    let scope = crate::world::scope(&tenant);
    tx.authorizations().insert(&scope, &world.authorization(&component, &tenant)).await.unwrap();
    let key = TokenKey::Component(component.id.clone());
    let refresh_token = Some(Secret::from("canary refresh token"));
    let kept = KeptToken { refresh_token, ..crate::world::kept(&key, "canary token") };
    tx.tokens().replace(&kept).await.unwrap();
    tx.commit().await.unwrap();
    db.record_arrival(Arrival::Ticket(ticket(&component, "canary ticket", 0))).await.unwrap();
    db.record_arrival(Arrival::Push(world.push(&component, "canary push"))).await.unwrap();

    let account = world.stored_account(db, &tenant, "wxOwn").await;
    let secret = AccountSecret {
        push_token: Some(Secret::from("canary push token")),
        encoding_aes_key: Some(Secret::from("canary key")),
        ..world.account_secret(&account)
    };
    let tx = db.begin().await.unwrap();
    tx.account_secrets().system_insert(&secret).await.unwrap();
    tx.commit().await.unwrap();
    db.record_message(world.message(&account.id, "canary message")).await.unwrap();
    world.stored_endpoint(db, &tenant).await;
    let tx = db.begin().await.unwrap();
    tx.endpoints().insert(&world.handler(&tenant)).await.unwrap();
    tx.commit().await.unwrap();

    let path = test.config.url.strip_prefix("sqlite://").unwrap();
    let mut files = 0;
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{path}{suffix}")).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "lingpai.db{suffix}");
        files += usize::from(bytes.windows(3).any(|window| window == b"wxC"));
    }
    assert!(files > 0, "the rows are in these files");
    test.remove().await;
}
