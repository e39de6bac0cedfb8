//! Listeners and what they reply: the tenant's own, the first reply counts.

use lingpai_model::{
    Secret,
    clock::Entropy,
    event::{EventFilter, EventPattern},
    id::{EventId, ListenerId},
    listener::Listener,
    tenant::Tenant,
};
use lingpai_storage::{
    Db, Error,
    testing::{on_each_database, on_each_test_db},
};
use sea_orm::ConnectionTrait as _;

use crate::{
    late_replies::heard,
    world::{World, all_at_once, app, at, raw, scope},
};

fn listener(tenant: &Tenant, second: i64) -> Listener {
    Listener {
        id: ListenerId::new(at(second), &Entropy::system()),
        tenant_id: tenant.id.clone(),
        filter: EventFilter::default(),
        seen_at: at(second),
    }
}

async fn upsert(db: &Db, listener: &Listener) -> Result<(), Error> {
    let tx = db.begin().await.unwrap();
    tx.listeners().upsert(listener).await?;
    tx.commit().await
}

#[tokio::test]
async fn a_listener_is_added_kept_up_to_date_and_removed() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        assert!(db.cached_listeners(&owner.id).await.unwrap().is_empty());
        let first = listener(&owner, 1);
        let second = listener(&owner, 2);
        let theirs = listener(&other, 3);
        for listener in [&first, &second, &theirs] {
            upsert(&db, listener).await.unwrap();
        }
        let listed = db.cached_listeners(&owner.id).await.unwrap();
        assert_eq!(*listed, [first.clone(), second.clone()], "what was cached is forgotten");

        let event_types = ["message.*", "event.click", "*"];
        let filter = EventFilter {
            authorizers: vec![app("wxA"), app("wxa")],
            event_types: event_types.map(|text| EventPattern::parse(text).unwrap()).to_vec(),
        };
        let changed = Listener { filter, seen_at: at(10), ..first };
        upsert(&db, &changed).await.unwrap();
        upsert(&db, &changed).await.unwrap();
        assert_eq!(*db.cached_listeners(&owner.id).await.unwrap(), [changed.clone(), second]);

        let tx = db.begin().await.unwrap();
        assert!(!tx.listeners().delete(&scope(&owner), &theirs.id).await.unwrap());
        assert!(tx.listeners().delete(&scope(&owner), &changed.id).await.unwrap());
        assert!(!tx.listeners().delete(&scope(&owner), &changed.id).await.unwrap(), "gone");
        tx.commit().await.unwrap();
        assert_eq!(db.cached_listeners(&owner.id).await.unwrap().len(), 1);
        assert_eq!(*db.cached_listeners(&other.id).await.unwrap(), [theirs]);
    })
    .await;
}

#[tokio::test]
async fn a_listener_stays_its_tenants() {
    on_each_database(|db| async move {
        let world = World::new();
        let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let mine = listener(&owner, 1);
        upsert(&db, &mine).await.unwrap();
        let thief = Listener { tenant_id: other.id.clone(), ..mine.clone() };
        let refused = upsert(&db, &thief).await;
        assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
        assert_eq!(db.listeners().system_list(&owner.id).await.unwrap(), [mine]);
        assert!(db.listeners().system_list(&other.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn listeners_that_are_gone_are_swept() {
    on_each_database(|db| async move {
        let owner = World::new().stored_tenant(&db).await;
        let [gone, there] = [listener(&owner, 1), listener(&owner, 2)];
        for listener in [&gone, &there] {
            upsert(&db, listener).await.unwrap();
        }
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.listeners().sweep(at(2)).await.unwrap(), 1);
        assert_eq!(tx.listeners().sweep(at(2)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(db.listeners().system_list(&owner.id).await.unwrap(), [there]);
    })
    .await;
}

async fn reply(db: &Db, owner: &Tenant, event: &EventId, text: Option<&str>) -> bool {
    let tx = db.begin().await.unwrap();
    let text = text.map(Secret::from);
    let replies = tx.listener_replies();
    let kept = replies.insert_once(&scope(owner), event, text.as_ref(), at(5)).await.unwrap();
    tx.commit().await.unwrap();
    kept
}

/// What was replied, in clear.
async fn replied(db: &Db, owner: &Tenant, event: &EventId) -> Option<Option<String>> {
    let found = db.listener_replies().find(&owner.id, event).await.unwrap();
    found.map(|reply| reply.map(|text| text.expose().clone()))
}

#[tokio::test]
async fn the_first_reply_of_a_listener_counts_also_if_it_is_nothing() {
    on_each_database(|db| async move {
        let world = World::new();
        let owner = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &owner, "wxA").await;
        let [text, nothing, silence] = [
            heard(&db, &account, Some("oFan"), 1).await.id,
            heard(&db, &account, Some("oFan"), 2).await.id,
            heard(&db, &account, Some("oFan"), 3).await.id,
        ];
        assert_eq!(replied(&db, &owner, &text).await, None);
        assert!(reply(&db, &owner, &text, Some("<xml>好 🍜</xml>")).await);
        assert!(!reply(&db, &owner, &text, Some("later")).await);
        assert!(reply(&db, &owner, &nothing, None).await);
        assert!(!reply(&db, &owner, &nothing, Some("later")).await);
        assert_eq!(replied(&db, &owner, &text).await, Some(Some("<xml>好 🍜</xml>".to_owned())));
        assert_eq!(replied(&db, &owner, &nothing).await, Some(None));
        assert_eq!(replied(&db, &owner, &silence).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_listeners_that_reply_at_the_same_time_one_does() {
    on_each_database(|db| async move {
        let world = World::new();
        let owner = world.stored_tenant(&db).await;
        let account = world.stored_account(&db, &owner, "wxA").await;
        let event = heard(&db, &account, Some("oFan"), 1).await.id;
        let replying = (0..4).map(|i| {
            let (db, owner, event) = (db.clone(), owner.clone(), event.clone());
            async move {
                let text = i.to_string();
                reply(&db, &owner, &event, Some(&text)).await.then_some(text)
            }
        });
        let kept: Vec<_> = all_at_once(replying).await.into_iter().flatten().collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(replied(&db, &owner, &event).await, Some(Some(kept[0].clone())));
    })
    .await;
}

#[tokio::test]
async fn nobody_replies_to_another_tenants_event_or_reads_its_reply() {
    on_each_test_db(|test| {
        let (db, url) = (test.db.clone(), test.config.url.clone());
        async move {
            let world = World::new();
            let [owner, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
            let account = world.stored_account(&db, &owner, "wxA").await;
            let [event, second] = [
                heard(&db, &account, Some("oFan"), 1).await.id,
                heard(&db, &account, Some("oFan"), 2).await.id,
            ];
            let unknown = EventId::new(at(9), &Entropy::system());
            let tx = db.begin().await.unwrap();
            for id in [&event, &unknown] {
                let (other, replies) = (scope(&other), tx.listener_replies());
                let foreign = replies.insert_once(&other, id, None, at(5)).await;
                assert!(matches!(foreign, Err(Error::NotFound { .. })), "told alike");
            }
            tx.commit().await.unwrap();
            assert!(reply(&db, &owner, &event, Some("mine")).await);
            assert_eq!(replied(&db, &other, &event).await, None);

            assert!(reply(&db, &owner, &second, Some("second")).await);
            let raw = raw(&url).await;
            for swap in [
                format!("UPDATE listener_replies SET event_id = 'x' WHERE event_id = '{event}'"),
                format!(
                    "UPDATE listener_replies SET event_id = '{event}' WHERE event_id = '{second}'"
                ),
            ] {
                raw.execute_unprepared(&swap).await.unwrap();
            }
            raw.close().await.unwrap();
            let moved = db.listener_replies().find(&owner.id, &event).await;
            assert!(matches!(moved, Err(Error::Unopenable { table: "listener_replies", .. })));
        }
    })
    .await;
}
