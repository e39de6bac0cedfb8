//! Components, their tokens, and the history of refresh tokens.

use lingpai_model::{
    Secret,
    authorizer::{ReceivedRefreshToken, RefreshTokenSource},
    page::PageRequest,
    token::{KeptToken, TokenFailure},
};
use lingpai_storage::{Error, testing::on_each_database};

use crate::world::{World, app, at, token};

#[tokio::test]
async fn a_component_reads_back_with_both_its_keys() {
    on_each_database(|db| async move {
        let world = World::new();
        let mut component = world.component("wxC");
        component.previous_encoding_aes_key = Some(component.encoding_aes_key.clone());
        component.encoding_aes_key = Secret::from("new key");
        component.name = "改名 🍜".to_owned();
        component.updated_at = at(9);
        let tx = db.begin().await.unwrap();
        tx.components().insert(&component).await.unwrap();
        tx.commit().await.unwrap();
        let unknown = db.components().get(&world.component("wxU").id).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound { .. }));

        let read = db.components().get(&component.id).await.unwrap();
        assert_eq!(read.encoding_aes_key.expose(), "new key");
        assert_eq!(read.previous_encoding_aes_key, Some(Secret::from("canary key")));
        assert_eq!(read.appsecret, component.appsecret);
        assert_eq!((read.name, read.updated_at), (component.name, at(9)));
        assert_eq!(read.appid, app("wxC"));
        let all = db.components().list(&PageRequest::first()).await.unwrap();
        assert_eq!(all.items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_token_and_the_next_token_clears_the_failure() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await.id;
        let failure = TokenFailure { at: at(1), reason: "WeChat is silent".to_owned() };
        assert_eq!(db.component_tokens().find(&component).await.unwrap(), KeptToken::default());
        let write = async |step: u8| {
            let tx = db.begin().await.unwrap();
            match step {
                0 | 2 => tx.component_tokens().mark_failed(&component, &failure).await.unwrap(),
                _ => {
                    let token = token(&format!("t{step}"), 0);
                    tx.component_tokens().save(&component, &token).await.unwrap();
                }
            }
            tx.commit().await.unwrap();
            db.component_tokens().find(&component).await.unwrap()
        };
        let failed = Some(failure.clone());
        assert_eq!(write(0).await, KeptToken { token: None, failure: failed.clone() });
        assert_eq!(write(1).await, KeptToken { token: Some(token("t1", 0)), failure: None });
        assert_eq!(write(2).await, KeptToken { token: Some(token("t1", 0)), failure: failed });
        assert_eq!(write(3).await, KeptToken { token: Some(token("t3", 0)), failure: None });
    })
    .await;
}

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
