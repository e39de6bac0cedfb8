//! What became of the steps of WeChat's publish test: listed newest first, found by code.

use std::time::Duration;

use lingpai_model::{
    clock::Entropy,
    component::Component,
    digest::Digest,
    id::PublishCheckId,
    page::PageRequest,
    publish_test::{PublishCheck, PublishStep},
};
use lingpai_storage::{Db, Error, testing::on_each_database};

use crate::world::{World, app, at};

fn check(component: &Component, step: PublishStep, second: i64) -> PublishCheck {
    PublishCheck {
        id: PublishCheckId::new(at(second), &Entropy::system()),
        component_id: component.id.clone(),
        appid: app("wx570bc396a51b8ff8"),
        step,
        code: None,
        at: at(second),
        took: Duration::from_millis(1234),
        failure: None,
        errcode: None,
    }
}

async fn append(db: &Db, check: &PublishCheck) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.publish_checks().append(check).await?;
    tx.commit().await
}

#[tokio::test]
async fn steps_are_listed_newest_first_within_their_component() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let mut written = Vec::new();
        for (step, second) in PublishStep::ALL.into_iter().zip(1..) {
            written.push(check(&c, step, second));
        }
        written[1].code = Some(Digest::of(&[b"code"]));
        written[1].failure = Some("WeChat refused it \0🍜".to_owned());
        written[1].errcode = Some(-1000);
        let elsewhere = check(&d, PublishStep::Text, 9);
        for check in written.iter().chain([&elsewhere]) {
            append(&db, check).await.unwrap();
        }
        let twice = append(&db, &elsewhere).await;
        assert!(matches!(twice, Err(Error::AlreadyExists { .. })));
        written[1].failure = Some("WeChat refused it \u{fffd}🍜".to_owned());
        written.reverse();

        let first = PageRequest::new(2, None).unwrap();
        let page = db.publish_checks().list(&c.id, &first).await.unwrap();
        assert_eq!(page.items, written[..2]);
        let rest = first.following(page.next.unwrap());
        let rest = db.publish_checks().list(&c.id, &rest).await.unwrap();
        assert_eq!((rest.items.as_slice(), &rest.next), (&written[2..], &None));
    })
    .await;
}

#[tokio::test]
async fn the_newest_step_with_a_code_is_found_within_its_component() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let code = Digest::of(&[b"code"]);
        let step =
            |second| PublishCheck { code: Some(code), ..check(&c, PublishStep::ApiReply, second) };
        let [first, again] = [step(1), step(2)];
        let other =
            PublishCheck { code: Some(Digest::of(&[b"other"])), ..check(&c, PublishStep::Text, 3) };
        for check in [&first, &again, &other] {
            append(&db, check).await.unwrap();
        }
        let found = async |component: &Component, code| {
            db.publish_checks().find_by_code(&component.id, &code).await.unwrap()
        };
        assert_eq!(found(&c, code).await, Some(again));
        assert_eq!(found(&d, code).await, None);
        assert_eq!(found(&c, Digest::of(&[b"none"])).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_component_answers_the_publish_test_while_it_is_switched_on() {
    on_each_database(|db| async move {
        let stored = World::new().stored_component(&db, "wxC").await;
        let appid = &stored.appid;
        assert!(!db.cached_component(appid).await.unwrap().unwrap().answers_publish_test);
        for answers_publish_test in [true, false] {
            let tx = db.begin().await.unwrap();
            let changed = Component { answers_publish_test, ..stored.clone() };
            tx.components().update(&changed).await.unwrap();
            tx.commit().await.unwrap();
            let cached = db.cached_component(appid).await.unwrap().unwrap();
            assert_eq!(cached.answers_publish_test, answers_publish_test, "what was is forgotten");
        }
    })
    .await;
}
