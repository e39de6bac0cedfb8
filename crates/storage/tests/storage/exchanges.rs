//! One exchange per code, whoever brings it and in whichever order.

use std::time::Duration;

use lingpai_model::{
    Secret,
    authorization::Authorization,
    component::Component,
    digest::Digest,
    exchange::{CodeOffer, CodeSource, Exchange, ExchangeState},
};
use lingpai_storage::{Db, Error, testing::on_each_database};

use crate::world::{World, all_at_once, app, at};

const HOUR: Duration = Duration::from_secs(3600);

fn offer(component: &Component, code: &str, source: CodeSource) -> CodeOffer {
    CodeOffer { component_id: component.id.clone(), authorization_code: Secret::from(code), source }
}

fn push(pre_auth_code: Option<&str>) -> CodeSource {
    CodeSource::Push {
        authorizer_appid: app("wxA"),
        pre_auth_code_digest: pre_auth_code.map(|code| Digest::of(&[code.as_bytes()])),
        granted_at: at(5),
    }
}

fn browser(authorization: &Authorization) -> CodeSource {
    CodeSource::Browser { authorization_id: authorization.id.clone(), returned_at: at(7) }
}

async fn bring(db: &Db, offer: &CodeOffer) -> Exchange {
    let tx = db.begin().await.unwrap();
    let exchange = tx.exchanges().offer(offer, at(9)).await.unwrap();
    tx.commit().await.unwrap();
    exchange
}

async fn set_state(db: &Db, exchange: &Exchange, state: ExchangeState) {
    let tx = db.begin().await.unwrap();
    tx.exchanges().set_state(&exchange.key, state).await.unwrap();
    tx.commit().await.unwrap();
}

async fn settle(db: &Db, exchange: &Exchange) -> bool {
    let tx = db.begin().await.unwrap();
    let settled = tx.exchanges().settle(exchange).await.unwrap();
    tx.commit().await.unwrap();
    settled
}

/// A component and an authorization that need not be stored.
async fn given(db: &Db) -> (Component, Authorization) {
    let world = World::new();
    let component = world.stored_component(db, "wxC").await;
    let authorization = world.authorization(&component, &world.tenant());
    (component, authorization)
}

#[tokio::test]
async fn a_push_after_the_browser_fills_in_what_the_browser_cannot_know() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let first = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        assert_eq!(first.granted_at, at(7));
        assert_eq!(first.authorizer_appid, None);
        assert_eq!(first.authorization_code.expose(), "code");
        let merged = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert_eq!(merged.key, first.key);
        assert_eq!(merged.state, ExchangeState::Offered);
        assert_eq!(merged.authorizer_appid, Some(app("wxA")));
        assert_eq!(merged.pre_auth_code_digest, Some(Digest::of(&[b"p"])));
        assert_eq!(merged.granted_at, at(5));
        assert_eq!(merged.returned_authorization_id, Some(authorization.id));
        assert_eq!(db.exchanges().list_open(10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_browser_after_the_push_overwrites_nothing() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        bring(&db, &offer(&component, "code", push(Some("p")))).await;
        let merged = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        assert_eq!(merged.authorizer_appid, Some(app("wxA")));
        assert_eq!(merged.pre_auth_code_digest, Some(Digest::of(&[b"p"])));
        assert_eq!(merged.granted_at, at(5));
        assert_eq!(merged.returned_authorization_id, Some(authorization.id));
        let other = World::new().authorization(&component, &World::new().tenant());
        let again = bring(&db, &offer(&component, "code", browser(&other))).await;
        assert_eq!(again.returned_authorization_id, merged.returned_authorization_id);
    })
    .await;
}

#[tokio::test]
async fn a_settled_exchange_is_opened_again_by_a_push_that_can_bind_it() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let exchange = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        set_state(&db, &exchange, ExchangeState::Settled).await;
        assert!(db.exchanges().list_open(10).await.unwrap().is_empty());

        let tells_nothing = bring(&db, &offer(&component, "code", push(None))).await;
        assert_eq!(tells_nothing.state, ExchangeState::Settled);
        let binds = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert_eq!(binds.state, ExchangeState::Exchanged);
        assert_eq!(db.exchanges().list_open(10).await.unwrap().len(), 1);
        set_state(&db, &binds, ExchangeState::Settled).await;
        let repeated = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert_eq!(repeated.state, ExchangeState::Settled, "a repetition tells nothing new");
    })
    .await;
}

#[tokio::test]
async fn a_settled_exchange_is_opened_again_for_the_first_browser_that_returns() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let exchange = bring(&db, &offer(&component, "code", push(None))).await;
        set_state(&db, &exchange, ExchangeState::Settled).await;
        let returned = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        assert_eq!(returned.state, ExchangeState::Exchanged);
        set_state(&db, &returned, ExchangeState::Settled).await;
        let again = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        assert_eq!(again.state, ExchangeState::Settled);

        let bound = bring(&db, &offer(&component, "bound", push(Some("p")))).await;
        set_state(&db, &bound, ExchangeState::Settled).await;
        let bound = bring(&db, &offer(&component, "bound", browser(&authorization))).await;
        assert_eq!(bound.state, ExchangeState::Settled, "its authorization is finished already");
    })
    .await;
}

#[tokio::test]
async fn a_code_that_was_given_up_is_taken_up_again_once_a_push_names_its_account() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let exchange = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        set_state(&db, &exchange, ExchangeState::Failed).await;
        let again = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        assert_eq!(again.state, ExchangeState::Failed, "a browser tells nothing new");
        let named = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert_eq!(named.state, ExchangeState::Offered);
        set_state(&db, &named, ExchangeState::Failed).await;
        let repeated = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert_eq!(repeated.state, ExchangeState::Failed, "the account was asked about before");
    })
    .await;
}

#[tokio::test]
async fn settling_does_not_bury_news_that_came_meanwhile() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let read = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        set_state(&db, &read, ExchangeState::Exchanged).await;
        let news = bring(&db, &offer(&component, "code", push(Some("p")))).await;
        assert!(!settle(&db, &read).await, "the worker knew nothing of the push");
        assert_eq!(db.exchanges().list_open(10).await.unwrap().len(), 1);
        assert!(settle(&db, &news).await);
        let settled = db.exchanges().find(&news.key).await.unwrap().unwrap();
        assert_eq!(settled.state, ExchangeState::Settled);
    })
    .await;
}

#[tokio::test]
async fn an_exchange_put_off_is_not_due_and_counts_its_attempts() {
    on_each_database(|db| async move {
        let (component, _) = given(&db).await;
        let later = bring(&db, &offer(&component, "later", push(None))).await;
        let again = bring(&db, &offer(&component, "again", push(None))).await;
        let tx = db.begin().await.unwrap();
        let repo = tx.exchanges();
        repo.schedule_retry(&later.key, HOUR, "WeChat is silent").await.unwrap();
        repo.schedule_retry(&again.key, Duration::ZERO, "WeChat is busy").await.unwrap();
        let unknown = Digest::of(&[b"unknown"]);
        let error = repo.schedule_retry(&unknown, HOUR, "?").await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
        drop(repo);
        tx.commit().await.unwrap();
        let due = db.exchanges().list_open(10).await.unwrap();
        assert_eq!(due.iter().map(|e| (e.key, e.attempts)).collect::<Vec<_>>(), [(again.key, 1)]);
        let put_off = db.exchanges().find(&later.key).await.unwrap().unwrap();
        assert_eq!(put_off.attempts, 1);
    })
    .await;
}

#[tokio::test]
async fn the_account_is_noted_unless_the_push_told_it() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        let exchange = bring(&db, &offer(&component, "code", browser(&authorization))).await;
        for appid in ["wxB", "wxC"] {
            let tx = db.begin().await.unwrap();
            tx.exchanges().note_appid(&exchange.key, &app(appid)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let read = db.exchanges().find(&exchange.key).await.unwrap().unwrap();
        assert_eq!(read.authorizer_appid, Some(app("wxB")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_browser_in_the_same_moment_meet_in_one_exchange() {
    on_each_database(|db| async move {
        let (component, authorization) = given(&db).await;
        for round in 0..10 {
            let code = format!("code {round}");
            let offers = [
                offer(&component, &code, push(Some("p"))),
                offer(&component, &code, browser(&authorization)),
            ];
            let key = offers[0].exchange_key();
            let brought = offers.map(|offer| {
                let db = db.clone();
                async move { bring(&db, &offer).await }
            });
            all_at_once(brought).await;
            let met = db.exchanges().find(&key).await.unwrap().unwrap();
            assert_eq!(met.pre_auth_code_digest, Some(Digest::of(&[b"p"])));
            assert_eq!(met.returned_authorization_id.as_ref(), Some(&authorization.id));
            assert_eq!(met.granted_at, at(5));
        }
    })
    .await;
}
