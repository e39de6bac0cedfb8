//! The history of refresh tokens.

use lingpai_model::{
    Secret,
    authorizer::{ReceivedRefreshToken, RefreshTokenSource},
};
use lingpai_storage::testing::on_each_database;

use crate::world::{World, app, at};

#[tokio::test]
async fn the_history_of_refresh_tokens_only_grows() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await.id;
        let received = |value: &str, source, second| ReceivedRefreshToken {
            component_id: component.clone(),
            authorizer_appid: app("wxA"),
            value: Secret::from(value),
            source,
            received_at: at(second),
        };
        let tx = db.begin().await.unwrap();
        let history = tx.refresh_tokens();
        history.append(&received("r1", RefreshTokenSource::QueryAuth, 1)).await.unwrap();
        history.append(&received("r2", RefreshTokenSource::AuthorizerToken, 2)).await.unwrap();
        history.append(&received("r1", RefreshTokenSource::AuthorizerList, 3)).await.unwrap();
        drop(history);
        tx.commit().await.unwrap();

        let kept = db.refresh_tokens().list(&component, &app("wxA")).await.unwrap();
        let told: Vec<_> =
            kept.iter().map(|t| (t.value.expose().as_str(), t.source, t.received_at)).collect();
        let wanted = [
            ("r2", RefreshTokenSource::AuthorizerToken, at(2)),
            ("r1", RefreshTokenSource::QueryAuth, at(1)),
        ];
        assert_eq!(told, wanted, "the newest first, the first receipt stays");
        assert!(db.refresh_tokens().list(&component, &app("wxa")).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn of_a_long_history_the_newest_twenty_are_listed() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await.id;
        let tx = db.begin().await.unwrap();
        for second in 0..25 {
            let received = ReceivedRefreshToken {
                component_id: component.clone(),
                authorizer_appid: app("wxA"),
                value: Secret::new(format!("r{second}")),
                source: RefreshTokenSource::AuthorizerToken,
                received_at: at(second),
            };
            tx.refresh_tokens().append(&received).await.unwrap();
        }
        tx.commit().await.unwrap();
        let kept = db.refresh_tokens().list(&component, &app("wxA")).await.unwrap();
        assert_eq!(kept.len(), 20);
        assert_eq!((kept[0].received_at, kept[19].received_at), (at(24), at(5)));
    })
    .await;
}
