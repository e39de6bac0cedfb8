//! Components, and what is watched about them.

use lingpai_model::{
    Secret,
    component::{Component, ComponentWatch, Reconciliation},
    page::PageRequest,
};
use lingpai_storage::{Db, Error, testing::on_each_database};

use crate::world::{World, all_at_once, app, at};

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
async fn what_an_operator_changes_of_a_component_reads_back_and_the_rest_stays() {
    on_each_database(|db| async move {
        let world = World::new();
        let [old, other] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        assert!(db.cached_component(&old.appid).await.unwrap().is_some());
        let seen = ComponentWatch::default();
        assert!(ask_for_ticket(&db, &seen, 3, Some(1)).await);

        let tx = db.begin().await.unwrap();
        let mut changed = tx.components().lock(&old.appid).await.unwrap().expect("it is stored");
        assert!(tx.components().lock(&app("wxU")).await.unwrap().is_none());
        changed.name = "改名".to_owned();
        changed.appsecret = Secret::from("canary new appsecret");
        changed.previous_push_token = Some((changed.push_token, at(99)));
        changed.push_token = Secret::from("canary new push token");
        changed.previous_encoding_aes_key = Some(changed.encoding_aes_key);
        changed.encoding_aes_key = Secret::from("canary new key");
        changed.created_at = at(7);
        changed.updated_at = at(8);
        tx.components().update(&changed).await.unwrap();
        tx.commit().await.unwrap();

        let read = db.cached_component(&old.appid).await.unwrap().unwrap();
        assert_eq!((read.name.as_str(), read.created_at, read.updated_at), ("改名", at(0), at(8)));
        assert_eq!(read.appsecret.expose(), "canary new appsecret");
        assert_eq!(read.push_token.expose(), "canary new push token");
        let (previous, until) = read.previous_push_token.as_ref().expect("it still counts");
        assert_eq!((previous.expose().as_str(), *until), ("canary push token", at(99)));
        assert_eq!(read.encoding_aes_key.expose(), "canary new key");
        assert_eq!(read.previous_encoding_aes_key, Some(Secret::from("canary key")));
        let watch = db.components().watch(&old.id).await.unwrap();
        assert_eq!(watch.ticket_late_since, Some(at(1)), "nobody asked about that");
        let beside = db.components().get(&other.id).await.unwrap();
        assert_eq!(beside.appsecret, other.appsecret);
        assert_eq!(beside.previous_push_token, None);

        let tx = db.begin().await.unwrap();
        let unknown = tx.components().update(&world.component("wxU")).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound { .. }));
    })
    .await;
}

async fn ask_for_ticket(
    db: &Db,
    seen: &ComponentWatch,
    second: i64,
    late_since: Option<i64>,
) -> bool {
    let tx = db.begin().await.unwrap();
    let component = tx.components().find(&app("wxC")).await.unwrap().unwrap().id;
    let late_since = late_since.map(at);
    let noted = tx.components().note_ticket_asked(&component, seen, at(second), late_since).await;
    tx.commit().await.unwrap();
    noted.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_saw_tickets_late_one_asks_for_them() {
    on_each_database(|db| async move {
        let component = World::new().stored_component(&db, "wxC").await.id;
        for round in 1..=3 {
            let seen = db.components().watch(&component).await.unwrap();
            let asking = (0..4).map(|instance| {
                let (db, seen) = (db.clone(), seen.clone());
                async move { ask_for_ticket(&db, &seen, 10 * round + instance, None).await }
            });
            let won = all_at_once(asking).await.into_iter().filter(|won| *won).count();
            assert_eq!(won, 1, "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_noted_of_late_tickets_stands_until_they_come_again() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await.id;
        let other = world.stored_component(&db, "wxD").await.id;
        let watch = async || db.components().watch(&component).await.unwrap();
        let unwatched = watch().await;
        assert_eq!(unwatched, ComponentWatch::default());

        assert!(ask_for_ticket(&db, &unwatched, 100, None).await);
        let asked = watch().await;
        assert_eq!((asked.ticket_asked_at, asked.ticket_late_since), (Some(at(100)), None));
        assert!(!ask_for_ticket(&db, &unwatched, 101, Some(1)).await, "somebody has asked since");
        assert!(ask_for_ticket(&db, &asked, 700, Some(90)).await);
        let late = watch().await;
        assert_eq!((late.ticket_asked_at, late.ticket_late_since), (Some(at(700)), Some(at(90))));
        assert_eq!(db.components().watch(&other).await.unwrap(), unwatched);

        let tx = db.begin().await.unwrap();
        tx.components().note_ticket_in_time(&component).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(watch().await, unwatched);
        assert!(!ask_for_ticket(&db, &late, 701, Some(90)).await, "what was seen is out of date");
    })
    .await;
}

#[tokio::test]
async fn the_last_reconciliation_is_told() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await.id;
        for (second, listed) in [(1, 3), (2, u32::MAX)] {
            let told =
                Reconciliation { at: at(second), listed, recovered: 1, found: 2, withdrawn: 0 };
            let tx = db.begin().await.unwrap();
            tx.components().note_reconciliation(&component, &told).await.unwrap();
            tx.commit().await.unwrap();
            let watch = db.components().watch(&component).await.unwrap();
            assert_eq!(watch.reconciliation, Some(told));
        }
        let unknown = db.components().watch(&world.component("wxU").id).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound { .. }));
    })
    .await;
}

#[tokio::test]
async fn all_components_are_told_however_many_pages_they_fill() {
    on_each_database(|db| async move {
        let world = World::new();
        assert!(db.components().all().await.unwrap().is_empty());
        let tx = db.begin().await.unwrap();
        let components: Vec<_> = (0..123).map(|i| world.component(&format!("wx{i}"))).collect();
        for component in &components {
            tx.components().insert(component).await.unwrap();
        }
        tx.commit().await.unwrap();
        let all = db.components().all().await.unwrap();
        let ids = |components: &[Component]| {
            components.iter().map(|component| component.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&all), ids(&components), "the oldest first");
    })
    .await;
}
